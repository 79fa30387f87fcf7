"""``POST /webhooks/shopify/orders``: what a shop tells of its orders, durable before the answer as posted events are.

It carries no key: Shopify's signature is the credential, and the domain of the shop says whose secret it must be of.
"""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Principal, TenantAccess
from forecast_platform.api.platform import Platform
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.routing import API
from forecast_platform.api.sending import REFUSALS, Accounted, RawBody, account, done_once
from forecast_platform.api.shopify import Shop
from forecast_platform.posting import post_events, shape_of_events
from forecast_platform.sources.events import Unfit
from forecast_platform.sources.inbox import Receipt
from forecast_platform.sources.shopify import Ignored, events_of_webhook

log = logging.getLogger(__name__)

router = APIRouter(prefix=API, tags=["sending"])

NOTHING = Receipt(0, 0, (), (), (), ())
LONGEST_ID = 200

EXAMPLE = {
    "id": 820982911946154508,
    "created_at": "2026-02-01T10:11:12+01:00",
    "processed_at": "2026-02-01T10:11:12+01:00",
    "updated_at": "2026-02-01T10:11:13+01:00",
    "location_id": None,
    "line_items": [{"id": 866550311766439020, "sku": "sku 1", "quantity": 2, "price": "3.25"}],
    "refunds": [],
}


class Told(Accounted):
    """What became of a webhook."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "accepted": 1,
                "duplicates": 0,
                "rejected": 0,
                "rejects": [],
                "days": ["2026-02-01"],
                "closed": [],
                "ignored": None,
            }
        }
    )

    ignored: str | None = Field(description="Why it says nothing of sales; null where it does.")


@router.post(
    "/webhooks/shopify/orders",
    operation_id="post_shopify_webhook",
    summary="Take a webhook of a Shopify shop",
    status_code=202,
    response_model=Told,
    responses={**{status: RESPONSES[status] for status in (401, 422, 503)}, **REFUSALS},
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "An order or a refund as Shopify sends it.",
            "content": {"application/json": {"schema": {"type": "object"}, "example": EXAMPLE}},
        }
    },
)
def post_shopify_webhook(
    request: Request,
    body: RawBody,
    x_shopify_hmac_sha256: Annotated[
        str | None, Header(description="Base64 of the HMAC-SHA256 of the body under the shop's secret.")
    ] = None,
    x_shopify_shop_domain: Annotated[
        str | None, Header(description="The shop, as the tenant's settings name it.", examples=["tea.myshopify.com"])
    ] = None,
    x_shopify_topic: Annotated[str | None, Header(description="What it tells of.", examples=["orders/create"])] = None,
    x_shopify_webhook_id: Annotated[
        str | None, Header(description="Its own id: one that comes again is answered as it was.")
    ] = None,
) -> Response:
    """Take what a shop tells of `orders/create`, `orders/updated`, `orders/edited` and `refunds/create`.

    A line of an order is a sale, and each later state of it replaces the one before; a refund is a negative sale on its
    own day. Other topics are answered 202 and ignored. For tenants whose settings have `shopify` and a source of kind
    `events`.
    """
    platform: Platform = request.app.state.platform
    shop = platform.shopify.signed_by(x_shopify_shop_domain, x_shopify_hmac_sha256, body)
    if shop is None:
        client = request.client.host if request.client else "unknown"
        log.warning("refused: a webhook that no shop has signed", extra={"client": client, "security": "refused"})
        raise Problem(401, "unauthenticated", "no shop that is known here has signed this body")
    at = _access(request, platform, shop)
    name = x_shopify_webhook_id or ""
    if not (name.isascii() and name.isprintable() and 0 < len(name) <= LONGEST_ID):
        raise Problem(422, "invalid-request", "X-Shopify-Webhook-Id is missing, or none")
    work = partial(_take, at, shop, x_shopify_topic or "", body)
    try:
        return done_once(at, "shopify", name, body, work)
    except Problem as problem:
        if problem.kind != "request-in-flight":
            raise
        # Told twice at the same time: its events have ids, and who asked is not kept waiting.
        return done_once(at, "shopify", None, body, work)


def _access(request: Request, platform: Platform, shop: Shop) -> TenantAccess:
    principal = Principal(shop.tenant, frozenset(), f"shop {shop.settings.shop}")
    request.scope["principal"] = principal
    return TenantAccess(principal, platform.tenant(shop.tenant), platform.readings.of(shop.tenant), platform)


def _take(at: TenantAccess, shop: Shop, topic: str, body: bytes) -> tuple[int, Any]:
    try:
        events = events_of_webhook(topic, json.loads(body, parse_float=Decimal), shop.settings)
    except Ignored as why:
        return 202, {**account(NOTHING), "ignored": str(why)}
    except (Unfit, ValueError, RecursionError) as error:
        log.error("tenant %s: a webhook of topic %s cannot be read: %s", shop.tenant, topic, error)
        said = str(error) if isinstance(error, Unfit) else "it is no JSON"
        raise Problem(422, "invalid-request", f"the payload is not as Shopify writes it: {said}") from error
    if not events:
        return 202, {**account(NOTHING), "ignored": "it has no lines"}
    names = shape_of_events(at.tenant).mapped()
    named = [{names[ours][0]: value for ours, value in event.items() if ours in names} for event in events]
    return 202, {**account(post_events(at.tenant, named)), "ignored": None}
