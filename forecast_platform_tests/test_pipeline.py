"""The component: what a tenant's YAML gives, and what it refuses by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from pydantic import ValidationError

from forecast_platform.assets.scope import TenantScope
from forecast_platform.partitions import BACKFILL_POLICY
from forecast_platform.pipeline import (
    PROJECT,
    ForecastPipeline,
    TenantRefused,
    UnknownTenant,
    build_tenant,
    load_tenant,
    tenant_names,
)
from forecast_platform.runs import chain_of
from forecast_platform.settings import Settings, SettingsError, load
from forecast_platform.tenant import FACTS, Tenant

FILES: dict[str, Any] = {
    "start": "2026-01-01",
    "owners": ["team:planning"],
    "source": {
        "kind": "files",
        "url": "/somewhere",
        "columns": {"sale_date": "day", "sku": "sku", "quantity": "quantity"},
        "constants": {"location": "all"},
    },
}
MADE = {
    *("raw_sales", "sales_rejects", "daily_sales", "series_scales", "features"),
    *("forecasts", "forecast_errors", "error_sums"),
    *("demand_classes", "forecast_intervals", "interval_scores", "champions", "publications", "published_sums"),
    *("weekly_forecasts", "hierarchy_forecasts", "forecast_explanations"),
    *("daily_report", "serving"),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load({"FORECAST_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.fixture(scope="module")
def definitions(settings: Settings) -> dg.Definitions:
    return build_tenant(TenantScope("corner", Tenant.model_validate(FILES), settings))


def materializable(definitions: dg.Definitions) -> dict[str, Any]:
    graph = definitions.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    return {node.key.path[-1]: node for node in nodes if node.is_materializable}


def test_a_tenant_has_the_assets_of_the_chain_under_its_name(definitions: dg.Definitions):
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert {key.path[0] for key in keys} == {"corner"}
    assert set(materializable(definitions)) == MADE
    shown = {key.path[-1] for key in keys}
    assert {"weekly_sales", "daily_sales_total", "forecast_accuracy", "latest_forecasts"} <= shown
    assert shown.isdisjoint(FACTS), "facts that nothing feeds are no assets"


def test_all_partitioned_assets_share_what_lets_them_share_a_run(definitions: dg.Definitions):
    nodes = materializable(definitions).values()
    assert len({repr(node.partitions_def) for node in nodes}) == 1
    assert all(node.backfill_policy == BACKFILL_POLICY for node in nodes)
    assert {pool for node in nodes for pool in node.pools} == {"warehouse_corner"}


def test_every_asset_carries_what_a_person_looks_for(definitions: dg.Definitions):
    for name, node in materializable(definitions).items():
        assert node.description, name
        assert node.group_name == "corner" and node.kinds and list(node.owners) == ["team:planning"], name
        assert {"partition_expr", "reports", "serves"} & node.metadata.keys(), name


def test_a_tenant_has_its_checks_and_jobs(definitions: dg.Definitions):
    jobs = {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}
    assert jobs == {"corner__day", "corner__update"}
    checks = {key.name for key in definitions.resolve_asset_graph().asset_check_keys}
    assert {"reject_share", "arrivals_readable", "forecasts_complete", "models_ran"} <= checks


def fed_by(settings: Settings, upstream: dict[str, Any]) -> TenantScope:
    """A tenant whose sales and stock levels another tool writes."""
    sales = FILES["source"] | {"upstream": upstream}
    stock = {
        "kind": "sql",
        "url": "sqlite://",
        "table": "stock",
        "page_by": "day",
        "upstream": {"asset": ["wms", "stock"]},
    }
    stock |= {"columns": {"snapshot_date": "day", "sku": "sku", "on_hand": "pieces"}}
    facts = {"inventory_levels": stock}
    return TenantScope("corner", Tenant.model_validate(FILES | {"source": sales, "facts": facts}), settings)


def test_assets_of_other_tools_are_depended_on_and_never_made(settings: Settings):
    scope = fed_by(settings, {"asset": "dlt/orders", "partitions": "same_day"})
    orders, stock = dg.AssetKey(["dlt", "orders"]), dg.AssetKey(["wms", "stock"])

    @dg.multi_asset(specs=[dg.AssetSpec(orders)], partitions_def=scope.partitions)
    def load_orders(): ...

    @dg.multi_asset(specs=[dg.AssetSpec(stock)])
    def load_stock(): ...

    alone = build_tenant(scope)
    beside = dg.Definitions.merge(alone, dg.Definitions(assets=[load_orders, load_stock]))
    for definitions in (alone, beside):
        graph = definitions.resolve_asset_graph()
        assert graph.get(scope.key("raw_sales")).parent_keys == {orders}
        assert graph.get(scope.key("inventory_levels")).parent_keys == {stock}
        chain = chain_of(definitions, scope)
        assert set(chain.all) == MADE | {"inventory_levels", "inventory_plan", "inventory_simulation"}
        assert "raw_sales" in chain.facts and "forecasts" in chain.forecasts
        columns = graph.get(scope.key("inventory_levels")).metadata["dagster/column_lineage"].deps_by_column
        assert columns["on_hand"] == [dg.TableColumnDep(asset_key=stock, column_name="pieces")]
    assert set(beside.resolve_job_def("corner__day").asset_layer.executable_asset_keys).isdisjoint({orders, stock})


def test_an_upstream_that_is_not_named_or_the_tenants_own_is_refused(settings: Settings):
    for wrong in ("", "dlt//orders", [], ["dlt", " "]):
        with pytest.raises(ValidationError, match="no asset key"):
            fed_by(settings, {"asset": wrong})
    with pytest.raises(SettingsError, match=r"corner/daily_sales.*own name"):
        build_tenant(fed_by(settings, {"asset": "corner/daily_sales"}))


def test_naming_an_upstream_does_not_make_what_has_landed_be_read_again(settings: Settings):
    plain = Tenant.model_validate(FILES).source
    assert fed_by(settings, {"asset": "dlt/orders"}).tenant.source.reading_settings() == plain.reading_settings()


def test_the_demo_ships_and_is_a_valid_tenant():
    settings = load({})
    assert "demo" in tenant_names(settings)
    scope = load_tenant("demo", settings)
    assert scope.tenant.source.kind == "demo" and scope.tenant.source.opens == scope.tenant.start
    shipped = yaml.safe_load((PROJECT / "forecast_platform" / "defs" / "demo" / "defs.yaml").read_text())
    assert shipped["type"] == "forecast_platform.pipeline.ForecastPipeline"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"horizont": 7}, "horizont"),
        ({"horizon": 366}, "horizon"),
        ({"start": "soon"}, "start"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"training_window": 400}, "training_window"),
        ({"models": {"My Model": "LagRegression()"}}, "models"),
        ({"models": {"mine": "NoSuchThing("}}, "models"),
        ({"source": FILES["source"] | {"delimiter": ";"}}, "source.files.delimiter"),
        ({"source": {"kind": "ftp"}}, "source"),
        ({"facts": {"itmes": FILES["source"]}}, "facts.itmes"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict, field: str):
    with pytest.raises(ValidationError):
        Tenant.model_validate(FILES | change)
    (tmp_path / "corner").mkdir()
    file = tmp_path / "corner" / "defs.yaml"
    file.write_text(
        yaml.safe_dump({"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": FILES | change})
    )
    with pytest.raises(TenantRefused, match=field) as refused:
        load_tenant("corner", load({"FORECAST_TENANTS": str(tmp_path)}))
    assert "\n" not in str(refused.value)


def test_a_tenant_is_named_by_its_folder_and_not_by_any_name():
    for name in ("Corner", "1st", "a-b", "a" * 42, "", 'x"; drop table y'):
        with pytest.raises(SettingsError, match="rename the folder"):
            ForecastPipeline(name, Tenant.model_validate(FILES))


def test_an_unknown_tenant_is_told_which_there_are(tmp_path: Path):
    with pytest.raises(UnknownTenant, match="there are none"):
        load_tenant("corner", load({"FORECAST_TENANTS": str(tmp_path)}))
