"""The demo's facts beside sales, as CSV by day: items, locations, suppliers, plan, inventory levels, open orders.

What they tell is decided in ``demo_shop`` and ``demo_demand``; which of them a reader gets is in ``demo``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from forecast_platform.sources.demo_demand import REVIEW_DAYS, demand, lead_days, order_lines, stock
from forecast_platform.sources.demo_shop import (
    ANNOUNCED_DAYS,
    CATEGORIES,
    GAP_DAYS,
    LOCATIONS,
    PROMOTION_BLOCK,
    SUPPLIERS,
    VARIANTS,
    Shop,
    day_of,
)

Cells = Sequence[object]
SERVICE_LEVELS = (0.97, 0.95, 0.90)
"""Wanted service level of smooth, intermittent and lumpy articles."""

ITEM_COLUMNS = (
    *("valid_from", "sku", "location", "name", "category", "supplier", "active", "unit_cost", "lead_time_days"),
    *("lead_time_std_days", "review_period_days", "moq", "order_multiple", "order_cost", "holding_rate"),
    *("service_level", "policy", "service_metric", "underage_cost", "least_cover_days", "most_cover_days", "stocked"),
)
LOCATION_COLUMNS = ("valid_from", "location", "name", "region", "country")
SUPPLIER_COLUMNS = (
    *("valid_from", "supplier", "name", "country", "lead_time_days", "lead_time_std_days", "moq", "order_cost"),
    *("review_period_days", "order_days", "order_std_days", "transit_days", "transit_std_days"),
    *("customs_days", "customs_std_days"),
)
PLAN_COLUMNS = ("known_from", "target_date", "sku", "location", "on_promotion", "price")
INVENTORY_COLUMNS = ("snapshot_date", "sku", "location", "on_hand", "on_order")
OPEN_ORDER_COLUMNS = (
    *("known_from", "order_id", "sku", "location", "quantity", "supplier", "ordered_on", "expected_on", "received_on"),
)


def item_batches(shop: Shop, first: int, last: int) -> dict[int, bytes]:
    """The whole catalogue on Mondays and on the opening day; on other days the articles that come and go."""
    return _written(ITEM_COLUMNS, ((day, list(_items(shop, day))) for day in range(first, last + 1)))


def location_batches(shop: Shop, first: int, last: int) -> dict[int, bytes]:
    """All locations, on the days on which the whole catalogue is published."""
    told = [(each.code, each.name, each.region, each.country) for each in LOCATIONS]
    return _written(LOCATION_COLUMNS, _published(shop, first, last, told))


def supplier_batches(shop: Shop, first: int, last: int) -> dict[int, bytes]:
    """All suppliers, on the days on which the whole catalogue is published."""
    told = [(*supplier[:-1], REVIEW_DAYS, *supplier.stages) for supplier in SUPPLIERS]
    return _written(SUPPLIER_COLUMNS, _published(shop, first, last, told))


def plan_batches(shop: Shop, first: int, last: int) -> dict[int, bytes]:
    """Promotions announced on each day, and those of which days were cancelled on it; nothing on most days."""
    rows = _plan_rows(shop, max(first, shop.opens), last)
    return _written(PLAN_COLUMNS, ((day, rows.get(day, [])) for day in range(first, last + 1)))


def inventory_batches(shop: Shop, first: int, last: int) -> dict[int, bytes]:
    """Stock of every article on sale, at the end of each day."""
    played = demand(shop, first, last)
    levels = stock(shop, played)

    def rows(position: int) -> Iterator[Cells]:
        written = day_of(played.days[position]).isoformat()
        for series in np.flatnonzero(played.on_sale[position]).tolist():
            sku = shop.sku(int(shop.series_place[series]), int(played.generation[position, series]))
            location = LOCATIONS[shop.series_location[series]].code
            yield written, sku, location, *(int(level[position, series]) for level in levels)

    return _written(INVENTORY_COLUMNS, ((int(day), list(rows(at))) for at, day in enumerate(played.days)))


def open_order_batches(shop: Shop, first: int, last: int) -> dict[int, bytes]:
    """Lines of orders placed on each day, and the same lines again when they are received."""
    lines, rows = order_lines(shop, max(first, shop.opens), last), {}
    columns = (lines.day, lines.series, lines.generation, lines.quantity, lines.ordered, lines.due, lines.received)
    for day, series, generation, quantity, ordered, due, received in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        place, location = int(shop.series_place[series]), LOCATIONS[shop.series_location[series]].code
        supplier = SUPPLIERS[CATEGORIES[shop.category[place]].supplier].code
        dates = [day_of(each).isoformat() for each in (day, max(ordered, shop.opens), due)]
        rows.setdefault(day, []).append(
            (
                *(dates[0], f"PO-{day_of(ordered):%y%m%d}-{supplier[2:]}-{location}", shop.sku(place, generation)),
                *(location, quantity, supplier, dates[1], dates[2], dates[0] if received else ""),
            )
        )
    return _written(OPEN_ORDER_COLUMNS, sorted(rows.items()))


def _written(columns: Sequence[str], days: Iterable[tuple[int, list[Cells]]]) -> dict[int, bytes]:
    """CSV with a header for each day that has rows."""
    files = {}
    for day, rows in days:
        if rows:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([columns, *rows])
            files[day] = text.getvalue().encode()
    return files


def _publishes_all(shop: Shop, day: int) -> bool:
    return day == shop.opens or (day > shop.opens and (day + 3) % 7 == 0)


def _published(shop: Shop, first: int, last: int, told: Sequence[Cells]) -> Iterator[tuple[int, list[Cells]]]:
    for day in range(first, last + 1):
        if _publishes_all(shop, day):
            yield day, [(day_of(day).isoformat(), *row) for row in told]


def _items(shop: Shop, day: int) -> Iterator[Cells]:
    """Articles published on ``day``. An article is listed, active, from the day the one before it has gone."""
    generation, age = shop.generation(day)
    ended = shop.short_lived & (age >= shop.life - GAP_DAYS)
    ended_today = shop.short_lived & (age == shop.life - GAP_DAYS)
    all_of_them = _publishes_all(shop, day)
    for place in shop.place.tolist():
        if not (all_of_them or (ended_today[place] and day > shop.opens)):
            continue
        yield _item(shop, day, place, int(generation[place]), active=not ended[place])
        if ended[place]:
            yield _item(shop, day, place, int(generation[place]) + 1, active=True)


def _item(shop: Shop, day: int, place: int, generation: int, *, active: bool) -> Cells:
    category = CATEGORIES[shop.category[place]]
    supplier = SUPPLIERS[category.supplier]
    nth = place // len(CATEGORIES)
    name = f"{category.nouns[nth % len(category.nouns)]}, {VARIANTS[(nth // 8 + generation) % len(VARIANTS)]}"
    cost = shop.base_price[place] * shop.draws.between("cost", 0.45, 0.60, place)
    multiple = (1, 6, 12)[int(shop.draws.whole("multiple", 0, 2, place))]
    # Every fourth article leaves its lead time to its supplier.
    lead = ("", "") if place % 4 == 3 else (lead_days(shop)[place], supplier.lead_time_std_days)
    # One article in twelve is bought in lots, one so that it costs least, one in six to meet a share of its demand.
    policy = {5: "fixed_quantity", 9: "newsvendor"}.get(place % 12, "")
    missed = f"{float(shop.base_price[place] - cost):.2f}" if policy == "newsvendor" else ""
    return (
        *(day_of(day).isoformat(), shop.sku(place, generation), "all", name, category.name, supplier.code),
        *("true" if active else "false", f"{float(cost):.2f}", *lead, REVIEW_DAYS),
        *(multiple * (1 + place % 2), multiple, "", 0.22, SERVICE_LEVELS[shop.demand_class[place]]),
        *(policy, "fill" if place % 6 == 2 else "", missed, "", "", ""),
    )


def _plan_rows(shop: Shop, first: int, last: int) -> dict[int, list[Cells]]:
    """Plan rows by the day they are known from. What was known before the opening day is known from that day."""
    known_from = first - 2 * PROMOTION_BLOCK if first == shop.opens else first
    newest: dict[tuple[int, int, int], bool] = {}
    for known, target, place, promoted in _announcements(shop, known_from, last):
        if target >= shop.opens:
            newest[max(known, shop.opens), target, place] = promoted
    rows: dict[int, list[Cells]] = {}
    for (known, target, place), promoted in sorted(newest.items()):
        rows.setdefault(known, []).extend(_plan_of_series(shop, known, target, place, promoted))
    return rows


def _announcements(shop: Shop, first: int, last: int) -> list[tuple[int, int, int, bool]]:
    """(known from, day planned, place, on promotion) of what is announced on ``first`` .. ``last``, oldest first."""
    promotions = shop.promotions(first, last + ANNOUNCED_DAYS[1])
    columns = (promotions.place, promotions.start, promotions.planned, promotions.kept)
    told = []
    for place, start, planned, kept, announced, changed in zip(
        *(column.tolist() for column in (*columns, promotions.announced, promotions.changed)), strict=True
    ):
        told += [(announced, start + offset, place, True) for offset in range(planned)]
        told += [(changed, start + offset, place, False) for offset in range(kept, planned)]
    return sorted(each for each in told if first <= each[0] <= last)


def _plan_of_series(shop: Shop, known: int, target: int, place: int, promoted: bool) -> Iterator[Cells]:
    days = np.array([target])
    generation, age = shop.generation(days[:, None])
    if not shop.on_sale(target, age)[0, place]:
        return
    prices: NDArray[np.float64] = shop.promotion_price(days) if promoted else shop.price(days)
    for location in shop.series_location[shop.series_place == place].tolist():
        yield (
            *(day_of(known).isoformat(), day_of(target).isoformat(), shop.sku(place, int(generation[0, place]))),
            *(LOCATIONS[location].code, "true" if promoted else "false", f"{prices[0, place]:.2f}"),
        )
