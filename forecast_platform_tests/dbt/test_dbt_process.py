"""dbt's process, started when it is asked for or ahead of that."""

from __future__ import annotations

import signal

from forecast_platform.dbt_process import DbtProcesses

HELP = (["--help"], {})


def said(process) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output.decode()


def test_a_process_that_was_ready_serves_one_call_and_none_is_left_over():
    processes = DbtProcesses()
    with processes.kept_ready():
        processes.replenish()
        ready = processes._spare
        processes.replenish()
        assert processes._spare is ready
        used = processes.start(*HELP)
        assert used is ready and processes._spare is None
        assert "SQL transformations" in said(used)
        assert used.args[1:] == ["--help"]
        processes.replenish()
        left_over = processes._spare
        assert left_over.poll() is None
    assert left_over.poll() == -signal.SIGKILL


def test_one_that_died_waiting_is_replaced():
    processes = DbtProcesses()
    with processes.kept_ready():
        processes.replenish()
        dead = processes._spare
        dead.kill()
        dead.wait()
        used = processes.start(*HELP)
        assert used is not dead and "SQL transformations" in said(used)


def test_nothing_is_started_ahead_where_nobody_keeps_processes_ready():
    processes = DbtProcesses()
    processes.replenish()
    assert processes._spare is None
    assert "SQL transformations" in said(processes.start(*HELP))


def test_the_child_sees_the_environment_of_its_call():
    processes = DbtProcesses()
    with processes.kept_ready():
        processes.replenish()
        failed = processes.start(["parse"], {"DBT_PROFILES_DIR": "/nowhere/of/this/call"})
        output, _ = failed.communicate(timeout=60)
    assert failed.returncode == 2 and b"/nowhere/of/this/call" in output
