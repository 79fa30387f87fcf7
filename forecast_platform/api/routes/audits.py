"""``GET /forecasts/{sku}/audit``: how a forecast came to be: what was made, why, by whom, and what then sold."""

from __future__ import annotations

from datetime import date
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.answers import answer
from forecast_platform.api.keys import Scope
from forecast_platform.api.parameters import Location, Model, Origin, Sku
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.reading.forecasts import known_locations
from forecast_platform.api.reading.trail import NOT_SERVED, newest_origin, trail
from forecast_platform.api.routing import api_router

router = api_router(Scope.READ, tags=["forecasts"])

DAY = {
    **{"target_date": "2026-02-01", "horizon": 1, "mean": 10.4, "status": "model", "q025": 4, "q10": 6, "q50": 10},
    **{"q90": 15, "q975": 18, "sold": 12, "in_stock": True, "error": -1.6},
}
VERSION = {
    **{"version_id": 41, "model": "ensemble", "digest": "0f343b0931126a20f133d67c2b018a3b", "live": True},
    **{"model_spec": "ensemble", "code_version": "4", "published": True, "series_appended": 30490},
    **{"requested_by": "schedule nightly", "reason": None, "made_at": "2026-02-01T02:00:10+00:00"},
    **{"went_in_all_series": {"days": 120}, "inputs": {"window": 120, "horizon": 28}, "forecasts": [DAY]},
}
EXAMPLE = {
    **{"sku": "sku 1", "location": "north", "origin": "2026-01-31", "versions": [VERSION], "changes": []},
    "publications": [
        {
            **{"version_id": 41, "calibration_id": 12, "batch_id": 30, "confidence": 0.41, "model": "ensemble"},
            **{"published_at": "2026-02-01T02:00:11+00:00", "requested_by": None},
        }
    ],
    "champion": {
        **{"model": "ensemble", "incumbent": "ensemble", "reason": "it stays: none is better by enough"},
        **{"segment": "smooth", "days_held": 12, "n": 84, "rmsse": 0.8, "incumbent_rmsse": 0.8, "floor_rmsse": 1.1},
        **{"bias": -0.02, "confidence": 0.41},
    },
    "explanation": "About 10 a day, up 8 % on four weeks ago.",
    "runs": [
        {
            **{"model": "ensemble", "version_id": 41, "appended": 30490, "requested_by": "schedule nightly"},
            **{"reason": None, "outcome": "appended", "started_at": "2026-02-01T02:00:00+00:00"},
            "ended_at": "2026-02-01T02:00:10+00:00",
        }
    ],
    "landed": [
        {
            **{"batch_digest": "9c14d2…", "source": "files", "name": "day.csv", "rows": 512, "days": ["2026-01-31"]},
            "received_at": "2026-02-01T00:10:00+00:00",
        }
    ],
    "not_served": list(NOT_SERVED),
}

Entry = dict[str, Any]


class Audit(BaseModel):
    """What is on record of a series' forecasts from an origin."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    sku: str
    location: str
    origin: date
    versions: list[Entry] = Field(
        description="Each version of each model: who asked, from what, and each day's figures."
    )
    changes: list[Entry] = Field(description="What later versions changed of those before them, and why.")
    publications: list[Entry] = Field(description="What was published, and when; the last one counts.")
    champion: Entry | None = Field(description="Why this model is published, and the figures that decided.")
    explanation: str | None = Field(description="Why the forecast is what it is.")
    runs: list[Entry] = Field(description="Who asked for forecasts from this origin, and what came of it.")
    landed: list[Entry] = Field(description="What arrived of the last week of sales, the newest first.")
    not_served: list[str] = Field(description="What `forecast-platform audit` tells beside it.")


NONE: dict[int | str, dict[str, Any]] = {404: {**RESPONSES[401], "description": "No such forecast is on record."}}


@router.get(
    "/forecasts/{sku}/audit",
    operation_id="audit_forecast",
    summary="How a forecast came to be",
    response_model=Audit,
    responses=NONE,
)
def audit(
    request: Request, at: Here, sku: Sku, origin: Origin = None, location: Location = None, model: Model = None
) -> Response:
    """The trail of one origin (the newest that is published, where it is left out): every version, who asked for it and
    what changed, what was published and why, what sold, and the files that the newest sales came in. A SKU that is
    sold at several locations needs `location`."""
    with at.reading.session() as session:
        places = sorted(known_locations(session, sku).values())
        if location is None and len(places) > 1:
            raise Problem(
                422, "invalid-request", "this SKU is sold at several locations: say which", extra={"locations": places}
            )
        place = location or (places[0] if places else "")
        day = origin or newest_origin(session, sku, place)
    if place not in places or day is None:
        raise Problem(
            404, "unknown-forecast", "no such forecast is on record; GET /api/v1/forecasts lists what there is"
        )
    with at.reading.session() as session:
        found = trail(session, at.tenant, sku, place, day, model=model)
    if found is None:
        raise Problem(404, "unknown-forecast", "no such forecast is on record from that origin, or of that model")
    return answer(request, found)
