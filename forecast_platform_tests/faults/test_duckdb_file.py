"""One DuckDB file: many processes take turns, a lock that never ends is named, a full disk loses nothing."""

from __future__ import annotations

import multiprocessing
import os
import time

import duckdb
import pytest

from forecast_platform.io_managers.warehouse import Warehouse, WarehouseError, WarehouseUnavailable, open_warehouse
from forecast_platform.tables import raw_sales
from forecast_platform_tests.faults import children
from forecast_platform_tests.faults.invariants import assert_sound, assert_whole, contents
from forecast_platform_tests.faults.test_kill import FIRST, LAST, intended_partitions, replace
from forecast_platform_tests.sales_frames import days, sales


def url_of(warehouse: Warehouse) -> str:
    return f"duckdb:///{warehouse.path.parent}"


def test_eight_processes_take_turns_and_lose_nothing(duckdb_warehouse: Warehouse):
    own_days = days(8)
    running = [
        children.start(
            children.replace_many_times, url_of(duckdb_warehouse), duckdb_warehouse.tenant, 3, sales(day, rows=10), day
        )
        for day in own_days
    ]
    for process in running:
        process.join(children.TIMEOUT_SECONDS)
    assert [process.exitcode for process in running] == [0] * 8
    counts = duckdb_warehouse.read("select count(*) as n from raw_sales group by sale_date")["n"].tolist()
    assert counts == [10] * 8
    assert_sound(duckdb_warehouse)


def hold(path: str, ready, release) -> None:
    with duckdb.connect(path):
        ready.set()
        release.wait(30)


def test_a_file_that_another_process_keeps_is_given_up_with_its_holder_named(duckdb_warehouse: Warehouse, monkeypatch):
    monkeypatch.setattr(duckdb_warehouse, "patience", 0.5)
    context = multiprocessing.get_context("forkserver")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(str(duckdb_warehouse.path), ready, release))
    holder.start()
    try:
        assert ready.wait(30)
        started = time.monotonic()
        with pytest.raises(WarehouseUnavailable, match=rf"(?s)PID {holder.pid}.*another process keeps"):
            duckdb_warehouse.read("select 1")
        assert 0.5 <= time.monotonic() - started < 5
    finally:
        release.set()
        holder.join()
    assert duckdb_warehouse.read("select 1 as one")["one"].tolist() == [1]


def test_a_session_that_failed_leaves_the_file_free_for_others(duckdb_warehouse: Warehouse):
    for query in ("select * from nowhere", "select cast('a' as int)"):
        with pytest.raises(duckdb.Error):
            duckdb_warehouse.read(query)
        with pytest.raises(duckdb.Error), duckdb_warehouse.transaction() as session:
            session.execute(query)
    day = days(1)[0]
    arguments = (url_of(duckdb_warehouse), duckdb_warehouse.tenant, sales(day), day, day)
    assert children.run(children.replace_sales, *arguments) == 0


def test_a_reader_may_not_write(duckdb_warehouse: Warehouse):
    with pytest.raises(duckdb.InvalidInputException, match="read-only"), duckdb_warehouse.reading() as session:
        session.execute("insert into series values (1, 'a', 'all', '2026-01-01')")


@pytest.mark.parametrize("room", [1.05, 1.3])
def test_a_full_disk_fails_the_write_and_keeps_the_old_days(duckdb_warehouse: Warehouse, room: float):
    replace(duckdb_warehouse, sales(days(3), rows=50))
    # Random text, which does not compress: 12 MB.
    frame = sales(days(3), rows=400, tag="new").assign(order_id=[os.urandom(5_000).hex() for _ in range(1_200)])
    before, intended = contents(duckdb_warehouse), intended_partitions(duckdb_warehouse, frame)
    limit = int(os.path.getsize(duckdb_warehouse.path) * room)
    arguments = (url_of(duckdb_warehouse), duckdb_warehouse.tenant, limit, frame, FIRST, LAST)
    assert children.run(children.replace_with_little_room, *arguments) == 3
    assert assert_whole(duckdb_warehouse, before=before, intended=intended).partitions == before.partitions
    assert children.run(children.replace_with_little_room, *arguments[:2], 10**9, *arguments[3:]) == 0
    assert assert_whole(duckdb_warehouse, before=before, intended=intended).partitions == intended


@pytest.mark.parametrize("name", ["main", "temp", "system", "memory"])
def test_a_tenant_may_not_have_a_name_that_duckdb_keeps(tmp_path, name: str):
    with pytest.raises(WarehouseError, match=name):
        open_warehouse(f"duckdb:///{tmp_path}", name)


def test_a_tenants_name_may_be_that_of_a_table(tmp_path):
    warehouse = open_warehouse(f"duckdb:///{tmp_path}", "raw_sales")
    day = days(1)[0]
    with warehouse.transaction() as session:
        session.replace_days(raw_sales, sales(day), day, day, asset="raw_sales", run_id="run")
    assert len(warehouse.read("select * from raw_sales")) == 3
