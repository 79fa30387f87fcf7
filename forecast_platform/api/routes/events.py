"""``GET /events``: what happens to the tenant's jobs and publications, live or by pages.

Who asks for ``text/event-stream`` is told as it happens, from the event after ``Last-Event-ID`` on; anybody else gets a
page. Both read one ordered table (``jobs.events``), so that it does not matter which server one listens to.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import anyio
import orjson
from anyio import to_thread
from fastapi import Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.answers import LATEST, answer
from forecast_platform.api.keys import Scope
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.routing import api_router
from forecast_platform.jobs.events import Event

router = api_router(Scope.READ, tags=["events"])

STREAM = "text/event-stream"
LOOK_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
LONGEST_SECONDS = 900.0
"""After which a stream ends and its listener comes back by itself: by then its credential may have been disabled."""

MOST_LISTENERS = 100
"""Streams of one process: each looks at the state twice a second."""

MOST_AT_ONCE = 200
LARGEST_ID = 2**53

EXAMPLE = {
    "id": 41,
    "kind": "batch",
    "at": "2026-02-01T08:00:21.000000Z",
    "data": {
        "job_id": "job_1f0a6bd0c2417e9a8c53",
        "batch_id": "batch_77ac01de5512f0b39a1c",
        "status": "processing",
        "stage": "forecasting",
    },
}


class EventAnswer(BaseModel):
    """Something that happened."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    id: int = Field(description="Greater than that of everything before.")
    kind: str = Field(description="`job`, `batch` (progress of one) or `publication`.")
    at: datetime
    data: dict[str, Any] = Field(description="What happened, by kind.")


class EventPage(BaseModel):
    """Events, the oldest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [EXAMPLE], "next_cursor": "41"}})

    items: list[EventAnswer]
    next_cursor: str = Field(description="Ask with it for what has happened since.")


class Listeners:
    """How many streams this process has open. One counts from when it begins to be sent."""

    def __init__(self, most: int = MOST_LISTENERS) -> None:
        self.most, self.open = most, 0

    def require_room(self) -> None:
        """Refuse one more.

        Raises:
            Problem: there are as many as there may be.
        """
        if self.open >= self.most:
            detail = f"{self.most} listeners are here already; ask for pages, or come back a little later"
            raise Problem(429, "too-many-listeners", detail, headers={"Retry-After": "15"})


LISTENERS = Listeners()


@router.get(
    "/events",
    operation_id="list_events",
    summary="What happens, live or by pages",
    response_model=EventPage,
    responses={
        200: {"content": {STREAM: {"example": 'id: 41\nevent: batch\ndata: {"stage":"forecasting"}\n\n'}}},
        429: RESPONSES[429],
    },
)
async def list_events(
    request: Request,
    at: Here,
    cursor: Annotated[
        int | None, Query(ge=0, le=LARGEST_ID, description="Events after the one of this id.", examples=[40])
    ] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=20, pattern="^[0-9]{1,15}$", description="As `cursor`; sent by browsers.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE, description="How many a page.", examples=[50])] = 50,
) -> Response:
    """Progress of jobs, and new publications, of the last seven days.

    With `Accept: text/event-stream` as they happen: from the event after `Last-Event-ID` (or `cursor`) on, else from
    now on, with a comment every 15 seconds while nothing does. A stream ends after a quarter of an hour; browsers come
    back by themselves. Otherwise a page of them, from the oldest on.
    """
    known = int(last_event_id) if last_event_id is not None else cursor
    events, tenant = at.platform.events, at.principal.tenant
    if STREAM not in request.headers.get("accept", ""):
        found = await to_thread.run_sync(partial(events.after, tenant, known or 0, most=limit))
        more = str(found[-1].id if found else known or 0)
        return answer(request, {"items": [_told(each) for each in found], "next_cursor": more}, cache=LATEST)
    start = known if known is not None else await to_thread.run_sync(events.newest, tenant)
    LISTENERS.require_room()
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(request, at, start), media_type=STREAM, headers=headers)


async def _stream(request: Request, at: TenantAccess, start: int) -> AsyncIterator[bytes]:
    events, tenant, known = at.platform.events, at.principal.tenant, start
    begun = told = time.monotonic()
    LISTENERS.open += 1
    try:
        yield b"retry: 2000\n: listening\n\n"
        while time.monotonic() - begun < LONGEST_SECONDS and not await request.is_disconnected():
            if not await request.app.state.gate.knows(request.headers):
                return  # the credential has ended since
            for each in await to_thread.run_sync(partial(events.after, tenant, known, most=MOST_AT_ONCE)):
                known, told = each.id, time.monotonic()
                yield _as_text(each)
            if time.monotonic() - told > HEARTBEAT_SECONDS:
                told = time.monotonic()
                yield b": nothing new\n\n"
            await anyio.sleep(LOOK_SECONDS)
    finally:
        LISTENERS.open -= 1


def _as_text(event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.kind.encode(), orjson.dumps(_told(event)))


def _told(event: Event) -> dict[str, Any]:
    return {"id": event.id, "kind": event.kind, "at": event.at, "data": event.data}
