"""The audit trail of one forecast, as far as it is served: the platform's own audit, without what only it can read."""

from __future__ import annotations

from datetime import date
from typing import Any

from forecast_platform.assets.scope import TenantScope
from forecast_platform.audit import NothingToAudit, audit_in
from forecast_platform.io_managers.warehouse import Session

NOT_SERVED = (
    "the sales history that each version was made from, made again and compared with its digest",
    "how Dagster's runs ended, and the events they came from",
)
"""What `forecast-platform audit` tells and this does not."""

NEWEST = """
    select max(p.origin_date) from published_latest as p join series as s on s.series_id = p.series_id
    where s.sku = :sku and s.location = :location
"""
DROPPED = ("went_in", "went_in_source", "run_id", "correlation_id", "status", "history")
"""Parts of the audit that are what is not served, or ids that only Dagster knows more of."""


def newest_origin(session: Session, sku: str, location: str) -> date | None:
    """The origin of a series' newest publication."""
    return session.scalar(NEWEST, {"sku": sku, "location": location})


def trail(
    session: Session, scope: TenantScope, sku: str, location: str, origin: date, *, model: str | None
) -> dict[str, Any] | None:
    """Everything on record of a series' forecasts from an origin; ``None`` where there are none.

    Errors are the forecast less what is sold by now: what was scored, unless sales have changed since.
    """
    try:
        found = audit_in(session, scope, sku, origin, location=location, model=model, served=True)
    except NothingToAudit:
        return None
    for version in found["versions"]:
        for day in version["forecasts"]:
            day["error"] = None if day["sold"] is None else day["mean"] - day["sold"]
    for part in ("versions", "changes", "publications", "runs"):
        found[part] = [{name: value for name, value in each.items() if name not in DROPPED} for each in found[part]]
    del found["tenant"]
    return found | {"not_served": list(NOT_SERVED)}
