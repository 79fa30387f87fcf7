"""Waiting for a DuckDB file that another process holds. Shared by the pipeline's own sessions and by dbt's process.

DuckDB lets one process in at a time, readers included, and says so at once instead of waiting. Who waits leaves a mark
beside the file, so that a process that keeps it open between its sessions lets go of it after the one it is in.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from forecast_platform.database_errors import LOCKED

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""How long a connection waits. Steps of one tenant take turns, so a file is rarely held for long."""


def mark_of(path: Path) -> Path:
    """The empty file that says that somebody waits for the DuckDB file ``path``."""
    return path.with_name(f"{path.name}.wanted")


def retry_while_locked(
    path: Path,
    connect: Callable[[], T],
    *,
    patience: float = PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call ``connect`` until it succeeds, for as long as the file is locked and ``patience`` seconds are not over.

    Waits 0.02 s at first and up to 1 s, each time a random half to whole of it, so that waiting processes do not meet
    again.

    Raises:
        duckdb.IOException: the file is still locked after ``patience`` seconds, or the trouble is another one.
    """
    import duckdb

    deadline, pause = time.monotonic() + patience, 0.02
    while True:
        try:
            return connect()
        except duckdb.IOException as error:
            if LOCKED not in str(error):
                raise
            left = deadline - time.monotonic()
            if left <= 0:
                raise duckdb.IOException(
                    f"{error}\nStill locked after {patience:.0f} s: another process keeps the DuckDB file open, and"
                    " DuckDB lets one in at a time. End it, or use a postgresql:// warehouse if several must write at"
                    " once"
                ) from error
            with suppress(OSError):  # a folder that this process may only read: whoever keeps it open is waited for
                mark_of(path).touch()
            sleep(min(pause * random.uniform(0.5, 1.0), left))
            pause = min(pause * 1.6, 1.0)
