"""Errors as RFC 9457 problem details: what they are, how they look, and which error becomes which.

Every answer of status 400 and above has this form, those of the framework too. A problem never repeats what it was
given, and a 500 says nothing of its reason: that is in the log, under the request's id.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from forecast_platform.api.slashes import ESCAPED, STAND_IN
from forecast_platform.database_errors import can_pass
from forecast_platform.io_managers.warehouse import WarehouseUnavailable

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
KIND = "urn:problem-type:forecast-platform:"
RETRY_AFTER_SECONDS = 2
"""What a caller is told to wait where something is away that comes back by itself."""

MOST_ERRORS = 50
"""Wrong values that one answer names; a body of 10,000 wrong rows would be answered with megabytes."""


class WrongValue(BaseModel):
    """A value that was refused."""

    where: str = Field(description="Its place: `path`, `query`, `header` or `body`, and the names from there on.")
    message: str = Field(description="What is wrong with it.")


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": f"{KIND}unknown-sku",
                "title": "Not Found",
                "status": 404,
                "detail": "no forecast is published for this SKU",
                "instance": "/api/v1/forecasts/shoe",
                "request_id": "5f2c6c0d9f5e4d6f8a1b2c3d4e5f6a7b",
            }
        }
    )

    type: str = Field(description="What kind of problem it is: a name that does not change.")
    title: str
    status: int
    detail: str = Field(description="What is wrong here, and the way out.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str | None = Field(None, description="Under which the log has it; also in `X-Request-Id`.")
    errors: list[WrongValue] | None = Field(None, description="The values that were refused.")


class Problem(HTTPException):
    """An error that the caller is told.

    Args:
        kind: what kind of problem, in words joined by hyphens; part of the API, so it stays as it is.
        detail: what is wrong and the way out; never what was given.
        extra: more members of the problem.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail, headers=dict(headers or {}))
        self.kind = kind
        self.extra = dict(extra or {})


def unavailable(detail: str, *, kind: str = "unavailable") -> Problem:
    """What the answer needs is away just now; the same request may succeed a little later."""
    return Problem(503, kind, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def problem_response(problem: Problem, *, path: str, request_id: str | None) -> Response:
    """The answer that tells of ``problem``."""
    content = {
        "type": KIND + problem.kind,
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": problem.detail,
        "instance": path.replace(STAND_IN, ESCAPED),
        "request_id": request_id,
        **problem.extra,
    }
    headers = {"Cache-Control": "no-store", **(problem.headers or {})}
    return Response(orjson.dumps(content), problem.status_code, headers, MEDIA_TYPE)


GENERAL = {
    400: ("bad-request", "the body could not be read"),
    404: ("not-found", "there is nothing at this path"),
    405: ("method-not-allowed", "this path does not take that method; Allow says which it takes"),
}
"""What the framework's own errors are called."""


def as_problem(error: Exception) -> Problem | None:
    """What the caller is told of ``error``; ``None`` where it is our own fault."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        kind, detail = GENERAL.get(error.status_code, ("http-error", HTTPStatus(error.status_code).phrase))
        return Problem(error.status_code, kind, detail, headers=error.headers)
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, WarehouseUnavailable) or (isinstance(error, sa.exc.DBAPIError) and can_pass(error)):
        return unavailable("the database is not to be had just now; ask again a little later")
    return None


def _invalid(errors: Sequence[Any]) -> Problem:
    wrong = [
        {"where": ".".join(str(part)[:100] for part in each["loc"]), "message": _said(each)}
        for each in errors[:MOST_ERRORS]
    ]
    named = ", ".join(dict.fromkeys(each["where"] for each in wrong[:5]))
    return Problem(422, "invalid-request", f"{len(errors)} values were refused: {named}", extra={"errors": wrong})


def _said(error: Mapping[str, Any]) -> str:
    """Pydantic's message; that of a body that is no JSON quotes what was given, and its reason does not."""
    reason = (error.get("ctx") or {}).get("error")
    return f"is no JSON: {reason}" if error["type"] == "json_invalid" else str(error["msg"])[:300]


def install(app: FastAPI) -> None:
    """Answer every error that the application raises with its problem."""

    async def told(request: Request, error: Exception) -> Response:
        problem = as_problem(error)
        if problem is None:
            raise error
        if problem.status_code >= 500:
            log.warning("%s %s: %s", request.method, request.url.path, error)
        return problem_response(problem, path=request.url.path, request_id=request.scope.get("request_id"))

    for kind in (HTTPException, RequestValidationError, WarehouseUnavailable, sa.exc.DBAPIError):
        app.add_exception_handler(kind, told)


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "model": ProblemDetails,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
    }
    for status, text in {
        401: "No credential, or one that is not valid.",
        403: "The credential does not allow this.",
        422: "A value was refused.",
        429: "Too many requests; `Retry-After` says when to ask again.",
        503: "Something is away just now; `Retry-After` says when to ask again.",
    }.items()
}
"""Problems that every endpoint may answer with, for the OpenAPI."""

OF_A_BODY: dict[str, dict[str, Any]] = {
    "400": {"description": "The body could not be read."},
    "413": {"description": "The body is too large."},
    "415": {"description": "The body is of a kind that is not taken, or compressed."},
}
"""Problems that every endpoint may answer with that takes a body: the application is asked about it before they are."""
