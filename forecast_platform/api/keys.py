"""API keys: made, shown once, found again by a digest, replaced with an overlap, disabled. Kept in the platform state.

A key is ``fp_<id>_<secret>``: the id is public and names the key in lists and logs, the secret is 256 random bits of
which only the SHA-256 is kept. (A slow hash protects what people think of; it adds nothing to what nobody can guess.)
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from forecast_platform.api.scopes import Scope
from forecast_platform.state import State, api_keys

PREFIX = "fp_"
SHAPE = re.compile(r"fp_([a-z0-9]{10})_([A-Za-z0-9_-]{43})")
ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
ID_LENGTH = 10


class KeyRefused(ValueError):
    """A key cannot be made, or there is none of that id. The message says why."""


@dataclass(frozen=True)
class ApiKey:
    """A key as it is on record: everything but its secret."""

    key_id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    disabled_at: datetime | None
    follows: str | None

    def status(self, now: datetime) -> str:
        """``active``, ``expired`` or ``disabled`` at ``now``."""
        if self.disabled_at is not None and self.disabled_at <= now:
            return "disabled"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class Keys:
    """The keys of all tenants."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create(
        self,
        tenant: str,
        *,
        name: str,
        scopes: Collection[Scope],
        expires_at: datetime | None = None,
        now: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; the text that its owner sends is in no other place than this answer.

        Raises:
            KeyRefused: it allows nothing, or has expired already.
        """
        now = now or datetime.now(UTC)
        if not scopes:
            raise KeyRefused(f"a key without a scope allows nothing; there are {', '.join(Scope)}")
        if expires_at is not None and expires_at <= now:
            raise KeyRefused(f"a key that expires on {expires_at:%Y-%m-%d %H:%M} UTC has expired already")
        with self._state.transaction() as connection:
            return self._insert(connection, tenant, name, frozenset(scopes), expires_at, now, follows=None)

    def rotate(self, key_id: str, *, overlap: timedelta, now: datetime | None = None) -> tuple[ApiKey, str]:
        """Make a key that allows what ``key_id`` does, which itself ends after ``overlap``: nobody is locked out.

        A key with a term is followed by one of the same length.

        Raises:
            KeyRefused: there is no such key, or it is not active.
        """
        now = now or datetime.now(UTC)
        with self._state.transaction() as connection:
            old = self._active(connection, key_id, now)
            term = None if old.expires_at is None else old.expires_at - old.created_at
            made = self._insert(
                connection, old.tenant, old.name, old.scopes, term and now + term, now, follows=old.key_id
            )
            end = min(each for each in (old.expires_at, now + overlap) if each is not None)
            connection.execute(sa.update(api_keys).where(api_keys.c.key_id == key_id).values(expires_at=end))
            return made

    def disable(self, key_id: str, *, now: datetime | None = None) -> ApiKey:
        """End a key at once.

        Raises:
            KeyRefused: there is no such key, or it is not active.
        """
        now = now or datetime.now(UTC)
        with self._state.transaction() as connection:
            held = self._active(connection, key_id, now)
            connection.execute(sa.update(api_keys).where(api_keys.c.key_id == key_id).values(disabled_at=now))
            return held

    def list(self, tenant: str | None = None) -> list[ApiKey]:
        """The keys of a tenant, or of all, in the order in which they were made."""
        query = sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
        with self._state.reading() as connection:
            rows = connection.execute(query if tenant is None else query.where(api_keys.c.tenant == tenant)).all()
        return [_key(row) for row in rows]

    def verify(self, given: str, now: datetime) -> ApiKey | None:
        """The active key that ``given`` is; ``None`` where it is none, whatever the reason."""
        parts = SHAPE.fullmatch(given)
        if parts is None:
            return None
        with self._state.reading() as connection:
            row = connection.execute(sa.select(api_keys).where(api_keys.c.key_id == parts[1])).one_or_none()
        if row is None or not hmac.compare_digest(row.digest, _digest(given)):
            return None
        key = _key(row)
        return key if key.status(now) == "active" else None

    def _active(self, connection: sa.Connection, key_id: str, now: datetime) -> ApiKey:
        row = connection.execute(sa.select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
        if row is None:
            raise KeyRefused(f"there is no key {key_id!r}; `forecast-platform keys list` shows those there are")
        key = _key(row)
        if key.status(now) != "active":
            raise KeyRefused(f"key {key_id!r} is {key.status(now)}; make another with `forecast-platform keys create`")
        return key

    def _insert(
        self,
        connection: sa.Connection,
        tenant: str,
        name: str,
        scopes: frozenset[Scope],
        expires_at: datetime | None,
        now: datetime,
        *,
        follows: str | None,
    ) -> tuple[ApiKey, str]:
        key_id = "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))
        text = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(key_id, tenant, name, scopes, now, expires_at, None, follows)
        row: dict[str, Any] = vars(key) | {"scopes": " ".join(sorted(scopes)), "digest": _digest(text)}
        connection.execute(sa.insert(api_keys).values(row))
        return key, text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _key(row: Any) -> ApiKey:
    return ApiKey(
        key_id=row.key_id,
        tenant=row.tenant,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes.split())),
        created_at=row.created_at,
        expires_at=row.expires_at,
        disabled_at=row.disabled_at,
        follows=row.follows,
    )
