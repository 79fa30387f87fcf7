"""Answers: JSON that is always valid, with an ETag by what it says, so that any HTTP cache may ask whether it still
holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
import xxhash
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

MEDIA_TYPE = "application/json"

LATEST = "private, no-cache"
"""``Cache-Control`` of what may be newer a moment later: kept, and asked for again with its ETag."""

VARY = "Authorization, X-API-Key, Accept"
"""What an answer depends on beside its URL."""

SETTLED = "private, max-age=86400, immutable"
"""Of what never changes, as what was published up to a moment that has passed."""

DECIMALS = 4
"""Digits of figures of units after the point, as many as facts have; a forecast of 28 days takes 1.3 kB this way and
3 kB with all 17 digits."""


def to_json(content: Any) -> bytes:
    """JSON of plain values, dates, decimals (as numbers), NumPy arrays and pydantic models. NaN and infinity are
    null."""
    return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def etag_of(body: bytes) -> str:
    """A strong ETag of what an answer says."""
    return f'"{xxhash.xxh3_128_hexdigest(body)}"'


def answer(
    request: Request, content: Any, *, cache: str = LATEST, headers: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    """The answer to a read; 304 where the caller has it already."""
    return answer_bytes(request, to_json(content), cache=cache, headers=headers, status=status)


def answer_bytes(
    request: Request,
    body: bytes,
    *,
    cache: str = LATEST,
    etag: str | None = None,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
    media_type: str = MEDIA_TYPE,
) -> Response:
    """As ``answer``, of a body that is ready."""
    etag = etag or etag_of(body)
    told = {"ETag": etag, "Cache-Control": cache, "Vary": VARY, **(headers or {})}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(None, 304, told)
    return Response(body, status, told, media_type)


def matches(given: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names the ETag (weak comparison, as RFC 9110 asks for it)."""
    if given is None:
        return False
    return given.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in given.split(","))
