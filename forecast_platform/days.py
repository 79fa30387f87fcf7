"""Business days as ``date``: ranges of them, runs of them, and runs in words. No zone and no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import TypeVar

K = TypeVar("K", date, int)


def days_between(first: date, last: date) -> list[date]:
    """Every day from ``first`` to ``last``, both included; none if ``first`` is after ``last``."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Runs of consecutive days, as (first, last), in order."""
    runs: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if runs and day - runs[-1][1] == timedelta(days=1):
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def in_words(days: Iterable[date]) -> str:
    """Days as a person would write them: ``2026-01-03 to 2026-01-05, 2026-01-09``."""
    return ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in ranges(days))


def month_of(day: date) -> date:
    """The first day of a day's month."""
    return day.replace(day=1)


def next_month(day: date) -> date:
    """The first day of the month after a day's."""
    return (month_of(day) + timedelta(days=32)).replace(day=1)


def stretches(rows: Mapping[K, int], *, at_once: int) -> Iterator[tuple[K, K]]:
    """The first and last of runs of days (or batches), in order, that hold ``at_once`` rows or, of one alone, more."""
    begin, held, previous = None, 0, None
    for day, count in sorted(rows.items()):
        if begin is not None and held + count > at_once:
            yield begin, previous
            begin, held = None, 0
        begin, held, previous = day if begin is None else begin, held + count, day
    if begin is not None:
        yield begin, previous
