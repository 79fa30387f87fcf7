"""The check that the chain keeps up: the newest closed day is there, of every asset."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from forecast_platform.assets.checks.suite import Check, Finding, Look, failed
from forecast_platform.assets.scope import TenantScope
from forecast_platform.tenant import Tenant

CHAIN = (
    *("raw_sales", "daily_sales", "series_scales", "features", "demand_classes", "forecasts", "forecast_errors"),
    *("error_sums", "forecast_intervals", "interval_scores", "champions", "publications", "published_sums"),
)
"""What is made of every closed day, in order of dependency."""


def checks(tenant: Tenant) -> list[Check]:
    hours = tenant.monitoring.stale_after_hours
    return [
        Check(
            "publications",
            "newest_day_present",
            f"Every asset of the chain has the newest closed day, at the latest {hours} hours after it closed.",
            newest_day_present,
            alert="none",
        )
    ]


def due_assets(scope: TenantScope) -> tuple[str, ...]:
    """``CHAIN``, and where stock is planned the plan."""
    return (*CHAIN, "inventory_plan") if scope.plans_stock else CHAIN


NEWEST = "select asset, max(day) from partition_log group by asset"


def newest_day_present(look: Look) -> Finding:
    newest, due = dict(look.session.execute(NEWEST)), due_day(look)
    behind: dict[date | None, list[str]] = {}
    for asset in due_assets(look.scope):
        if newest.get(asset, date.min) < due:
            behind.setdefault(newest.get(asset), []).append(asset)
    return failed(
        [
            f"{', '.join(assets)}: {'nothing on record' if day is None else f'newest day {day}'}, {due} is due"
            for day, assets in behind.items()
        ],
        warn=True,
    )


def due_day(look: Look) -> date:
    """The newest day that must be on record by now: closed for ``stale_after_hours``, by the clock Dagster uses."""
    from dagster._time import get_current_datetime

    tenant = look.scope.tenant
    then = get_current_datetime() - timedelta(hours=tenant.monitoring.stale_after_hours)
    return then.astimezone(ZoneInfo(tenant.timezone)).date() - timedelta(days=1)
