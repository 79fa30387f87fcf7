"""Sessions: what people are given when they have signed in, a signed token that ends soon, or when somebody wants.

A token says who, of which tenant and with which role, and until when; it is signed with ``FORECAST_API_SECRET``, so
that every server knows it for its own. Each still looks whether the user is as the token says: what disables
somebody, or changes a password or a role, ends tokens that were given out before.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import sqlalchemy as sa

from forecast_platform.api.principal import Principal, Refused
from forecast_platform.api.tokens import expiry
from forecast_platform.api.users import User, user_of
from forecast_platform.settings import OWN_ISSUER, Settings, SettingsError
from forecast_platform.state import State, ended_tokens, users

AUDIENCE = "forecast-platform"
ALGORITHM = "HS256"
LEEWAY_SECONDS = 5
"""How far the clocks of servers may be apart."""

NEEDED = ("iss", "aud", "sub", "tenant", "role", "iat", "exp", "jti", "generation")


@dataclass(frozen=True)
class Session:
    """A token, and until when it is good."""

    token: str
    user: User
    expires_at: datetime


class Sessions:
    """The tokens that this platform gives out.

    Args:
        secret: gives what they are signed with; asked at first use.
    """

    issuer = OWN_ISSUER

    def __init__(self, state: State, secret: Callable[[], str], *, minutes: int) -> None:
        self._state, self._secret, self._term = state, secret, timedelta(minutes=minutes)

    def begin(self, user: User, *, now: datetime | None = None) -> Session:
        """A token for one who has signed in."""
        now = (now or datetime.now(UTC)).replace(microsecond=0)
        claims = {
            "iss": OWN_ISSUER,
            "aud": AUDIENCE,
            "sub": user.name,
            "tenant": user.tenant,
            "role": user.role.value,
            "generation": user.generation,
            "iat": now,
            "exp": now + self._term,
            "jti": uuid4().hex,
        }
        return Session(jwt.encode(claims, self._secret(), ALGORITHM), user, now + self._term)

    def principal(self, token: str) -> Principal:
        """Who sends this token.

        Raises:
            Refused: it is not ours, not valid now, was ended, or its user is no longer as it says.
        """
        try:
            claims = jwt.decode(
                token,
                self._secret(),
                algorithms=[ALGORITHM],
                issuer=OWN_ISSUER,
                audience=AUDIENCE,
                leeway=LEEWAY_SECONDS,
                options={"require": list(NEEDED)},
            )
        except jwt.PyJWTError as error:
            raise Refused(f"a token of ours: {error}") from error
        user = self._user(claims)
        return Principal(
            user.tenant,
            user.role.scopes,
            f"user {user.name}",
            role=user.role,
            expires_at=expiry(claims),
            user=user.name,
            token_id=claims["jti"],
        )

    def _user(self, claims: Mapping[str, Any]) -> User:
        """The user of a token, as the token says."""
        ended = sa.select(ended_tokens.c.token_id).where(ended_tokens.c.token_id == claims["jti"]).exists()
        query = sa.select(users, ended.label("ended")).where(users.c.name == claims["sub"])
        with self._state.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.ended:
            raise Refused("a token whose owner signed out, or is gone")
        user = user_of(row)
        said = claims["tenant"], claims["role"], claims["generation"]
        if user.disabled_at is not None or said != (user.tenant, user.role.value, user.generation):
            raise Refused(f"a token of {user.name} that was ended by a change of the user")
        return user

    def end(self, token_id: str, expires_at: datetime, *, now: datetime | None = None) -> None:
        """Sign out: the token is refused from now on, by every server. Harmless when it is repeated."""
        over = (now or datetime.now(UTC)) - timedelta(seconds=2 * LEEWAY_SECONDS)
        same = ended_tokens.c.token_id == token_id
        with self._state.transaction() as connection:
            connection.execute(sa.delete(ended_tokens).where(sa.or_(same, ended_tokens.c.expires_at < over)))
            connection.execute(sa.insert(ended_tokens).values(token_id=token_id, expires_at=expires_at))


def signing_secret(settings: Settings) -> Callable[[], str]:
    """What gives the secret that tokens are signed with.

    In development one is made up where none is set, once, in a file beside the state that only its owner may read.

    Raises:
        SettingsError: in production none is set.
    """
    if settings.api_secret is not None:
        given = settings.api_secret
        return lambda: given
    if settings.api_environment == "production":
        raise SettingsError(
            "FORECAST_API_SECRET is not set, and nothing that is signed could be trusted; make one with: openssl rand"
            " -hex 32"
        )
    return lambda: _made_up(_folder_of(settings) / "api-secret")


def _folder_of(settings: Settings) -> Path:
    url = sa.make_url(settings.state_url)
    beside = url.database if url.get_backend_name() == "sqlite" else None
    return Path(beside).parent if beside else Path(settings.home)


def _made_up(file: Path) -> str:
    """The secret in a file, made where there is none. Of several processes that make it at once one is first."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        own = file.with_name(f".{file.name}.{uuid4().hex}")
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as writing:
                writing.write(secrets.token_hex(32))
            with contextlib.suppress(FileExistsError):
                os.link(own, file)  # whole, or not at all
        finally:
            own.unlink()
    return file.read_text()
