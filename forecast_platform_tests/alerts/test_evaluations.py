"""The newest evaluation of every check, as it is seen from look to look, is the one that Dagster has on record."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageMetadata

from forecast_platform.alerts import evaluations
from forecast_platform.alerts.evaluations import Seen, look_again
from forecast_platform.event_log import BatchedSqliteEventLogStorage

ASSETS = [dg.AssetKey(["till", name]) for name in ("raw_sales", "features")]
CHECKS = [dg.AssetCheckKey(asset, name) for asset in ASSETS for name in ("complete", "in_range")]
OTHER = dg.AssetCheckKey(dg.AssetKey(["other", "raw_sales"]), "complete")


@pytest.fixture(params=["sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlEventLogStorage]:
    if request.param == "sqlite":
        yield BatchedSqliteEventLogStorage(str(tmp_path))
        return
    from dagster_postgres import PostgresEventLogStorage

    url = request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg2://", 1)
    PostgresEventLogStorage.create_clean_storage(url)
    storage = PostgresEventLogStorage(url, should_autocreate_tables=False)
    yield storage
    storage.dispose()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        SqlEventLogStorageMetadata.drop_all(connection)
        connection.exec_driver_sql("drop table alembic_version")
    engine.dispose()


class Evaluated:
    """A log that checks are planned and evaluated in, a second apart."""

    def __init__(self, log: SqlEventLogStorage) -> None:
        self._log = log
        self._seconds = 1.7e9

    def plan(self, run: str, check: dg.AssetCheckKey) -> None:
        data = AssetCheckEvaluationPlanned(asset_key=check.asset_key, check_name=check.name)
        self._store(run, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, data)

    def evaluate(self, run: str, check: dg.AssetCheckKey, *, passed: bool) -> None:
        data = AssetCheckEvaluation(asset_key=check.asset_key, check_name=check.name, passed=passed, metadata={})
        self._store(run, DagsterEventType.ASSET_CHECK_EVALUATION, data)

    def _store(self, run: str, kind: DagsterEventType, data: object) -> None:
        self._seconds += 1
        event = DagsterEvent(kind.value, "till__day", event_specific_data=data)
        entry = EventLogEntry(
            error_info=None, level=10, user_message="", run_id=run, timestamp=self._seconds, dagster_event=event
        )
        # As the storages store it, without a file for each run.
        self._log.store_asset_check_event(entry, int(self._seconds))


def on_record(log: SqlEventLogStorage, checks: Sequence[dg.AssetCheckKey]) -> dict:
    """The newest evaluation of each check that is no plan, as Dagster finds it among all."""
    done = COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
    found = {check: log.get_asset_check_execution_history(check, limit=1, status=done) for check in checks}
    return {check: records[0] for check, records in found.items() if records}


@pytest.mark.parametrize("seed", range(3))
def test_looks_see_what_is_on_record_whatever_happened_between_them(log, monkeypatch, seed: int):
    # So small that what is watched matters.
    monkeypatch.setattr(evaluations, "OVERLAP", 2)
    monkeypatch.setattr(evaluations, "STEP", 5)
    monkeypatch.setattr(evaluations, "AT_ONCE", 3)
    draw, told, seen = random.Random(seed), Evaluated(log), Seen()
    planned: list[tuple[str, dg.AssetCheckKey]] = []
    for number in range(60):
        act = draw.random()
        if act < 0.4:
            run = f"run {number}"
            for check in draw.sample([*CHECKS, OTHER], 3):
                told.plan(run, check)
                planned.append((run, check))
        elif act < 0.9 and planned:
            # Any of those planned lately, some of them once more: runs overlap, and retry their steps.
            told.evaluate(*draw.choice(planned[-12:]), passed=draw.random() < 0.5)
        elif act > 0.96:
            wiped = draw.choice(ASSETS)
            log.wipe_asset(wiped)
            planned = [(run, check) for run, check in planned if check.asset_key != wiped]
        if draw.random() < 0.5:
            seen = look_again(log, CHECKS, seen)
            assert seen.newest == on_record(log, CHECKS)
    assert seen.newest


def test_an_evaluation_that_ends_after_a_newer_one_was_planned_is_seen(log):
    told, (check, *_) = Evaluated(log), CHECKS
    told.plan("first", check)
    told.plan("second, which never reaches it", check)
    seen = look_again(log, CHECKS, Seen())
    assert not seen.newest
    told.evaluate("first", check, passed=False)
    assert not look_again(log, CHECKS, seen).newest[check].evaluation.passed


def test_a_check_that_is_new_in_the_code_is_looked_for_among_all(log, monkeypatch):
    monkeypatch.setattr(evaluations, "OVERLAP", 2)
    told = Evaluated(log)
    for number in range(20):
        for check in CHECKS[: 4 if number < 3 else 1]:
            told.plan(f"run {number}", check)
            told.evaluate(f"run {number}", check, passed=True)
    seen = look_again(log, CHECKS[:1], Seen())
    assert look_again(log, CHECKS, seen).newest == on_record(log, CHECKS)
