"""A host that is lost with the run on it: the daemon ends the run by its time, frees its slot, and runs it again."""

from __future__ import annotations

import os
import re
import signal
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from forecast_platform_tests.faults.invariants import assert_sound
from forecast_platform_tests.pipeline.command_line import command_line_of
from forecast_platform_tests.pipeline.running_instance import LAUNCH, RunningInstance, running_instance
from forecast_platform_tests.pipeline.shop import Till, sales_lines

pytestmark = pytest.mark.slow

MAX_RUNTIME_SECONDS = 40
DAY = date.today() - timedelta(days=2)


def launch(instance: RunningInstance, tenant: str) -> str:
    """Ask for one day of sales, in a run that may last ``MAX_RUNTIME_SECONDS``."""
    wanted = {
        "assetSelection": [{"path": [tenant, asset]} for asset in ("raw_sales", "sales_rejects")],
        "partitionNames": [DAY.isoformat()],
        "fromFailure": False,
        "tags": [{"key": "dagster/max_runtime", "value": str(MAX_RUNTIME_SECONDS)}],
    }
    answer = instance.graphql(LAUNCH, backfillParams=wanted)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return answer["backfillId"]


RUNS = "{ runsOrError(limit: 10) { ... on Runs { results { id status endTime startTime } } } }"


def runs(instance: RunningInstance) -> list[dict]:
    """Every run there is, the first one first."""
    return instance.graphql(RUNS)["runsOrError"]["results"][::-1]


def process_of(instance: RunningInstance) -> int:
    """The process of the only run, once its step is at work."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for run in runs(instance):
            events = instance.events(run["id"])
            if any(event["__typename"] == "ExecutionStepStartEvent" for event in events):
                (pid,) = {m[1] for event in events if (m := re.search(r"pid: (\d+)", event.get("message") or ""))}
                return int(pid)
        time.sleep(0.5)
    raise AssertionError("no run has begun")


def kill_with_its_code_server(pid: int) -> None:
    """End the run's process and the one that watches over it, so that nobody is left to report the loss."""
    parent = int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
    command = Path(f"/proc/{parent}/cmdline").read_text()
    assert "grpc" in command or "code-server" in command, command
    for each in (parent, pid):
        os.kill(each, signal.SIGKILL)


def test_a_run_whose_host_is_lost_is_ended_by_its_time_and_run_again(tmp_path: Path):
    till = Till(tmp_path, f"duckdb:///{tmp_path / 'warehouse'}", settings={"start": DAY.isoformat()})
    till.put("sales.csv", sales_lines(DAY, DAY))
    till.warehouse.migrate()
    environment = till.environment | {"FORECAST_TENANTS": str(command_line_of(till).tenants)}
    with running_instance(tmp_path / "instance", environment) as instance:
        with duckdb.connect(str(till.warehouse.path)):  # the step waits for the file while this is open
            backfill = launch(instance, till.name)
            kill_with_its_code_server(process_of(instance))
        ended = instance.wait_for(backfill, seconds=180)
        assert ended["status"] == "COMPLETED_SUCCESS", ended
        lost, again = runs(instance)
        assert (lost["status"], again["status"]) == ("FAILURE", "SUCCESS")
        assert MAX_RUNTIME_SECONDS <= lost["endTime"] - lost["startTime"] <= MAX_RUNTIME_SECONDS + 60
        assert f"exceeding maximum runtime of {MAX_RUNTIME_SECONDS} seconds" in str(instance.events(lost["id"]))
    assert len(till.warehouse.read("select * from raw_sales")) == len(sales_lines(DAY, DAY))
    assert_sound(till.warehouse)
