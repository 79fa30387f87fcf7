"""Users: people who sign in by name and password, each of one tenant and with a role. Kept in the platform state.

A name is there once for the whole platform, and not once a tenant: who signs in says name and password only, and what
is unique as an e-mail address already needs no tenant beside it. How failures are slowed is in ``attempts``, what
people are given when they have signed in in ``sessions``.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from forecast_platform.api import passwords
from forecast_platform.api.scopes import Role
from forecast_platform.state import State, users

log = logging.getLogger(__name__)

NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,99}")
"""Names, as they are kept: who signs in may write them in capitals."""


class UserRefused(ValueError):
    """A user cannot be made or changed, or there is none of that name. The message says why."""


@dataclass(frozen=True)
class User:
    """A user as on record: everything but the password.

    Attributes:
        generation: a token of an earlier one is over.
    """

    name: str
    tenant: str
    role: Role
    generation: int
    created_at: datetime
    password_changed_at: datetime
    disabled_at: datetime | None

    @property
    def status(self) -> str:
        """``active`` or ``disabled``."""
        return "active" if self.disabled_at is None else "disabled"


class Users:
    """The users of all tenants."""

    def __init__(self, state: State) -> None:
        self._state = state

    def create(self, tenant: str, name: str, *, role: Role, password: str, now: datetime | None = None) -> User:
        """Make a user.

        Raises:
            UserRefused: the name cannot be one, or somebody has it.
            PasswordRefused: the password is too easily guessed.
        """
        now, name = now or datetime.now(UTC), normal_name(name)
        if not NAME.fullmatch(name):
            raise UserRefused(
                f"{name!r} is no name of a user: 2 to 100 letters, digits and . _ @ + -, as ann or ann@shop.example"
            )
        passwords.require_good(password, name=name)
        kept = passwords.hashed(password)
        user = User(name, tenant, role, 1, now, now, None)
        with self._state.transaction() as connection:
            if connection.execute(sa.select(users.c.name).where(users.c.name == name)).first() is not None:
                raise UserRefused(f"there is a user {name!r} already; names are unique over all tenants")
            connection.execute(sa.insert(users).values(vars(user) | {"role": role.value, "password": kept}))
        return user

    def list(self, tenant: str | None = None) -> list[User]:
        """The users of a tenant, or of all, by name."""
        query = sa.select(users).order_by(users.c.name)
        with self._state.reading() as connection:
            rows = connection.execute(query if tenant is None else query.where(users.c.tenant == tenant)).all()
        return [user_of(row) for row in rows]

    def known(self, name: str, password: str) -> User | None:
        """The active user whose name and password these are; ``None`` for whatever reason, and after as long a time.

        A hash that is weaker than those made now is replaced.
        """
        with self._state.reading() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == normal_name(name))).one_or_none()
        good = passwords.matches(password, row.password if row is not None else None)
        if row is None or not good or row.disabled_at is not None:
            return None
        if passwords.is_outdated(row.password):
            self._replace_hash(row.name, row.password, passwords.hashed(password))
        return user_of(row)

    def exists(self, name: str) -> bool:
        """Whether there is a user of this name, disabled or not."""
        with self._state.reading() as connection:
            return connection.execute(sa.select(users.c.name).where(users.c.name == name)).first() is not None

    def set_password(self, name: str, password: str, *, now: datetime | None = None) -> User:
        """Give a user another password; tokens given out before end.

        Raises:
            UserRefused: there is no such user.
            PasswordRefused: the password is too easily guessed.
        """
        passwords.require_good(password, name=normal_name(name))
        values = {"password": passwords.hashed(password), "password_changed_at": now or datetime.now(UTC)}
        return self._change(name, "password-changed", **values)

    def set_role(self, name: str, role: Role) -> User:
        """Give a user another role; tokens given out before end.

        Raises:
            UserRefused: there is no such user.
        """
        return self._change(name, "role-changed", role=role.value)

    def disable(self, name: str, *, now: datetime | None = None) -> User:
        """Let a user in no more, and end the tokens given out before.

        Raises:
            UserRefused: there is no such user.
        """
        return self._change(name, "user-disabled", disabled_at=now or datetime.now(UTC))

    def enable(self, name: str) -> User:
        """Let a user in again, by the same password.

        Raises:
            UserRefused: there is no such user.
        """
        return self._change(name, "user-enabled", disabled_at=None)

    def _change(self, name: str, what: str, **values: Any) -> User:
        same = users.c.name == normal_name(name)
        with self._state.transaction() as connection:
            connection.execute(sa.update(users).where(same).values(**values, generation=users.c.generation + 1))
            row = connection.execute(sa.select(users).where(same)).one_or_none()
        if row is None:
            raise UserRefused(f"there is no user {name!r}; `forecast-platform users list` shows those there are")
        user = user_of(row)
        log.info("%s: %s", user.name, what.replace("-", " "), extra={"tenant": user.tenant, "security": what})
        return user

    def _replace_hash(self, name: str, old: str, new: str) -> None:
        same = sa.and_(users.c.name == name, users.c.password == old)
        with self._state.transaction() as connection:
            connection.execute(sa.update(users).where(same).values(password=new))


def normal_name(name: str) -> str:
    """A name as it is kept, of what somebody wrote."""
    return name.strip().casefold()


def user_of(row: Any) -> User:
    """The user of a row of the table."""
    return User(
        name=row.name,
        tenant=row.tenant,
        role=Role(row.role),
        generation=row.generation,
        created_at=row.created_at,
        password_changed_at=row.password_changed_at,
        disabled_at=row.disabled_at,
    )
