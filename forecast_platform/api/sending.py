"""What endpoints share that take something in: the body as it came, doing a request once, the account of what came.

A body is read by the application and not by the framework: its numbers stay as they were written, and one bad event
stops no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import TenantAccess
from forecast_platform.api.answers import MEDIA_TYPE, to_json
from forecast_platform.api.idempotency import Answered, Requests
from forecast_platform.api.problems import RESPONSES, Problem, unavailable
from forecast_platform.sources.events import Unfit, events_of
from forecast_platform.sources.inbox import EVENTS_PER_FILE, Receipt

log = logging.getLogger(__name__)

MOST_EVENTS = EVENTS_PER_FILE
"""Events of one request: they are kept as one file, all of them or none."""

SHOWN_REJECTS = 100
"""Refused events that one answer names; all of them are kept, and stand in ``sales_rejects``."""

NDJSON = ("application/x-ndjson", "application/jsonl")

REFUSALS: dict[int | str, dict[str, Any]] = {
    409: {**RESPONSES[422], "description": "This tenant takes none here, or the same request is being done just now."},
    413: {**RESPONSES[422], "description": "The body is too large."},
    415: {**RESPONSES[422], "description": "The body is of a kind that is not taken."},
}


async def _raw(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_raw)]
"""The body as it came."""


class Reject(BaseModel):
    """A row that was refused."""

    number: int = Field(description="Which one it is of those sent, from 1.")
    event_id: str | None = Field(None, description="Its id, where it has one.")
    reason: str


class Accounted(BaseModel):
    """What became of what was sent: all of it is on disk, what was refused too."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "accepted": 998,
                "duplicates": 1,
                "rejected": 1,
                "rejects": [{"number": 17, "event_id": "t7-4711", "reason": "quantity 'two' is not a number"}],
                "days": ["2026-02-01"],
                "closed": [],
            }
        }
    )

    accepted: int = Field(description="Rows that will count.")
    duplicates: int = Field(
        description="Rows of a name that another one of this request has: of the two the newer state counts. What was"
        " sent in an earlier request counts once too, and is told apart when it is landed."
    )
    rejected: int
    rejects: list[Reject] = Field(description=f"The first {SHOWN_REJECTS} that were refused, and why.")
    days: list[str] = Field(description="Business days that are touched.")
    closed: list[str] = Field(description="Days that were said to be over.")


def rows_sent(request: Request, body: bytes) -> list[Any]:
    """The rows of a body: of a JSON array, or one JSON text a line.

    Raises:
        Problem: it is neither, or holds none or too many.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in NDJSON:
        rows: list[Any] = [line for line in body.split(b"\n") if line.strip()]
    elif kind == MEDIA_TYPE:
        try:
            rows = events_of(body)
        except Unfit as error:
            raise Problem(422, "invalid-request", f"the body was refused: {error}") from error
    else:
        raise Problem(
            415, "unknown-kind", f"send a JSON array as {MEDIA_TYPE}, or one JSON object a line as {NDJSON[0]}"
        )
    if not rows:
        raise Problem(422, "invalid-request", "the body holds nothing: send at least one object")
    if len(rows) > MOST_EVENTS:
        raise Problem(422, "too-many-rows", f"a request may hold {MOST_EVENTS:,} objects; send them in parts")
    return rows


def account(receipt: Receipt) -> dict[str, Any]:
    """A receipt as it is answered."""
    return {
        "accepted": receipt.accepted - receipt.duplicates,
        "duplicates": receipt.duplicates,
        "rejected": len(receipt.rejected),
        "rejects": [vars(each) for each in receipt.rejected[:SHOWN_REJECTS]],
        "days": [day.isoformat() for day in receipt.days],
        "closed": [day.isoformat() for day in receipt.marks],
    }


def done_once(
    at: TenantAccess, operation: str, key: str | None, body: bytes, work: Callable[[], tuple[int, Any]]
) -> Response:
    """Do what was asked for, once where it has a key; what is kept is on disk before the answer.

    Args:
        work: gives the status and the content of the answer.
    """
    if key is None:
        return _response(_done(work))
    requests = Requests(at.platform.state, at.principal.tenant, operation)
    answered = requests.begin(key, body)
    if answered is not None:
        return _response(answered, replayed=True)
    try:
        answered = _done(work)
    except BaseException:
        with suppress(sa.exc.DBAPIError):  # what went wrong is worth more than that the key has to be waited for
            requests.forget(key)
        raise
    requests.end(key, answered)
    return _response(answered)


def _done(work: Callable[[], tuple[int, Any]]) -> Answered:
    try:
        status, content = work()
    except OSError as error:
        log.error("what was sent could not be kept: %s", error)
        raise unavailable("it could not be kept just now; nothing is promised, send it again") from error
    return Answered(status, to_json(content))


def _response(answered: Answered, *, replayed: bool = False) -> Response:
    headers = {"Cache-Control": "no-store", **({"Idempotency-Replayed": "true"} if replayed else {})}
    return Response(answered.body, answered.status, headers, MEDIA_TYPE)


def body_of_rows(example: Iterable[dict[str, Any]], *, description: str) -> dict[str, Any]:
    """The request body of rows, for the OpenAPI."""
    rows = list(example)
    array = {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": MOST_EVENTS}
    lines = "\n".join(to_json(row).decode() for row in rows)
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": {
                MEDIA_TYPE: {"schema": array, "example": rows},
                NDJSON[0]: {"schema": {"type": "string", "minLength": 2}, "example": lines},
            },
        }
    }
