"""From which day to which: the parameters ``from`` and ``to``, and what they come to."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from fastapi import Query

from forecast_platform.api.problems import Problem

From = Annotated[
    date | None, Query(alias="from", description="First day; see `to` where it is left out.", examples=["2026-01-01"])
]
To = Annotated[
    date | None,
    Query(alias="to", description="Last day; the newest on record where it is left out.", examples=["2026-01-31"]),
]


def period(first: date | None, last: date | None, *, newest: date, days: int, most: int) -> tuple[date, date]:
    """First and last day that are asked for.

    Args:
        newest: the last day where none is given.
        days: how many where no first day is given. most: how many there may be.

    Raises:
        Problem: 422, the first comes after the last, or there are too many.
    """
    last = newest if last is None else last
    if first is None:
        first = last - timedelta(days=min(days - 1, (last - date.min).days))
    if first > last:
        raise Problem(422, "invalid-request", "the day of from comes after that of to")
    if (last - first).days >= most:
        raise Problem(422, "invalid-request", f"from and to may span {most:,} days; ask in parts")
    return first, last
