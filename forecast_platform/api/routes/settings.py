"""``GET /settings``: how this tenant is forecast and planned, for people who read its figures; nothing that is secret,
and no word of where its data comes from. What is set is in its ``defs.yaml``."""

from __future__ import annotations

from datetime import date

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.answers import LATEST, answer
from forecast_platform.api.routing import api_router
from forecast_platform.api.scopes import Scope
from forecast_platform.assets.champions import champion_rules
from forecast_platform.forecasting import model_specs
from forecast_platform.inventory.settings import Inventory

router = api_router(Scope.READ, tags=["tenant"])


class StockSettings(BaseModel):
    """How stock is planned where an item does not say otherwise."""

    policy: str = Field(description="How much is ordered: up to a level, in fixed lots, or at least cost.")
    service_level: float = Field(description="The service that is wanted, between 0 and 1.")
    service_metric: str = Field(description="What the service level is of: cycles, or units of demand.")
    lead_time_days: float = Field(description="Days from an order to its delivery.")
    review_period_days: float = Field(description="Days between two orders.")
    overstocked_days: float = Field(description="Days of demand above which stock is too much.")
    dead_stock_days: int = Field(description="Days without a sale after which stock is dead.")


class TenantSettings(BaseModel):
    """Settings of the tenant that matter to who plans with its forecasts."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "tenant": "demo",
                "timezone": "Europe/Berlin",
                "country": "DE",
                "start": "2025-06-01",
                "close_at": "00:15",
                "horizon": 28,
                "training_window": 120,
                "inactive_after_days": 365,
                "models": ["naive", "seasonal_naive_7", "linear", "ensemble"],
                "default_model": "ensemble",
                "publishable_models": ["naive", "seasonal_naive_7", "linear", "ensemble"],
                "champion_window": 84,
                "calibration_window": 56,
                "reconciliation": "bottom_up",
                "stock": {
                    "policy": "order_up_to",
                    "service_level": 0.95,
                    "service_metric": "cycle",
                    "lead_time_days": 7,
                    "review_period_days": 1,
                    "overstocked_days": 90,
                    "dead_stock_days": 90,
                },
            }
        }
    )

    tenant: str
    timezone: str = Field(description="The zone of the business day, an IANA name.")
    country: str | None = Field(description="The country of the holidays.")
    start: date = Field(description="The first business day on record.")
    close_at: str = Field(description="The local time at which the day before is forecast from.")
    horizon: int = Field(description="Days that are forecast ahead.")
    training_window: int = Field(description="Days of history that models learn from.")
    inactive_after_days: int = Field(description="Days without a sale after which a series is forecast no more.")
    models: list[str] = Field(description="The models that run, in order.")
    default_model: str = Field(description="The model that is published until measured errors say better.")
    publishable_models: list[str] = Field(description="The models that may be published.")
    champion_window: int = Field(description="Days of errors by which the published model is chosen.")
    calibration_window: int = Field(description="Days of errors that intervals rest on.")
    reconciliation: str = Field(description="How forecasts of locations, categories and the total are made to add up.")
    stock: StockSettings | None = Field(description="How stock is planned; null where its levels are not known.")


@router.get("/settings", operation_id="get_settings", summary="The tenant's settings", response_model=TenantSettings)
def settings(request: Request, at: Here) -> Response:
    """How this tenant is forecast and planned, as its settings were when the server read them."""
    tenant = at.tenant.tenant
    content = TenantSettings(
        tenant=at.principal.tenant,
        timezone=tenant.timezone,
        country=tenant.country,
        start=tenant.start,
        close_at=tenant.automation.close_at,
        horizon=tenant.horizon,
        training_window=tenant.training_window,
        inactive_after_days=tenant.inactive_after_days,
        models=[model.name for model in model_specs(tenant.models)],
        default_model=champion_rules(tenant).default_model,
        publishable_models=list(tenant.publishable_models),
        champion_window=tenant.champion_window,
        calibration_window=tenant.calibration_window,
        reconciliation=tenant.reconciliation,
        stock=_stock(tenant.inventory) if at.tenant.plans_stock else None,
    )
    return answer(request, content, cache=LATEST)


def _stock(given: Inventory) -> StockSettings:
    terms = given.defaults
    return StockSettings(
        policy=terms.policy,
        service_level=terms.service_level,
        service_metric=terms.service_metric,
        lead_time_days=terms.lead_time_days,
        review_period_days=terms.review_period_days,
        overstocked_days=given.overstocked_days,
        dead_stock_days=given.dead_stock_days,
    )
