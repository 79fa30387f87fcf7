"""The days that wait: closed days whose facts changed, and the open day that received some, until all follows them.

Written by whoever lands something, read by sensors and by the run that makes what the days touch. A day stays until
everything that it touches was made, so that work that was killed anywhere is completed by doing it again. What a day
touches is in ``partitions.affected``; making it is in ``runs``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import sqlalchemy as sa

from forecast_platform.state import State, changed_days

ANYHOW = "anyhow"
"""``before`` of a day that somebody asked for: its followers are made whether or not its facts have changed."""

OPEN = "open"
"""``before`` of a day that was open when it was noted: nothing was forecast from it yet."""


@dataclass(frozen=True)
class ChangedDay:
    """A day of ``asset`` that waits; see ``state.changed_days`` for what the fields mean."""

    asset: str
    day: date
    noted_at: datetime
    reason: str
    generation: int
    before: str
    moved: frozenset[date] = frozenset()


class ChangedDays:
    """The days of one tenant that wait."""

    def __init__(self, state: State, tenant: str) -> None:
        self._state = state
        self._tenant = tenant

    def note(self, asset: str, before: Mapping[date, str], *, reason: str, now: datetime) -> None:
        """Note that facts of some days have changed or are about to.

        A day that waits already keeps when it was first noted, and what its followers were made from.

        Args:
            before: by day, the digest of what its followers were made from, ``OPEN`` or ``ANYHOW``.
        """
        if not before:
            return
        table = changed_days.c
        with self._state.transaction() as connection:
            held = {each.day: each for each in self._select(connection) if each.asset == asset}
            for day, digest in before.items():
                if day in held:
                    known = held[day]
                    kept = digest if digest == ANYHOW or known.before == OPEN != digest else known.before
                    again = {"generation": known.generation + 1, "before": kept}
                    connection.execute(sa.update(changed_days).where(*self._is(asset, day)).values(again))
                else:
                    row = {table.tenant: self._tenant, table.asset: asset, table.day: day}
                    row |= {table.noted_at: now.astimezone(UTC), table.reason: reason, table.generation: 1}
                    row |= {table.before: digest, table.moved: "[]"}
                    connection.execute(sa.insert(changed_days).values({c.name: v for c, v in row.items()}))

    def waiting(self) -> list[ChangedDay]:
        """The days that wait, in order."""
        with self._state.transaction() as connection:
            return self._select(connection)

    def moved(self, changes: Iterable[ChangedDay], days: Collection[date]) -> None:
        """Remember which days' membership ``changes`` moved, before that can no longer be told."""
        text = json.dumps(sorted(day.isoformat() for day in days))
        with self._state.transaction() as connection:
            for change in changes:
                where = self._is(change.asset, change.day)
                connection.execute(sa.update(changed_days).where(*where).values(moved=text))

    def settle(self, changes: Iterable[ChangedDay], *, made_from: Mapping[tuple[str, date], str]) -> None:
        """Everything that ``changes`` touch was made; one that was noted again meanwhile goes on waiting.

        Args:
            made_from: by asset and day, the digest of the facts that it was made from.
        """
        with self._state.transaction() as connection:
            for change in changes:
                where = self._is(change.asset, change.day)
                same = [*where, changed_days.c.generation == change.generation]
                if connection.execute(sa.delete(changed_days).where(*same)).rowcount == 0:
                    before = made_from.get((change.asset, change.day), ANYHOW)
                    connection.execute(sa.update(changed_days).where(*where).values(before=before, moved="[]"))

    def _is(self, asset: str, day: date) -> list[sa.ColumnElement[bool]]:
        table = changed_days.c
        return [table.tenant == self._tenant, table.asset == asset, table.day == day]

    def _select(self, connection: sa.Connection) -> list[ChangedDay]:
        query = sa.select(changed_days).where(changed_days.c.tenant == self._tenant)
        rows = connection.execute(query.order_by(changed_days.c.day, changed_days.c.asset))
        return [
            ChangedDay(
                asset=row.asset,
                day=row.day,
                noted_at=row.noted_at,
                reason=row.reason,
                generation=row.generation,
                before=row.before,
                moved=frozenset(map(date.fromisoformat, json.loads(row.moved))),
            )
            for row in rows
        ]
