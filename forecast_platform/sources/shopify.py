"""Orders and refunds of a Shopify shop as events: what is sold on the day of the order, what comes back on its own day.

Pure: a webhook's payload in, events in our names out. Whether it came from Shopify is known to who received it.

An order's line is one event, named by the line: whatever becomes of the order is a newer state of it. Its quantity is
what was ordered; what was refunded or taken off again is an event of its own, named by the refund's line, negative, on
the day of the refund. So a refund that is told twice, in a webhook of its own and within the order, is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import Field

from forecast_platform.sources.columns import Settings
from forecast_platform.sources.events import Unfit
from forecast_platform.sources.shapes import EVERYWHERE
from forecast_platform.tables import PRICE

ORDERS = ("orders/create", "orders/updated", "orders/edited")
REFUNDS = ("refunds/create",)
UNIT = Decimal(1).scaleb(-PRICE.scale)


class Shopify(Settings):
    """A Shopify shop whose webhooks bring a tenant's sales."""

    shop: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*\.myshopify\.com$", description="the shop's own domain, as name.myshopify.com"
    )
    secrets: tuple[str, ...] = Field(
        min_length=1,
        description="what Shopify signs with, each as ${NAME} from the environment; two while one is replaced. No other"
        " tenant may have the same: the signature says whose shop it is",
    )
    location: str = Field(EVERYWHERE, description="location of sales of which the shop names none that is known here")
    locations: dict[str, str] = Field({}, description="our locations by the ids that Shopify has of its own")
    price: Literal["paid", "listed"] = Field(
        "paid", description="price of a unit: with the line's discounts, or without"
    )


class Ignored(Exception):
    """A webhook that says nothing of sales. The message says why."""


def events_of_webhook(topic: str, payload: object, shop: Shopify) -> list[dict[str, object]]:
    """The events of a webhook, under our names of columns.

    Raises:
        Ignored: it says nothing of sales.
        Unfit: it is not as Shopify writes it.
    """
    if topic not in ORDERS + REFUNDS:
        raise Ignored(f"topics that bring sales are {', '.join(ORDERS + REFUNDS)}")
    if not isinstance(payload, Mapping):
        raise Unfit("the payload is not an object")
    if topic in REFUNDS:
        return list(_refunded(payload, shop, order=None))
    if "line_items" not in payload and isinstance(payload.get("order_edit"), Mapping):
        raise Ignored("an edit names the lines it changes and no items: orders/updated brings the order as it is now")
    if payload.get("test") is True:
        raise Ignored("it is a test order")
    refunds = [each for each in _list(payload, "refunds", optional=True) if isinstance(each, Mapping)]
    events = list(_ordered(payload, shop, refunds))
    for refund in refunds:
        events += _refunded(refund, shop, order=payload)
    return events


def _ordered(order: Mapping, shop: Shopify, refunds: list[Mapping]) -> Iterator[dict[str, object]]:
    back = _refunded_units(refunds)
    for line in _list(order, "line_items"):
        name, quantity = _need(line, "id"), _whole(line, "quantity")
        if order.get("cancelled_at"):
            # Of a cancelled order nothing was sold: its line is what its refunds take back.
            quantity = min(quantity, back.get(str(name), 0))
        yield {
            "event_id": f"shopify-line-{name}",
            "sold_at": order.get("processed_at") or _need(order, "created_at"),
            "updated_at": _need(order, "updated_at"),
            "sku": line.get("sku"),
            "location": _location(order.get("location_id"), shop),
            "quantity": quantity,
            "unit_price": _price(line, shop),
            "on_promotion": _discount(line) > 0,
            "order_id": f"shopify-{_need(order, 'id')}",
        }


def _refunded(refund: Mapping, shop: Shopify, *, order: Mapping | None) -> Iterator[dict[str, object]]:
    """The lines of a refund. Within its order it is known where that was sold, which counts: it is told later."""
    for back in _list(refund, "refund_line_items"):
        line = back.get("line_item")
        if not isinstance(line, Mapping):
            raise Unfit("a line of the refund has no line_item")
        created = _need(refund, "created_at")
        yield {
            "event_id": f"shopify-refund-{_need(back, 'id')}",
            "sold_at": created,
            "updated_at": created if order is None else _later(created, _need(order, "updated_at")),
            "sku": line.get("sku"),
            "location": _location(back.get("location_id") if order is None else order.get("location_id"), shop),
            "quantity": -_whole(back, "quantity"),
            "unit_price": _price(line, shop),
            "on_promotion": _discount(line) > 0,
            "order_id": f"shopify-{_need(refund if order is None else order, 'order_id' if order is None else 'id')}",
        }


def _later(created: object, updated: object) -> str:
    """When an order told of a refund: after the refund's own webhook, also where both bear the same second."""
    return max(_instant(created) + timedelta(seconds=1), _instant(updated)).isoformat()


def _instant(text: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise Unfit(f"{str(text)[:40]!r} is no time") from error
    if found.tzinfo is None:
        raise Unfit(f"{str(text)[:40]!r} has no zone")
    return found


def _refunded_units(refunds: list[Mapping]) -> dict[str, int]:
    units: dict[str, int] = {}
    for refund in refunds:
        for back in _list(refund, "refund_line_items"):
            name = str(back.get("line_item_id"))
            units[name] = units.get(name, 0) + _whole(back, "quantity")
    return units


def _location(given: object, shop: Shopify) -> str:
    return shop.locations.get(str(given), shop.location)


def _price(line: Mapping, shop: Shopify) -> str | None:
    """Price of a unit as text, exact; None where the line has none."""
    listed = _amount(line.get("price"))
    if listed is None:
        return None
    quantity = _whole(line, "quantity")
    if shop.price == "listed" or quantity <= 0:
        return f"{listed:f}"
    paid = max(listed - _discount(line) / quantity, Decimal(0))
    return f"{paid.quantize(UNIT, ROUND_HALF_EVEN):f}"


def _discount(line: Mapping) -> Decimal:
    """What the whole line was reduced by."""
    found = (_amount(each.get("amount")) for each in _list(line, "discount_allocations", optional=True))
    return sum(filter(None, found), Decimal(0))


def _amount(value: object) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation as error:
        raise Unfit(f"{str(value)[:40]!r} is no amount") from error
    if not amount.is_finite() or abs(amount) >= 10**15:
        raise Unfit(f"{str(value)[:40]!r} is no amount")
    return amount


def _whole(of: Mapping, name: str) -> int:
    value = _need(of, name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfit(f"{name} is no whole number")
    return value


def _need(of: Mapping, name: str) -> Any:
    value = of.get(name)
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise Unfit(f"{name} is missing")
    return value


def _list(of: Mapping, name: str, *, optional: bool = False) -> list[Mapping]:
    value = of.get(name)
    if value is None and optional:
        return []
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise Unfit(f"{name} is no list of objects")
    return value
