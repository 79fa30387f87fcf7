"""The process that runs dbt: dbt's behaviour, and what a step of the pipeline needs beyond it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest
from dagster_dbt import DbtCliResource

from forecast_platform.dbt_child import version_text
from forecast_platform.io_managers.file_lock import mark_of, retry_while_locked
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.dbt.shop import PROJECT, Dbt, contents, days_of, open_shop, put_events, rows
from forecast_platform_tests.dbt.test_incremental import a_month

SELECT = ("run", "--select", "daily_sales")
HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""
START_AND_WAIT = """
import subprocess, sys, time
print(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, flush=True)
time.sleep(120)
"""


def shop_built(dbt: Dbt) -> Dbt:
    """dbt on a shop whose views stand and whose first days are built."""
    open_shop(dbt.warehouse)
    put_events(dbt.warehouse, a_month())
    dbt.build(0, 2, "tag:staging", "daily_sales")
    return dbt


@pytest.fixture
def built(dbt: Dbt) -> Dbt:
    """The shop, in either warehouse."""
    return shop_built(dbt)


@pytest.fixture
def built_duckdb(duckdb_warehouse: Warehouse, tmp_path: Path) -> Dbt:
    """The shop in DuckDB, for what does not depend on the warehouse."""
    return shop_built(Dbt(duckdb_warehouse, tmp_path / "target"))


def executable(folder: Path) -> Path:
    """The console script, as an installation would make it."""
    script = folder / "forecast-platform-dbt"
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(PROJECT.parent)!r})\n")
    with script.open("a") as file:
        file.write("from forecast_platform.dbt_child import main\nmain()\n")
    script.chmod(0o755)
    return script


def test_dagster_dbt_runs_it_in_place_of_dbt(
    built_duckdb: Dbt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in built_duckdb._variables().items():
        monkeypatch.setenv(name, value)
    resource = DbtCliResource(project_dir=os.fspath(PROJECT), dbt_executable=os.fspath(executable(tmp_path)))
    done = resource.cli([*SELECT, *days_of(0, 4)]).wait()
    assert done.is_successful()
    results = done.get_artifact("run_results.json")["results"]
    assert [(result["unique_id"], result["status"]) for result in results] == [
        ("model.forecast_platform.daily_sales", "success")
    ]
    assert rows(built_duckdb.warehouse, "select count(*) from partition_log where asset = 'daily_sales'") == [(5,)]

    failed = resource.cli([*SELECT], raise_on_error=False).wait()
    assert failed.process.returncode == 1 and "no days given" in str(failed.get_error())
    misused = resource.cli(["run", "--no-such-flag"], raise_on_error=False).wait()
    assert misused.process.returncode == 2


def test_the_version_is_told_as_dbt_tells_it_but_at_once() -> None:
    found = re.search(r"(\d+\.\d+\.\d+)", version_text())
    from dbt.version import installed

    assert found is not None and found[1] == installed.to_version_string(skip_matcher=True)


def wait_until(happened, *, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(process: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_dies_with_its_parent_and_commits_nothing(postgres_warehouse: Warehouse, tmp_path: Path) -> None:
    dbt = shop_built(Dbt(postgres_warehouse, tmp_path / "target"))
    before = contents(postgres_warehouse, ["daily_sales"])
    child = [sys.executable, "-m", "forecast_platform.dbt_child", *SELECT, *days_of(0, 9)]
    with postgres_warehouse.transaction() as session:
        # dbt is in its transaction and waits for the table, which the test holds.
        session.lock("daily_sales")
        parent = subprocess.Popen(
            [sys.executable, "-c", START_AND_WAIT, *child],
            env={**os.environ, **dbt._variables()},
            cwd=PROJECT.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        number = int(parent.stdout.readline())
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        # It parses the project first: 9 CPU s, on a machine that does other things.
        assert wait_until(lambda: session.scalar(waiting) == 1, seconds=90)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert wait_until(lambda: not alive(number), seconds=2)
    time.sleep(0.5)
    assert contents(postgres_warehouse, ["daily_sales"]) == before


def test_it_outlives_the_thread_that_started_it(built_duckdb: Dbt) -> None:
    started: list[subprocess.Popen[str]] = []
    thread = threading.Thread(target=lambda: started.append(built_duckdb.child(*SELECT, *days_of(0, 4))))
    thread.start()
    thread.join()
    output, _ = started[0].communicate(timeout=60)
    assert started[0].returncode == 0, output


def test_it_waits_while_another_process_holds_the_duckdb_file(built_duckdb: Dbt) -> None:
    dbt = built_duckdb
    path = dbt.warehouse.dbt_environment()["PIPELINE_DUCKDB_PATH"]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    stock_dbt = subprocess.run(
        [shutil.which("dbt", path=os.fspath(Path(sys.executable).parent)), *SELECT, *days_of(0, 4)],
        env={**os.environ, **dbt._variables()},
        capture_output=True,
        text=True,
    )
    assert stock_dbt.returncode == 2 and "lock" in stock_dbt.stdout
    child = dbt.child(*SELECT, *days_of(0, 4))
    # Long enough for it to have tried; were it not, the test would pass for nothing, never fail for nothing.
    time.sleep(5)
    assert child.poll() is None
    holder.communicate("")
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 0, output


def test_a_lock_that_stays_is_reported_and_other_errors_are_not_retried(tmp_path: Path) -> None:
    slept: list[float] = []
    path = tmp_path / "a.duckdb"

    def locked() -> None:
        raise duckdb.IOException("IO Error: Could not set lock on file")

    with pytest.raises(duckdb.IOException, match="Still locked after 0 s: another process keeps the DuckDB file open"):
        retry_while_locked(path, locked, patience=0.2, sleep=lambda pause: (slept.append(pause), time.sleep(pause))[0])
    assert len(slept) >= 2 and all(0 < pause <= 2.0 for pause in slept)
    assert mark_of(path).exists()

    def broken() -> None:
        slept.clear()
        raise duckdb.IOException("IO Error: No such file or directory")

    with pytest.raises(duckdb.IOException, match="No such file"):
        retry_while_locked(tmp_path / "b.duckdb", broken, patience=10, sleep=slept.append)
    assert slept == [] and not mark_of(tmp_path / "b.duckdb").exists()
