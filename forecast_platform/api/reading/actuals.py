"""Totals of days that people have given: whether a series has such a day, and what is on record of them."""

from __future__ import annotations

from datetime import date
from typing import Any

from forecast_platform.api.reading.base import records
from forecast_platform.io_managers.warehouse import Session

KNOWN = "select count(*) as n from series where sku = :sku and location = :location"
SOLD = "select count(*) as n from daily_sales where sale_date = :day and sku = :sku and location = :location"
ENTRIES = """
    select entry, sku, location, sale_date as day, units, author, because as reason from actual_overrides
    where sale_date between :first and :last and sku = :sku{conditions}
    order by entry desc limit :most
"""


def is_known(session: Session, sku: str, location: str) -> bool:
    """Whether there is such a series."""
    return bool(records(session, KNOWN, {"sku": sku, "location": location})[0]["n"])


def has_day(session: Session, sku: str, location: str, day: date) -> bool:
    """Whether the series was in the assortment on the day, so that a total of it counts."""
    return bool(records(session, SOLD, {"sku": sku, "location": location, "day": day})[0]["n"])


def entries(
    session: Session, sku: str, *, location: str | None, first: date, last: date, before: str | None, most: int
) -> list[dict[str, Any]]:
    """Entries on record of a SKU's days, the newest first.

    Args:
        before: only entries older than this one.
    """
    asked: dict[str, Any] = {"sku": sku, "first": first, "last": last, "most": most}
    conditions = ""
    if location is not None:
        conditions, asked = conditions + " and location = :location", asked | {"location": location}
    if before is not None:
        conditions, asked = conditions + " and entry < :before", asked | {"before": before}
    return records(session, ENTRIES.format(conditions=conditions), asked)
