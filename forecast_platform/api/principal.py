"""Who is asking: what every kind of credential comes to, and what a kind of credential has to be able to say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from starlette.datastructures import Headers

from forecast_platform.api.scopes import Role, Scope


@dataclass(frozen=True)
class Principal:
    """Who is asking. A credential belongs to one tenant.

    Attributes:
        subject: who it is, for logs and records: ``key <id>``, ``user <name>``, or ``token <subject>`` of another
            issuer's.
        role: of a person who has one.
        expires_at: when the credential ends by itself.
        user: name of the user, where it is one of ours.
        token_id: of a token that can be ended before.
    """

    tenant: str
    scopes: frozenset[Scope]
    subject: str
    role: Role | None = None
    expires_at: datetime | None = None
    user: str | None = None
    token_id: str | None = None


class Refused(Exception):
    """The credential is of a known kind and not valid. The message is for the log; the caller is not told why."""


class Authenticator(Protocol):
    """A kind of credential."""

    def authenticate(self, headers: Headers) -> Principal | None:
        """Who sent these headers; ``None`` where they carry no credential of this kind. May wait for a database.

        Raises:
            Refused: they carry one, and it is not valid.
        """


def bearer_token(headers: Headers) -> str | None:
    """What follows ``Bearer`` in ``Authorization``; ``None`` where it says anything else."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
