"""Incidents and messages in the platform's state: what is open, what is to be sent, what was sent.

A message is recorded in the transaction that opens or ends its incident, so that none is lost; ``delivery`` sends it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from forecast_platform.alerts.incidents import Change, Event, Incident, Key, days_of
from forecast_platform.alerts.messages import Message
from forecast_platform.state import State, alert_messages, incidents

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
"""A message that was not taken is tried again after 1, 2, 4, … minutes. A process that was killed while it sent is
seen as a failure: the wait is longer than any channel's timeout."""

MOST_FORGOTTEN = 1_000
"""Incidents that are forgotten at once: others wait to write meanwhile. More of them go the next time."""


@dataclass(frozen=True)
class Pending:
    """A message that is to be sent by one channel."""

    id: int
    channel: str
    message: Message
    attempts: int


class AlertRecord:
    """The record of one tenant's incidents and messages."""

    def __init__(self, state: State, tenant: str) -> None:
        self._state = state
        self._tenant = tenant

    def open_incidents(self, connection: sa.Connection | None = None) -> list[Incident]:
        """Incidents that have not ended, oldest first."""
        return self._incidents(incidents.c.ended_at.is_(None), connection=connection)

    def recent_incidents(self, ended_after: datetime) -> list[Incident]:
        """Open incidents and those that ended after a moment, oldest first."""
        return self._incidents(sa.or_(incidents.c.ended_at.is_(None), incidents.c.ended_at > ended_after))

    def told_of(self, keys: Collection[Key]) -> dict[Key, set[str]]:
        """The days that incidents of some matters were about which have ended."""
        matters = sa.tuple_(incidents.c.kind, incidents.c.subject).in_(sorted(keys))
        days: dict[Key, set[str]] = {}
        for each in self._incidents(sa.and_(incidents.c.ended_at.is_not(None), matters)) if keys else ():
            days.setdefault(each.key, set()).update(days_of(each))
        return days

    def _incidents(self, where: sa.ColumnElement[bool], connection: sa.Connection | None = None) -> list[Incident]:
        query = sa.select(incidents).where(incidents.c.tenant == self._tenant, where).order_by(incidents.c.id)
        if connection is not None:
            return [_incident(row) for row in connection.execute(query).mappings()]
        with self._state.transaction() as own:
            return [_incident(row) for row in own.execute(query).mappings()]

    def transaction(self):
        """A transaction of the platform's state: what is read in it is still so when it is written."""
        return self._state.transaction()

    def apply(self, connection: sa.Connection, change: Change) -> Incident:
        """Record what became of an incident; the answer has its id."""
        incident = change.incident
        values = {name: getattr(incident, name) for name in _FIELDS}
        values |= {"details": json.dumps(incident.details, sort_keys=True)}
        if incident.id is None:
            inserted = connection.execute(sa.insert(incidents).values(tenant=self._tenant, **values))
            return replace(incident, id=inserted.inserted_primary_key[0])
        connection.execute(sa.update(incidents).where(incidents.c.id == incident.id).values(**values))
        return incident

    def queue(
        self,
        connection: sa.Connection,
        incident: Incident,
        event: Event,
        message: Message,
        channels: Iterable[str],
        now: datetime,
    ) -> None:
        """Record a message that each of ``channels`` is to send."""
        for channel in channels:
            connection.execute(
                sa.insert(alert_messages).values(
                    tenant=self._tenant,
                    incident=incident.id,
                    event=event,
                    channel=channel,
                    message=json.dumps(message.to_json(), ensure_ascii=False),
                    queued_at=now,
                    next_try_at=now,
                    attempts=0,
                )
            )

    def claim(self, channel: str, now: datetime) -> Pending | None:
        """The oldest message that ``channel`` is to send now, or None.

        It counts as tried from here on: who is killed between this and ``sent`` is seen as one that failed, and it
        is sent again after a wait. The end of an incident waits until its beginning is told.
        """
        earlier = alert_messages.alias("earlier")
        waits = sa.exists().where(
            earlier.c.incident == alert_messages.c.incident,
            earlier.c.channel == alert_messages.c.channel,
            earlier.c.sent_at.is_(None),
            earlier.c.id < alert_messages.c.id,
        )
        due = self._unsent(alert_messages.c.channel == channel, alert_messages.c.next_try_at <= now, ~waits)
        query = sa.select(alert_messages).where(*due).order_by(alert_messages.c.id).limit(1)
        with self._state.transaction() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            wait = min(FIRST_WAIT * 2 ** min(row["attempts"], 10), LONGEST_WAIT)
            connection.execute(
                sa.update(alert_messages)
                .where(alert_messages.c.id == row["id"])
                .values(attempts=row["attempts"] + 1, next_try_at=now + wait)
            )
        return Pending(row["id"], channel, Message.from_json(json.loads(row["message"])), row["attempts"] + 1)

    def sent(self, pending: Pending, now: datetime) -> None:
        """The channel has taken the message."""
        self._mark(pending, sent_at=now, last_error=None)

    def failed(self, pending: Pending, reason: str) -> None:
        """The channel has not taken the message."""
        self._mark(pending, last_error=reason[:500])

    def _mark(self, pending: Pending, **values: Any) -> None:
        with self._state.transaction() as connection:
            connection.execute(sa.update(alert_messages).where(alert_messages.c.id == pending.id).values(**values))

    def forget_channels(self, known: Collection[str]) -> None:
        """Drop what waits for channels that the settings no longer have."""
        with self._state.transaction() as connection:
            connection.execute(
                sa.delete(alert_messages).where(*self._unsent(alert_messages.c.channel.not_in(sorted(known))))
            )

    def forget(self, ended_before: datetime) -> int:
        """Delete incidents that ended before a moment, and what was told of them; how many.

        What somebody is still to be told keeps its incident. So does the newest number: SQLite gives one that is gone
        to the next, and a mailbox takes a message of the same id for the one that it has.
        """
        newest = sa.select(sa.func.max(incidents.c.id)).scalar_subquery()
        waits = sa.exists().where(alert_messages.c.incident == incidents.c.id, alert_messages.c.sent_at.is_(None))
        over = (incidents.c.tenant == self._tenant, incidents.c.ended_at < ended_before)
        query = sa.select(incidents.c.id).where(*over, incidents.c.id < newest, ~waits).order_by(incidents.c.id)
        with self._state.transaction() as connection:
            old = list(connection.scalars(query.limit(MOST_FORGOTTEN)))
            connection.execute(sa.delete(alert_messages).where(alert_messages.c.incident.in_(old)))
            connection.execute(sa.delete(incidents).where(incidents.c.id.in_(old)))
        return len(old)

    def unsent(self) -> list[tuple[int, str, str, int, str | None]]:
        """Messages that wait: incident, event, channel, attempts, the last error."""
        columns = [alert_messages.c[name] for name in ("incident", "event", "channel", "attempts", "last_error")]
        query = sa.select(*columns).where(*self._unsent()).order_by(alert_messages.c.id)
        with self._state.transaction() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def _unsent(self, *more: sa.ColumnElement[bool]) -> Sequence[sa.ColumnElement[bool]]:
        return (alert_messages.c.tenant == self._tenant, alert_messages.c.sent_at.is_(None), *more)


_FIELDS = [name for name in Incident.__dataclass_fields__ if name != "id"]


def _incident(row: Any) -> Incident:
    values = {name: row[name] for name in ("id", *_FIELDS)}
    return Incident(**values | {"details": json.loads(values["details"])})
