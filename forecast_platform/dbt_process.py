"""The process in which dbt runs, and one that is ready before it is asked for.

dbt imports for 3 s before it does anything. A command that will need dbt has a process import and wait meanwhile
(``DbtProcesses.kept_ready``); one process still serves one call, so that nothing of a call is left to the next.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from forecast_platform.dbt_child import ON_REQUEST
from forecast_platform.settings import child_environment

PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"


def executable() -> str:
    """Our dbt: it dies with its parent and commits nothing for a run that has ended."""
    beside = Path(sys.executable).with_name("forecast-platform-dbt")
    found = str(beside) if beside.exists() else shutil.which("forecast-platform-dbt")
    if found is None:
        raise FileNotFoundError(
            f"forecast-platform-dbt is neither beside {sys.executable} nor on PATH; install this project with pip"
        )
    return found


class DbtProcesses:
    """Starts dbt; within ``kept_ready`` one process waits for the next call, once ``replenish`` was called."""

    def __init__(self) -> None:
        self._keeping = False
        self._spare: subprocess.Popen[bytes] | None = None

    @contextmanager
    def kept_ready(self) -> Iterator[None]:
        """Let ``replenish`` start a process ahead of its use, until the end."""
        self._keeping = True
        try:
            yield
        finally:
            self._keeping = False
            spare, self._spare = self._spare, None
            if spare is not None:
                _end(spare)

    def replenish(self) -> None:
        """Start the process of the next call now, where one is kept ready and none is waiting."""
        if self._keeping and self._spare is None:
            self._spare = _launch()

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """A dbt process that runs ``arguments`` with ``environment`` on top of this process's.

        Its output, errors included, is to be read from ``stdout``.
        """
        request = json.dumps({"arguments": list(arguments), "environment": child_environment(environment)})
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                return _asked(spare, request, arguments)
            except BrokenPipeError:  # it died waiting: the kernel took its memory, or somebody killed it
                _end(spare)
        return _asked(_launch(), request, arguments)


def _launch() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [executable(), ON_REQUEST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=PROJECT,
    )


def _asked(process: subprocess.Popen[bytes], request: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    assert process.stdin is not None
    process.stdin.write(request.encode() + b"\n")
    process.stdin.close()
    process.stdin = None  # or whoever communicates with it later would flush it
    process.args = [executable(), *arguments]  # what logs and errors say was run
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


PROCESSES = DbtProcesses()
"""Those of this Python process."""
