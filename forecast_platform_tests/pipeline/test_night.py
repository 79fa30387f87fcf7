"""One night through the real daemon and its processes: the day closes, a run is killed, a late file comes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from forecast_platform_tests.pipeline.command_line import CommandLine, command_line_of
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.running_instance import RunningInstance, running_instance
from forecast_platform_tests.pipeline.shop import Shop, sales_lines

pytestmark = pytest.mark.slow

TODAY = datetime.now(UTC).date()
CLOSED = TODAY - timedelta(days=1)
START = CLOSED - timedelta(days=36)
LATE_DAY = CLOSED - timedelta(days=5)
SETTINGS = {
    "start": START.isoformat(),
    "models": {"moving_average_7": "MovingAverage(window=7)"},
    "automation": {"close_at": "00:00", "debounce_seconds": 5},
}


def wait_until(true: Callable[[], object], what: str, *, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.5)


def of_job(instance: RunningInstance, job: str) -> list[dict]:
    return [run for run in instance.runs() if run["jobName"] == job]


def ended(runs: list[dict]) -> list[str]:
    return [run["status"] for run in runs if run["status"] in {"SUCCESS", "FAILURE"}]


def test_the_day_closes_a_killed_run_is_repeated_and_a_late_file_moves_what_it_touches(tmp_path: Path):
    shop = Shop(tmp_path, f"duckdb:///{tmp_path / 'warehouse'}", settings=SETTINGS)
    shop.put("sales.csv", sales_lines(START, CLOSED))
    commands = command_line_of(shop)
    environment = shop.environment | {"FORECAST_TENANTS": str(commands.tenants)}
    with running_instance(tmp_path / "night", environment) as instance:
        load(commands, tmp_path / "night" / "dagster_home", last=CLOSED - timedelta(days=1))
        # The day that has closed is due; its run is killed in the middle, noticed, and run again.
        day, update = f"{shop.name}__day", f"{shop.name}__update"
        wait_until(lambda: of_job(instance, day), "the closed day is asked for")
        os.kill(instance.process_of(of_job(instance, day)[0]["id"]), signal.SIGKILL)
        wait_until(lambda: "SUCCESS" in ended(of_job(instance, day)), "the killed run is repeated")
        assert ended(of_job(instance, day))[0] == "FAILURE"
        wait_until(lambda: CLOSED.isoformat() in instance.materialized((shop.name, "publications")), "published")
        # A file for a day that has long closed.
        before = len(ended(of_job(instance, update)))
        shop.put("late.csv", [f"late,{LATE_DAY},sku 1,north,30,3.25,o"])
        wait_until(lambda: len(ended(of_job(instance, update))) > before, "the late file is taken in")
        wait_until(lambda: not shop.scope.changes.waiting(), "what it touches is made")
        wait_until(lambda: ended(of_job(instance, update))[-1:] == ["SUCCESS"], "the update ends")
        asked = instance.graphql(
            '{ sensorsOrError(repositorySelector: {repositoryLocationName: "forecast_platform",'
            ' repositoryName: "__repository__"}) { ... on Sensors { results { name sensorState { status'
            " ticks(limit: 100) { status error { message } } } } } } }"
        )["sensorsOrError"]["results"]
    assert {each["sensorState"]["status"] for each in asked} == {"RUNNING"}
    assert [tick for each in asked for tick in each["sensorState"]["ticks"] if tick["error"]] == []
    clean = Shop(tmp_path / "clean", f"duckdb:///{tmp_path / 'clean'}", name="clean", settings=SETTINGS)
    for path in shop.drop.iterdir():
        (clean.drop / path.name).write_bytes(path.read_bytes())
    clean.run_facts(START, CLOSED)
    facts = {"raw_sales", "daily_sales", "features", "series_scales"}
    assert_same(contents(clean.warehouse, only=facts), contents(shop.warehouse, only=facts))
    origins = shop.warehouse.read("select distinct origin_date from forecasts order by 1")["origin_date"]
    assert list(pd.to_datetime(origins).dt.date) == [CLOSED - timedelta(days=1), CLOSED]
    versions = shop.warehouse.read("select origin_date, model from forecast_versions where model = 'moving_average_7'")
    assert len(versions) == 3, "one a day, and one more of the newest after the late file"


def load(commands: CommandLine, home: Path, *, last: date) -> None:
    """What somebody does once: the history, and a first forecast."""
    facts = ("raw_sales", "sales_rejects", "daily_sales", "series_scales", "features", "demand_classes")
    for first, assets in ((START, facts), (last, ())):
        selected = [text for asset in assets for text in ("--select", asset)]
        asked = ("run", "--tenant", "shop", "--from", str(first), "--to", str(last), *selected)
        child = commands.start(*asked, DAGSTER_HOME=str(home))
        _, said = child.communicate(timeout=300)
        assert child.returncode == 0, said
