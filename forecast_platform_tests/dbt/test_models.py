"""The models mean what their unit tests say, keep their contracts, and are the same in both warehouses."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from forecast_platform import tables
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.dbt.shop import (
    MODELS,
    PROJECT,
    SERIES,
    Dbt,
    DbtError,
    Event,
    Version,
    day,
    open_shop,
    put_events,
    put_stock,
    rows,
)
from forecast_platform_tests.dbt.test_incremental import a_month

TYPES = {
    "date": sa.Date,
    "text": sa.Text,
    "integer": sa.Integer,
    "smallint": sa.SmallInteger,
    "boolean": sa.Boolean,
    "double precision": sa.Double,
    "numeric(18, 4)": type(tables.QUANTITY),
    "numeric(38, 10)": type(tables.REVENUE),
}


def contract(model: str) -> dict[str, dict[str, Any]]:
    """The columns of a mart's contract, in order."""
    (declared,) = yaml.safe_load((PROJECT / "models" / "marts" / f"{model}.yml").read_text())["models"]
    return {column["name"]: column for column in declared["columns"]}


@pytest.mark.parametrize("table", [t for t in tables.metadata.sorted_tables if t.info["owner"] == "dbt"], ids=str)
def test_contract_and_python_declaration_agree(table: sa.Table) -> None:
    declared = contract(table.name)
    assert list(declared) == [column.name for column in table.columns]
    for column in table.columns:
        kind = declared[column.name]["data_type"]
        assert type(column.type) is TYPES[kind], column.name
        if isinstance(column.type, sa.Numeric) and kind.startswith("numeric"):
            assert kind == f"numeric({column.type.precision}, {column.type.scale})", column.name
        required = {"type": "not_null"} in declared[column.name].get("constraints", [])
        assert required == (not column.nullable), column.name


def test_unit_tests_hold_and_data_tests_find_what_is_wrong(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(0, 15)
    results = dbt("test", "--select", "test_type:unit").results
    assert len(results) >= 9 and {str(result.status) for result in results} == {"pass"}
    assert {str(result.status) for result in dbt("test", "--select", "test_type:data").results} == {"pass"}

    with warehouse.transaction() as session:
        session.execute("drop index if exists daily_sales_by_sale_date_series_id")
        session.execute("insert into daily_sales select * from daily_sales where sale_date = :d", {"d": day(3)})
        session.execute("update daily_sales set units = -1 where sale_date = :d", {"d": day(5)})
        session.execute("delete from daily_sales where sale_date = :d", {"d": day(9)})
    with pytest.raises(DbtError) as found:
        dbt("test", "--select", "daily_sales,test_type:data")
    assert str(found.value).count("Got ") == 3
    # With days given, only those are looked at.
    for number, wrong in ((3, "unique_key"), (5, "not_negative"), (9, "no_missing_day"), (12, None)):
        failed = failing_tests(dbt, number)
        assert failed == ([wrong] if wrong else []), number


def failing_tests(dbt: Dbt, number: int) -> list[str]:
    """Generic tests of ``daily_sales`` that fail for one day, in a build that only tests."""
    from dbt.cli.main import dbtRunner

    window = ["--event-time-start", day(number).isoformat(), "--event-time-end", day(number + 1).isoformat()]
    with dbt._environment():
        outcome = dbtRunner(manifest=dbt.manifest).invoke(
            ["build", "--select", "daily_sales", "--resource-type", "test", *window, "--quiet", "--no-write-json"]
        )
    return [result.node.test_metadata.name for result in outcome.result.results if str(result.status) == "fail"]


def test_roll_ups_add_up(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    always = [
        Event(f"{n} {series_id}", day(n), series_id, Decimal(n + 1), Decimal(series_id))
        for n in range(0, 16, 3)
        for series_id in SERIES
    ]
    put_events(warehouse, [*always, Event("back", day(6), 1, Decimal(-2), Decimal(1))])
    with warehouse.transaction() as session:
        for valid_from, sku, location, category in (
            (day(0), "apple", "all", "fruit"),
            (day(6), "apple", "all", "bio"),
            (day(3), "apple", "south", "exotic"),
            (day(9), "apple", "south", None),
        ):
            session.execute(
                "insert into items (valid_from, sku, location, category)"
                " values (:valid_from, :sku, :location, :category)",
                {"valid_from": valid_from, "sku": sku, "location": location, "category": category},
            )
    dbt.build(0, 15, "tag:staging", "tag:sales")
    by_day = "select sale_date, sum(series), sum(units), sum(units_returned), sum(revenue) from {} group by sale_date"
    base = rows(
        warehouse,
        "select sale_date, count(*), sum(units), sum(units_returned), sum(revenue) from daily_sales group by sale_date",
    )
    for view in ("daily_sales_total", "daily_sales_by_location", "daily_sales_by_category"):
        assert rows(warehouse, by_day.format(view)) == base, view
    assert rows(warehouse, "select sum(units), sum(revenue) from weekly_sales") == rows(
        warehouse, "select sum(units), sum(revenue) from daily_sales"
    )
    categories = "select distinct category from daily_sales_by_category where sale_date = :d"
    found = {number: {row[0] for row in rows(warehouse, categories, {"d": day(number)})} for number in (5, 8, 12)}
    assert found == {5: {"fruit", "exotic", "unknown"}, 8: {"bio", "exotic", "unknown"}, 12: {"bio", "unknown"}}


def test_digest_tells_contents_apart_and_nothing_else(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    events = [Event("a", day(1), 1, Decimal(2), Decimal(3)), Event("b", day(1), 2, Decimal(2), Decimal(3))]
    put_events(warehouse, events)
    put_stock(warehouse, {})
    dbt.build(1, 2, "tag:staging", "daily_sales")

    def digests() -> dict[Any, str]:
        return dict(rows(warehouse, "select day, digest from partition_log where asset = 'daily_sales'"))

    first = digests()
    put_events(warehouse, reversed(events))
    dbt.build(1, 2, "daily_sales")
    assert digests() == first
    swapped = [Event("a", day(1), 1, Decimal(3), Decimal(2)), Event("b", day(1), 2, Decimal(2), Decimal(3))]
    put_events(warehouse, swapped)
    dbt.build(1, 2, "daily_sales")
    assert digests()[day(1)] != first[day(1)] and digests()[day(2)] == first[day(2)]


def test_warehouses_agree_and_a_range_equals_its_parts(
    duckdb_warehouse: Warehouse, postgres_warehouse: Warehouse, tmp_path: Path, versions: list[Version]
) -> None:
    """DuckDB by one range, PostgreSQL by ranges and single days."""
    held = []
    parts = [(0, 5), (6, 6), (7, 7), (8, 13), (14, 15)]
    for warehouse, windows in ((duckdb_warehouse, [(0, 15)]), (postgres_warehouse, parts)):
        dbt = Dbt(warehouse, tmp_path / f"target-{warehouse.backend}")
        open_shop(warehouse, versions=versions)
        put_events(warehouse, a_month())
        put_stock(warehouse, {(day(4), 2): Decimal(0)})
        for window in windows:
            dbt.build(*window, *([] if window[0] == 0 else ["config.materialized:incremental"]))
        held.append(
            {
                **{model: rows(warehouse, f"select * from {model}") for model in MODELS[:3]},
                "log": rows(
                    warehouse, "select asset, day, rows, digest from partition_log where asset <> 'error_sums'"
                ),
                "weekly_sales": rows(warehouse, "select * from weekly_sales"),
            }
        )
        sums = rows(warehouse, "select * from error_sums")
        held[-1]["error_sums"] = [tuple(round(v, 9) if isinstance(v, float) else v for v in row) for row in sums]
    assert all(held[0].values())
    assert held[0] == held[1]
