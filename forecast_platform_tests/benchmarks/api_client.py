"""A client that asks as fast as it is answered over some connections, and how long each answer took.

It speaks only as much HTTP/1.1 as the API's answers have: with a general client, half of the two cores would be the
client's, and the server would be measured by it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Answers:
    """What came back: statuses, and the seconds that each answer took."""

    seconds: float = 0.0
    bytes: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    def line(self) -> str:
        """One line: how many a second, and the times that 50, 95, 99 and 99.9 of 100 stayed below."""
        at = np.percentile(np.array(self.times) * 1000, [50, 95, 99, 99.9])
        told = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{len(self.times) / self.seconds:,.0f} requests/s over {self.seconds:.0f} s; ms p50 {at[0]:.1f}, p95"
            f" {at[1]:.1f}, p99 {at[2]:.1f}, p99.9 {at[3]:.1f}; {self.bytes / len(self.times):,.0f} bytes each; {told}"
        )


async def ask(
    host: str, port: int, paths: Iterator[str], *, key: str, connections: int, seconds: float, per_second: float | None
) -> Answers:
    """Ask for ``paths`` until the time is over.

    Args:
        per_second: so many requests in all, evenly spread, each timed from when it was due; None: the next one as soon
            as the last is answered.
    """
    answers, begun = Answers(), time.perf_counter()
    end = begun + seconds
    due = _due(begun, per_second) if per_second else None
    await asyncio.gather(*(_connection(host, port, paths, key, end, due, answers) for _ in range(connections)))
    answers.seconds = time.perf_counter() - begun
    return answers


def _due(begun: float, per_second: float) -> Iterator[float]:
    number = 0
    while True:
        yield begun + number / per_second
        number += 1


async def _connection(
    host: str, port: int, paths: Iterator[str], key: str, end: float, due: Iterator[float] | None, answers: Answers
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    rest = f" HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    while (begun := next(due) if due else time.perf_counter()) < end:
        if (early := begun - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        writer.write(b"GET " + next(paths).encode() + rest)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        answers.times.append(time.perf_counter() - begun)
        answers.statuses[int(head[9:12])] += 1
        answers.bytes += length
    writer.close()
