"""The definitions as Dagster loads them: what every asset carries, and what loading must not do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from forecast_platform import tables
from forecast_platform.partitions import BACKFILL_POLICY
from forecast_platform.pipeline import PROJECT, UnknownTenant, build_tenant, load_tenant
from forecast_platform.settings import load
from forecast_platform.tenant import FACTS

TENANTS = ("north", "south")


def attributes(name: str) -> dict:
    """A tenant over the generator; every fact table is fed, so that every asset there can be is there."""
    return {
        "start": "2026-01-05",
        "timezone": "America/New_York" if name == "south" else "Europe/Berlin",
        "owners": [f"team:{name}"],
        "source": {"kind": "demo", "seed": 3, "opens": "2026-01-05"},
    }


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of two tenants in a folder of their own; nothing is in the warehouse, not even its folder."""
    folder = tmp_path_factory.mktemp("definitions")
    for name in TENANTS:
        (folder / "tenants" / name).mkdir(parents=True)
        document = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": attributes(name)}
        (folder / "tenants" / name / "defs.yaml").write_text(yaml.safe_dump(document))
    return {
        "FORECAST_HOME": str(folder / "home"),
        "FORECAST_WAREHOUSE": f"duckdb:///{folder / 'warehouse'}",
        "FORECAST_TENANTS": str(folder / "tenants"),
        "DAGSTER_HOME": str(folder),
    }


@pytest.fixture(scope="module")
def tenants(environment: dict[str, str]) -> dict[str, dg.Definitions]:
    return {name: build_tenant(load_tenant(name, load(environment))) for name in TENANTS}


def python(code: str, environment: dict[str, str]) -> list[str]:
    """Lines that a fresh interpreter prints."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout.split()


def test_keys_are_the_tenant_and_the_asset(tenants: dict[str, dg.Definitions]):
    keys = {name: tenants[name].resolve_asset_graph().get_all_asset_keys() for name in TENANTS}
    assert all(len(key.path) == 2 and key.path[0] == name for name in TENANTS for key in keys[name])
    assert {key.path[1] for key in keys["north"]} == {key.path[1] for key in keys["south"]}
    assert {"raw_sales", "sales_rejects", "daily_sales", "series_scales", "features", "forecasts"} <= {
        key.path[1] for key in keys["north"]
    }


@pytest.mark.parametrize("name", TENANTS)
def test_what_is_written_shares_the_tenants_pool_partitions_and_backfill_policy(
    tenants: dict[str, dg.Definitions], environment: dict[str, str], name: str
):
    graph = tenants[name].resolve_asset_graph()
    written = [graph.get(key) for key in graph.materializable_asset_keys]
    assert len(written) == 27
    assert {node.key for node in written if node.is_partitioned} == {node.key for node in written}
    assert {node.partitions_def for node in written} == {load_tenant(name, load(environment)).partitions}
    assert {node.backfill_policy for node in written} == {BACKFILL_POLICY}
    assert {frozenset(node.pools or ()) for node in written} == {frozenset({f"warehouse_{name}"})}


@pytest.mark.parametrize("name", TENANTS)
def test_every_asset_carries_what_a_person_looks_for(tenants: dict[str, dg.Definitions], name: str):
    graph = tenants[name].resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and "#### Raw SQL" not in node.description, key
        assert list(node.owners) == [f"team:{name}"], key
        assert node.kinds & {"dbt", "python", "pandas", "numpy", "sktime"}, key
        assert node.kinds & {"duckdb", "view", "html"}, key
        assert node.group_name == name, key
        if "html" in node.kinds:  # a file has no columns
            assert node.code_version and node.metadata["reports"].endswith(f"/{name}"), key
            continue
        if key.path[-1] == "serving":  # brings a table of others up to date
            assert node.code_version and node.metadata["serves"] in tables.metadata.tables, key
            continue
        columns = node.metadata["dagster/column_schema"].columns
        assert len(columns) >= 3 and all(column.type for column in columns), key
        assert node.metadata["dagster/table_name"].endswith(key.path[-1]), key
        if node.is_materializable:
            assert node.code_version, key
            assert node.metadata["partition_expr"] in {column.name for column in columns}, key


Column = tuple[str, str]
SET_BY_THE_TENANT = {
    *(("forecasts", "horizon"), ("hierarchy_forecasts", "level"), ("publications", "published_at")),
    ("inventory_simulation", "rule"),
    *(("forecast_accuracy_by_series", "window_days"), ("interval_coverage", "window_days")),
}
"""Columns that hold settings or the time, and nothing that was read."""

SENT_BY_PLANNERS = {
    *(("override_errors", name) for name in ("target_date", "sku", "location", "entry", "author", "reason")),
    *(("override_errors", name) for name in ("received_at", "units")),
    ("override_accuracy", "scope"),
}
"""Columns of what people send and no asset makes."""


def column_graph(definitions: dg.Definitions) -> dict[Column, set[Column]]:
    """Every column of a tenant's assets, with the columns that it is made from."""
    graph = definitions.resolve_asset_graph()
    made: dict[Column, set[Column]] = {}
    for key in graph.get_all_asset_keys():
        metadata = graph.get(key).metadata
        if key.path[-1] in ("daily_report", "serving"):  # a page and files, and no table
            continue
        lineage = metadata["dagster/column_lineage"].deps_by_column
        assert set(lineage) == {column.name for column in metadata["dagster/column_schema"].columns}, key
        for column, deps in lineage.items():
            assert all(dep.asset_key.path[0] == key.path[0] for dep in deps), (key, column)
            made[key.path[1], column] = {(dep.asset_key.path[1], dep.column_name) for dep in deps}
    return made


def origins(made: dict[Column, set[Column]], column: Column) -> set[Column]:
    """All that a column is made from, however far back."""
    found: set[Column] = set()
    ahead = [column]
    while ahead:
        new = made[ahead.pop()] - found
        found |= new
        ahead += new
    return found


@pytest.mark.parametrize(
    "column",
    [
        *(("forecasts", "mean"), ("forecast_intervals", "q90"), ("publications", "version_id")),
        *(("published_forecasts", "mean"), ("published_forecasts", "q025"), ("published_forecasts", "confidence")),
        *(("forecast_accuracy", "wape"), ("forecast_accuracy", "weighted_rmsse"), ("weekly_accuracy", "bias")),
        *(("interval_coverage", "inside_80"), ("champion_changes", "reason"), ("latest_hierarchy_forecasts", "mean")),
        ("forecast_explanations_by_sku", "summary"),
    ],
)
def test_a_column_is_walked_back_to_what_was_sold(tenants: dict[str, dg.Definitions], column: Column):
    assert ("raw_sales", "quantity") in origins(column_graph(tenants["north"]), column)


def test_column_lineage_tells_columns_apart(tenants: dict[str, dg.Definitions]):
    made = column_graph(tenants["north"])
    assert made["daily_sales", "units"] == {("raw_sales", "quantity")}
    assert made["daily_sales", "revenue"] == {("raw_sales", "quantity"), ("raw_sales", "unit_price")}
    assert made["features", "rolling_mean_28"] == {("daily_sales", "units")}
    assert made["features", "price_ratio"] == {("daily_sales", "avg_price")}
    assert made["forecast_errors", "error"] == {("forecasts", "mean"), ("daily_sales", "units")}
    assert made["forecast_accuracy_by_series", "as_of"] == {("error_sums", "target_date")}
    assert made["published_forecasts", "model"] == {("forecasts", "version_id")}
    assert made["daily_sales", "series_id"] == {("raw_sales", "sku"), ("raw_sales", "location")}
    assert ("raw_sales", "unit_price") not in origins(made, ("features", "lag_7"))
    # Prices move a forecast where some are planned.
    assert ("raw_sales", "unit_price") in origins(made, ("forecasts", "mean"))


def test_every_column_has_origins_that_exist_but_those_of_sources_and_settings(tenants: dict[str, dg.Definitions]):
    for name in TENANTS:
        made = column_graph(tenants[name])
        named = set().union(*made.values())
        assert named <= set(made), f"no such columns: {named - set(made)}"
        sources = {"raw_sales", "sales_rejects", *FACTS}
        none = {column for column, read in made.items() if not read and column[0] not in sources}
        assert none == SET_BY_THE_TENANT | SENT_BY_PLANNERS
        assert not any(read for (asset, _), read in made.items() if asset in sources)


def test_a_tenants_checks_and_its_job_over_all_its_days_are_there(tenants: dict[str, dg.Definitions]):
    graph = tenants["north"].resolve_asset_graph()
    checks = {(check.asset_key.path[-1], check.name) for check in graph.asset_check_keys}
    assert {
        ("raw_sales", "arrivals_readable"),
        ("sales_rejects", "reject_share"),
        ("forecasts", "forecasts_complete"),
        ("forecasts", "models_ran"),
    } <= checks
    assert {asset for asset, _ in checks} >= {"daily_sales", "forecast_errors", "error_sums"}
    job = tenants["north"].resolve_job_def("north__day")
    assert job.partitions_def == graph.get(dg.AssetKey(["north", "forecasts"])).partitions_def
    assert set(job.asset_layer.executable_asset_keys) == set(graph.materializable_asset_keys)


def test_the_code_location_has_every_tenant_and_an_attribute_has_one(environment: dict[str, str]):
    code = """
import forecast_platform.definitions as location
from dagster._core.code_pointer import CodePointer
from dagster import Definitions
whole = location.defs() if callable(location.defs) else location.defs
whole = whole.load_fn(None) if not isinstance(whole, Definitions) else whole
print(*sorted({key.path[0] for key in whole.resolve_all_asset_keys()}), "|")
print(*sorted({key.path[0] for key in location.tenant_south.resolve_all_asset_keys()}))
"""
    assert python(code, environment) == ["north", "south", "|", "south"]


def test_one_tenants_attribute_loads_beside_a_tenant_whose_yaml_is_broken(environment: dict[str, str], tmp_path: Path):
    shutil.copytree(environment["FORECAST_TENANTS"], tmp_path / "tenants")
    (tmp_path / "tenants" / "north" / "defs.yaml").write_text("type: [no component\n")
    broken = environment | {"FORECAST_TENANTS": str(tmp_path / "tenants")}
    code = "import forecast_platform.definitions as d; print(len(d.tenant_south.resolve_all_asset_keys()) > 13)"
    assert python(code, broken) == ["True"]


def test_an_unknown_tenant_is_named_with_those_that_there_are(environment: dict[str, str]):
    with pytest.raises(UnknownTenant, match="'west' is unknown; there are north, south"):
        load_tenant("west", load(environment))


def test_loading_opens_no_warehouse_and_imports_no_model_library(environment: dict[str, str], tenants: dict):
    code = """
import sys
import forecast_platform.definitions as location
len(location.tenant_north.resolve_all_asset_keys())
print(*sorted({"sktime", "sklearn", "holidays", "dbt.adapters.duckdb"} & set(sys.modules)), "end")
"""
    assert python(code, environment) == ["end"]
    assert not Path(environment["FORECAST_WAREHOUSE"].removeprefix("duckdb:///")).exists()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["yaml", "defs"])
def test_dg_check_passes(environment: dict[str, str], what: str):
    scripts = Path(sys.executable).parent
    result = subprocess.run(
        [str(scripts / "dg"), "check", what],
        cwd=PROJECT,
        env={**os.environ, **environment, "PATH": f"{scripts}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
