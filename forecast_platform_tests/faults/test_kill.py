"""``kill -9`` at every crash point of a write: old or new, whole, and the next run succeeds."""

from __future__ import annotations

import pytest

from forecast_platform.io_managers.columns import FrameRefused
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.tables import raw_sales
from forecast_platform_tests.faults import children
from forecast_platform_tests.faults.invariants import assert_sound, assert_whole, contents
from forecast_platform_tests.io_managers.test_batches import batch, intervals
from forecast_platform_tests.io_managers.test_ledger import A, B, append, candidate, expected, know_series, newest
from forecast_platform_tests.sales_frames import DAY, days, sales

FIRST, LAST = days(3)[0], days(3)[-1]


def replace(warehouse: Warehouse, frame) -> dict:
    with warehouse.transaction() as session:
        return session.replace_days(raw_sales, frame, FIRST, LAST, asset="raw_sales", run_id="run")


def intended_partitions(warehouse: Warehouse, frame) -> dict:
    """What a write of ``frame`` would leave, found by writing it and taking it back."""
    with pytest.raises(ZeroDivisionError), warehouse.transaction() as session:
        states = session.replace_days(raw_sales, frame, FIRST, LAST, asset="raw_sales", run_id="run")
        raise ZeroDivisionError
    return {("raw_sales", day): state.digest for day, state in states.items()}


@pytest.mark.parametrize("point", ["after_delete", "after_insert", "before_commit", "after_commit"])
def test_a_replace_killed_anywhere_leaves_its_old_or_its_new_days(warehouse: Warehouse, warehouse_url: str, point: str):
    replace(warehouse, sales(days(3), rows=20))
    frame = sales(days(3), rows=30, tag="new")
    before, intended = contents(warehouse), intended_partitions(warehouse, frame)
    arguments = (warehouse_url, warehouse.tenant, frame, FIRST, LAST)
    assert children.run(children.replace_sales, *arguments, crash_at=point) == children.KILLED
    now = assert_whole(warehouse, before=before, intended=intended)
    assert (now.partitions == intended) == (point == "after_commit")
    assert children.run(children.replace_sales, *arguments) == 0
    assert assert_whole(warehouse, before=before, intended=intended).partitions == intended


@pytest.mark.parametrize("point", ["after_version", "after_insert", "before_commit", "after_commit"])
def test_an_append_killed_anywhere_is_there_whole_or_not_at_all(warehouse: Warehouse, warehouse_url: str, point: str):
    know_series(warehouse)
    append(warehouse, candidate(A, "a"))
    before = contents(warehouse)
    arguments = (warehouse_url, warehouse.tenant, candidate(B, "b"))
    assert children.run(children.append_forecasts, *arguments, crash_at=point) == children.KILLED
    assert_whole(warehouse, before=before, intended={})
    assert newest(warehouse) == expected(B if point == "after_commit" else A)
    assert children.run(children.append_forecasts, *arguments) == 0
    assert_whole(warehouse, before=before, intended={})
    assert newest(warehouse) == expected(B)
    assert len(warehouse.read("select * from forecast_versions")) == 2
    assert warehouse.logged("forecasts", DAY, DAY)[DAY].rows == 15


@pytest.mark.parametrize("point", ["after_insert", "after_version", "before_commit", "after_commit"])
def test_blocks_killed_anywhere_are_there_whole_or_not_at_all(warehouse: Warehouse, warehouse_url: str, point: str):
    """``after_insert`` is after the first of three blocks."""
    warehouse.migrate()
    blocks = [intervals({first: 1.0, first + 1: 2.0}) for first in (1, 3, 5)]
    arguments = (warehouse_url, warehouse.tenant, batch(None, "a"), blocks)
    assert children.run(children.append_blocks, *arguments, crash_at=point) == children.KILLED
    held = warehouse.read("select series_id from forecast_intervals")
    batches = warehouse.read("select rows from ledger_batches")["rows"].tolist()
    assert (len(held), batches) == ((6, [6]) if point == "after_commit" else (0, []))
    assert children.run(children.append_blocks, *arguments) == 0
    assert len(warehouse.read("select distinct series_id from forecast_intervals where calibration_id = 1")) == 6


def test_the_checker_sees_what_it_is_there_to_see(duckdb_warehouse: Warehouse):
    """Each kind of damage that a fault could do, done by hand, is found."""
    replace(duckdb_warehouse, sales(days(3), rows=5))
    before, intended = contents(duckdb_warehouse), intended_partitions(duckdb_warehouse, sales(days(3), rows=6))
    assert_whole(duckdb_warehouse, before=before, intended=intended)
    damages = {
        f"delete from raw_sales where sale_date = '{FIRST}'": "mixture",
        "insert into raw_sales select * from raw_sales where event_id like '%-0'": "repeat a key",
        "update partition_log set digest = 'other'": "log and rows differ",
        "insert into forecast_versions values (1, 'd', '2026-01-01', 'm', 's', '1', 3, '{}', 1, true, 2)": "does not",
        "insert into forecasts values ('2026-01-01', 9, 1, 1, 1.0, 'model')": "rows of no version",
    }
    for statement, found in damages.items():
        with pytest.raises(ZeroDivisionError), duckdb_warehouse.transaction() as session:
            session.execute(statement)
            with pytest.raises((AssertionError, FrameRefused), match=found):
                assert_whole(_Inside(session), before=before, intended=intended)
            raise ZeroDivisionError
    assert_sound(duckdb_warehouse)


class _Inside:
    """A warehouse whose reads happen inside a session that is already open."""

    def __init__(self, session) -> None:
        self.session = session

    def reading(self):
        from contextlib import nullcontext

        return nullcontext(self.session)
