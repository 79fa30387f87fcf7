"""What a command cost: CPU and memory of it and of all that it started, and the time on the clock."""

from __future__ import annotations

import ctypes
import io
import os
import re
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from forecast_platform.settings import PREFIX

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.1

STEP_ENDED = re.compile(r"  (\S+) +[\d.]+ s$")
"""How ``forecast-platform run`` says that a step has ended."""


@dataclass(frozen=True)
class Measured:
    """One run: seconds of CPU and on the clock, and the largest memory of all its processes together, in MB."""

    cpu: float
    wall: float
    memory: float


def environment_of(folder: Path) -> dict[str, str]:
    """This process's environment, with everything that the platform keeps under ``folder``."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        "FORECAST_HOME": str(folder / "home"),
        "FORECAST_WAREHOUSE": f"duckdb:///{folder / 'warehouse'}",
        "FORECAST_LANDING": (folder / "landing").as_uri(),
        "DAGSTER_HOME": str(folder / "dagster"),
    }


def measure(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, steps: dict[str, Measured] | None = None
) -> Measured:
    """Run a command to its end. Linux only: what it started and left is waited for by this process.

    Args:
        steps: filled with what each step of ``forecast-platform run`` cost, in order; what comes before the first one
            is the first one's.

    Raises:
        click.ClickException: it failed.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours = {each.pid for each in psutil.Process().children()}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    child = subprocess.Popen(command, env=environment, stdout=sys.stderr if steps is None else subprocess.PIPE)
    watch = _Watch(child.pid)
    if steps is not None:
        _follow(child, watch, steps)
    _, status = os.waitpid(child.pid, 0)
    wall = time.monotonic() - begun
    while left := [each.pid for each in psutil.Process().children() if each.pid not in ours]:
        for pid in left:
            os.waitpid(pid, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        raise click.ClickException(f"failed: {' '.join(command)}")
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return Measured(cpu, wall, watch.end() / 2**20)


def _follow(child: subprocess.Popen, watch: _Watch, steps: dict[str, Measured]) -> None:
    """Read what a run says up to its end, and pass it on."""
    cpu, begun = 0.0, time.monotonic()
    for line in io.TextIOWrapper(child.stdout, encoding="utf-8"):
        sys.stderr.write(line)
        if told := STEP_ENDED.match(line.rstrip()):
            used, now = watch.cpu(), time.monotonic()
            steps[told[1]] = Measured(used - cpu, now - begun, watch.lap() / 2**20)
            cpu, begun = used, now


class _Watch:
    """A process and its descendants: CPU so far, and the largest sum of resident memory, looked at ten times a
    second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._largest = self._lap = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            now = self._sum(lambda process: process.memory_info().rss)
            self._lap, self._largest = max(self._lap, now), max(self._largest, now)

    def _sum(self, figure: Callable[[psutil.Process], float]) -> float:
        total = 0
        with suppress(psutil.Error):
            for process in (self._process, *self._process.children(recursive=True)):
                with suppress(psutil.Error):
                    total += figure(process)
        return total

    def cpu(self) -> float:
        """Seconds, those of children that have ended too."""
        return self._sum(lambda process: sum(process.cpu_times()[:4]))

    def lap(self) -> float:
        """The largest memory since it was last asked for, in bytes."""
        largest, self._lap = self._lap, 0
        return largest

    def end(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._largest


def medians(runs: Sequence[Measured]) -> Measured:
    """The median of each figure."""
    return Measured(*(statistics.median(getattr(run, name) for run in runs) for name in ("cpu", "wall", "memory")))


def in_turn(runs: Sequence[Measured]) -> Measured:
    """What runs that followed each other cost together."""
    return Measured(sum(run.cpu for run in runs), sum(run.wall for run in runs), max(run.memory for run in runs))


def table(rows: Mapping[str, Sequence[Measured]], *, against: str) -> str:
    """A line for each row: medians of its runs, and the medians of their ratios to the run of ``against`` beside them.

    Runs are compared with those they alternated with, because a machine's speed drifts.
    """
    width = max(map(len, rows)) + 2
    lines = [f"{'':<{width}}{'CPU s':>9}{'wall s':>9}{'MB':>8}{'CPU ratio':>11}{'wall ratio':>12}{'runs':>6}"]
    for name, runs in rows.items():
        middle = medians(runs)
        ratios = [
            statistics.median(getattr(a, each) / getattr(b, each) for a, b in zip(runs, rows[against], strict=True))
            for each in ("cpu", "wall")
        ]
        lines.append(
            f"{name:<{width}}{middle.cpu:>9.2f}{middle.wall:>9.2f}{middle.memory:>8.0f}"
            f"{ratios[0]:>11.3f}{ratios[1]:>12.3f}{len(runs):>6}"
        )
    return "\n".join(lines)
