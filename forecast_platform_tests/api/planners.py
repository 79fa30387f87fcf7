"""Planners who expect something else than the forecast: entries of every kind that a ledger of overrides may hold."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from forecast_platform.sources.overrides import Override, entries, holds_through

AUTHORS, REASONS = ("key ada", "key bob", "user cy"), ("a school trip", "roadworks")


def requests(first: date, last: date, *, count: int = 40) -> Iterator[list[Override]]:
    """Requests of four overrides each, received on ``first`` to ``last``: of days that come soon, on all of their days;
    some expire, a few at the very midnight their day begins, and some are withdrawn later."""
    draw, zone = random.Random(7), "UTC"
    begin, hours = datetime.combine(first, time(), tzinfo=UTC), 24 * ((last - first).days + 1)
    moments = sorted(begin + timedelta(hours=draw.uniform(0, hours)) for _ in range(count))
    for moment in moments:
        target = moment.date() + timedelta(days=draw.randint(0, 4))
        midnight = datetime.combine(target, time(), tzinfo=UTC)
        expires = draw.choice(
            [None, None, moment + timedelta(hours=draw.uniform(1, 120)), midnight, midnight + timedelta(microseconds=1)]
        )
        if expires is not None and expires <= moment:
            expires = None
        made = [
            Override(
                entry=entry,
                received_at=moment,
                received_on=moment.date(),
                target_date=target,
                sku=f"sku {draw.randint(0, 2)}",
                location=draw.choice(["north", "south"]),
                units=Decimal(draw.randint(0, 60)) / 4,
                author=draw.choice(AUTHORS),
                reason=draw.choice(REASONS),
                expires_at=expires,
                holds_through=holds_through(expires, zone),
            )
            for entry in entries(moment, 4)
        ]
        yield made
        for each in draw.sample(made, draw.randint(0, 2)):
            later = moment + timedelta(hours=draw.uniform(0.1, 72))
            yield [
                Override(
                    entry=entries(later, 1)[0],
                    received_at=later,
                    received_on=later.date(),
                    target_date=each.target_date,
                    sku=each.sku,
                    location=each.location,
                    withdraws=each.entry,
                    author=each.author,
                    reason="not any more",
                )
            ]
