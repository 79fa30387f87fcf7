"""What runs the API asks of it: is it alive, is it ready, what are its figures. No endpoint here knows a tenant."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.metrics import may_read
from forecast_platform.api.platform import Platform
from forecast_platform.api.problems import RESPONSES, Problem, unavailable
from forecast_platform.api.readiness import look_at

router = APIRouter(tags=["service"])


class Health(BaseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok"}})
    status: Literal["ok"]


class Ready(BaseModel):
    """Everything that answers need is to be had."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"status": "ready", "tenants": 2, "oldest_publication_hours": 7.5}}
    )
    status: Literal["ready"]
    tenants: int = Field(description="Tenants that are served.")
    oldest_publication_hours: float | None = Field(
        description="Age of the newest publication of the tenant that has waited for one the longest."
    )


@router.get("/health", operation_id="health", summary="Is the process alive", response_model=Health)
async def health() -> Health:
    """Answers as long as the process does, whatever is away."""
    return Health(status="ok")


@router.get(
    "/ready",
    operation_id="ready",
    summary="Can requests be answered",
    response_model=Ready,
    responses={503: RESPONSES[503]},
)
def ready(request: Request) -> Ready:
    """Whether every tenant's data can be read and is at the newest schema, and how old what is published is; else
    503."""
    platform: Platform = request.app.state.platform
    found = look_at(platform)
    if found.problems:
        raise unavailable("; ".join(found.problems), kind="not-ready")
    return Ready(status="ready", tenants=found.tenants, oldest_publication_hours=found.oldest_publication_hours)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": "forecast_api_requests_total 1.0"}}}, 401: RESPONSES[401]},
)
def metrics(request: Request) -> Response:
    """Requests and their times; jobs by status and what else waits; by tenant, how old the newest publication and facts
    are and how good what was published was. `Authorization: Bearer` with FORECAST_API_METRICS_TOKEN."""
    settings = request.app.state.platform.settings
    development = settings.api_environment == "development"
    if not may_read(request.headers.get("authorization"), settings.api_metrics_token, development=development):
        raise Problem(
            401,
            "unauthenticated",
            "send Authorization: Bearer with the token that FORECAST_API_METRICS_TOKEN has",
            headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
        )
    figures = request.app.state.metrics
    text = figures.text() + request.app.state.figures.text()
    return Response(text, headers={"Content-Type": figures.content_type, "Cache-Control": "no-store"})
