"""Checks of ``features``: a model is shown every active series on every day, and what it is shown is what it knows."""

from __future__ import annotations

from datetime import timedelta

from forecast_platform.assets.checks.schema import schema_check
from forecast_platform.assets.checks.suite import Check, Finding, Look, examples, failed
from forecast_platform.tenant import Tenant


def checks(tenant: Tenant) -> list[Check]:
    return [
        schema_check("features"),
        Check(
            "features",
            "calendar_complete",
            "Every active series has a row on every day, and no other series has one.",
            calendar_complete,
            blocking=True,
        ),
    ]


UNMATCHED = """
    select coalesce(sales.sale_date, features.sale_date) as day, sales.sku, sales.location, features.series_id
    from (select * from daily_sales where sale_date between :first and :last) as sales
    full join (select sale_date, series_id from features where sale_date between :first and :last) as features
      on features.sale_date = sales.sale_date and features.series_id = sales.series_id
    where sales.series_id is null or features.series_id is null
    order by 1, 2, 3
"""

ON_RECORD = "select day from partition_log where asset = 'features' and day between :first and :last"


def calendar_complete(look: Look) -> Finding:
    """Days on record of ``features`` against the members of ``daily_sales``; no gap between days."""
    on_record = {day for (day,) in look.rows(ON_RECORD)}
    missing: dict[str, list[str]] = {}
    for day, sku, location, series_id in look.rows(UNMATCHED):
        if day not in on_record:
            continue
        if series_id is None:
            missing.setdefault(f"{day}: no features of {{}} active series", []).append(f"{sku} at {location}")
        else:
            missing.setdefault(f"{day}: features of {{}} series that are not active", []).append(f"series {series_id}")
    problems = [f"{text.format(len(names))} ({examples(names)})" for text, names in missing.items()]
    gaps = [day for day in on_record if day + timedelta(days=1) not in on_record and day < max(on_record)]
    problems += [f"no partition after {day}" for day in sorted(gaps)]
    return failed(problems)
