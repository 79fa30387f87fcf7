"""A ``/`` inside of a name, as ``%2F`` in a path: SKUs have them, and a server hands the path over with all escapes
undone, so that no route could tell it from one between names.

Routes see a stand-in instead (``EncodedSlashes``), and the parameter is given the ``/`` (``with_slashes``)."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

STAND_IN = "\ue02f"
"""Of Unicode's private use: no name has it."""

ESCAPED = "%2F"


def with_slashes(name: str) -> str:
    """A parameter of a path as it was meant."""
    return name.replace(STAND_IN, "/")


class EncodedSlashes:
    """Stands next to the routes: everything before them sees the path as any server gives it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path") or b""
        if scope["type"] != "http" or ESCAPED.encode() not in raw.upper():
            await self._app(scope, receive, send)
            return
        given = scope["path"]
        text = raw.partition(b"?")[0].decode("latin-1").replace("%2f", ESCAPED)
        scope["path"] = STAND_IN.join(unquote(part) for part in text.split(ESCAPED))
        try:
            await self._app(scope, receive, send)
        finally:
            scope["path"] = given
