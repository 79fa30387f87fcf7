"""Old months move to Parquet files and back: nothing is lost or doubled, whatever happens, and old origins are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from forecast_platform.io_managers import archive
from forecast_platform.io_managers.archive import (
    ArchiveError,
    archive_month,
    archived,
    require_in_warehouse,
    restore_month,
)
from forecast_platform.io_managers.batches import Batch, append_batch
from forecast_platform.io_managers.warehouse import Session, Warehouse, open_warehouse
from forecast_platform.tables import forecast_intervals, forecasts
from forecast_platform_tests.faults import children
from forecast_platform_tests.io_managers.test_ledger import A, B, append, candidate, know_series

JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)
ORIGINS = [date(2024, 1, 2), date(2024, 1, 31), date(2024, 2, 1), date(2024, 2, 2)]
VIEW = """
    create view by_sku as select f.origin_date, s.sku, f.horizon, f.mean, f.status, v.model
    from forecasts f join series s on s.series_id = f.series_id
    join forecast_versions v on v.version_id = f.version_id
"""


@pytest.fixture
def ledger(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    return filled(warehouse, tmp_path)


def filled(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """Origins of two months on record, one of them forecast twice, with intervals, and a view that people use."""
    warehouse.archive = (tmp_path / "it's an archive").as_uri()
    know_series(warehouse)
    for origin in ORIGINS:
        forecast(warehouse, origin, A, "a")
    forecast(warehouse, ORIGINS[1], B, "b")
    with warehouse.transaction() as session:
        session.execute(VIEW)
        for origin in ORIGINS:
            append_batch(session, forecast_intervals, intervals(origin))
    return warehouse


def forecast(warehouse: Warehouse, origin: date, means: dict[str, float], digest: str):
    return append(warehouse, replace(candidate(means, f"{digest} {origin}"), origin_date=origin))


def intervals(origin: date, *, q50: float = 3.0) -> Batch:
    rows = pd.DataFrame({"version_id": [1, 1], "series_id": [1, 1], "horizon": [1, 2]})
    rows = rows.assign(origin_date=pd.Timestamp(origin), q025=0.0, q10=1.0, q50=[q50, 3.0], q90=4.0, q975=5.5)
    return Batch(origin, "", "1", {}, f"intervals {origin} {q50}", rows)


def rows_of(session: Session) -> dict[str, list[tuple]]:
    return {name: sorted(session.execute(f"select * from {name}")) for name in ("forecasts", "forecast_intervals")}


def contents(warehouse: Warehouse) -> dict[str, list[tuple]]:
    """Every row of the ledgers that a session finds that asks for the old origins too."""
    with warehouse.reading() as session:
        session.recall(ORIGINS)
        return rows_of(session)


def held(warehouse: Warehouse, table=forecasts) -> int:
    with warehouse.reading() as session:
        return session.scalar(f"select count(*) from {session.held(table)}")


def files(warehouse: Warehouse) -> list[str]:
    return sorted(path for path in Path(warehouse.archive.removeprefix("file://")).rglob("*.parquet"))


def test_a_moved_months_rows_are_read_as_before(ledger: Warehouse):
    before, count = contents(ledger), held(ledger)
    move = archive_month(ledger, forecasts, JANUARY)
    archive_month(ledger, forecast_intervals, JANUARY)
    assert contents(ledger) == before
    assert held(ledger) == count - move.rows > 0
    assert held(ledger, forecast_intervals) == 4
    with ledger.reading() as session:
        assert [(each.asset, each.month) for each in archived(session)] == [
            ("forecasts", JANUARY), ("forecast_intervals", JANUARY)
        ]  # fmt: skip


def test_in_duckdb_the_same_view_has_the_same_rows(duckdb_warehouse: Warehouse, tmp_path: Path):
    filled(duckdb_warehouse, tmp_path)
    before = duckdb_warehouse.read("select * from by_sku order by all")
    for month in (JANUARY, FEBRUARY):
        archive_month(duckdb_warehouse, forecasts, month)
        pd.testing.assert_frame_equal(duckdb_warehouse.read("select * from by_sku order by all"), before)
    assert held(duckdb_warehouse) == 0


def test_in_postgres_a_view_has_the_rows_again_once_they_are_restored(postgres_warehouse: Warehouse, tmp_path: Path):
    ledger = filled(postgres_warehouse, tmp_path)
    before = ledger.read("select * from by_sku order by 1, 2, 3, 4")
    archive_month(ledger, forecasts, JANUARY)
    assert ledger.read("select * from by_sku where origin_date < '2024-02-01'").empty
    restore_month(ledger, forecasts, JANUARY)
    pd.testing.assert_frame_equal(ledger.read("select * from by_sku order by 1, 2, 3, 4"), before)


def test_what_came_back_is_the_ledger_again_and_may_move_again(ledger: Warehouse):
    before, count = contents(ledger), held(ledger)
    archive_month(ledger, forecasts, JANUARY)
    assert restore_month(ledger, forecasts, JANUARY) > 0
    assert (contents(ledger), held(ledger)) == (before, count)
    archive_month(ledger, forecasts, FEBRUARY)
    archive_month(ledger, forecasts, JANUARY)
    assert contents(ledger) == before
    assert held(ledger) == 0
    for month in (JANUARY, FEBRUARY):
        restore_month(ledger, forecasts, month)
    assert (contents(ledger), held(ledger)) == (before, count)


def test_an_archived_origin_that_is_on_record_appends_nothing(ledger: Warehouse):
    archive_month(ledger, forecasts, JANUARY)
    before = contents(ledger)
    assert forecast(ledger, ORIGINS[0], A, "a").outcome == "on record"
    assert contents(ledger) == before


def test_a_correction_of_an_archived_origin_appends_the_series_that_differ(ledger: Warehouse):
    for table in (forecasts, forecast_intervals):
        archive_month(ledger, table, JANUARY)
    before = contents(ledger)
    assert forecast(ledger, ORIGINS[0], B, "b").series == 1
    with ledger.transaction() as session:
        assert append_batch(session, forecast_intervals, intervals(ORIGINS[0], q50=2.0)) == 1
    grown = contents(ledger)
    assert {name: len(rows) - len(before[name]) for name, rows in grown.items()} == {
        "forecasts": 3, "forecast_intervals": 1
    }  # fmt: skip
    archive_month(ledger, forecasts, JANUARY)
    assert contents(ledger) == grown
    restore_month(ledger, forecasts, JANUARY)
    assert contents(ledger) == grown


def test_the_ledger_is_as_append_only_after_a_move_and_after_a_restore(ledger: Warehouse):
    before = contents(ledger)
    archive_month(ledger, forecasts, JANUARY)
    for _ in range(2):
        with ledger.reading() as session:
            name = session.held(forecasts)
        refused = r"append-only|permission denied|only (update|delete from) base table"
        for statement in ("update {} set mean = 0", "delete from {}", "truncate {}"):
            for each in (name, "forecasts"):
                with pytest.raises(Exception, match=refused), ledger.transaction() as session:
                    session.execute(statement.format(each))
        restore_month(ledger, forecasts, JANUARY)
    assert contents(ledger) == before


POINTS = ["after_archive_written", "after_archive_verified", "before_commit", "after_commit"]


@pytest.mark.parametrize("point", POINTS)
def test_a_move_killed_anywhere_loses_and_doubles_nothing_and_is_completed(
    ledger: Warehouse, warehouse_url: str, point: str
):
    before, count = contents(ledger), held(ledger)
    arguments = (warehouse_url, ledger.tenant, ledger.archive, JANUARY)
    assert children.run(move_month, *arguments, crash_at=point) == children.KILLED
    assert contents(ledger) == before
    assert (held(ledger) < count) == (point == "after_commit")
    assert children.run(move_month, *arguments) == 0
    assert contents(ledger) == before
    assert held(ledger) < count
    assert len(files(ledger)) == 1


@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
def test_a_restore_killed_anywhere_loses_and_doubles_nothing(ledger: Warehouse, warehouse_url: str, point: str):
    before = contents(ledger)
    archive_month(ledger, forecasts, JANUARY)
    arguments = (warehouse_url, ledger.tenant, ledger.archive, JANUARY)
    assert children.run(move_back, *arguments, crash_at=point) == children.KILLED
    assert contents(ledger) == before
    assert children.run(move_back, *arguments) == 0
    assert contents(ledger) == before


def move_month(url: str, tenant: str, folder: str, month: date) -> None:
    warehouse = open_warehouse(url, tenant, archive=folder)
    with warehouse.reading() as session:
        if month not in archive.held_months(session, forecasts, FEBRUARY):
            return
    archive_month(warehouse, forecasts, month)


def move_back(url: str, tenant: str, folder: str, month: date) -> None:
    restore_month(open_warehouse(url, tenant, archive=folder), forecasts, month)


def test_nothing_moves_that_does_not_read_back_as_it_was_written(ledger: Warehouse, monkeypatch):
    before, count = contents(ledger), held(ledger)
    written = archive._sync

    def damage(path: str) -> None:
        written(path)
        if path.endswith(".parquet"):
            rows = pd.read_parquet(path)
            rows.loc[0, "mean"] += 1e-9
            rows.to_parquet(path)

    monkeypatch.setattr(archive, "_sync", damage)
    with pytest.raises(ArchiveError, match="Nothing was moved"):
        archive_month(ledger, forecasts, JANUARY)
    assert (contents(ledger), held(ledger)) == (before, count)


def test_a_month_that_grew_while_it_was_written_stays(ledger: Warehouse):
    def meanwhile(text: str) -> None:
        if str(ORIGINS[1]) in text:
            grown.append(text)

    grown: list[str] = []
    verified = archive.content_of

    def append_and_verify(table, location):
        forecast(ledger, ORIGINS[0], B, "late")
        return verified(table, location)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "content_of", append_and_verify)
        with pytest.raises(ArchiveError, match="changed while it was written"):
            archive_month(ledger, forecasts, JANUARY, progress=meanwhile)
    assert len(grown) == 1
    before = contents(ledger)
    archive_month(ledger, forecasts, JANUARY)
    assert contents(ledger) == before
    assert len(files(ledger)) == 1, "what the first attempt left is gone"


def test_a_damaged_file_is_not_restored(ledger: Warehouse):
    archive_month(ledger, forecasts, JANUARY)
    (path,) = files(ledger)
    rows = pd.read_parquet(path)
    rows.loc[0, "mean"] += 1e-9
    rows.to_parquet(path)
    with pytest.raises(ArchiveError, match="Nothing was restored"):
        restore_month(ledger, forecasts, JANUARY)


def test_object_storage_is_read_through_fsspec(duckdb_warehouse: Warehouse):
    duckdb_warehouse.archive = f"memory://{duckdb_warehouse.tenant}"
    know_series(duckdb_warehouse)
    forecast(duckdb_warehouse, ORIGINS[0], A, "a")
    before = contents(duckdb_warehouse)
    archive_month(duckdb_warehouse, forecasts, JANUARY)
    assert held(duckdb_warehouse) == 0
    assert contents(duckdb_warehouse) == before != {}
    assert fsspec.filesystem("memory").glob(f"/{duckdb_warehouse.tenant}/**/*.parquet")


def test_a_session_finds_what_it_recalled_once_only(ledger: Warehouse):
    before = contents(ledger)
    archive_month(ledger, forecasts, JANUARY)
    with ledger.reading() as session:
        for days in (ORIGINS[:1], ORIGINS[:2], ORIGINS):
            session.recall(days)
        assert rows_of(session) == before


def test_sql_of_another_process_is_refused_origins_that_it_cannot_see(ledger: Warehouse):
    archive_month(ledger, forecasts, JANUARY)
    require_in_warehouse(ledger, "forecasts", FEBRUARY, ORIGINS[-1], wanted_by="forecast_errors")
    require_in_warehouse(ledger, "forecast_intervals", JANUARY, ORIGINS[-1], wanted_by="interval_scores")
    if ledger.backend == "duckdb":
        require_in_warehouse(ledger, "forecasts", JANUARY, ORIGINS[-1], wanted_by="forecast_errors")
        return
    words = rf"2024-01 of it is in the archive.* archive --tenant {ledger.tenant} --restore 2024-01"
    with pytest.raises(ArchiveError, match=words):
        require_in_warehouse(ledger, "forecasts", ORIGINS[1], ORIGINS[-1], wanted_by="forecast_errors")
