"""The same work on several parts at once, on the machine's cores: NumPy lets other threads run while it counts.

Only for parts that do not depend on each other, so that neither the number of cores nor the order shows in a bit. What
a caller has set by ``np.errstate`` does not reach the threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def cores() -> int:
    """Cores that this process may use: one for a worker that is pinned to one, however many the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
