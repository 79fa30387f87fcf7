"""A tenant whose sales another integration loads: the worked example of dlt, in one Dagster instance with the chain."""

import socket
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from forecast_platform.days import days_between
from forecast_platform_tests.pipeline.shop import Shop, Till, day

ORDERS = dg.AssetKey(["dlt", "orders"])
DAYS = days_between(day(0), day(3))


@pytest.fixture(autouse=True)
def nothing_leaves_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list]:
    """dlt reports its use to its makers unless it is told not to; a connection that it tries all the same is kept."""
    tried: list = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def noted(ask: Callable, host: object, *asked: object, **options: object):
        if host not in ("127.0.0.1", "::1", "localhost"):
            tried.append(host)
            raise ConnectionRefusedError(f"a test may not ask for {host}")
        return ask(*asked, **options)

    def connected(self: socket.socket, address):
        return connect(self, address) if self.family == socket.AF_UNIX else noted(connect, address[0], self, address)

    monkeypatch.setattr(socket.socket, "connect", connected)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **options: noted(look_up, host, host, *rest, **options)
    )
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    yield tried
    assert not tried


def sold(on: date) -> list[dict]:
    """What the ERP has of a day: two lines, whose quantities tell days apart."""
    number = (on - day(0)).days
    return [
        {"line": f"{on}-{sku}", "day": on, "article": sku, "pieces": number + extra, "price": 2.5}
        for sku, extra in (("tea", 1), ("jam", 10))
    ]


def orders_asset(till: Shop) -> dg.AssetsDefinition:
    """dlt loads the orders of days into parquet files under ``lake/erp/orders``."""
    import dlt
    from dagster_dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets
    from dagster_dlt.translator import DltResourceTranslatorData

    @dlt.source(name="erp")
    def erp(first: date = DAYS[0], last: date = DAYS[0]):
        @dlt.resource(name="orders", write_disposition="append")
        def orders():
            for on in days_between(first, last):
                yield sold(on)

        return orders

    class Named(DagsterDltTranslator):
        def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
            return (
                super().get_asset_spec(data).replace_attributes(key=dg.AssetKey(["dlt", data.resource.name]), deps=[])
            )

    pipeline = dlt.pipeline(
        pipeline_name="erp",
        pipelines_dir=str(till.folder / "dlt"),
        destination=dlt.destinations.filesystem(bucket_url=(till.folder / "lake").as_uri()),
        dataset_name="erp",
    )

    @dlt_assets(
        dlt_source=erp(),
        dlt_pipeline=pipeline,
        name="erp",
        group_name="erp",
        dagster_dlt_translator=Named(),
        partitions_def=till.scope.partitions,
    )
    def orders(context: dg.AssetExecutionContext, dlt_resource: DagsterDltResource):
        keys = context.partition_key_range
        source = erp(date.fromisoformat(keys.start), date.fromisoformat(keys.end))
        yield from dlt_resource.run(context=context, dlt_source=source, loader_file_format="parquet")

    return orders


@pytest.fixture
def till(new_shop: Callable[..., Shop]) -> Shop:
    """A shop whose sales are what dlt has loaded."""
    till = new_shop("duckdb", Till)
    till.settings["source"] = {
        "kind": "files",
        "url": str(till.folder / "lake" / "erp"),
        "pattern": "orders/*.parquet",
        "format": "parquet",
        "settle_seconds": 0,
        "columns": {
            "event_id": "line",
            "sale_date": "day",
            "sku": "article",
            "quantity": "pieces",
            "unit_price": "price",
        },
        "constants": {"location": "all"},
        "upstream": {"asset": "dlt/orders", "partitions": "same_day"},
    }
    return till


def together(till: Shop) -> dg.Definitions:
    """The tenant and the other tool's assets in one code location."""
    from dagster_dlt import DagsterDltResource

    others = dg.Definitions(assets=[orders_asset(till)], resources={"dlt_resource": DagsterDltResource()})
    return dg.Definitions.merge(till.definitions, others)


def make(till: Shop, definitions: dg.Definitions, keys: list[dg.AssetKey], first: date, last: date):
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=keys,
        instance=till.instance,
        tags={ASSET_PARTITION_RANGE_START_TAG: first.isoformat(), ASSET_PARTITION_RANGE_END_TAG: last.isoformat()},
    )


def test_what_dlt_loads_becomes_sales_in_one_run_and_depends_on_it_day_by_day(till: Shop, at: Callable):
    definitions = together(till)
    sales = [till.scope.key(name) for name in ("raw_sales", "sales_rejects")]
    with at(day(5)):
        result = make(till, definitions, [ORDERS, *sales], DAYS[0], DAYS[2])
        made = [event.asset_key for event in result.get_asset_materialization_events()]
        assert made.index(ORDERS) < made.index(sales[0]), "what sales are read from is loaded before"
        make(till, definitions, [ORDERS, *sales], DAYS[3], DAYS[3])
    rows = till.warehouse.read("select sale_date, sku, quantity from raw_sales order by sale_date, sku")
    assert [(each.sale_date.date(), each.sku, int(each.quantity)) for each in rows.itertuples()] == [
        (on, line["article"], line["pieces"])
        for on in DAYS
        for line in sorted(sold(on), key=lambda line: line["article"])
    ]
    assert till.warehouse.read("select count(*) as n from sales_rejects")["n"].item() == 0
    node = definitions.resolve_asset_graph().get(sales[0])
    assert node.parent_keys == {ORDERS}
    mapping = definitions.resolve_assets_def(sales[0]).get_partition_mapping(ORDERS)
    upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
        till.scope.partitions.subset_with_partition_keys([day(2).isoformat()]),
        till.scope.partitions,
        till.scope.partitions,
    )
    assert list(upstream.partitions_subset.get_partition_keys()) == [day(2).isoformat()]


def test_sales_are_made_again_alone_from_what_was_loaded_before(till: Shop, at: Callable):
    definitions = together(till)
    with at(day(5)):
        make(till, definitions, [ORDERS], DAYS[0], DAYS[1])
        # The tenant on its own, as the command line loads it: the other tool's asset is known by name alone.
        till.run(["raw_sales"], DAYS[0], DAYS[1])
    assert till.warehouse.read("select count(*) as n from raw_sales")["n"].item() == 4


def test_columns_of_sales_lead_to_the_columns_that_dlt_wrote(till: Shop):
    sales, rejects = (
        {
            column: {(dep.asset_key, dep.column_name) for dep in deps}
            for column, deps in till.definitions.resolve_asset_graph()
            .get(till.scope.key(name))
            .metadata["dagster/column_lineage"]
            .deps_by_column.items()
        }
        for name in ("raw_sales", "sales_rejects")
    )
    assert sales["quantity"] == {(ORDERS, "pieces")}
    assert sales["event_id"] == {(ORDERS, "line")}
    assert sales["location"] == sales["source"] == set()
    assert rejects["payload"] == {(ORDERS, name) for name in ("line", "day", "article", "pieces", "price")}
