"""Events: what listeners are told of a tenant, in order, from a table that only grows and is cut at its beginning.

Written by whoever makes something happen, in the transaction that records it. How they reach a listener is in ``api``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from forecast_platform.jobs.webhooks import queue
from forecast_platform.state import State, events

KEPT = timedelta(days=7)
"""How long a listener may be away and still miss nothing."""


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        id: greater than that of everything before.
        kind: ``job``, ``batch`` or ``publication``.
        subject: what it is about: the id of a job or batch, or what was published.
    """

    id: int
    tenant: str
    kind: str
    subject: str
    at: datetime
    data: Mapping[str, Any]


class Events:
    """The events of all tenants."""

    def __init__(self, state: State) -> None:
        self._state = state

    @staticmethod
    def add(connection: sa.Connection, tenant: str, kind: str, subject: str, data: Mapping[str, Any]) -> int:
        """Record that something happened, and what webhooks tell of it, in a transaction of ``State.transaction``.

        Returns:
            The event's id.
        """
        now = datetime.now(UTC)
        row = {"tenant": tenant, "kind": kind, "subject": subject, "at": now, "data": json.dumps(data)}
        made = connection.execute(sa.insert(events).values(row)).inserted_primary_key[0]
        queue(connection, tenant, kind, data, event_id=made, now=now)
        connection.execute(sa.delete(events).where(events.c.tenant == tenant, events.c.at < now - KEPT))
        return made

    def add_newer(self, tenant: str, kind: str, subject: str, data: Mapping[str, Any]) -> bool:
        """Record an event unless the newest of its kind has the same subject or a later one, in order of text.

        So what is repeated after a crash is told once. Whether it was recorded.
        """
        newest = (
            sa.select(events.c.subject)
            .where(events.c.tenant == tenant, events.c.kind == kind)
            .order_by(events.c.id.desc())
            .limit(1)
        )
        with self._state.transaction() as connection:
            if (connection.scalar(newest) or "") >= subject:
                return False
            self.add(connection, tenant, kind, subject, data)
            return True

    def newest(self, tenant: str) -> int:
        """The id of a tenant's newest event; 0 where there is none."""
        query = sa.select(sa.func.coalesce(sa.func.max(events.c.id), 0)).where(events.c.tenant == tenant)
        with self._state.reading() as connection:
            return int(connection.scalar(query) or 0)

    def after(self, tenant: str, cursor: int, *, most: int) -> list[Event]:
        """A tenant's events after the one of that id, in order."""
        query = (
            sa.select(events).where(events.c.tenant == tenant, events.c.id > cursor).order_by(events.c.id).limit(most)
        )
        with self._state.reading() as connection:
            return [_event(row) for row in connection.execute(query)]


def _event(row: Any) -> Event:
    return Event(row.id, row.tenant, row.kind, row.subject, row.at, json.loads(row.data))
