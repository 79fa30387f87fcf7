"""What a SKU sold: the facts of its days, as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from forecast_platform.api.paging import Key, Page
from forecast_platform.api.reading.base import records
from forecast_platform.days import days_between
from forecast_platform.io_managers.statements import days_listed
from forecast_platform.io_managers.warehouse import Session

KEYS = (Key("sale_date", date), Key("location"))

NEWEST = "select max(day) from partition_log where asset = 'daily_sales'"
FACTS = """
    select sale_date, location, units, units_sold, units_returned, revenue, avg_price, orders, on_promotion, in_stock
    from daily_sales where sale_date in ({days}) and sku = :sku and location in ({locations}) and {conditions}
    order by {order} limit :limit
"""


def newest_day(session: Session) -> date | None:
    """The newest day whose sales are on record; it may be open."""
    return session.scalar(NEWEST)


def facts(
    session: Session, sku: str, locations: Sequence[str], first: date, last: date, page: Page
) -> list[dict[str, Any]]:
    """Rows of a SKU's days, by day and location. A day on which a series was not active has none."""
    named = {f"location_{n}": name for n, name in enumerate(locations)}
    query = FACTS.format(
        days=days_listed(days_between(first, last)),
        locations=", ".join(f":{name}" for name in named),
        conditions=page.condition,
        order=page.order,
    )
    return records(session, query, {"sku": sku, **named, **page.parameters})
