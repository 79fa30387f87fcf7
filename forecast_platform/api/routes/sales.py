"""``POST /sales`` and ``POST /inventory``: events and counts of stock, durable before they are answered.

They are kept in the landing's inbox and become facts with the run that the sensor starts; nothing is made here.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from starlette.responses import Response

from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.idempotency import IdempotencyKey
from forecast_platform.api.keys import Scope
from forecast_platform.api.problems import Problem
from forecast_platform.api.routing import api_router
from forecast_platform.api.sending import REFUSALS, Accounted, RawBody, account, body_of_rows, done_once, rows_sent
from forecast_platform.assets.scope import TenantScope
from forecast_platform.posting import NoInbox, post_counts, post_events, shape_of_counts, shape_of_events
from forecast_platform.sources.inbox import Receipt

router = api_router(Scope.WRITE, tags=["sending"])

EVENTS = (
    {
        "event_id": "t7-4711-1",
        "sold_at": "2026-02-01T17:58:03+01:00",
        "sku": "sku 1",
        "location": "north",
        "quantity": 2,
        "unit_price": "3.25",
        "order_id": "t7-4711",
    },
    {
        "event_id": "t7-4712-1",
        "sold_at": "2026-02-01T17:59:40+01:00",
        "sku": "sku 2",
        "location": "north",
        "quantity": -1,
    },
    {"type": "end_of_day", "day": "2026-02-01"},
)
COUNTS = ({"snapshot_date": "2026-02-01", "sku": "sku 1", "location": "north", "on_hand": 14, "on_order": 24},)


@router.post(
    "/sales",
    operation_id="post_sales",
    summary="Send sales as events",
    status_code=202,
    response_model=Accounted,
    responses=REFUSALS,
    openapi_extra=body_of_rows(
        EVENTS,
        description="Events under the names of fields that the tenant's settings give them (by default as here): a"
        " JSON array of up to 10,000, or one a line. An event is known by its `event_id`: sent again, late or out of"
        " order it counts once, and of several states the newest `updated_at`. Returns are negative.",
    ),
)
def post_sales(request: Request, at: Here, body: RawBody, idempotency_key: IdempotencyKey = None) -> Response:
    """Take sales in. What is answered 202 is on disk, and becomes facts with the next run, which starts by itself.

    An event that is no sale is refused with a reason and stops no other. An `end_of_day` says that a day is over.
    """
    return _taken(request, at, body, idempotency_key, operation="sales", shape=shape_of_events, post=post_events)


@router.post(
    "/inventory",
    operation_id="post_inventory",
    summary="Send counts of stock",
    status_code=202,
    response_model=Accounted,
    responses=REFUSALS,
    openapi_extra=body_of_rows(
        COUNTS,
        description="Stock at the end of a day, a row an item and location: a JSON array of up to 10,000, or one a"
        " line. A later count of the same day replaces the one before.",
    ),
)
def post_inventory(request: Request, at: Here, body: RawBody, idempotency_key: IdempotencyKey = None) -> Response:
    """Take counts of stock in: durable before the answer, facts of their day with the next run.

    For tenants whose settings say `facts: {inventory_levels: {kind: events}}`.
    """
    return _taken(request, at, body, idempotency_key, operation="inventory", shape=shape_of_counts, post=post_counts)


def _taken(
    request: Request,
    at: TenantAccess,
    body: bytes,
    key: str | None,
    *,
    operation: str,
    shape: Callable[[TenantScope], object],
    post: Callable[[TenantScope, list], Receipt],
) -> Response:
    try:
        shape(at.tenant)
    except NoInbox as error:
        raise Problem(409, "source-takes-none", str(error)) from error
    rows = rows_sent(request, body)
    return done_once(at, operation, key, body, lambda: (202, account(post(at.tenant, rows))))
