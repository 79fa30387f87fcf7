"""Work beside other work, on the machine's cores: NumPy and DuckDB let other threads run while they count.

Only for what does not depend on each other, so that neither the number of cores nor the order shows in a bit. What a
caller has set by ``np.errstate`` does not reach the threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

MOST = 4
"""Beyond it memory's speed is the limit: every part reads and writes whole matrices."""


def on_all_cores(work: Callable[[S], T], parts: Sequence[S]) -> list[T]:
    """``work`` of every part, in their order."""
    threads = min(MOST, cores(), len(parts))
    if threads < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """``items`` in their order, each made in a thread while the caller still uses the one before: no more are held.

    What making one raises is raised in its turn. Whoever stops early, because a run is cancelled, does not wait for the
    one that is being made, which may take an hour: nobody asks for it any more, and the process ends without it.
    """
    asked: SimpleQueue[bool] = SimpleQueue()
    made: SimpleQueue[tuple[bool, T | None, BaseException | None]] = SimpleQueue()

    def make() -> None:
        iterator, nothing = iter(items), object()
        while asked.get():
            try:
                item = next(iterator, nothing)
            except BaseException as error:
                made.put((False, None, error))
                return
            made.put((False, None, None) if item is nothing else (True, item, None))
            del item

    threading.Thread(target=make, name="one-ahead", daemon=True).start()
    asked.put(True)
    try:
        while True:
            there, item, error = made.get()
            if error is not None:
                raise error
            if not there:
                return
            asked.put(True)
            yield item
            del item
    finally:
        asked.put(False)


def cores() -> int:
    """Cores that this process may use: one for a worker that is pinned to one, however many the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
