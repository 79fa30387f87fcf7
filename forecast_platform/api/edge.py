"""The outermost layers of the application: an id for every request, its line in the log, metrics, and bounded bodies.

ASGI middlewares without a framework: each costs every request, the hot read among them.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forecast_platform.api.metrics import Metrics
from forecast_platform.api.problems import Problem, as_problem, problem_response

log = logging.getLogger("forecast_platform.api.requests")

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
"""What is taken over as a request's id from who asks; anything else gets one of our own."""

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


class Observed:
    """Gives every request an id, counts and times it, writes one line of the log, and answers what nobody caught."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, begun_answer = time.perf_counter(), 500, False
        request_id = scope["request_id"] = _request_id(scope)

        async def noting(message: Message) -> None:
            nonlocal status, begun_answer
            if message["type"] == "http.response.start":
                status, begun_answer = message["status"], True
                told = (b"x-request-id", request_id.encode())
                message = {**message, "headers": [*message.get("headers", ()), told, *SECURITY_HEADERS]}
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            problem = as_problem(error)
            if problem is None:
                log.exception("%s %s failed", scope["method"], scope["path"], extra={"request_id": request_id})
                problem = Problem(500, "internal", f"this should not happen; the log has it under {request_id}")
            else:
                log.warning("%s %s: %s", scope["method"], scope["path"], error, extra={"request_id": request_id})
            if begun_answer:
                raise
            await problem_response(problem, path=scope["path"], request_id=request_id)(scope, receive, noting)
        finally:
            self._ended(scope, status, time.perf_counter() - begun)

    def _ended(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route_path") or getattr(scope.get("route"), "path", None) or "none"
        self._metrics.request(scope["method"], route, status, seconds)
        if not log.isEnabledFor(logging.INFO):
            return
        principal = scope.get("principal")
        log.info(
            "%s %s %d",
            scope["method"],
            scope["path"],
            status,
            extra={
                "request_id": scope["request_id"],
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1000, 2),
                "client": (scope.get("client") or (None,))[0],
                "subject": principal.subject if principal else None,
                "tenant": principal.tenant if principal else None,
            },
        )


def _request_id(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode("ascii") if REQUEST_ID.fullmatch(given) else uuid4().hex


class Bounded:
    """Refuses bodies that are too large, counted as they come, and those that are compressed: a bomb is never unpacked.

    Args:
        most: bytes of a body; ``by_path``: of some paths, which take files.
    """

    def __init__(self, app: ASGIApp, *, most: int, by_path: Mapping[str, int] | None = None) -> None:
        self._app, self._most, self._by_path = app, most, dict(by_path or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, headers = self._by_path.get(scope["path"], self._most), Headers(scope=scope)
        refused = self._refused(headers, most)
        if refused is not None:
            response = problem_response(refused, path=scope["path"], request_id=scope.get("request_id"))
            await response(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _too_large(most)
            return message

        await self._app(scope, counted, send)

    def _refused(self, headers: Headers, most: int) -> Problem | None:
        if headers.get("content-encoding", "identity").lower() != "identity":
            return Problem(415, "compressed-body", "send the body uncompressed, without Content-Encoding")
        length = headers.get("content-length", "0")
        return _too_large(most) if not length.isdecimal() or int(length) > most else None


def _too_large(most: int) -> Problem:
    return Problem(
        413, "body-too-large", f"a body may have {most:,} bytes here; send it in parts", headers={"Connection": "close"}
    )
