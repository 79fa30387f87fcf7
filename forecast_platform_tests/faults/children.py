"""Child processes that write to a warehouse and can be killed at a crash point.

They are forked from a server that has the heavy imports done, so that a child costs some ten milliseconds. What a
child does is a function here, named in the test; nothing is patched in it but the crash point's setting.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Callable
from datetime import date
from typing import Any

from forecast_platform.io_managers.batches import Batch, RowBlocks, append_batch
from forecast_platform.io_managers.ledger import VersionCandidate, append_version, log_origin
from forecast_platform.io_managers.warehouse import open_warehouse
from forecast_platform.tables import forecast_intervals, raw_sales

KILLED = -9
TIMEOUT_SECONDS = 60

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["forecast_platform_tests.faults.children", "forecast_platform.io_managers.replace", "alembic.command"]
)


def start(work: Callable[..., None], *arguments: Any, crash_at: str | None = None) -> multiprocessing.Process:
    """Start ``work`` in a process of its own."""
    process = _context.Process(target=_child, args=(crash_at, work, *arguments))
    process.start()
    return process


def run(work: Callable[..., None], *arguments: Any, crash_at: str | None = None) -> int:
    """Run ``work`` in a process of its own; its exit code, ``KILLED`` if it died at the crash point."""
    process = start(work, *arguments, crash_at=crash_at)
    process.join(TIMEOUT_SECONDS)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"{work.__name__} hung for {TIMEOUT_SECONDS} s")
    return process.exitcode


def _child(crash_at: str | None, work: Callable[..., None], *arguments: Any) -> None:
    if crash_at is not None:
        os.environ["FORECAST_CRASH_AT"] = crash_at
    work(*arguments)


def replace_sales(url: str, tenant: str, frame, first: date, last: date) -> None:
    """Replace days of ``raw_sales``."""
    with open_warehouse(url, tenant).transaction() as session:
        session.replace_days(raw_sales, frame, first, last, asset="raw_sales", run_id="child")


def append_blocks(url: str, tenant: str, batch: Batch, blocks: list) -> None:
    """Append the rows of a batch that come in blocks."""
    with open_warehouse(url, tenant).transaction() as session:
        session.lock("ledger_batches")
        rows = RowBlocks(sum(map(len, blocks)), lambda: iter(blocks))
        append_batch(session, forecast_intervals, dataclasses.replace(batch, rows=rows))


def append_forecasts(url: str, tenant: str, candidate: VersionCandidate) -> None:
    """Append one version and put its origin on record."""
    with open_warehouse(url, tenant).transaction() as session:
        session.lock("forecast_versions")
        append_version(session, candidate, run_id="child")
        log_origin(session, candidate.origin_date, run_id="child", complete=True)


def replace_many_times(url: str, tenant: str, times: int, frame, day: date) -> None:
    """Replace one day again and again, each time with a connection of its own."""
    for _ in range(times):
        replace_sales(url, tenant, frame, day, day)


def replace_with_little_room(url: str, tenant: str, limit: int, frame, first: date, last: date) -> None:
    """Replace days where no file may grow beyond ``limit`` bytes; exits with 3 on the error that this makes."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        replace_sales(url, tenant, frame, first, last)
    except Exception:
        os._exit(3)
