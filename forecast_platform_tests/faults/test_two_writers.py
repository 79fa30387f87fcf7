"""Two runs at once: one after the other, never doubled. With the lock taken away the same test fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from forecast_platform.io_managers import postgres_dialect
from forecast_platform.io_managers.postgres_dialect import PostgresSession
from forecast_platform.io_managers.warehouse import CONFLICT_ATTEMPTS, Warehouse, WarehouseUnavailable, open_warehouse
from forecast_platform.tables import raw_sales
from forecast_platform_tests.faults.invariants import assert_sound
from forecast_platform_tests.io_managers.test_ledger import A, B, append, candidate, expected, know_series, newest
from forecast_platform_tests.sales_frames import DAY, days, sales

ROWS = 100


def write_at_once(warehouse: Warehouse, url: str, ranges: list[list], monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace each of ``ranges`` from a thread of its own; all have deleted before any inserts, if they can."""
    barrier = threading.Barrier(len(ranges))

    def deleted(point: str) -> None:
        if point == "after_delete":
            with suppress(threading.BrokenBarrierError):
                barrier.wait(0.5)

    monkeypatch.setattr("forecast_platform.io_managers.replace.crash_point", deleted)

    def write(number: int) -> None:
        on = ranges[number]
        frame = sales(on, rows=ROWS, tag=f"run{number}")
        own = open_warehouse(url, warehouse.tenant)
        own.repeat(lambda s: s.replace_days(raw_sales, frame, on[0], on[-1], asset="raw_sales", run_id=str(number)))

    with ThreadPoolExecutor(len(ranges)) as pool:
        list(pool.map(write, range(len(ranges))))


def rows_per_day(warehouse: Warehouse) -> list[int]:
    return warehouse.read("select count(*) as n from raw_sales group by sale_date order by sale_date")["n"].tolist()


def test_two_replaces_of_one_day_at_once_end_as_one_after_the_other(warehouse, warehouse_url, monkeypatch):
    write_at_once(warehouse, warehouse_url, [days(1), days(1)], monkeypatch)
    assert rows_per_day(warehouse) == [ROWS]
    assert_sound(warehouse)


def test_a_range_and_a_day_inside_it_at_once_end_as_one_after_the_other(warehouse, warehouse_url, monkeypatch):
    write_at_once(warehouse, warehouse_url, [days(30), days(1, days(30)[17]), days(5, days(30)[28])], monkeypatch)
    assert rows_per_day(warehouse) == [ROWS] * 33
    assert_sound(warehouse)


def test_without_the_lock_two_replaces_double_the_day(postgres_warehouse, postgres_url, monkeypatch):
    monkeypatch.setattr(PostgresSession, "lock", lambda self, name: None)
    monkeypatch.setattr("forecast_platform.io_managers.replace.number_new_series", lambda session, rows: 0)
    write_at_once(postgres_warehouse, postgres_url, [days(1), days(1)], monkeypatch)
    assert rows_per_day(postgres_warehouse) == [2 * ROWS]


def test_two_appends_of_one_version_at_once_append_once(warehouse: Warehouse):
    know_series(warehouse)
    barrier = threading.Barrier(4)

    def ask(number: int):
        barrier.wait()
        return append(warehouse, candidate(A, "a"))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(ask, range(4)))
    assert sorted(result.series for result in results) == [0, 0, 0, 4]
    assert len(warehouse.read("select * from forecast_versions")) == 1
    assert len(warehouse.read("select * from forecast_runs")) == 4
    assert_sound(warehouse)


def test_two_different_appends_at_once_end_as_one_after_the_other(warehouse: Warehouse):
    know_series(warehouse)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: append(warehouse, each), [candidate(A, "a"), candidate(B, "b")]))
    assert newest(warehouse) in (expected(A), expected(B))
    last = warehouse.read("select digest from forecast_versions order by version_id")["digest"].tolist()[-1]
    assert newest(warehouse) == expected(A if last == "a" else B)
    assert_sound(warehouse)


def locked_in_opposite_order(warehouse: Warehouse, attempts: list[int]) -> None:
    barrier = threading.Barrier(2)

    def work(names: list[str]):
        def inside(session) -> None:
            attempts.append(1)
            session.lock(names[0])
            if len(attempts) <= 2:
                barrier.wait(10)
            session.lock(names[1])
            row = {"id": len(names[0]), "sku": names[0], "day": DAY}
            session.execute("insert into series values (:id, :sku, 'all', :day)", row)

        return warehouse.repeat(inside)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [["a", "bb"], ["bb", "a"]]))


def test_a_deadlock_is_repeated_and_both_writers_succeed(postgres_warehouse: Warehouse):
    attempts: list[int] = []
    locked_in_opposite_order(postgres_warehouse, attempts)
    assert sorted(postgres_warehouse.read("select sku from series")["sku"]) == ["a", "bb"]
    assert len(attempts) == 3


def test_repeating_is_bounded(postgres_warehouse: Warehouse, monkeypatch):
    monkeypatch.setattr("forecast_platform.io_managers.warehouse.time.sleep", lambda seconds: None)
    attempts = []

    def never(session) -> None:
        attempts.append(1)
        session.execute("do $$ begin raise exception 'no' using errcode = 'serialization_failure'; end $$")

    with pytest.raises(WarehouseUnavailable, match=f"{CONFLICT_ATTEMPTS} times in favour of others"):
        postgres_warehouse.repeat(never)
    assert len(attempts) == CONFLICT_ATTEMPTS


def test_an_error_that_is_no_conflict_is_not_repeated(warehouse: Warehouse):
    attempts = []

    def wrong(session) -> None:
        attempts.append(1)
        session.execute("select * from no_such_table")

    with pytest.raises(Exception, match="no_such_table"):
        warehouse.repeat(wrong)
    assert len(attempts) == 1


def test_a_writer_does_not_wait_for_ever(postgres_warehouse, postgres_url, monkeypatch):
    monkeypatch.setattr(postgres_dialect, "LOCK_TIMEOUT", "100ms")
    other = open_warehouse(postgres_url, postgres_warehouse.tenant)
    with postgres_warehouse.transaction() as holder:
        holder.lock("raw_sales")
        with pytest.raises(WarehouseUnavailable, match="longer than 100ms"), other.transaction() as waiting:
            waiting.lock("raw_sales")
