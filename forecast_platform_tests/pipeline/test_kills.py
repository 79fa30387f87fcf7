"""``kill -9`` of real processes in the middle of a run: the old partition whole, and the next run as if nothing was."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from forecast_platform.forecasting import DEFAULT_MODELS
from forecast_platform_tests.faults.invariants import assert_sound
from forecast_platform_tests.pipeline.command_line import CommandLine, command_line_of, finished
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

KILLED = -signal.SIGKILL
LAST = 9
CORRECTED = 8
DBT_MODELS = ("daily_sales", "series_scales")


def range_of(shop: Shop, first: int, last: int, *assets: str) -> list[str]:
    select = [argument for asset in assets for argument in ("--select", asset)]
    return ["run", "--tenant", shop.name, "--from", str(day(first)), "--to", str(day(last)), *select]


def correct_a_day(shop: Shop) -> None:
    lines = [f"corrected-{n},{day(CORRECTED)},sku {n},north,{n + 5},3.25,o" for n in range(3)]
    shop.put("correction.csv", lines)


def opened(shop: Shop) -> Shop:
    """The shop with its first days made, before the correction."""
    shop.put("history.csv", sales_lines(day(0), day(LAST)))
    shop.run_facts(day(0), day(LAST))
    return shop


def everything(shop: Shop) -> dict:
    assert_sound(shop.warehouse)
    return contents(shop.warehouse)


@pytest.fixture
def undisturbed(new_shop: Callable[..., Shop], backend: str) -> Callable[[], dict]:
    """What the facts are when no run was disturbed."""

    def made() -> dict:
        shop = new_shop(backend)
        shop.put("history.csv", sales_lines(day(0), day(LAST)))
        correct_a_day(shop)
        shop.run_facts(day(0), day(LAST))
        return contents(shop.warehouse)

    return made


def test_a_run_killed_between_delete_and_insert_leaves_the_old_day_and_does_not_hold_up_the_next(
    new_shop: Callable[..., Shop],
):
    """The next one waits for nothing that the killed one held: no lock, no slot of the tenant's pool."""
    shop = new_shop("duckdb")
    shop.put("history.csv", sales_lines(day(0), day(LAST)))
    shop.run(["raw_sales"], day(0), day(LAST))
    correct_a_day(shop)
    old = everything(shop)
    commands = command_line_of(shop)
    raw = range_of(shop, CORRECTED, CORRECTED, "raw_sales")
    assert commands.run(*raw, crash_at="after_delete").returncode == KILLED
    assert_same(old, everything(shop))
    done = commands.run(*raw)
    assert done.returncode == 0, done.stderr
    assert len(everything(shop)["raw_sales"]) == len(old["raw_sales"]) + 3


@pytest.mark.slow
def test_a_run_killed_at_any_point_leaves_whole_partitions_and_the_next_one_mends_all(
    shop: Shop, undisturbed: Callable[[], dict]
):
    opened(shop)
    commands = command_line_of(shop)
    correct_a_day(shop)
    old = everything(shop)
    raw = range_of(shop, CORRECTED, CORRECTED, "raw_sales")
    # The first kill is at the commit of what has landed, the others are at that of the sales.
    for point in ("before_commit", "after_commit", "before_commit", "after_delete", "after_insert"):
        assert commands.run(*raw, crash_at=point).returncode == KILLED, point
        assert_same(old, everything(shop))
    assert commands.run(*raw, crash_at="after_commit").returncode == KILLED
    sold = everything(shop)
    assert len(sold["raw_sales"]) == len(old["raw_sales"]) + 3
    assert_same(but(old, "raw_sales", "partition_log"), but(sold, "raw_sales", "partition_log"))

    following = range_of(shop, CORRECTED, LAST, *DBT_MODELS)
    for point in ("dbt_after_delete", "dbt_after_insert", "dbt_before_commit"):
        failed = commands.run(*following, crash_at=point)
        assert failed.returncode == 1 and "daily_sales failed" in failed.stderr, failed.stderr
        assert_same(sold, everything(shop))
    assert commands.run(*following, crash_at="dbt_after_commit").returncode == 1
    half = everything(shop)
    assert_same(but(sold, "daily_sales", "weekly_sales"), but(half, "daily_sales", "weekly_sales"))
    assert not half["daily_sales"].equals(sold["daily_sales"])

    mended = commands.run(*range_of(shop, CORRECTED, LAST, "raw_sales", *DBT_MODELS, "features", "demand_classes"))
    assert mended.returncode == 0, mended.stderr
    assert_same(undisturbed(), everything(shop))


def but(tables: dict, *names: str) -> dict:
    return {name: frame for name, frame in tables.items() if name not in names}


@pytest.mark.slow
def test_a_killed_forecast_run_leaves_whole_origins_and_the_next_one_adds_the_rest(shop: Shop):
    opened(shop)
    commands = command_line_of(shop)
    asked = range_of(shop, LAST - 1, LAST, "forecasts")
    versions = []
    for point in ("after_version", "after_insert", "before_commit", "after_commit"):
        assert commands.run(*asked, crash_at=point).returncode == KILLED, point
        versions.append(len(everything(shop)["forecast_versions"]))
    assert versions == [0, 0, 0, len(DEFAULT_MODELS)]
    done = commands.run(*asked)
    assert done.returncode == 0, done.stderr
    killed = everything(shop)
    assert len(killed["forecasts"]) == 2 * len(DEFAULT_MODELS) * 8 * 7 and set(
        killed["forecast_versions"]["series"]
    ) == {"8"}
    shop.run(["forecasts"], day(LAST - 1), day(LAST))
    assert_same(killed, everything(shop))


@pytest.mark.slow
def test_dbt_dies_with_the_killed_run_and_commits_nothing_later(
    shop: Shop, backend: str, undisturbed: Callable[[], dict]
):
    opened(shop)
    commands = command_line_of(shop)
    correct_a_day(shop)
    shop.run(["raw_sales"], day(CORRECTED), day(CORRECTED))
    old = everything(shop)
    # In its imports, about where it connects, and, in PostgreSQL, in its transaction for sure.
    for seconds in (0.3, 2.0, 4.0) if backend == "postgresql" else (0.3, 1.5):
        with held(shop, "daily_sales") if backend == "postgresql" else nullcontext():
            process = commands.start(*range_of(shop, CORRECTED, LAST, *DBT_MODELS))
            child = dbt_child_of(process)
            time.sleep(seconds)
            assert is_alive(child)
            process.kill()
            assert finished(process).returncode == KILLED
        wait_until(lambda child=child: not is_alive(child), "dbt outlived the run that it worked for")
        time.sleep(1)
        assert_same(old, everything(shop))
    shop.run([*DBT_MODELS, "features", "demand_classes"], day(CORRECTED), day(LAST))
    assert_same(undisturbed(), everything(shop))


@pytest.mark.slow
@pytest.mark.parametrize(("asset", "end"), [("raw_sales", "report_run_canceled"), ("daily_sales", "report_run_failed")])
def test_a_run_that_was_ended_in_dagster_while_its_step_works_commits_nothing(shop: Shop, asset: str, end: str):
    opened(shop)
    commands = command_line_of(shop)
    correct_a_day(shop)
    if asset == "daily_sales":
        shop.run(["raw_sales"], day(CORRECTED), day(CORRECTED))
    old = everything(shop)
    with held(shop, asset):
        process = commands.start(*range_of(shop, CORRECTED, CORRECTED, asset))
        if asset == "daily_sales" and shop.warehouse.backend == "postgresql":
            dbt_child_of(process)
            time.sleep(4)
        end_the_run(commands, end)
        time.sleep(3)
    done = finished(process)
    assert done.returncode == 1 and "Error" in done.stderr, done.stderr
    assert_same(old, everything(shop))


@pytest.mark.slow
def test_two_runs_of_the_same_days_at_once_end_as_if_one_after_the_other(
    shop: Shop, backend: str, undisturbed: Callable[[], dict]
):
    opened(shop)
    commands = command_line_of(shop)
    correct_a_day(shop)
    asked = range_of(shop, 0, LAST, "raw_sales", *DBT_MODELS, "features", "demand_classes")
    both = [commands.start(*asked) for _ in range(2)]
    for process in both:
        done = finished(process)
        assert done.returncode == 0, done.stderr
    assert_same(undisturbed(), everything(shop))


@contextmanager
def held(shop: Shop, table: str) -> Iterator[None]:
    """Hold what a writer of ``table`` waits for: its lock in PostgreSQL, the file in DuckDB."""
    if shop.warehouse.backend == "duckdb":
        with shop.warehouse.transaction() as session:
            session.execute("select 1")
            yield
        return
    connection = psycopg2.connect(shop.warehouse_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (f"{shop.name}.{table}",))
        connection.commit()
        yield
    finally:
        connection.close()


def end_the_run(commands: CommandLine, end: str) -> None:
    """Have Dagster's record say that the one run in progress has ended, as the daemon or a person would."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DAGSTER_HOME", str(commands.home))
        instance = dg.DagsterInstance.get()
    with instance:
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        wait_until(lambda: len(instance.get_runs(started)) == 1, "no run has started")
        (run,) = instance.get_runs(started)
        getattr(instance, end)(run)


def dbt_child_of(process: subprocess.Popen) -> int:
    """The process id of the dbt that a run has started."""
    found: list[int] = []

    def looked() -> bool:
        assert process.poll() is None, process.communicate()
        tasks = Path(f"/proc/{process.pid}/task")
        children = [pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
        found[:] = [int(pid) for pid in children if b"forecast-platform-dbt" in command_of(int(pid))]
        return bool(found)

    wait_until(looked, "the run has not started dbt")
    return found[0]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)
