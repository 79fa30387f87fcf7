"""``GET /me``: whose credential this is, and what a page about the tenant has to know before it shows a figure."""

from __future__ import annotations

from datetime import date

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.answers import LATEST, answer
from forecast_platform.api.keys import Scope
from forecast_platform.api.routing import api_router
from forecast_platform.forecasting import model_specs

router = api_router(Scope.READ, tags=["tenant"])


class Me(BaseModel):
    """The caller and its tenant."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant": "demo",
                "subject": "key 4fk2m9x0qa",
                "scopes": ["jobs", "read"],
                "timezone": "Europe/Berlin",
                "today": "2026-02-01",
                "start": "2025-06-01",
                "horizon": 28,
                "models": ["naive", "seasonal_naive_7", "ensemble"],
                "source": "files",
                "plans_stock": True,
            }
        }
    )

    tenant: str
    subject: str = Field(description="Who it is, as logs and records name it.")
    scopes: list[Scope] = Field(description="What the credential allows.")
    timezone: str = Field(description="The zone of the tenant's business day, an IANA name.")
    today: date = Field(description="The open day, in that zone: days before it are closed.")
    start: date = Field(description="The first business day on record.")
    horizon: int = Field(description="Days that are forecast ahead.")
    models: list[str]
    source: str = Field(description="The kind of source that sales come from; those of `events` may be posted.")
    plans_stock: bool = Field(description="Whether stock levels are known, and so orders are proposed.")


@router.get("/me", operation_id="get_me", summary="Who is asking", response_model=Me)
def me(request: Request, at: Here) -> Response:
    """The tenant of the credential, what the credential allows, and the tenant's days, zone and models."""
    tenant = at.tenant.tenant
    content = Me(
        tenant=at.principal.tenant,
        subject=at.principal.subject,
        scopes=sorted(at.principal.scopes),
        timezone=tenant.timezone,
        today=at.tenant.today(),
        start=tenant.start,
        horizon=tenant.horizon,
        models=[model.name for model in model_specs(tenant.models)],
        source=tenant.source.kind,
        plans_stock=at.tenant.plans_stock,
    )
    return answer(request, content, cache=LATEST)
