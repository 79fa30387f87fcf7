"""``Idempotency-Key``: a request that comes again is not done again, its recorded answer is given.

Kept in the platform's state, so that it holds over several processes and a restart. What is done under a key must be
harmless to do twice all the same: a process that dies between the work and its record leaves a key that nobody
answers for, and after ``IN_FLIGHT`` the work is done again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from fastapi import Header

from forecast_platform.api.problems import Problem
from forecast_platform.state import State, idempotent_requests

KEPT = timedelta(hours=24)
"""How long a key is remembered."""

IN_FLIGHT = timedelta(seconds=60)
"""How long a request is taken for being done; longer than one takes that is."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A name of this request, of the sender's own. For 24 hours the same request under it is answered"
        " as the first one was and done once; another body under it is refused.",
        examples=["till-7-2026-02-01T18:00"],
    ),
]


@dataclass(frozen=True)
class Answered:
    """What was answered: the status and the JSON text."""

    status: int
    body: bytes


class Requests:
    """The requests of one tenant for one operation that were named with a key."""

    def __init__(self, state: State, tenant: str, operation: str) -> None:
        self._state = state
        self._named = (
            idempotent_requests.c.tenant == tenant,
            idempotent_requests.c.operation == operation,
        )
        self._row = {"tenant": tenant, "operation": operation}

    def begin(self, key: str, body: bytes) -> Answered | None:
        """Take a key for a request that is now done; what was answered where that has been done before.

        Raises:
            Problem: the key names another request, or one that is being done just now.
        """
        now, digest = datetime.now(UTC), hashlib.sha256(body).hexdigest()
        table = idempotent_requests
        with self._state.transaction() as connection:
            connection.execute(sa.delete(table).where(table.c.begun_at < now - KEPT))
            held = connection.execute(sa.select(table).where(*self._named, table.c.key == key)).one_or_none()
            if held is None:
                row = {**self._row, "key": key, "digest": digest, "begun_at": now}
                connection.execute(sa.insert(table).values(row))
                return None
            if held.digest != digest:
                raise Problem(
                    422,
                    "idempotency-key-reused",
                    "this Idempotency-Key named a request with another body: give every request a key of its own",
                )
            if held.status is not None:
                return Answered(held.status, held.answer.encode())
            if held.begun_at > now - IN_FLIGHT:
                raise Problem(
                    409,
                    "request-in-flight",
                    "the request of this Idempotency-Key is being done just now: ask again a little later",
                    headers={"Retry-After": "1"},
                )
            connection.execute(sa.update(table).where(*self._named, table.c.key == key).values(begun_at=now))
            return None

    def end(self, key: str, answered: Answered) -> None:
        """Record what was answered."""
        told = {"status": answered.status, "answer": answered.body.decode()}
        with self._state.transaction() as connection:
            named = (*self._named, idempotent_requests.c.key == key)
            connection.execute(sa.update(idempotent_requests).where(*named).values(told))

    def forget(self, key: str) -> None:
        """Give a key back whose request failed, so that it may be tried again."""
        with self._state.transaction() as connection:
            named = (*self._named, idempotent_requests.c.key == key, idempotent_requests.c.status.is_(None))
            connection.execute(sa.delete(idempotent_requests).where(*named))
