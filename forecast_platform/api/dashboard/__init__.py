"""The dashboard: a page for planners, as static files that ship beside this module and call the API like any client.

Nothing is built and nothing is fetched from elsewhere: ``index.html`` at ``/``, one style sheet and ES modules under
``/dashboard/``. The files hold no data and need no credential; what they show comes from the API with the credential
of whoever has signed in, which the page keeps for as long as its tab is open. ``endpoints.js`` names every endpoint
that a page calls. Here is only how the files are served.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from forecast_platform.api.answers import etag_of, matches

FOLDER = Path(__file__).parent
PREFIX = "/dashboard/"
PLACES = {"index.html": ("/",), "icon.svg": (PREFIX + "icon.svg", "/favicon.ico")}
"""Files that are not, or not only, under ``PREFIX``. Browsers ask for a ``favicon.ico`` by themselves, whatever of the
API they show: without one the log would say each time that somebody was refused."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served of the folder, by how its name ends."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        *(f"{kind} 'none'" for kind in ("base-uri", "form-action", "frame-ancestors")),
        # No text ever becomes markup: the pages put their elements together one by one.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing but these files and this API: no inline script or style, no other origin."""

HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "Cross-Origin-Opener-Policy": "same-origin"}


@dataclass(frozen=True)
class File:
    """One file as it is answered."""

    content: bytes
    media_type: str
    etag: str


def files(folder: Path = FOLDER) -> dict[str, File]:
    """The files by the path under which they are served."""
    return dict(_read(folder))


def _read(folder: Path) -> Iterator[tuple[str, File]]:
    for path in sorted(folder.iterdir()):
        if path.suffix in TYPES:
            content = path.read_bytes()
            for place in PLACES.get(path.name, (PREFIX + path.name,)):
                yield place, File(content, TYPES[path.suffix], etag_of(content))


class Dashboard:
    """Answers the paths of the files, before credentials are looked at; everything else goes on.

    They are read once: together about 100 kB.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._files = app, files()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._files.get(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        await _answer(Request(scope), found)(scope, receive, send)


def _answer(request: Request, file: File) -> Response:
    headers = {**HEADERS, "ETag": file.etag}
    if matches(request.headers.get("if-none-match"), file.etag):
        return Response(None, 304, headers)
    response = Response(file.content, 200, headers, file.media_type)
    if request.method == "HEAD":
        response.body = b""  # its Content-Length stays that of the file
    return response
