"""The inventory plan of a day: its rows, what somebody has to act on, what to order, and how the stock stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from forecast_platform import tables
from forecast_platform.api.paging import Key, Page
from forecast_platform.api.problems import Problem
from forecast_platform.api.reading.base import records
from forecast_platform.assets.scope import TenantScope
from forecast_platform.io_managers.columns import arrow_schema
from forecast_platform.io_managers.warehouse import Session

Row = dict[str, Any]

CLASSES = ("demand_class", "abc", "xyz")
"""What kind of demand a series has, beside its row of the plan."""

TABLE = pa.schema([*arrow_schema(tables.inventory_plan), *(pa.field(name, pa.string()) for name in CLASSES)])

SORTS = (
    *("priority", "order_value", "order_quantity", "inventory_value", "days_of_inventory", "stockout_probability"),
    *("on_hand", "demand_daily"),
)
"""Columns that a list may be sorted by, with their null values last."""

DAY = "select day, digest from partition_log where asset = 'inventory_plan' and {which} order by day desc limit 1"
ORIGIN = "select max(origin_date) from inventory_plan where as_of = :day"
ROWS = f"""
    select p.*, {", ".join(f"d.{name}" for name in CLASSES)}
    from inventory_plan as p
    left join series as s on s.sku = p.sku and s.location = p.location
    left join demand_classes as d on d.as_of = :origin and d.series_id = s.series_id
    where p.as_of = :day and {{conditions}} order by {{order}} {{limit}}
"""

EXCEPTION_KEYS = (
    Key("priority", int),
    Key("case when order_value is null then 1 else 0 end", int),
    Key("coalesce(order_value, 0)", float, descending=True),
    Key("case when inventory_value is null then 1 else 0 end", int),
    Key("coalesce(inventory_value, 0)", float, descending=True),
    *(Key("sku"), Key("location")),
)
EXCEPTIONS = """
    select * from inventory_exceptions where as_of = :day and {conditions} order by {order} limit :limit
"""
COUNTED = (
    "select exception, count(*) from inventory_exceptions where as_of = :day group by exception order by exception"
)

ORDER_KEYS = (Key("coalesce(supplier, '')"), Key("sku"), Key("location"))
ORDERS = """
    select supplier, sku, location, order_quantity as quantity, as_of as order_date, expected_on as expected_date,
      reason
    from inventory_plan
    where as_of = :day and order_quantity > 0 and {conditions} order by {order} limit :limit
"""
DUE = "action in ('reorder now', 'reorder')"

TOTALS = "select * from inventory_totals where as_of between :first and :last order by as_of"


@dataclass(frozen=True)
class PlanDay:
    """A day that has a plan; ``state`` names what the plan says."""

    day: date
    state: str


@dataclass(frozen=True)
class Wanted:
    """Which rows of a plan; what is empty or ``None`` stands for all. ``search`` is a part of the SKU."""

    skus: tuple[str, ...] = ()
    location: str | None = None
    supplier: str | None = None
    category: str | None = None
    status: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    abc: tuple[str, ...] = ()
    xyz: tuple[str, ...] = ()
    search: str | None = None

    def conditions(self) -> tuple[str, Row]:
        """SQL over ``p`` and ``d``, and its parameters."""
        parts, given = ["true"], {}
        for name in ("location", "supplier", "category"):
            if getattr(self, name) is not None:
                parts.append(f"p.{name} = :{name}")
                given[name] = getattr(self, name)
        for column, values in {
            **{"p.sku": self.skus, "p.status": self.status, "p.action": self.action},
            **{"d.abc": self.abc, "d.xyz": self.xyz},
        }.items():
            if values:
                named = {f"{column[2:]}_{n}": value for n, value in enumerate(values)}
                parts.append(f"{column} in ({', '.join(f':{name}' for name in named)})")
                given |= named
        if self.search is not None:
            parts.append("position(lower(:search) in lower(p.sku)) > 0")
            given["search"] = self.search
        return " and ".join(parts), given


def plan_day(session: Session, scope: TenantScope, wanted: date | None) -> PlanDay:
    """The day whose plan is meant: the one that is wanted, else the newest.

    Raises:
        Problem: no stock is planned, or not of that day.
    """
    if not scope.plans_stock:
        raise Problem(404, "no-inventory-plan", "no stock is planned here: nobody says what there is of it")
    which, given = ("true", {}) if wanted is None else ("day = :day", {"day": wanted})
    found = session.execute(DAY.format(which=which), given)
    if not found:
        raise Problem(404, "no-inventory-plan", "there is no inventory plan of that day; leave it out for the newest")
    return PlanDay(found[0][0], f"{found[0][0]} {found[0][1]}")


def sort_keys(sort: str) -> tuple[Key, ...]:
    """What a list is ordered by: a column of ``SORTS``, falling with ``-`` before it; then by name."""
    column = sort.removeprefix("-")
    names = Key("p.sku"), Key("p.location")
    if column == "sku":
        return names
    assert column in SORTS
    last = Key(f"case when p.{column} is null then 1 else 0 end", int)
    return (last, Key(f"coalesce(p.{column}, 0)", float, descending=sort.startswith("-")), *names)


def sort_values(row: Mapping[str, Any], sort: str) -> tuple[Any, ...]:
    """The values of ``sort_keys`` of a row."""
    column = sort.removeprefix("-")
    names = row["sku"], row["location"]
    if column == "sku":
        return names
    return (int(row[column] is None), float(row[column] or 0), *names)


def plan_rows(session: Session, day: date, wanted: Wanted, page: Page | None = None) -> list[Row]:
    """Rows of a day's plan, with the class of demand as of its origin: a page, or all by name."""
    return plan_table(session, day, wanted, page).to_pylist()


def plan_table(session: Session, day: date, wanted: Wanted, page: Page | None = None) -> pa.Table:
    """The same as Arrow."""
    conditions, given = wanted.conditions()
    order, limit = "p.sku, p.location", ""
    if page is not None:
        conditions, order, limit = f"{conditions} and {page.condition}", page.order, "limit :limit"
        given = given | page.parameters
    query = ROWS.format(conditions=conditions, order=order, limit=limit)
    origin = session.scalar(ORIGIN, {"day": day})
    return session.arrow(query, {"day": day, "origin": origin, **given}).select(TABLE.names)


def exceptions(session: Session, day: date, kinds: Sequence[str], page: Page) -> list[Row]:
    """What somebody has to act on, the most urgent first; ``kinds`` of them, or all."""
    named = {f"kind_{n}": kind for n, kind in enumerate(kinds)}
    of_kind = f"exception in ({', '.join(f':{name}' for name in named)})" if kinds else "true"
    query = EXCEPTIONS.format(conditions=f"{of_kind} and {page.condition}", order=page.order)
    return records(session, query, {"day": day, **named, **page.parameters})


def exception_values(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of ``EXCEPTION_KEYS`` of a row."""
    money = [(int(row[name] is None), float(row[name] or 0)) for name in ("order_value", "inventory_value")]
    return (int(row["priority"]), *money[0], *money[1], row["sku"], row["location"])


def exception_counts(session: Session, day: date) -> dict[str, int]:
    """How many there are, by kind."""
    return {kind: int(count) for kind, count in session.execute(COUNTED, {"day": day})}


def orders(session: Session, day: date, page: Page, *, can_wait: bool) -> list[Row]:
    """What to order at the end of a day, by supplier."""
    conditions = page.condition if can_wait else f"{DUE} and {page.condition}"
    return records(session, ORDERS.format(conditions=conditions, order=page.order), {"day": day, **page.parameters})


def totals(session: Session, first: date, last: date) -> list[Row]:
    """How the stock stood, by day."""
    return records(session, TOTALS, {"first": first, "last": last})
