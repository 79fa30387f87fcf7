"""Dagster's own DuckDB IO manager as the control: the faults that ours survives are ones that it does not.

If one of these tests fails because the stock manager has become better, ours may be able to do less.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest
from dagster_duckdb_pandas import DuckDBPandasIOManager
from dagster_duckdb_pandas.duckdb_pandas_type_handler import DuckDBPandasTypeHandler

from forecast_platform.io_managers import build_io_managers
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.faults import children
from forecast_platform_tests.sales_frames import DAY, days, sales

NEW_YORK = dg.DailyPartitionsDefinition(start_date="2026-01-01", timezone="America/New_York")
KEY = DAY.isoformat()


class DyingHandler(DuckDBPandasTypeHandler):
    """The stock handler, killed where it would insert."""

    def handle_output(self, context, table_slice, obj, connection):
        os.kill(os.getpid(), signal.SIGKILL)


class DyingIOManager(DuckDBPandasIOManager):
    @staticmethod
    def type_handlers():
        return [DyingHandler()]


def write(manager, frame: pd.DataFrame, day: str = KEY) -> None:
    """Materialize ``frame`` as one partition of an asset called ``raw_sales``."""

    @dg.asset(key=["t", "raw_sales"], partitions_def=NEW_YORK, metadata={"partition_expr": "sale_date"})
    def raw_sales() -> pd.DataFrame:
        return frame

    dg.materialize([raw_sales], partition_key=day, resources={"io_manager": manager})


def write_and_die(path: str, frame: pd.DataFrame) -> None:
    write(DyingIOManager(database=path), frame)


def stock_rows(path: Path) -> pd.DataFrame:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("select * from t.raw_sales order by event_id").df()


def stock_sales(**change) -> pd.DataFrame:
    """Sales in types that the stock manager can store."""
    return sales().drop(columns=["order_id"]).astype({"quantity": "float64", "unit_price": "float64"}).assign(**change)


def test_the_stock_manager_loses_the_day_when_it_is_killed_between_delete_and_insert(tmp_path: Path):
    path = tmp_path / "stock.duckdb"
    write(DuckDBPandasIOManager(database=str(path)), stock_sales())
    assert len(stock_rows(path)) == 3
    assert children.run(write_and_die, str(path), stock_sales()) == children.KILLED
    assert len(stock_rows(path)) == 0


def test_the_stock_manager_swaps_reordered_columns(tmp_path: Path):
    path = tmp_path / "stock.duckdb"
    frame = stock_sales(location="here")
    write(DuckDBPandasIOManager(database=str(path)), frame)
    names = [*frame.columns]
    sku, location = names.index("sku"), names.index("location")
    names[sku], names[location] = names[location], names[sku]
    write(DuckDBPandasIOManager(database=str(path)), frame[names])
    assert set(stock_rows(path)["sku"]) == {"here"}


def hourly(day: str) -> pd.DataFrame:
    """24 sales on the hours of a New York day, as times in UTC."""
    begin = pd.Timestamp(day, tz="America/New_York").tz_convert("UTC").tz_localize(None)
    return pd.DataFrame({"sale_date": pd.date_range(begin, periods=24, freq="h"), "n": range(24)})


def test_the_stock_manager_leaves_29_of_24_rows_of_a_new_york_day(tmp_path: Path):
    path = tmp_path / "stock.duckdb"
    for _ in range(2):
        write(DuckDBPandasIOManager(database=str(path)), hourly(KEY), KEY)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("select count(*) from t.raw_sales").fetchone() == (29,)


def test_the_stock_manager_creates_no_table_for_an_empty_first_day(tmp_path: Path):
    path = tmp_path / "stock.duckdb"
    write(DuckDBPandasIOManager(database=str(path)), stock_sales().head(0))
    with pytest.raises(duckdb.CatalogException):
        stock_rows(path)


@pytest.mark.parametrize("day", [KEY, "2026-03-08", "2026-11-01"])
def test_ours_keeps_each_business_day_of_new_york_apart_and_once(warehouse: Warehouse, day: str):
    manager = build_io_managers(warehouse, start=DAY)["replace"]
    around = [each.isoformat() for each in days(3, (pd.Timestamp(day) - pd.Timedelta(days=1)).date())]
    for each in (*around, *around):
        begin = pd.Timestamp(each, tz="America/New_York")
        hours = pd.date_range(begin, begin + pd.Timedelta(hours=30), freq="h")
        hours = hours[hours.tz_localize(None).normalize() == pd.Timestamp(each)]
        frame = sales(begin.date(), rows=len(hours)).assign(sold_at=hours)
        write(manager, frame, each)
    counts = warehouse.read("select count(*) as n from raw_sales group by sale_date order by sale_date")["n"].tolist()
    assert counts == [24, {"2026-03-08": 23, "2026-11-01": 25}.get(day, 24), 24]
    assert warehouse.read("select count(distinct sold_at) as n from raw_sales")["n"].tolist() == [sum(counts)]


def test_ours_puts_reordered_columns_where_their_names_say(warehouse: Warehouse):
    manager = build_io_managers(warehouse, start=DAY)["replace"]
    frame = sales().assign(location="here")
    write(manager, frame)
    write(manager, frame[[*reversed(frame.columns)]])
    assert set(warehouse.read("select location from raw_sales")["location"]) == {"here"}
    assert len(warehouse.read("select * from raw_sales")) == 3
