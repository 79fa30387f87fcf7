"""The short way to the hot read: ``GET /forecasts/{sku}``, with nothing or a location and a horizon asked for.

The framework takes 0.35 ms of a request's CPU to find a route and look at its parameters, three times what the answer
takes. So the one question that is asked all the time is answered before it gets there, with what ``routes.forecasts``
answers, byte for byte; whatever is asked in any other way, or wrongly, goes on to the route and is told there.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from forecast_platform.api.answers import LATEST, MEDIA_TYPE, VARY, etag_of, matches
from forecast_platform.api.keys import Scope as Allowed
from forecast_platform.api.parameters import LONGEST_NAME, MOST_DAYS
from forecast_platform.api.platform import Platform
from forecast_platform.api.reading.latest import LatestForecasts, sku_answer
from forecast_platform.api.routing import API

PREFIX = f"{API}/forecasts/"
ROUTE = f"{PREFIX}{{sku}}"
"""What the log and the metrics call it, whichever way it was answered."""

PLAIN = (b"content-type", MEDIA_TYPE.encode()), (b"cache-control", LATEST.encode()), (b"vary", VARY.encode())


class HotForecasts:
    """Stands behind ``Access``: who asks is known here, and in ``scope["principal"]``."""

    def __init__(self, app: ASGIApp, *, platform: Platform, latest: LatestForecasts) -> None:
        self._app, self._platform, self._latest = app, platform, latest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await self._answer(scope) if scope["type"] == "http" else None
        if body is None:
            await self._app(scope, receive, send)
            return
        scope["route_path"] = ROUTE
        etag = etag_of(body)
        held = matches(Headers(scope=scope).get("if-none-match"), etag)
        headers = [*PLAIN[held:], (b"etag", etag.encode())]
        if not held:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": 304 if held else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if held else body})

    async def _answer(self, scope: Scope) -> bytes | None:
        """The body; None where this is no question for here, or has no answer."""
        sku = scope["path"].removeprefix(PREFIX)
        principal = scope.get("principal")
        if scope["method"] != "GET" or sku == scope["path"] or not _is_name(sku) or "/" in sku:
            return None
        asked = _asked(scope["query_string"])
        if asked is None or principal is None or Allowed.READ not in principal.scopes:
            return None
        if self._platform.known(principal.tenant) is None:
            return None
        found = await self._latest.of(principal.tenant, sku)
        return sku_answer(sku, found, self._platform.today(principal.tenant), **asked) if found else None


def _asked(query: bytes) -> dict[str, int | str] | None:
    """Location and horizon; None where anything else, or anything wrong, is asked for."""
    if not query:
        return {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        return None
    asked: dict[str, int | str] = {}
    for name, value in pairs:
        if name == "horizon" and value.isascii() and value.isdecimal() and 1 <= int(value[:9]) <= MOST_DAYS:
            asked[name] = int(value[:9])
        elif name == "location" and _is_name(value):
            asked[name] = value
        else:
            return None
    return asked


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()
