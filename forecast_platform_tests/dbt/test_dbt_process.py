"""dbt's process: kept for the next call, which finds nothing of the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from forecast_platform.dbt_process import PROJECT, DbtCall, DbtProcesses
from forecast_platform.dbt_server import KEPT, PARSED, _Project
from forecast_platform.io_managers.fence import run_fence
from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform_tests.dbt.shop import Dbt, contents, day, days_of, open_shop, put_events, rows
from forecast_platform_tests.dbt.test_dbt_child import SELECT, alive, wait_until
from forecast_platform_tests.dbt.test_incremental import a_month

HELP = (["--help"], {})


@pytest.fixture(scope="module")
def processes() -> Iterator[DbtProcesses]:
    """Those of all tests here: what one leaves to the next is what is tested, and dbt's imports take 3 CPU s."""
    made = DbtProcesses()
    yield made
    made.end()


@pytest.fixture
def no_processes() -> Iterator[DbtProcesses]:
    made = DbtProcesses()
    yield made
    made.end()


def said(call: DbtCall, code: int = 0) -> str:
    with call:
        output = call.stdout.read().decode()
        assert call.wait(timeout=120) == code, output
    return output


def children_of(process: int) -> set[int]:
    """The children of a process: of dbt's server the call it serves, and helpers of dbt's own."""
    return set(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


@pytest.fixture
def built(warehouse: Warehouse, tmp_path: Path) -> Dbt:
    """A shop in either warehouse whose first days are built."""
    return shop_of(warehouse, tmp_path)


def shop_of(warehouse: Warehouse, folder: Path) -> Dbt:
    dbt = Dbt(warehouse, folder / f"target_{warehouse.tenant}")
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(0, 2, "tag:staging", "daily_sales")
    return dbt


def run_of(dbt: Dbt, folder: Path, *arguments: str, **more: str) -> tuple[Sequence[str], dict[str, str]]:
    """A call as a step makes it: from the project parsed before, into a folder of its own."""
    own = {"DBT_TARGET_PATH": str(folder / "own"), "DBT_LOG_PATH": str(folder / "own")}
    parsed = {"DBT_PARTIAL_PARSE_FILE_PATH": str(dbt.parsed)}
    return [*SELECT, *arguments], dbt._variables(**own, **parsed, **more)


def test_one_process_serves_call_after_call(processes: DbtProcesses):
    processes.ready()
    server = processes._idle
    for _ in range(2):
        call = processes.start(*HELP)
        assert processes._idle is None and call.args[1:] == ["--help"]
        assert "SQL transformations" in said(call)
        assert processes._idle is server
    processes.end()
    assert server._process.returncode == -signal.SIGKILL


def test_a_process_that_was_started_for_one_call_ends_with_it(no_processes: DbtProcesses):
    call = no_processes.start(*HELP, keep=False)
    assert "SQL transformations" in said(call)
    assert no_processes._idle is None and call._server._process.returncode == -signal.SIGKILL


def test_one_that_died_waiting_is_replaced(processes: DbtProcesses):
    processes.ready()
    dead = processes._idle
    dead._process.kill()
    dead._process.wait()
    call = processes.start(*HELP)
    assert call._server is not dead and "SQL transformations" in said(call)


def test_threads_that_call_at_once_have_a_process_each_and_one_is_kept(processes: DbtProcesses):
    heard: list[str] = []
    calls = [processes.start(*HELP) for _ in range(2)]
    threads = [threading.Thread(target=lambda call=call: heard.append(said(call))) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 2 and all("SQL transformations" in each for each in heard)
    ended = [call._server._process.returncode for call in calls]
    assert sorted(ended, key=str) == [-signal.SIGKILL, None]


def test_calls_run_on_the_parsed_project_each_for_its_own_run_and_leave_the_file(
    processes: DbtProcesses, built: Dbt, tmp_path: Path
):
    processes.ready(run_of(built, tmp_path)[1])
    for last in (4, 6):
        asked = run_of(built, tmp_path, *days_of(0, last), PIPELINE_RUN_ID=f"run {last}")
        assert "Unable to do partial parsing" not in said(processes.start(*asked))
        logged = "select distinct run_id from partition_log where asset = 'daily_sales'"
        assert rows(built.warehouse, logged) == [(f"run {last}",)]
        assert rows(built.warehouse, "select max(sale_date) from daily_sales") == [(day(last),)]


def test_a_run_that_has_ended_commits_nothing(processes: DbtProcesses, duckdb_warehouse: Warehouse, tmp_path: Path):
    built = shop_of(duckdb_warehouse, tmp_path)
    processes.ready(run_of(built, tmp_path)[1])
    before = contents(built.warehouse, ["daily_sales"])
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(_nightly, status=dg.DagsterRunStatus.STARTED)
        arguments, told = run_of(built, tmp_path, *days_of(0, 9), PIPELINE_RUN_ID=run.run_id)
        instance.report_run_canceled(run)
        # Forked with the parsed project, and executed anew to parse it itself.
        for environment in (told, {name: told[name] for name in told.keys() - {"DBT_PARTIAL_PARSE_FILE_PATH"}}):
            refused = said(processes.start(arguments, environment, fence=run_fence(instance, run.run_id)), code=1)
            assert f"run {run.run_id} has ended (CANCELED)" in refused
            assert contents(built.warehouse, ["daily_sales"]) == before

        going = instance.create_run_for_job(_nightly, status=dg.DagsterRunStatus.STARTED)
        asked = run_of(built, tmp_path, *days_of(0, 9), PIPELINE_RUN_ID=going.run_id)
        said(processes.start(*asked, fence=run_fence(instance, going.run_id)))
    logged = "select distinct run_id from partition_log where asset = 'daily_sales'"
    assert rows(built.warehouse, logged) == [(going.run_id,)]
    assert rows(built.warehouse, "select max(sale_date) from daily_sales") == [(day(9),)]


@dg.job
def _nightly() -> None: ...


def test_a_failed_call_leaves_nothing_to_the_next(processes: DbtProcesses, built: Dbt, tmp_path: Path):
    assert "no days given" in said(processes.start(*run_of(built, tmp_path)), code=1)
    server = processes._idle
    assert "No such option" in said(processes.start(["run", "--no-such-flag"], {}), code=2)
    nowhere = run_of(built, tmp_path, DBT_PROFILES_DIR="/nowhere/of/this/call")
    assert "/nowhere/of/this/call" in said(processes.start(*nowhere), code=2)
    said(processes.start(*run_of(built, tmp_path, *days_of(0, 4))))
    assert processes._idle is server


def test_a_call_of_another_tenant_works_on_its_own_warehouse(processes: DbtProcesses, tmp_path: Path):
    shops = [shop_of(open_warehouse(f"duckdb:///{tmp_path}/warehouse", name), tmp_path) for name in ("shop", "two")]
    for last, dbt in enumerate((*shops, shops[0]), start=3):
        said(processes.start(*run_of(dbt, tmp_path, *days_of(0, last))))
    made = [rows(dbt.warehouse, "select max(sale_date) from daily_sales") for dbt in shops]
    assert made == [[(day(5),)], [(day(4),)]]


def test_what_was_parsed_for_one_environment_is_kept_while_others_are_asked_for(
    duckdb_warehouse: Warehouse, tmp_path: Path
):
    dbt = shop_of(duckdb_warehouse, tmp_path)
    link = tmp_path / "link.msgpack"
    link.symlink_to(dbt.parsed)
    project = _Project()

    def parsed(**more: str) -> Any:
        told = run_of(dbt, tmp_path)[1] | more
        with dbt._environment(**told):
            project.keep_for(told)
        return project.manifest

    first, longer = parsed(), parsed(PIPELINE_HORIZON="9")
    assert first is not None and longer is not None and longer is not first
    # Where the data are, which run it is, and by which name the parse is found are no part of the project.
    moved = {"PIPELINE_DUCKDB_PATH": "/elsewhere", "PIPELINE_RUN_ID": "another", PARSED: str(link)}
    assert parsed(**moved) is first and parsed(PIPELINE_HORIZON="9") is longer
    others = [parsed(PIPELINE_HORIZON=str(horizon)) for horizon in range(10, 10 + KEPT)]
    assert parsed(PIPELINE_HORIZON=str(9 + KEPT)) is others[-1] and parsed() is not first


def test_a_call_that_is_killed_says_so_and_the_next_one_works(processes: DbtProcesses, built: Dbt, tmp_path: Path):
    asked = run_of(built, tmp_path, *days_of(0, 4))
    killed = processes.start(asked[0], asked[1] | {"FORECAST_CRASH_AT": "dbt_after_insert"})
    said(killed, code=-signal.SIGKILL)
    assert rows(built.warehouse, "select max(sale_date) from daily_sales") == [(day(2),)]
    said(processes.start(*asked))
    assert rows(built.warehouse, "select max(sale_date) from daily_sales") == [(day(4),)]


@pytest.fixture
def waiting(processes: DbtProcesses, duckdb_warehouse: Warehouse, tmp_path: Path) -> Iterator[DbtCall]:
    """A call that waits for the file, which the test holds."""
    dbt = shop_of(duckdb_warehouse, tmp_path)
    with duckdb.connect(dbt.warehouse.dbt_environment()["PIPELINE_DUCKDB_PATH"]):
        call = processes.start(*run_of(dbt, tmp_path, *days_of(0, 4)))
        yield call
        if call.returncode is None:
            call.__exit__()


def test_a_call_whose_server_is_killed_is_killed_with_it(waiting: DbtCall):
    assert waiting.pid in children_of(waiting._server._process.pid)
    waiting._server._process.kill()
    said(waiting, code=-signal.SIGKILL)
    assert wait_until(lambda: not alive(waiting.pid))


def test_a_call_that_nobody_reads_to_its_end_is_ended(waiting: DbtCall):
    with pytest.raises(RuntimeError, match="a step's own"), waiting:
        raise RuntimeError("a step's own")
    assert waiting.wait() == -signal.SIGKILL
    assert wait_until(lambda: not alive(waiting.pid))


def test_an_interrupt_reaches_the_call(waiting: DbtCall):
    with pytest.raises(TimeoutError):
        waiting.wait(timeout=0.5)
    waiting.send_signal(signal.SIGINT)
    assert wait_until(lambda: not alive(waiting.pid))


CALLS = """
import sys
from forecast_platform.dbt_process import PROCESSES
call = PROCESSES.start(["--help"], {})
call.stdout.read(), call.wait()
print(PROCESSES._idle._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", [subprocess.Popen.kill, lambda process: process.communicate("")])
def test_the_process_ends_with_the_one_that_keeps_it(end: Callable[[subprocess.Popen], object]):
    keeper = subprocess.Popen(
        [sys.executable, "-c", CALLS], cwd=PROJECT.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    server = int(keeper.stdout.readline())
    assert alive(server)
    end(keeper)
    keeper.wait()
    assert wait_until(lambda: not alive(server), seconds=5)


@pytest.mark.slow
def test_thirty_calls_take_no_more_memory_than_two(
    no_processes: DbtProcesses, duckdb_warehouse: Warehouse, tmp_path: Path
):
    dbt = shop_of(duckdb_warehouse, tmp_path)
    held = []
    for _ in range(30):
        said(no_processes.start(*run_of(dbt, tmp_path, *days_of(0, 4))))
        resident = Path(f"/proc/{no_processes._idle._process.pid}/statm").read_text().split()[1]
        held.append(int(resident) * os.sysconf("SC_PAGE_SIZE"))
    assert held[-1] - held[1] < 1_000_000, held
    assert len(os.listdir(f"/proc/{os.getpid()}/fd")) < 100
