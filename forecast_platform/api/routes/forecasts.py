"""``GET /forecasts/{sku}``: the forecast of one SKU by location, the newest published or another on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.answers import answer_bytes
from forecast_platform.api.keys import Scope
from forecast_platform.api.parameters import AsOf, Horizon, Location, Model, Origin, Sku
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.reading.forecasts import known_locations, of_model, published
from forecast_platform.api.reading.latest import Served, sku_answer
from forecast_platform.api.reading.overrides import standing_at
from forecast_platform.api.routing import api_router

TAGS = ["forecasts"]
router = api_router(Scope.READ, tags=TAGS)
alias = api_router(Scope.READ, tags=TAGS, prefix="/api")

OVERRIDE_EXAMPLE = {
    **{"entry": "0649a1c2b3d4e50000a1b2c3", "target_date": "2026-02-02", "units": 25.0, "author": "key 8k2m4n6p0q"},
    **{"reason": "a school trip", "received_at": "2026-02-01T09:12:00.000000Z", "expires_at": None},
}
EXAMPLE = {
    "sku": "sku 1",
    "forecasts": [
        {
            "location": "north",
            "origin": "2026-01-31",
            "horizon": 3,
            "model": "ensemble",
            "version": "0f343b0931126a20f133d67c2b018a3b",
            "confidence": 0.41,
            "published_at": "2026-02-01T02:00:11.123456Z",
            "explanation": "Expected 10.4 a day: a level of 9.6, and 0.8 more for the weekday.",
            "dates": ["2026-02-01", "2026-02-02", "2026-02-03"],
            "mean": [10.4, 9.9, 9.1],
            "quantiles": {
                "0.025": [4.0, 4.0, 3.0],
                "0.1": [6.0, 6.0, 5.0],
                "0.5": [10.0, 10.0, 9.0],
                "0.9": [15.0, 14.0, 13.0],
                "0.975": [18.0, 17.0, 16.0],
            },
            "status": ["model", "model", "model"],
            "overrides": [OVERRIDE_EXAMPLE],
            "age_days": 1,
        }
    ],
}


class HeldOverride(BaseModel):
    """What a planner expects of a day instead of the published forecast."""

    entry: str = Field(description="Its name, by which it is withdrawn.")
    target_date: date
    units: float
    author: str = Field(description="Whose credential it was.")
    reason: str
    received_at: datetime
    expires_at: datetime | None = Field(description="It holds until then; null: for good.")


class SeriesForecast(BaseModel):
    """The forecast of one series: arrays run over the days after `origin`."""

    location: str
    origin: date = Field(description="The last day whose sales it knew.")
    horizon: int = Field(description="Days in the arrays.")
    model: str
    version: str = Field(description="Digest of all that the forecast was made from.")
    confidence: float | None = Field(
        description="0 to 1: skill over repeating the week before; null of what was never published."
    )
    published_at: str | None
    explanation: str | None = Field(description="Why the forecast is what it is, in a sentence.")
    dates: list[date]
    mean: list[float] = Field(description="Expected units of each day.")
    quantiles: dict[str, list[float | None]] = Field(
        description="Units that demand stays below with the probability that names them."
    )
    status: list[str] = Field(description="How each day was made: `model`, `fallback`, `cold_start` or `capped`.")
    overrides: list[HeldOverride] = Field(
        description="What planners expect of days after `origin`, one a day: `mean` stays what was published. Of the"
        " newest publication, and of what was published at `as_of`; otherwise none."
    )
    age_days: int = Field(description="Days from the origin to today's open day, in the tenant's time zone.")


class SkuForecast(BaseModel):
    """The forecasts of a SKU, by location."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    sku: str
    forecasts: list[SeriesForecast]


Published = dict[int | str, dict[str, Any]]
UNKNOWN: Published = {404: {**RESPONSES[401], "description": "No such forecast is on record."}}


async def forecast(
    request: Request,
    at: Here,
    sku: Sku,
    horizon: Horizon = None,
    location: Location = None,
    origin: Origin = None,
    model: Model = None,
    as_of: AsOf = None,
) -> Response:
    """The newest published forecast by location: mean, quantiles, origin, version, model, confidence, age, explanation.

    `origin` asks for that of a past day, `model` for another model's (of `origin`, or its newest), `as_of` for what was
    published at a moment. What comes back for a moment that has passed never changes.
    """
    found: Sequence[Served]
    if origin is None and model is None and as_of is None:
        found = await request.app.state.latest.of(at.principal.tenant, sku)
    else:
        _require_askable(model, as_of)
        found = await anyio.to_thread.run_sync(_on_record, at, sku, origin, model, as_of)
    today = at.platform.today(at.principal.tenant)
    content = sku_answer(sku, found, today, horizon=horizon, location=location, at=as_of)
    if content is None:
        raise Problem(
            404, "unknown-forecast", "no such forecast is on record; GET /api/v1/forecasts lists what there is"
        )
    return answer_bytes(request, content)


def _require_askable(model: str | None, as_of: Any) -> None:
    if model is not None and as_of is not None:
        raise Problem(422, "invalid-request", "as_of asks for what was published; it goes without model")
    if as_of is not None and as_of.tzinfo is None:
        raise Problem(422, "invalid-request", "as_of needs a zone, as in 2026-02-01T06:00:00Z")


def _on_record(at: TenantAccess, sku: str, origin: date | None, model: str | None, as_of: Any) -> list[Served]:
    with at.reading.session() as session:
        locations = known_locations(session, sku)
        if model is not None:
            return of_model(session, locations, model, origin)
        found = published(session, locations, origin=origin, as_of=as_of and as_of.astimezone(UTC))
        if as_of is None or origin is not None or not found:
            return found
        standing = tuple(standing_at(session, sku, as_of.astimezone(UTC)))
    return [replace(each, overrides=standing) for each in found]


def _declare(on: APIRouter, path: str, *, operation_id: str) -> None:
    on.get(
        path,
        operation_id=operation_id,
        summary="The forecast of a SKU",
        response_model=SkuForecast,
        responses=UNKNOWN,
    )(forecast)


_declare(router, "/forecasts/{sku}", operation_id="get_forecast")
_declare(alias, "/forecast/{sku}", operation_id="get_forecast_alias")
