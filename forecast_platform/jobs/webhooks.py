"""Webhooks on record: who is told of which events, and what is still to be sent. Sending is in ``api.delivery``.

A message is recorded in the transaction that records its event, and is sent again after a wait that doubles, as alerts
are (``alerts.record``), until it was taken or ``MOST_ATTEMPTS`` were made.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from forecast_platform.alerts.record import FIRST_WAIT, LONGEST_WAIT
from forecast_platform.jobs.states import Status
from forecast_platform.state import State, webhook_messages, webhooks

TYPES = ("publication.created", "job.ended")
"""What one may be told of."""

MOST_ATTEMPTS = 30
"""With pauses of up to an hour: a little more than a day."""

KEPT = timedelta(days=7)
"""How long a message that was sent stays on record."""

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
LONGEST_ERROR = 300


@dataclass(frozen=True)
class Webhook:
    """A subscription as it is on record; ``last_error`` is that of the newest message that was not taken."""

    webhook_id: str
    tenant: str
    url: str
    types: tuple[str, ...]
    created_by: str
    created_at: datetime
    waiting: int = 0
    last_error: str | None = None


@dataclass(frozen=True)
class Due:
    """A message that is to be sent now."""

    id: int
    webhook_id: str
    url: str
    secret: str
    message_id: str
    body: str
    attempts: int


class Webhooks:
    """The webhooks of all tenants."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add(self, tenant: str, url: str, types: Collection[str], *, by: str, now: datetime) -> tuple[Webhook, str]:
        """Record a subscription; the secret that its messages are signed with is shown in this answer only."""
        secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        made = Webhook(f"wh_{secrets.token_hex(10)}", tenant, url, tuple(t for t in TYPES if t in types), by, now)
        row = {name: getattr(made, name) for name in ("webhook_id", "tenant", "url", "created_by", "created_at")}
        with self._state.transaction() as connection:
            connection.execute(sa.insert(webhooks).values(**row, types=" ".join(made.types), secret=secret))
        return made, secret

    def list(self, tenant: str) -> list[Webhook]:
        """A tenant's subscriptions, in the order in which they were made."""
        query = sa.select(webhooks).where(webhooks.c.tenant == tenant).order_by(webhooks.c.created_at, webhooks.c.url)
        message = webhook_messages.c
        with self._state.reading() as connection:
            found = []
            for row in connection.execute(query).all():
                unsent = sa.and_(message.webhook_id == row.webhook_id, message.sent_at.is_(None))
                waiting = connection.scalar(sa.select(sa.func.count()).where(unsent)) or 0
                wrong = sa.select(message.last_error).where(unsent).order_by(message.id.desc()).limit(1)
                found.append(_webhook(row, int(waiting), connection.scalar(wrong)))
            return found

    def remove(self, tenant: str, webhook_id: str) -> bool:
        """Take a subscription away, with what was still to be sent; whether there was one."""
        own = sa.and_(webhooks.c.webhook_id == webhook_id, webhooks.c.tenant == tenant)
        with self._state.transaction() as connection:
            if connection.execute(sa.select(webhooks.c.webhook_id).where(own)).one_or_none() is None:
                return False
            connection.execute(sa.delete(webhook_messages).where(webhook_messages.c.webhook_id == webhook_id))
            connection.execute(sa.delete(webhooks).where(own))
            return True

    def claim(self, now: datetime, *, but: Collection[str] = ()) -> Due | None:
        """The oldest message that is to be sent now, or None.

        It counts as tried from here on: who is killed before ``sent`` is seen as one that failed.

        Args:
            but: subscriptions whose server has just not answered.
        """
        message = webhook_messages.c
        query = (
            sa.select(webhook_messages, webhooks.c.url, webhooks.c.secret)
            .join(webhooks, webhooks.c.webhook_id == message.webhook_id)
            .where(message.sent_at.is_(None), message.next_try_at <= now, message.attempts < MOST_ATTEMPTS)
            .where(message.webhook_id.not_in(sorted(but)))
            .order_by(message.id)
            .limit(1)
        )
        with self._state.reading() as connection:  # most of the time there is none, and nobody has to wait
            if connection.execute(query).first() is None:
                return None
        with self._state.transaction() as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            wait = min(FIRST_WAIT * 2 ** min(row.attempts, 10), LONGEST_WAIT)
            tried = {"attempts": row.attempts + 1, "next_try_at": now + wait}
            connection.execute(sa.update(webhook_messages).where(message.id == row.id).values(tried))
        return Due(row.id, row.webhook_id, row.url, row.secret, row.message_id, row.body, row.attempts + 1)

    def sent(self, due: Due, now: datetime) -> None:
        """The other server has taken the message."""
        message = webhook_messages.c
        with self._state.transaction() as connection:
            done = sa.update(webhook_messages).where(message.id == due.id).values(sent_at=now, last_error=None)
            connection.execute(done)
            connection.execute(sa.delete(webhook_messages).where(message.sent_at < now - KEPT))

    def failed(self, due: Due, error: str) -> None:
        """The other server has not taken it."""
        told = (
            sa.update(webhook_messages).where(webhook_messages.c.id == due.id).values(last_error=error[:LONGEST_ERROR])
        )
        with self._state.transaction() as connection:
            connection.execute(told)


def queue(
    connection: sa.Connection, tenant: str, kind: str, data: Mapping[str, Any], *, event_id: int, now: datetime
) -> None:
    """Record what a tenant's webhooks tell of an event, in the event's own transaction."""
    told = _type_of(kind, data)
    if told is None:
        return
    body = json.dumps({"type": told, "timestamp": now.isoformat(), "data": {"tenant": tenant, **data}})
    for row in connection.execute(sa.select(webhooks).where(webhooks.c.tenant == tenant)).all():
        if told in row.types.split():
            connection.execute(
                sa.insert(webhook_messages).values(
                    webhook_id=row.webhook_id,
                    message_id=f"msg_{event_id}",
                    body=body,
                    queued_at=now,
                    next_try_at=now,
                    attempts=0,
                )
            )


def _type_of(kind: str, data: Mapping[str, Any]) -> str | None:
    if kind == "publication":
        return "publication.created"
    return "job.ended" if kind == "job" and Status(data["status"]).final else None


def _webhook(row: Any, waiting: int, error: str | None) -> Webhook:
    types = tuple(row.types.split())
    return Webhook(row.webhook_id, row.tenant, row.url, types, row.created_by, row.created_at, waiting, error)
