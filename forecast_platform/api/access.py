"""Who may do what: credentials are looked at before anything else of a request, and every route demands a scope.

``Access`` (an ASGI middleware) refuses whatever is not public and carries no valid credential, before a body is read or
a path is looked up: who is not let in learns nothing of what there is. ``requires`` then demands a scope of a route.
A kind of credential is an ``Authenticator``; the first of the chain that knows the credential decides.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from forecast_platform.api.keys import PREFIX, Keys
from forecast_platform.api.platform import Platform
from forecast_platform.api.principal import Authenticator, Principal, Refused, bearer_token
from forecast_platform.api.problems import Problem, as_problem, problem_response
from forecast_platform.api.rates import Rates
from forecast_platform.api.reading import TenantReading
from forecast_platform.api.scopes import Scope
from forecast_platform.assets.scope import TenantScope
from forecast_platform.settings import SettingsError

log = logging.getLogger(__name__)

PUBLIC_PATHS = frozenset(
    {"/health", "/ready", "/metrics", "/api/v1/openapi.json", "/api/v1/webhooks/shopify/orders"},
)
"""Paths that need no credential of a tenant. (``/metrics`` has a token of its own, a webhook the signature of its
sender.)"""

PUBLIC_OPERATIONS = frozenset({("POST", "/api/v1/sessions")})
"""Methods that need none where others of their path do: who signs in has none yet."""

REMEMBERED_SECONDS = 2.0
"""How long a credential that was found valid is taken for valid: that long one that was disabled still works."""

REMEMBERED = 10_000
"""Credentials that are remembered at once; the oldest are forgotten first."""


class KeyAuthenticator:
    """API keys, as ``Authorization: Bearer fp_…`` or ``X-API-Key: fp_…``."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def authenticate(self, headers: Headers) -> Principal | None:
        given = headers.get("x-api-key") or bearer_token(headers) or ""
        if not given.startswith(PREFIX):
            return None
        key = self._keys.verify(given, datetime.now(UTC))
        if key is None:
            raise Refused(f"key {given[: len(PREFIX) + 10]!r} is unknown, expired or disabled")
        return Principal(key.tenant, key.scopes, f"key {key.key_id}", expires_at=key.expires_at)


class Gate:
    """The chain of authenticators, with what they found a moment ago."""

    def __init__(self, authenticators: Sequence[Authenticator], *, remembered_seconds: float) -> None:
        self._authenticators = authenticators
        self._seconds = remembered_seconds
        self._found: OrderedDict[tuple[str | None, ...], tuple[float, Principal]] = OrderedDict()

    async def principal(self, headers: Headers) -> Principal:
        """Who is asking.

        Raises:
            Refused: nobody whom an authenticator knows.
        """
        carried = _carried(headers)
        if carried == (None, None, None):
            raise Refused("no credential")
        found = self._found.get(carried)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        principal = await anyio.to_thread.run_sync(self._ask, headers)
        self._found[carried] = (time.monotonic() + self._remembered(principal), principal)
        self._found.move_to_end(carried)
        while len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
        return principal

    async def knows(self, headers: Headers) -> bool:
        """Whether the credential is good still."""
        try:
            await self.principal(headers)
        except Refused:
            return False
        return True

    def forget(self, headers: Headers) -> None:
        """Look at this credential afresh the next time."""
        self._found.pop(_carried(headers), None)

    def _remembered(self, principal: Principal) -> float:
        """For how many seconds: not beyond the credential's own end."""
        if principal.expires_at is None:
            return self._seconds
        return min(self._seconds, (principal.expires_at - datetime.now(UTC)).total_seconds())

    def _ask(self, headers: Headers) -> Principal:
        for each in self._authenticators:
            principal = each.authenticate(headers)
            if principal is not None:
                return principal
        raise Refused("no credential of a known kind")


def _carried(headers: Headers) -> tuple[str | None, ...]:
    """Everything of a request's headers that a credential may be in."""
    return tuple(headers.get(name) for name in ("authorization", "x-api-key", "cookie"))


def is_public(method: str, path: str) -> bool:
    """Whether nobody has to say who is asking."""
    return path in PUBLIC_PATHS or (method, path) in PUBLIC_OPERATIONS


class Access:
    """Lets nothing in without a valid credential but what is public, and of each credential what its rate allows."""

    def __init__(self, app: ASGIApp, *, gate: Gate, rates: Rates) -> None:
        self._app, self._gate, self._rates = app, gate, rates

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_public(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            principal = scope["principal"] = await self._gate.principal(Headers(scope=scope))
            await self._rates.spend(f"{principal.tenant} {principal.subject}", tenant=principal.tenant)
        except Exception as error:
            response = problem_response(_answered(error, scope), path=scope["path"], request_id=scope.get("request_id"))
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _answered(error: Exception, scope: Connection) -> Problem:
    """What is said of a credential that could not be looked at, or is not valid: the same whatever is wrong with it."""
    if not isinstance(error, Refused):
        problem = as_problem(error)
        if problem is None:
            raise error
        return problem
    client = (scope.get("client") or ("unknown",))[0]
    log.warning("refused: %s", error, extra={"client": client, "path": scope["path"], "security": "refused"})
    return Problem(
        401,
        "unauthenticated",
        "send a valid credential: Authorization: Bearer <key or token>, or X-API-Key: <key>",
        headers={"WWW-Authenticate": 'Bearer realm="forecast-platform"'},
    )


class Requires:
    """A dependency that lets a request on only if its credential has a scope. ``access.unguarded`` looks for it."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Principal:
        principal = await principal_of(request)
        if self.scope not in principal.scopes:
            log.warning(
                "%s lacks the scope %s",
                principal.subject,
                self.scope,
                extra={"tenant": principal.tenant, "security": "scope"},
            )
            raise Problem(403, "scope-missing", f"this needs a credential with the scope {self.scope.value!r}")
        return principal


async def principal_of(request: Request) -> Principal:
    """Who is asking. (A route that is public by mistake has nobody, and answers 401.)"""
    principal = request.scope.get("principal")
    if principal is None:
        raise Problem(401, "unauthenticated", "this needs a credential")
    return principal


@dataclass(frozen=True)
class TenantAccess:
    """What an endpoint is given: who asks, the tenant's settings and its data, and the platform's own state."""

    principal: Principal
    tenant: TenantScope
    reading: TenantReading
    platform: Platform


async def tenant_access(request: Request, principal: Annotated[Principal, Depends(principal_of)]) -> TenantAccess:
    """The caller's own tenant.

    Raises:
        Problem: the tenant has been taken away since the credential was made.
    """
    platform: Platform = request.app.state.platform
    try:
        tenant = platform.known(principal.tenant) or await anyio.to_thread.run_sync(platform.tenant, principal.tenant)
    except SettingsError as error:
        log.error("tenant %s of %s: %s", principal.tenant, principal.subject, error)
        raise Problem(403, "tenant-unknown", "the tenant of this credential is not served here") from error
    return TenantAccess(principal, tenant, platform.readings.of(principal.tenant), platform)


Here = Annotated[TenantAccess, Depends(tenant_access)]


def unguarded(routes: Sequence[Any]) -> list[str]:
    """Paths of routes that demand no scope and are not public: there must be none."""
    return [route.path for route in routes if not _all_public(route) and not any(map(_is_scope, _calls(route)))]


def _all_public(route: Any) -> bool:
    """Whether each method of a route is public. (A mount names none: its path says it.)"""
    methods = getattr(route, "methods", None)
    return all(is_public(each, route.path) for each in methods) if methods else route.path in PUBLIC_PATHS


def _is_scope(call: Callable[..., Any] | None) -> bool:
    return isinstance(call, Requires)


def _calls(route: Any) -> list[Callable[..., Any] | None]:
    """The dependencies of a route, of any depth."""
    waiting, calls = [getattr(route, "dependant", None)], []
    while waiting:
        dependant = waiting.pop()
        if dependant is not None:
            calls.append(dependant.call)
            waiting += dependant.dependencies
    return calls
