"""Tokens (JWT) as credentials: whose one is is read from it, and only that issuer then says whether it is valid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import jwt
from starlette.datastructures import Headers

from forecast_platform.api.principal import Principal, Refused, bearer_token

LONGEST = 8192


class TokenIssuer(Protocol):
    """Who gives out tokens, and knows its own."""

    issuer: str

    def principal(self, token: str) -> Principal:
        """Who sends this token.

        Raises:
            Refused: it is not valid.
        """


class JwtAuthenticator:
    """Tokens, as ``Authorization: Bearer <header>.<claims>.<signature>``."""

    def __init__(self, *issuers: TokenIssuer) -> None:
        self._issuers = {each.issuer: each for each in issuers}

    def authenticate(self, headers: Headers) -> Principal | None:
        token = bearer_token(headers)
        if token is None or token.count(".") != 2:
            return None
        if len(token) > LONGEST:
            raise Refused("a token that is too long")
        try:
            said = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.PyJWTError as error:
            raise Refused(f"what looks like a token: {error}") from error
        issuer = self._issuers.get(said) if isinstance(said, str) else None
        if issuer is None:
            raise Refused("a token of an unknown issuer")
        return issuer.principal(token)


def expiry(claims: Mapping[str, Any]) -> datetime:
    """When the token of these claims ends.

    Raises:
        Refused: it says no time that there is.
    """
    try:
        return datetime.fromtimestamp(int(claims["exp"]), UTC)
    except (OverflowError, ValueError, TypeError, OSError) as error:
        raise Refused(f"a token that expires at no time: {error}") from error
