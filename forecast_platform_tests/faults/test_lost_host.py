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
STOPPED = {"automation": {"running": False}}
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


def first_run(instance: RunningInstance) -> str:
    deadline = time.monotonic() + 120
    while not (runs := instance.runs()):
        assert time.monotonic() < deadline, "no run was launched"
        time.sleep(0.5)
    return runs[0]["id"]


def kill_with_its_code_server(pid: int) -> None:
    """End the run's process and the one that watches over it, so that nobody is left to report the loss."""
    parent = int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
    command = Path(f"/proc/{parent}/cmdline").read_text()
    assert "grpc" in command or "code-server" in command, command
    for each in (parent, pid):
        os.kill(each, signal.SIGKILL)


def test_a_run_whose_host_is_lost_is_ended_by_its_time_and_run_again(tmp_path: Path):
    till = Till(tmp_path, f"duckdb:///{tmp_path / 'warehouse'}", settings={"start": DAY.isoformat(), **STOPPED})
    till.put("sales.csv", sales_lines(DAY, DAY))
    till.warehouse.migrate()
    environment = till.environment | {"FORECAST_TENANTS": str(command_line_of(till).tenants)}
    with running_instance(tmp_path / "instance", environment) as instance:
        with duckdb.connect(str(till.warehouse.path)):  # the step waits for the file while this is open
            backfill = launch(instance, till.name)
            kill_with_its_code_server(instance.process_of(first_run(instance)))
        ended = instance.wait_for(backfill, seconds=180)
        assert ended["status"] == "COMPLETED_SUCCESS", ended
        lost, again = instance.runs()
        assert (lost["status"], again["status"]) == ("FAILURE", "SUCCESS")
        assert MAX_RUNTIME_SECONDS <= lost["endTime"] - lost["startTime"] <= MAX_RUNTIME_SECONDS + 60
        assert f"exceeding maximum runtime of {MAX_RUNTIME_SECONDS} seconds" in str(instance.events(lost["id"]))
    assert len(till.warehouse.read("select * from raw_sales")) == len(sales_lines(DAY, DAY))
    assert_sound(till.warehouse)
