"""The batched event log holds what Dagster's own would, for a range of partitions of a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")
QUIET = "telemetry: {enabled: false}\n"
BATCHED = "event_log_storage: {module: forecast_platform.event_log, class: BatchedSqliteEventLogStorage}\n"
TABLES = ("event_logs", "asset_event_tags", "asset_keys", "asset_check_executions")


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("any", asset="sales")],
)
def sales() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 3}, check_results=[dg.AssetCheckResult(passed=True)])


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run(), deps=[sales])
def means(context) -> None:
    context.add_asset_metadata({"rows": 1}, partition_key=context.partition_keys[0])


@dg.asset_check(asset=means)
def complete() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def logged(home: Path, config: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is on record after a run of the whole range, and a second one of three days."""
    home.mkdir()
    (home / "dagster.yaml").write_text(QUIET + config)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    job = dg.Definitions(assets=[means, sales], asset_checks=[complete]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.get() as instance:
        for first, last in (("2026-01-01", "2026-01-31"), ("2026-01-05", "2026-01-07")):
            tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
            assert job.execute_in_process(instance=instance, tags=tags).success
        keys = [sales.key, means.key]
        latest = {key: instance.get_latest_materialization_event(key) for key in keys}
        told = {
            "partitions": {key: instance.get_materialized_partitions(key) for key in keys},
            "latest": {key: event.asset_materialization.partition for key, event in latest.items()},
            "metadata": {key: sorted(event.asset_materialization.metadata) for key, event in latest.items()},
            "events": [
                Counter(each.dagster_event_type for each in instance.all_logs(run.run_id))
                for run in instance.get_runs()
            ],
        }
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as index:
        told["rows"] = {table: index.execute(f"select count(*) from {table}").fetchone()[0] for table in TABLES}
    return told


def test_a_range_leaves_the_same_record_as_in_dagsters_own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stock = logged(tmp_path / "stock", "", monkeypatch)
    batched = logged(tmp_path / "batched", BATCHED, monkeypatch)
    assert len(stock["partitions"][sales.key]) == 31
    assert stock["rows"]["event_logs"] > 2 * 2 * 31
    assert batched == stock


def test_dagsters_own_log_and_this_one_read_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    batched = logged(tmp_path / "home", BATCHED, monkeypatch)
    (tmp_path / "home" / "dagster.yaml").write_text(QUIET)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_materialized_partitions(sales.key) == batched["partitions"][sales.key]
        assert [len(instance.all_logs(run.run_id)) for run in instance.get_runs()] == [
            each.total() for each in batched["events"]
        ]


def test_no_commit_waits_for_the_disk_and_the_log_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    logged(tmp_path / "home", BATCHED, monkeypatch)
    with dg.DagsterInstance.get() as instance, instance.event_log_storage.index_connection() as index:
        modes = [index.exec_driver_sql(f"pragma {name}").scalar() for name in ("synchronous", "journal_mode")]
    assert modes == [1, "wal"]


def test_a_temporary_instance_has_a_log_that_its_children_find_and_nobody_keeps(tmp_path: Path):
    (tmp_path / "dagster.yaml").write_text(QUIET + BATCHED)
    (tmp_path / "parent.py").write_text(PARENT)
    variables = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    told = subprocess.run([sys.executable, "parent.py"], cwd=tmp_path, env=variables, capture_output=True, text=True)
    own, childs = told.stdout.split()
    assert own == childs and not Path(own).exists(), told.stderr


PARENT = """
import subprocess, sys
from dagster._cli.utils import get_possibly_temporary_instance_for_cli
with get_possibly_temporary_instance_for_cli() as instance:
    print(instance.event_log_storage._base_dir, flush=True)
    if sys.argv[1:] == []:
        subprocess.run([sys.executable, __file__, "child"])
"""
