"""What is made from forecasts is appended once, and again only where it differs."""

import weakref
from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from forecast_platform.io_managers.batch_io_manager import BatchIOManager
from forecast_platform.io_managers.batches import (
    Batch,
    BatchStream,
    RowBlocks,
    append_batch,
    batch_digest,
    log_batches,
    recorded_batches,
    serve_newest,
)
from forecast_platform.io_managers.columns import FrameRefused
from forecast_platform.io_managers.reads import InputsChanged
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.partitions import BACKFILL_POLICY, daily_partitions
from forecast_platform.tables import champions, forecast_intervals, publications

ORIGIN, NEXT = date(2026, 3, 1), date(2026, 3, 2)


def intervals(medians: dict[int, float], *, origin: date = ORIGIN) -> pd.DataFrame:
    ids = np.array(list(medians), dtype=np.int32)
    middle = np.array(list(medians.values()))
    return pd.DataFrame(
        {
            "origin_date": pd.Timestamp(origin),
            "version_id": np.int32(1),
            "series_id": ids,
            "horizon": np.int16(1),
            "q025": middle / 4,
            "q10": middle / 2,
            "q50": middle,
            "q90": middle * 2,
            "q975": middle * 4,
        }
    )


def batch(rows: pd.DataFrame | None, inputs: str, *, origin: date = ORIGIN, part: str = "linear") -> Batch:
    given = {"inputs": inputs}
    return Batch(origin, part, "1", given, batch_digest("forecast_intervals", origin, part, "1", given), rows)


def append(warehouse: Warehouse, given: Batch, table=forecast_intervals) -> int | None:
    with warehouse.transaction() as session:
        session.lock("ledger_batches")
        return append_batch(session, table, given)


def stored(warehouse: Warehouse) -> list[tuple]:
    with warehouse.reading() as session:
        return session.execute("select calibration_id, series_id, q50 from forecast_intervals order by 1, 2")


def test_a_batch_on_record_is_not_computed_or_appended_again(warehouse: Warehouse):
    assert append(warehouse, batch(intervals({1: 4.0, 2: 5.0}), "a")) == 2
    recorded = recorded_batches(warehouse, "forecast_intervals", ORIGIN, ORIGIN)
    assert recorded.holds(ORIGIN, "linear", batch(None, "a").input_digest)
    assert not recorded.holds(ORIGIN, "naive", batch(None, "a").input_digest)
    assert append(warehouse, batch(None, "a")) is None
    assert len(stored(warehouse)) == 2


def test_only_rows_that_differ_from_the_newest_on_record_are_appended(warehouse: Warehouse):
    append(warehouse, batch(intervals({1: 4.0, 2: 5.0}), "a"))
    nearly = float(np.nextafter(5.0, 6.0))
    assert append(warehouse, batch(intervals({1: 4.0, 2: nearly, 3: 0.0}), "b")) == 2
    assert stored(warehouse) == [(1, 1, 4.0), (1, 2, 5.0), (2, 2, nearly), (2, 3, 0.0)]


def test_inputs_that_come_back_are_a_batch_of_their_own(warehouse: Warehouse):
    append(warehouse, batch(intervals({1: 4.0}), "a"))
    append(warehouse, batch(intervals({1: 6.0}), "b"))
    assert append(warehouse, batch(intervals({1: 4.0}), "a")) == 1
    assert append(warehouse, batch(None, "a")) is None
    assert stored(warehouse) == [(1, 1, 4.0), (2, 1, 6.0), (3, 1, 4.0)]


def test_a_batch_that_changes_nothing_is_remembered(warehouse: Warehouse):
    append(warehouse, batch(intervals({1: 4.0}), "a"))
    assert append(warehouse, batch(intervals({1: 4.0}), "b")) == 0
    assert append(warehouse, batch(None, "b")) is None


def test_rows_that_do_not_belong_are_refused_and_nothing_is_written(warehouse: Warehouse):
    with pytest.raises(FrameRefused, match="2026-03-02 came in the batch of origin 2026-03-01"):
        append(warehouse, batch(intervals({1: 4.0}, origin=date(2026, 3, 2)), "a"))
    with pytest.raises(InputsChanged, match="came without rows"):
        append(warehouse, batch(None, "never computed"))
    with pytest.raises(FrameRefused, match="missing q975"):
        append(warehouse, batch(intervals({1: 4.0}).drop(columns="q975"), "a"))
    with pytest.raises(Exception, match=r"(?i)check|aborted"):
        crossing = intervals({1: 4.0}).assign(q10=5.0)
        append(warehouse, batch(crossing, "a"))
    assert stored(warehouse) == []
    assert warehouse.read("select count(*) as n from ledger_batches")["n"].tolist() == [0]


def in_blocks(medians: dict[int, float], at_once: int, held: list[weakref.ref] | None = None) -> RowBlocks:
    """The same rows, so many series at a time; ``held`` gets a reference to each block."""
    ids = sorted(medians)

    def make() -> Iterator[pd.DataFrame]:
        for begin in range(0, len(ids), at_once):
            rows = intervals({each: medians[each] for each in ids[begin : begin + at_once]})
            if held is not None:
                assert all(each() is None for each in held), "a block is held while the next one is made"
                held.append(weakref.ref(rows))
            yield rows
            del rows

    return RowBlocks(len(ids), make)


def test_rows_in_blocks_leave_what_all_at_once_leave_and_one_block_is_held(warehouse: Warehouse):
    first, second = (
        {each: each / 4 for each in range(1, 12)},
        {each: each / 4 + (each in (4, 11)) for each in range(14)},
    )
    held: list[weakref.ref] = []
    for part, blocks in (("whole", intervals), ("blocks", lambda medians: in_blocks(medians, 3, held))):
        assert append(warehouse, batch(blocks(first), "a", part=part)) == 11
        assert append(warehouse, batch(blocks(second), "b", part=part)) == 5
        assert append(warehouse, batch(None, "b", part=part)) is None
    assert len(held) == 4 + 5
    rows = stored(warehouse)
    by_batch = [[row[1:] for row in rows if row[0] == number] for number in (1, 2, 3, 4)]
    # The second batch of a kind is compared with the first of each kind: no version is of two parts outside this test.
    assert by_batch[0] == by_batch[2] and by_batch[1] == by_batch[3]
    assert warehouse.read("select rows from ledger_batches order by batch_id")["rows"].tolist() == [11, 5, 11, 5]


def test_a_transaction_that_is_tried_again_makes_its_blocks_again(duckdb_warehouse: Warehouse, monkeypatch):
    given, tried = batch(in_blocks({1: 4.0, 2: 5.0, 3: 6.0}, 1), "a"), []

    def work(session) -> int | None:
        appended = append_batch(session, forecast_intervals, given)
        tried.append(appended)
        if len(tried) == 1:
            raise ZeroDivisionError
        return appended

    monkeypatch.setattr(type(duckdb_warehouse), "is_conflict", lambda self, error: isinstance(error, ZeroDivisionError))
    assert duckdb_warehouse.repeat(work) == 3 and tried == [3, 3]
    assert stored(duckdb_warehouse) == [(1, 1, 4.0), (1, 2, 5.0), (1, 3, 6.0)]


def test_blocks_that_are_not_apart_or_not_whole_are_refused_and_nothing_is_written(warehouse: Warehouse):
    wrong = {
        "series 2 came in a block after one with series 3": ({1: 4.0, 3: 4.0}, {2: 5.0}),
        "series 1 came in a block after one with series 1": ({1: 4.0}, {1: 5.0}),
        "3 rows came in blocks that were to hold 2": ({1: 4.0, 2: 4.0}, {3: 5.0}),
    }
    for words, blocks in wrong.items():
        with pytest.raises(FrameRefused, match=words):
            append(warehouse, batch(RowBlocks(2, lambda blocks=blocks: map(intervals, blocks)), "a"))
    assert stored(warehouse) == []
    assert warehouse.read("select count(*) as n from ledger_batches")["n"].tolist() == [0]


def test_the_logs_digest_of_an_origin_is_that_of_its_batches(warehouse: Warehouse):
    states = []
    for inputs, median in (("a", 4.0), ("b", 4.0), ("c", 5.0)):
        append(warehouse, batch(intervals({1: median}), inputs))
        with warehouse.transaction() as session:
            states.append(log_batches(session, "forecast_intervals", ORIGIN, run_id="r"))
    assert states[0] == states[1] != states[2]
    assert [state.rows for state in states] == [1, 1, 2]


def appending(warehouse: Warehouse, stream: Iterator[Batch], *, commit_rows: int) -> bool:
    """Whether a run of two origins that appends ``stream`` succeeds."""

    @dg.asset(
        key=["t", "forecast_intervals"],
        metadata={"partition_expr": "origin_date"},
        io_manager_key="batches",
        partitions_def=daily_partitions(ORIGIN, "America/New_York"),
        backfill_policy=BACKFILL_POLICY,
    )
    def forecast_intervals() -> BatchStream:
        return BatchStream(stream)

    manager = BatchIOManager(warehouse, start=ORIGIN, commit_rows=commit_rows)
    job = dg.Definitions([forecast_intervals], resources={"batches": manager}).resolve_implicit_global_asset_job_def()
    days = {"start": ORIGIN, "end": NEXT}
    tags = {f"dagster/asset_partition_range_{end}": day.isoformat() for end, day in days.items()}
    return job.execute_in_process(raise_on_error=False, tags=tags).success


def test_batches_are_let_go_as_they_are_committed_and_an_origin_is_on_record_with_its_last(warehouse: Warehouse):
    held: list[weakref.ref] = []

    def stream(made: int) -> Iterator[Batch]:
        parts = [(origin, model) for origin in (ORIGIN, NEXT) for model in ("linear", "naive")]
        for number, (origin, model) in enumerate(parts):
            if number == made:
                raise RuntimeError("the process dies")
            # The one before may still be about to be committed. Those before it are, and are held no more.
            assert len(stored(warehouse)) >= 2 * (number - 1)
            assert all(each() is None for each in held[:-1])
            rows = intervals({number: 4.0, number + 10: 5.0}, origin=origin)
            held.append(weakref.ref(rows))
            yield batch(rows, "a", origin=origin, part=model)
            del rows

    assert not appending(warehouse, stream(3), commit_rows=2)
    # An origin is known to be whole when the next one begins.
    assert len(stored(warehouse)) == 6 and list(warehouse.logged("forecast_intervals", ORIGIN, NEXT)) == [ORIGIN]
    # What was committed before the death is found again.
    assert appending(warehouse, stream(4), commit_rows=2)
    assert len(stored(warehouse)) == 8
    logged = warehouse.logged("forecast_intervals", ORIGIN, NEXT)
    assert [state.rows for _, state in sorted(logged.items())] == [4, 4]


def published(origin: date, version: int, minute: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "origin_date": [pd.Timestamp(origin)],
            "series_id": [7],
            "version_id": [version],
            "calibration_id": [1],
            "confidence": [0.25],
            "published_at": [datetime(2026, 3, 5, 1, minute, tzinfo=UTC)],
        }
    )


def test_what_is_served_is_the_newest_origins_publication(warehouse: Warehouse):
    def publish(origin: date, version: int, minute: int) -> int | None:
        given = {"version": version}
        digest = batch_digest("publications", origin, "", "1", given)
        made = Batch(origin, "", "1", given, digest, published(origin, version, minute))
        with warehouse.transaction() as session:
            appended = append_batch(session, publications, made)
            serve_newest(session, origin)
        return appended

    assert publish(ORIGIN, 3, 1) == 1
    assert publish(date(2026, 3, 2), 4, 2) == 1
    # A correction of the older origin is kept on record, and does not push aside what is newer.
    assert publish(ORIGIN, 5, 3) == 1
    served = warehouse.read("select origin_date, version_id from published_latest")
    assert served.astype(str).to_dict("list") == {"origin_date": ["2026-03-02"], "version_id": ["4"]}
    # The clock alone makes no publication: an equal one is on record under whatever time it was made.
    again = {"version": 5, "asked": "again"}
    digest = batch_digest("publications", ORIGIN, "", "1", again)
    with warehouse.transaction() as session:
        assert append_batch(session, publications, Batch(ORIGIN, "", "1", again, digest, published(ORIGIN, 5, 9))) == 0


def test_champions_are_no_ledger():
    assert champions.info["write"] == "replace" and publications.info["write"] == "append"
