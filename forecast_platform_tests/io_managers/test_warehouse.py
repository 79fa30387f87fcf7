"""Opening a warehouse: names that cannot be, URLs that are none, and what a session does with its transaction."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from forecast_platform.io_managers import duckdb_dialect
from forecast_platform.io_managers.warehouse import Warehouse, WarehouseError, open_warehouse
from forecast_platform.tables import series
from forecast_platform_tests.sales_frames import DAY

ROW = {"day": DAY, "name": "a"}
INSERT = "insert into series values (1, :name, 'all', :day)"


@pytest.mark.parametrize("name", ["", "Demo", "1st", "../up", 'a"; drop schema b; --', "a b", "x" * 42])
@pytest.mark.parametrize("url", ["duckdb:///folder", "postgresql://user@localhost/sales"])
def test_a_name_that_is_no_identifier_is_refused_before_anything_is_opened(url: str, name: str):
    with pytest.raises(WarehouseError, match="cannot be a schema or a file"):
        open_warehouse(url, name)


def test_an_url_of_another_database_is_refused_with_the_ones_that_work():
    with pytest.raises(WarehouseError, match=r"duckdb:///folder or postgresql://"):
        open_warehouse("mysql://localhost/sales", "demo")


def test_opening_a_warehouse_creates_and_connects_to_nothing(tmp_path: Path):
    open_warehouse(f"duckdb:///{tmp_path / 'new'}", "demo")
    open_warehouse("postgresql://nobody@127.0.0.1:1/none", "demo")
    assert list(tmp_path.iterdir()) == []


def test_an_error_rolls_the_whole_transaction_back(warehouse: Warehouse):
    with pytest.raises(ZeroDivisionError), warehouse.transaction() as session:
        session.execute(INSERT, ROW)
        raise ZeroDivisionError
    assert warehouse.read(sa.select(series)).empty


def test_what_a_fence_raises_rolls_the_whole_transaction_back(warehouse: Warehouse):
    def fence() -> None:
        raise PermissionError

    with pytest.raises(PermissionError), warehouse.transaction(fence=fence) as session:
        session.execute(INSERT, ROW)
    assert warehouse.read(sa.select(series)).empty


def test_a_reader_cannot_write(warehouse: Warehouse):
    with pytest.raises(Exception, match="read-only"), warehouse.reading() as session:
        session.execute(INSERT, ROW)


def test_a_reader_sees_one_state_throughout(postgres_warehouse: Warehouse, postgres_url: str):
    count = sa.select(sa.func.count()).select_from(series)
    with postgres_warehouse.reading() as session:
        assert session.scalar(count) == 0
        with open_warehouse(postgres_url, postgres_warehouse.tenant).transaction() as writer:
            writer.execute(INSERT, ROW)
        assert session.scalar(count) == 0
    assert postgres_warehouse.read(count).iloc[0, 0] == 1


def test_dbt_is_told_where_the_warehouse_is(warehouse: Warehouse):
    told = warehouse.dbt_environment()
    assert told["PIPELINE_TENANT"] == warehouse.tenant and told["PIPELINE_BACKEND"] == warehouse.backend
    if warehouse.backend == "duckdb":
        assert Path(told["PIPELINE_DUCKDB_PATH"]).exists() and told["PIPELINE_SCHEMA"] == "main"
    else:
        assert told["PIPELINE_SCHEMA"] == told["PIPELINE_ROLE"] == warehouse.tenant
        assert {"PIPELINE_PG_HOST", "PIPELINE_PG_PORT", "PIPELINE_PG_USER", "PIPELINE_PG_DATABASE"} <= told.keys()


def test_a_null_in_a_result_of_one_column_is_a_row(warehouse: Warehouse):
    rows = warehouse.read("select max(first_seen) as newest from series")
    assert len(rows) == 1 and rows["newest"].isna().all()


def test_values_of_a_statement_may_be_lists(warehouse: Warehouse):
    with warehouse.transaction() as session:
        session.execute(INSERT, ROW)
    query = sa.select(series).where(series.c.sku.in_(["a", "b"]), series.c.first_seen == sa.bindparam("day"))
    assert len(warehouse.read(query, {"day": DAY})) == 1
    assert warehouse.read(sa.select(series).where(series.c.sku.in_([]))).empty


def test_a_stream_hands_out_the_rows_of_a_query_in_parts(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duckdb_dialect, "STREAMED_ROWS", 2048)
    numbers = " union all ".join(f"select {n} as tens" for n in range(100))
    query = f"select a.tens * 100 + b.tens as n from ({numbers}) a, ({numbers}) b where a.tens < :most"
    with warehouse.reading() as session:
        parts = list(session.stream(query, {"most": 90}))
        assert sorted(n for part in parts for n in part.column("n").to_pylist()) == list(range(9000))
        assert warehouse.backend == "postgresql" or max(part.num_rows for part in parts) <= 2048
        assert not any(part.num_rows for part in session.stream(query, {"most": 0}))
