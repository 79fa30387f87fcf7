"""What comes of the inventory plan: what to order, what somebody has to act on, and how the stock stands over time."""

from __future__ import annotations

from datetime import date
from io import StringIO
from typing import Annotated, Literal

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.answers import answer, answer_bytes
from forecast_platform.api.keys import Scope
from forecast_platform.api.paging import MOVED_ON, Cursor, Limit, page_of
from forecast_platform.api.periods import From, To, period
from forecast_platform.api.reading import inventory as reading
from forecast_platform.api.routes.inventory import NO_PLAN, Day
from forecast_platform.api.routing import api_router
from forecast_platform.api.tabular import NOT_ACCEPTABLE, TABLES, wanted_form
from forecast_platform.inventory_report import order_rows, write_orders

router = api_router(Scope.READ, tags=["inventory"])

TREND_DAYS, MOST_DAYS = 14, 400

Kinds = Annotated[
    list[Literal["order", "runs out", "dead stock", "overstocked", "count"]],
    Query(
        max_length=5,
        description="Only these: to order, running out whatever comes, dead, too much, not counted.",
        examples=[["order"]],
    ),
]


class Order(BaseModel):
    """What to order of a series."""

    supplier: str | None
    sku: str
    location: str
    quantity: float
    order_date: date
    expected_date: date
    reason: str


class Orders(BaseModel):
    """A page of what to order."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "day": "2026-01-31",
                "items": [
                    {
                        **{"supplier": "s", "sku": "sku 1", "location": "north", "quantity": 84},
                        **{
                            "order_date": "2026-01-31",
                            "expected_date": "2026-02-05",
                            "reason": "Sells about 11 a day.",
                        },
                    }
                ],
                "next_cursor": None,
            }
        }
    )

    day: date
    items: list[Order]
    next_cursor: str | None = Field(description="Asks for the next page; null: this is the last one.")


class StockException(BaseModel):
    """What somebody has to act on."""

    as_of: date
    exception: str = Field(description="order, runs out, dead stock, overstocked or count.")
    sku: str
    location: str
    supplier: str | None
    category: str | None
    status: str
    priority: int
    on_hand: float | None
    on_order: float
    demand_daily: float
    days_of_inventory: float | None
    stockout_probability: float | None
    stockout_on: date | None
    order_quantity: float
    expected_on: date
    order_value: float | None
    inventory_value: float | None
    reason: str


class StockExceptions(BaseModel):
    """A page of exceptions, the most urgent first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "day": "2026-01-31",
                "counts": {"order": 1},
                "items": [
                    {
                        **{"as_of": "2026-01-31", "exception": "order", "sku": "sku 1", "location": "north"},
                        **{"supplier": "s", "category": "warm", "status": "understocked", "priority": 1},
                        **{"on_hand": 20, "on_order": 0, "demand_daily": 11.2, "days_of_inventory": 1.8},
                        **{"stockout_probability": 1, "stockout_on": "2026-02-02", "order_quantity": 84},
                        **{"expected_on": "2026-02-05", "order_value": 252, "inventory_value": 60},
                        "reason": "Sells about 11 a day.",
                    }
                ],
                "next_cursor": None,
            }
        }
    )

    day: date
    counts: dict[str, int] = Field(description="How many there are in all, by kind.")
    items: list[StockException]
    next_cursor: str | None = Field(description="Asks for the next page; null: this is the last one.")


class StockTotals(BaseModel):
    """How the stock stood at the end of a day. A series counts as wanted where it is stocked and demand is expected."""

    as_of: date
    series: int
    series_wanted: int
    out_of_stock: int
    understocked: int
    overstocked: int
    dead_stock: int
    stock_unknown: int
    in_stock_share: float | None = Field(description="Of the wanted series whose stock is known.")
    stockout_risk: float | None = Field(
        description="Share of expected demand whose stock is as likely as not gone before a delivery."
    )
    inventory_value: float | None
    value_too_much: float | None = Field(description="Of it, what is overstocked or dead.")
    cover_days: float | None = Field(description="Value of the stock over that of a day's expected demand.")
    to_order: int
    units_to_order: float | None
    value_to_order: float | None


class StockTrend(BaseModel):
    """The totals of some days, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        **{"as_of": "2026-01-31", "series": 8, "series_wanted": 8, "out_of_stock": 1},
                        **{"understocked": 2, "overstocked": 1, "dead_stock": 0, "stock_unknown": 0},
                        **{"in_stock_share": 0.875, "stockout_risk": 0.12, "inventory_value": 812.5},
                        **{"value_too_much": 96, "cover_days": 9.1, "to_order": 3, "units_to_order": 130},
                        "value_to_order": 402,
                    }
                ],
                "next_cursor": None,
            }
        }
    )

    items: list[StockTotals]
    next_cursor: None = Field(description="All is on one page.")


@router.get(
    "/inventory/orders",
    operation_id="list_orders",
    summary="What to order",
    response_model=Orders,
    responses={200: {"content": {"text/csv": TABLES["text/csv"]}}, **NO_PLAN, **NOT_ACCEPTABLE, **MOVED_ON},
)
def list_orders(
    request: Request,
    at: Here,
    day: Day = None,
    can_wait: Annotated[bool, Query(description="Also what can wait until it is reviewed.", examples=[True])] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """What to order at the end of a day, by supplier. With `Accept: text/csv` the file for a purchasing system that
    `forecast-platform inventory orders` writes, whole."""
    form = wanted_form(request, forms=("json", "csv"))
    with at.reading.session() as session:
        plan = reading.plan_day(session, at.tenant, day)
        if form == "csv":
            out = StringIO()
            write_orders(order_rows(session, plan.day, can_wait=can_wait), out)
            told = {"Content-Disposition": 'attachment; filename="orders.csv"'}
            media_type = "text/csv; charset=utf-8"
            return answer_bytes(request, out.getvalue().encode(), headers=told, media_type=media_type)
        asked = {"list": "orders", "day": day, "can_wait": can_wait}
        page = page_of(limit=limit, cursor=cursor, keys=reading.ORDER_KEYS, asked=asked, state=plan.state)
        rows = reading.orders(session, plan.day, page, can_wait=can_wait)
    kept, following = page.cut(rows, lambda row: (row["supplier"] or "", row["sku"], row["location"]))
    return answer(request, {"day": plan.day, "items": kept, "next_cursor": following})


@router.get(
    "/inventory/exceptions",
    operation_id="list_exceptions",
    summary="What somebody has to act on",
    response_model=StockExceptions,
    responses={**NO_PLAN, **MOVED_ON},
)
def list_exceptions(
    request: Request,
    at: Here,
    day: Day = None,
    exception: Kinds = [],  # noqa: B006
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """To order, running out whatever is on its way, dead, too much, or not counted: one row a series, the most urgent
    and then the dearest first."""
    kinds = sorted(set(exception))
    with at.reading.session() as session:
        plan = reading.plan_day(session, at.tenant, day)
        asked = {"list": "exceptions", "day": day, "kinds": kinds}
        page = page_of(limit=limit, cursor=cursor, keys=reading.EXCEPTION_KEYS, asked=asked, state=plan.state)
        rows = reading.exceptions(session, plan.day, kinds, page)
        counts = reading.exception_counts(session, plan.day)
    kept, following = page.cut(rows, reading.exception_values)
    return answer(request, {"day": plan.day, "counts": counts, "items": kept, "next_cursor": following})


@router.get(
    "/inventory/totals",
    operation_id="get_inventory_totals",
    summary="How the stock stands",
    response_model=StockTrend,
    responses=NO_PLAN,
)
def inventory_totals(request: Request, at: Here, first: From = None, last: To = None) -> Response:
    """Value, service, cover and stock-outs by day: without `from`, of 14 days up to `to`; at most 400."""
    with at.reading.session() as session:
        newest = reading.plan_day(session, at.tenant, None).day
        days = period(first, last, newest=newest, days=TREND_DAYS, most=MOST_DAYS)
        rows = reading.totals(session, *days)
    items = [{name: row[name] for name in StockTotals.model_fields} for row in rows]
    return answer(request, {"items": items, "next_cursor": None})
