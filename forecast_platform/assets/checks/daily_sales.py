"""Checks of ``daily_sales`` that dbt's tests leave: whether a day sold as much as such days do, and its columns."""

from __future__ import annotations

from datetime import date, timedelta

from forecast_platform.accuracy.drift import unusual
from forecast_platform.assets.checks.schema import schema_check
from forecast_platform.assets.checks.suite import Check, Finding, Look, failed
from forecast_platform.days import days_between
from forecast_platform.tenant import Tenant


def checks(tenant: Tenant) -> list[Check]:
    return [
        schema_check("daily_sales"),
        Check(
            "daily_sales",
            "volume",
            f"Each closed day's order lines and units are those of the same weekday in the"
            f" {tenant.monitoring.volume_weeks} weeks before.",
            volume,
            blocking=True,
            alert="quality",
        ),
    ]


VOLUME = """
    select sales.sale_date, logged.rows, cast(sum(sales.units_sold) as double precision)
    from daily_sales sales
    left join partition_log logged on logged.asset = 'raw_sales' and logged.day = sales.sale_date
    where sales.sale_date between :since and :last
    group by sales.sale_date, logged.rows
"""


def volume(look: Look) -> Finding:
    """Lines and units of each day against the same weekday: its median, and how far days stray from theirs.

    A day without any sale is unusual unless one of those weekdays had none either. What is unusual may be true, so it
    stops nothing unless the tenant says so.
    """
    rules = look.scope.tenant.monitoring
    weeks = rules.volume_weeks
    last = min(look.last, look.scope.today() - timedelta(days=1))
    since = look.first - timedelta(weeks=weeks)
    seen = {day: {"order lines": lines or 0, "units": units} for day, lines, units in look.rows(VOLUME, since=since)}
    days = days_between(look.first, last)
    unusual_days = {day: _unusual_day(day, seen, weeks, rules.volume_deviations, rules.volume_change) for day in days}
    problems = [problem for each in unusual_days.values() for problem in each]
    told_of = [day for day, each in unusual_days.items() if each]
    return failed(problems, warn=not rules.volume_blocks, told_of=told_of, days=len(days))


def _unusual_day(day: date, seen: dict, weeks: int, deviations: float, change: float) -> list[str]:
    earlier = [seen[each] for week in range(1, weeks + 1) if (each := day - timedelta(weeks=week)) in seen]
    if day not in seen or len(earlier) < LEAST_WEEKS:
        return []
    if not seen[day]["order lines"]:
        without = sum(not each["order lines"] for each in earlier)
        return [] if without else [f"{day:%A} {day}: no sale at all; each of {len(earlier)} such days before had some"]
    problems = []
    for name, value in seen[day].items():
        usual = unusual(value, [each[name] for each in earlier], deviations=deviations, change=change)
        if usual is not None:
            problems.append(
                f"{day:%A} {day}: {value:,.0f} {name}, usually {usual:,.0f} (median of {len(earlier)} such days)"
            )
    return problems


LEAST_WEEKS = 4
"""Weeks before a day is judged at all."""
