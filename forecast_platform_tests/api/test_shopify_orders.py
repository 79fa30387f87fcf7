"""Webhooks of a Shopify shop: signed or refused, told twice or out of order and counted once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dagster._core.test_utils import freeze_time
from pydantic import ValidationError

from forecast_platform.api.shopify import Shops
from forecast_platform.sources.events import Unfit
from forecast_platform.sources.inbox import waiting
from forecast_platform.sources.shopify import Ignored, Shopify, events_of_webhook
from forecast_platform.tenant import Tenant
from forecast_platform_tests.api.conftest import Served
from forecast_platform_tests.api.tills import NOON, sent_to
from forecast_platform_tests.pipeline.conftest import backend, new_shop, parsed_projects
from forecast_platform_tests.pipeline.shop import day

__all__ = ["backend", "new_shop", "parsed_projects"]

PATH = "/api/v1/webhooks/shopify/orders"
SECRET, OTHER = "shpss_0123456789abcdef", "shpss_fedcba9876543210"
SHOP = {"shop": "tea.myshopify.com", "secrets": ["${TEA_SECRET}"], "locations": {"71": "north"}}
SETTINGS = {"source": {"kind": "events"}, "shopify": SHOP}
_ids = itertools.count(1)


def line(number: int, quantity: int, **fields) -> dict[str, Any]:
    return {"id": number, "sku": f"sku {number}", "quantity": quantity, "price": "3.25", **fields}


def order(*lines: dict[str, Any], minute: int = 0, **fields) -> dict[str, Any]:
    at = f"{day(3)}T10:%02d:00+00:00"
    stamps = {"created_at": at % 0, "processed_at": at % 0, "updated_at": at % minute}
    return {"id": 1, **stamps, "location_id": 71, "line_items": list(lines), "refunds": [], **fields}


def refund(number: int, of: dict[str, Any], quantity: int, offset: int = 5) -> dict[str, Any]:
    back = {"id": number * 10, "line_item_id": of["id"], "line_item": of, "quantity": quantity, "location_id": None}
    return {"id": number, "order_id": 1, "created_at": f"{day(offset)}T09:00:00+00:00", "refund_line_items": [back]}


def signed(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


@pytest.fixture(autouse=True)
def tea_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEA_SECRET", SECRET)
    monkeypatch.setenv("OIL_SECRET", OTHER)


@pytest.fixture
def till(new_shop: Callable, backend: str) -> Served:
    return sent_to(new_shop, backend, **SETTINGS)


@pytest.fixture
def small(new_shop: Callable) -> Served:
    return sent_to(new_shop, "duckdb", **SETTINGS)


@pytest.fixture
def tell(open_app: Callable) -> Callable[..., Any]:
    """Send a webhook as Shopify does; what is named replaces a header or the body that is sent."""
    clients: dict[str, Any] = {}

    def send(served: Served, topic: str, payload: object, *, body: bytes | None = None, **headers: str | None):
        client = clients.get(served.tenant) or clients.setdefault(served.tenant, open_app(served.settings)[1]())
        content = json.dumps(payload).encode()
        sent = {
            "hmac-sha256": signed(content),
            "shop-domain": SHOP["shop"],
            "topic": topic,
            "webhook-id": f"w-{next(_ids)}",
        } | {name.replace("_", "-"): text for name, text in headers.items()}
        named = {f"X-Shopify-{name}": text for name, text in sent.items() if text is not None}
        return client.post(PATH, content=content if body is None else body, headers=named)

    return send


def sold(served: Served) -> list[tuple]:
    rows = served.warehouse.read(
        "select event_id, sale_date, location, quantity, unit_price from raw_sales order by event_id"
    )
    return [
        (row.event_id, row.sale_date.date(), row.location, float(row.quantity), float(row.unit_price))
        for row in rows.itertuples()
    ]


@freeze_time(NOON)
def test_orders_edits_and_refunds_are_sales_once_in_whatever_order_they_are_told(till: Served, tell: Callable):
    tea, oil = line(1, 2, discount_allocations=[{"amount": "1.50"}]), line(2, 5)
    # The same second as the refund's own webhook, which does not say where the sale was.
    newer = order(tea, {**oil, "quantity": 7}, refunds=[refund(4, tea, 1)])
    newer["updated_at"] = newer["refunds"][0]["created_at"]
    for topic, payload in [
        ("refunds/create", refund(4, tea, 1)),
        ("orders/updated", newer),
        ("orders/create", order(tea, oil)),
        ("orders/updated", newer),
        ("refunds/create", refund(4, tea, 1)),
    ]:
        answer = tell(till, topic, payload)
        assert answer.status_code == 202 and answer.json()["ignored"] is None, answer.text
        assert answer.json()["rejected"] == 0
    till.shop.make()
    assert sold(till) == [
        ("shopify-line-1", day(3), "north", 2.0, 2.5),
        ("shopify-line-2", day(3), "north", 7.0, 3.25),
        ("shopify-refund-40", day(5), "north", -1.0, 2.5),
    ]


@freeze_time(NOON)
def test_every_byte_is_signed(small: Served, tell: Callable):
    payload = order(line(1, 2))
    body = json.dumps(payload).encode()
    for at in range(0, len(body), 7):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        assert tell(small, "orders/create", payload, body=changed).status_code == 401
    assert tell(small, "orders/create", payload, body=json.dumps(payload, indent=1).encode()).status_code == 401
    assert waiting(small.shop.scope.landing).files == 0
    assert tell(small, "orders/create", payload).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"hmac_sha256": None},
        {"hmac_sha256": ""},
        {"hmac_sha256": "AAAA"},
        {"hmac_sha256": "ü"},
        {"hmac_sha256": signed(json.dumps(order(line(1, 2))).encode(), OTHER)},
        {"hmac_sha256": signed(json.dumps(order(line(1, 2))).encode(), "")},
        {"shop_domain": None},
        {"shop_domain": "nobody.myshopify.com"},
    ],
)
def test_who_has_not_signed_learns_nothing(small: Served, tell: Callable, headers: dict):
    payload = order(line(1, 2))
    if headers.get("hmac_sha256") == "ü":
        headers = {"hmac_sha256": "ü".encode()}
    answers = [tell(small, topic, payload, **headers) for topic in ("orders/create", "app/uninstalled")]
    assert {answer.status_code for answer in answers} == {401}
    assert answers[0].json()["detail"] == answers[1].json()["detail"] and SHOP["shop"] not in answers[0].text
    assert waiting(small.shop.scope.landing).files == 0


@freeze_time(NOON)
def test_a_webhook_that_comes_again_is_answered_as_it_was(small: Served, tell: Callable):
    payload = order(line(1, 2))
    first, again = (tell(small, "orders/create", payload, webhook_id="w") for _ in range(2))
    assert first.status_code == again.status_code == 202 and first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert waiting(small.shop.scope.landing).files == 1
    for wrong in (None, "", "x" * 300):
        assert tell(small, "orders/create", payload, webhook_id=wrong).status_code == 422


@freeze_time(NOON)
def test_told_many_times_at_once_it_is_one_sale_and_each_is_answered(small: Served, tell: Callable):
    tell(small, "app/uninstalled", {})
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: tell(small, "orders/create", order(line(1, 2)), webhook_id="w"), range(8)))
    assert {answer.status_code for answer in told} == {202}
    small.shop.make()
    assert [row[0] for row in sold(small)] == ["shopify-line-1"]


@freeze_time(NOON)
def test_what_says_nothing_of_sales_is_taken_and_ignored(small: Served, tell: Callable):
    edit = {"order_edit": {"order_id": 1, "line_items": {"additions": [{"id": 1, "delta": 1}], "removals": []}}}
    for topic, payload in [
        ("products/update", {"id": 1}),
        ("orders/edited", edit),
        ("orders/create", order(line(1, 2), test=True)),
        ("orders/create", order()),
        ("refunds/create", {"id": 1, "order_id": 1, "created_at": "2026-01-04", "refund_line_items": []}),
    ]:
        answer = tell(small, topic, payload)
        assert answer.status_code == 202 and answer.json()["ignored"], answer.text
    assert waiting(small.shop.scope.landing).files == 0


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {},
        order({"id": 1}),
        order(line(1, 2, price="NaN")),
        order({**line(1, 2), "quantity": "2"}),
        order({**line(1, 2), "quantity": True}),
        {**order(line(1, 2)), "line_items": {}},
        {**order(line(1, 2)), "updated_at": None},
        order(line(1, 2), refunds=[{"id": 1, "refund_line_items": [{"id": 1, "quantity": 1}], "created_at": "x"}]),
    ],
)
def test_what_is_not_as_shopify_writes_it_is_told(payload: object):
    with pytest.raises(Unfit):
        events_of_webhook("orders/create", payload, Shopify.model_validate(SHOP))


def test_a_line_without_a_sku_is_a_reject_that_people_see(small: Served, tell: Callable):
    with freeze_time(NOON):
        told = tell(small, "orders/create", order(line(1, 2, sku=None), line(2, 1))).json()
    assert (told["accepted"], told["rejected"]) == (1, 1) and "sku" in told["rejects"][0]["reason"]


def test_of_a_cancelled_order_nothing_is_left():
    tea, oil = line(1, 2), line(2, 5)
    cancelled = order(tea, oil, cancelled_at=f"{day(4)}T10:00:00Z", refunds=[refund(4, tea, 2)])
    events = events_of_webhook("orders/updated", cancelled, Shopify.model_validate(SHOP))
    assert [(each["event_id"], each["quantity"]) for each in events] == [
        ("shopify-line-1", 2),
        ("shopify-line-2", 0),
        ("shopify-refund-40", -2),
    ]
    with pytest.raises(Ignored):
        events_of_webhook("orders/delete", cancelled, Shopify.model_validate(SHOP))


def test_the_price_is_what_was_paid_or_what_was_listed():
    tea = order(line(1, 3, discount_allocations=[{"amount": "1.00"}]))
    paid, listed = (
        events_of_webhook("orders/create", tea, Shopify.model_validate({**SHOP, "price": price}))[0]
        for price in ("paid", "listed")
    )
    assert (paid["unit_price"], listed["unit_price"], paid["on_promotion"]) == ("2.916667", "3.25", True)


def shops(**settings: dict) -> Shops:
    named = {name: Shopify.model_validate({**SHOP, **each}) for name, each in settings.items()}
    return Shops(named, {"TEA_SECRET": SECRET, "OIL_SECRET": OTHER, "SHORT": "short"})


def whose(found: Shops, domain: str, secret: str) -> str | None:
    shop = found.signed_by(domain, signed(b"body", secret), b"body")
    return shop.tenant if shop else None


def test_a_secret_is_replaced_without_a_gap():
    both = shops(tea={"secrets": ["${OIL_SECRET}", "${TEA_SECRET}"]})
    assert [whose(both, SHOP["shop"], secret) for secret in (SECRET, OTHER, SECRET[::-1])] == ["tea", "tea", None]


def test_a_signature_reaches_the_tenant_of_its_secret_and_no_other():
    two = shops(tea={}, oil={"shop": "oil.myshopify.com", "secrets": ["${OIL_SECRET}"]})
    assert whose(two, "oil.myshopify.com", OTHER) == "oil"
    assert whose(two, "oil.myshopify.com", SECRET) is None
    shared = shops(tea={}, oil={"shop": "oil.myshopify.com"})
    assert whose(shared, SHOP["shop"], SECRET) is None and whose(shared, "oil.myshopify.com", SECRET) is None
    twice = shops(tea={}, oil={"secrets": ["${OIL_SECRET}"]})
    assert whose(twice, SHOP["shop"], SECRET) is None


@pytest.mark.parametrize("secrets", [["${NOT_SET}"], ["${SHORT}"]])
def test_a_secret_that_is_not_set_or_can_be_guessed_opens_nothing(secrets: list[str], caplog):
    assert whose(shops(tea={"secrets": secrets}), SHOP["shop"], "short") is None
    assert "tea" in caplog.text


def test_a_shop_goes_with_posted_events_that_have_a_newest_state():
    start = {"start": "2026-01-01", "shopify": SHOP}
    files = {"kind": "files", "url": "/x", "columns": {"sku": "a", "quantity": "b", "sale_date": "c"}}
    with pytest.raises(ValidationError, match="kind events"):
        Tenant.model_validate({**start, "source": files})
    columns = {"event_id": "id", "sold_at": "at", "sku": "sku", "quantity": "n"}
    with pytest.raises(ValidationError, match="updated_at"):
        Tenant.model_validate({**start, "source": {"kind": "events", "columns": columns}})
