"""``GET /inventory``: the inventory plan, row by row: what there is, what is wanted, what to do, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Literal

import orjson
import pyarrow as pa
import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model
from starlette.responses import Response

from forecast_platform import tables
from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.answers import answer
from forecast_platform.api.keys import Scope
from forecast_platform.api.paging import MOVED_ON, Cursor, Limit, Page, page_of
from forecast_platform.api.parameters import LONGEST_NAME, TEXT, Location, Sku
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.reading import inventory as reading
from forecast_platform.api.reading.inventory import Row, Wanted
from forecast_platform.api.routing import api_router
from forecast_platform.api.tabular import NOT_ACCEPTABLE, TABLES, table_answer, wanted_form

router = api_router(Scope.READ, tags=["inventory"])

MOST_SKUS = 100
BLOCK = 5_000
"""Rows that a table holds in memory at once."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=TEXT)]
Statuses = Annotated[list[Name], Query(max_length=20, description="Only these statuses.", examples=[["understocked"]])]
Actions = Annotated[list[Name], Query(max_length=20, description="Only these actions.", examples=[["reorder now"]])]
Supplier = Annotated[
    str | None, Query(max_length=LONGEST_NAME, pattern=TEXT, description="Only from this supplier.", examples=["s"])
]
Category = Annotated[
    str | None, Query(max_length=LONGEST_NAME, pattern=TEXT, description="Only this category.", examples=["warm"])
]
Day = Annotated[
    date | None, Query(description="The day of the plan; the newest where it is left out.", examples=["2026-01-31"])
]
Sort = Literal[
    *("sku", "priority", "order_value", "-order_value", "order_quantity", "-order_quantity", "inventory_value"),
    *("-inventory_value", "days_of_inventory", "-days_of_inventory", "stockout_probability", "-stockout_probability"),
    *("on_hand", "-on_hand", "demand_daily", "-demand_daily"),
]

NO_PLAN: dict[int | str, dict[str, Any]] = {404: {**RESPONSES[401], "description": "There is no such plan, or row."}}

TOLD = {
    "as_of": "The day of the plan: what to do at its end.",
    "status": "out of stock, understocked, overstocked, dead stock, normal, not stocked or stock unknown.",
    "action": "reorder now, reorder, watch or none.",
    "priority": "1 is the most urgent, 4 the least.",
    "reason": "Why, in a sentence.",
    "order_quantity": "Units to order.",
    "expected_on": "When an order of today would be delivered.",
    "stock_known": "How on_hand is known: counted, estimated (a count, less sales since) or unknown.",
    "on_hand": "Units; below 0 is owed to customers, null unknown.",
    "on_order": "Units on their way.",
    "origin_date": "The last day whose sales the forecast knew; null: nothing is forecast.",
    "method": "What the levels rest on: paths (the ledger's own errors) or normal (a textbook's distribution).",
    "demand_daily": "Expected units of a day, over the horizon.",
    "demand_lead_time": "Expected units until a delivery.",
    "demand_protection": "Expected units until the delivery after it.",
    "demand_std": "Standard deviation of demand_protection.",
    "days_of_inventory": "Days until the stock is used up; null: it outlasts the horizon, or is unknown.",
    "stockout_probability": "Probability that the stock runs out before an order of today is delivered.",
    "stockout_on": "The first day by which it has run out more likely than not.",
    "defaults": "The terms that are not the item's own, and whose they are.",
    "demand_class": "smooth, erratic, intermittent, lumpy, new or inactive.",
    "abc": "A, B or C by revenue.",
    "xyz": "X, Y or Z by steadiness.",
}


def _type_of(column: sa.Column) -> Any:
    kinds = ((sa.Boolean, bool), (sa.Date, date), (sa.Integer, int), (sa.Text, str), (sa.Double, float))
    kind = next(python for declared, python in kinds if isinstance(column.type, declared))
    return kind | None if column.nullable else kind


_FIGURES: dict[str, Any] = {
    **{column.name: (_type_of(column), Field(description=TOLD.get(column.name))) for column in tables.inventory_plan.c},
    "defaults": (dict[str, str], Field(description=TOLD["defaults"])),
}
_CLASSES: dict[str, Any] = {name: (str | None, Field(description=TOLD[name])) for name in reading.CLASSES}
PlanFigures = create_model("PlanFigures", __doc__="What the plan says of a series.", **_FIGURES)
PlanRow = create_model(
    "PlanRow", __base__=PlanFigures, __doc__="A series' row of the plan, with its class of demand.", **_CLASSES
)

EXAMPLE = {
    **{"as_of": "2026-01-31", "sku": "sku 1", "location": "north", "status": "understocked", "action": "reorder now"},
    **{"priority": 1, "reason": "Sells about 11 a day; 20 on hand, enough for 1.8 days, and a delivery takes 5 days:"},
    **{"order_quantity": 84, "expected_on": "2026-02-05", "supplier": "s", "category": "warm", "on_hand": 20},
    **{"stock_known": "counted", "counted_on": "2026-01-31", "on_order": 0, "origin_date": "2026-01-31"},
    **{"model": "ensemble", "method": "paths", "demand_daily": 11.2, "demand_lead_time": 56, "demand_protection": 67.2},
    **{"demand_std": 14.1, "safety_stock": 36.8, "reorder_point": 104, "order_up_to": 104, "eoq": None},
    **{"days_of_inventory": 1.8, "days_unsold": 0, "stockout_probability": 1, "stockout_on": "2026-02-02"},
    **{"inventory_value": 60, "order_value": 252, "lead_time_days": 5, "lead_time_std_days": 1.5},
    **{"review_period_days": 1, "policy": "order_up_to", "service_metric": "cycle", "service_level": 0.95, "moq": 12},
    **{"order_multiple": 12, "unit_cost": 3, "order_cost": None, "holding_rate": 0.25, "underage_cost": None},
    **{"least_cover_days": None, "most_cover_days": None, "stocked": True, "defaults": {"policy": "tenant"}},
    **{"demand_class": "smooth", "abc": "A", "xyz": "X"},
}


class Plan(BaseModel):
    """A page of a day's plan."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"day": "2026-01-31", "items": [EXAMPLE], "next_cursor": None}}
    )

    day: date
    items: list[PlanRow]  # type: ignore[valid-type]
    next_cursor: str | None = Field(description="Asks for the next page; null: this is the last one.")


class SkuPlan(BaseModel):
    """The plan of a SKU, by location."""

    model_config = ConfigDict(json_schema_extra={"example": {"day": "2026-01-31", "sku": "sku 1", "items": [EXAMPLE]}})

    day: date
    sku: str
    items: list[PlanRow]  # type: ignore[valid-type]


@router.get(
    "/inventory",
    operation_id="list_inventory",
    summary="The inventory plan",
    response_model=Plan,
    responses={200: {"content": TABLES}, **NO_PLAN, **NOT_ACCEPTABLE, **MOVED_ON},
)
def list_inventory(
    request: Request,
    at: Here,
    day: Day = None,
    sku: Annotated[list[Name], Query(max_length=MOST_SKUS, description="Only these SKUs.", examples=[["sku 1"]])] = [],  # noqa: B006
    q: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=LONGEST_NAME,
            pattern=TEXT,
            description="Part of the SKU, in any case.",
            examples=["sku"],
        ),
    ] = None,
    location: Location = None,
    supplier: Supplier = None,
    category: Category = None,
    status: Statuses = [],  # noqa: B006
    action: Actions = [],  # noqa: B006
    abc: Annotated[list[Literal["A", "B", "C"]], Query(max_length=3, description="By revenue.", examples=[["A"]])] = [],  # noqa: B006
    xyz: Annotated[
        list[Literal["X", "Y", "Z"]], Query(max_length=3, description="By steadiness.", examples=[["X"]])
    ] = [],  # noqa: B006
    sort: Annotated[
        Sort,
        Query(
            description="`-` before a column: the largest first. What is null comes last.", examples=["-order_value"]
        ),
    ] = "sku",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """A row for every series that is forecast or was counted. With `Accept: text/csv` or
    `application/vnd.apache.parquet` all of them as one table; what to order, for a purchasing system, is
    `/inventory/orders`. Of `status`, `action`, `abc` and `xyz` several may be given."""
    form = wanted_form(request)
    wanted = Wanted(
        *(tuple(sorted(set(sku))), location, supplier, category),
        *(tuple(sorted(set(each))) for each in (status, action, abc, xyz)),
        search=q,
    )
    with at.reading.session() as session:
        plan = reading.plan_day(session, at.tenant, day)
        asked = vars(wanted) | {"list": "inventory", "day": day, "sort": sort}
        page = page_of(limit=limit, cursor=cursor, keys=reading.sort_keys(sort), asked=asked, state=plan.state)
        if form == "json":
            rows = reading.plan_rows(session, plan.day, wanted, page)
            kept, following = page.cut(rows, lambda row: reading.sort_values(row, sort))
            content = {"day": plan.day, "items": list(map(shown, kept)), "next_cursor": following}
            return answer(request, content)
    blocks = _blocks(at, plan.day, wanted, page, sort)
    return table_answer(request, blocks, form=form, schema=reading.TABLE, name="inventory", version=plan.state)


@router.get(
    "/inventory/{sku}",
    operation_id="get_inventory",
    summary="The inventory plan of a SKU",
    response_model=SkuPlan,
    responses=NO_PLAN,
)
def sku_inventory(request: Request, at: Here, sku: Sku, location: Location = None, day: Day = None) -> Response:
    """By location: what there is, what is wanted until a delivery, what to do and why."""
    with at.reading.session() as session:
        plan = reading.plan_day(session, at.tenant, day)
        rows = reading.plan_rows(session, plan.day, Wanted((sku,), location))
    if not rows:
        raise Problem(404, "unknown-sku", "the plan has no row of this SKU; GET /api/v1/inventory lists those it has")
    return answer(request, {"day": plan.day, "sku": sku, "items": list(map(shown, rows))})


def shown(row: Row) -> Row:
    """A row of the plan as JSON has it."""
    return row | {"defaults": orjson.Fragment(row["defaults"])}


@contextmanager
def _blocks(at: TenantAccess, day: date, wanted: Wanted, first: Page, sort: str) -> Iterator[Iterator[pa.Table]]:
    """The rows of a plan, ``BLOCK`` at a time, of one state of the data."""

    with at.reading.session() as session:

        def each() -> Iterator[pa.Table]:
            page = replace(first, limit=BLOCK, after=None)
            while True:
                rows = reading.plan_table(session, day, wanted, page)
                yield rows.slice(0, BLOCK)
                if rows.num_rows <= BLOCK:
                    return
                page = replace(page, after=reading.sort_values(rows.slice(BLOCK - 1, 1).to_pylist()[0], sort))

        yield each()
