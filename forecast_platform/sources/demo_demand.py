"""What the demo's shop sells on a day: units by (day, series), prices, promotions, stock-outs and stock.

Pure arrays, each value a function of (settings, day, series) alone. The shop itself is in ``demo_shop``, the rows that
tell of its days in ``demo_sales`` and ``demo_facts``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast_platform.sources.demo_draws import poisson
from forecast_platform.sources.demo_shop import CATEGORIES, INTERMITTENT, LOCATIONS, LUMPY, SMOOTH, SUPPLIERS, Shop

YEAR = 365.2425
KNOT_DAYS = 14
STOCK_OUT_BLOCK = 56
REVIEW_DAYS = 7
ELASTICITY = -1.2
_SAFETY_DAYS = 3


@dataclass(frozen=True, eq=False)
class Demand:
    """What happened on some days: arrays of shape (days, series), ``days`` apart."""

    days: NDArray[np.int64]
    generation: NDArray[np.int64]
    on_sale: NDArray[np.bool_]
    """The article is in the range of the location."""
    in_stock: NDArray[np.bool_]
    on_promotion: NDArray[np.bool_]
    price: NDArray[np.float64]
    units: NDArray[np.int64]
    """Units sold: 0 where the article is not on sale or the shelf is empty."""


def demand(shop: Shop, first: int, last: int) -> Demand:
    """Play the days ``first`` .. ``last``. Any other range gives the same for the days both have."""
    days = np.arange(first, last + 1)
    place = shop.series_place
    generation, age = shop.generation(days[:, None])
    on_sale = shop.on_sale(days[:, None], age)[:, place]
    promoted = promoted_days(shop, first, last)
    price = np.where(promoted, shop.promotion_price(days), shop.price(days))
    until_empty = days_until_empty(shop, days)
    factor = seasonal_factor(shop, days) * _short_term(shop, days) * _introduction(age)[:, place]
    factor *= np.where(promoted, shop.lift, (shop.price(days) / shop.base_price) ** ELASTICITY)[:, place]
    units = _counts(shop, days, generation[:, place], factor)
    in_stock = until_empty != 0
    return Demand(
        days=days,
        generation=generation[:, place],
        on_sale=on_sale,
        in_stock=in_stock,
        on_promotion=promoted[:, place] & on_sale,
        price=price[:, place],
        units=np.where(on_sale & in_stock, units, 0),
    )


def promoted_days(shop: Shop, first: int, last: int) -> NDArray[np.bool_]:
    """Whether an article is on promotion, by (day, place): as carried out, after changes of the plan."""
    promoted = np.zeros((last - first + 1, len(shop.place)), dtype=bool)
    promotions = shop.promotions(first, last)
    for offset in range(int(promotions.kept.max(initial=0))):
        row = promotions.start + offset - first
        held = (offset < promotions.kept) & (row >= 0) & (row < len(promoted))
        promoted[row[held], promotions.place[held]] = True
    return promoted


def seasonal_factor(shop: Shop, days: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weekday, yearly shape and trend by (day, series): what is known of demand without chance, mean about 1."""
    weekday = shop.weekday_profile.T[(days + 3) % 7]
    peak = np.array([category.peak for category in CATEGORIES])[shop.category]
    swing = np.array([category.swing for category in CATEGORIES])[shop.category]
    yearly = 1 + swing * np.cos(2 * np.pi * (days[:, None] % YEAR - peak) / YEAR)
    return weekday * (yearly * _trend(shop, days))[:, shop.series_place]


def _trend(shop: Shop, days: NDArray[np.int64]) -> NDArray[np.float64]:
    """A slow wave of 2 to 4 years: over some months a trend up or down, over decades no explosion."""
    swing = shop.draws.between("trend swing", 0.10, 0.35, shop.place)
    period = shop.draws.between("trend period", 730, 1460, shop.place)
    return 1 + swing * np.sin(2 * np.pi * (days[:, None] / period + shop.draws.uniform("trend phase", shop.place)))


def _short_term(shop: Shop, days: NDArray[np.int64]) -> NDArray[np.float64]:
    """Level noise: ±20 % at knots 14 days apart, between them a straight line; and each day's own, sd 15 %."""
    series = np.arange(len(shop.series_place))
    knot, share = days // KNOT_DAYS, (days % KNOT_DAYS / KNOT_DAYS)[:, None]
    at = shop.draws.between("level", 0.8, 1.2, series, np.arange(knot[0], knot[-1] + 2)[:, None])
    level = (1 - share) * at[knot - knot[0]] + share * at[knot - knot[0] + 1]
    daily = [shop.draws.between(stream, -0.37, 0.37, series, days[:, None]) for stream in ("day a", "day b")]
    return level * (1 + (daily[0] + daily[1]) / 2)


def _introduction(age: NDArray[np.int64]) -> NDArray[np.float64]:
    """A new article starts at half its demand and has all of it after 28 days."""
    return np.minimum(1.0, 0.5 + age / 56)


def base_units(shop: Shop, generation: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean units of a day by (day, series) before all factors."""
    place = shop.series_place
    size = np.array([location.size for location in LOCATIONS])[shop.series_location]
    size = size * shop.draws.between("taste", 0.8, 1.25, np.arange(len(place)))
    smooth = 5 + 25 * shop.draws.uniform("units", shop.place) ** 2
    share, lot, more = _chances(shop)
    mean = np.select([shop.demand_class == SMOOTH], [smooth], share * lot * (1 + more))
    return mean[place] * size * shop.draws.between("generation", 0.8, 1.25, place, generation)


def _chances(shop: Shop) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Of intermittent and lumpy articles: share of days with demand, lot size, mean of further lots."""
    lumpy = shop.demand_class == LUMPY
    share = shop.draws.between("share of days", 0.30, 0.50, shop.place)
    return np.where(lumpy, share * 0.75, share), np.where(lumpy, 5, 1), np.where(lumpy, 1.5, 0.8)


def _counts(
    shop: Shop, days: NDArray[np.int64], generation: NDArray[np.int64], factor: NDArray[np.float64]
) -> NDArray[np.int64]:
    place = shop.series_place
    series = np.arange(len(place))
    mean = base_units(shop, generation) * factor
    lot, more = (values[place] for values in _chances(shop)[1:])
    sporadic = shop.demand_class[place] >= INTERMITTENT
    drawn = shop.draws.uniform("units of the day", series, days[:, None])
    rate = np.where(sporadic, more, np.minimum(mean, 500.0))
    counted = poisson(drawn, rate)
    chance = np.minimum(0.9, mean / (lot * (1 + more)))
    sells = shop.draws.uniform("sells", series, days[:, None]) < chance
    return np.where(sporadic, np.where(sells, lot * (1 + counted), 0), counted)


def days_until_empty(shop: Shop, days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days until the series is next out of stock within the block, by (day, series): 0 on such a day, else large.

    In each block of 56 days a series runs out with a chance of 35 %, for 2 to 5 days.
    """
    series = np.arange(len(shop.series_place))
    block = days[:, None] // STOCK_OUT_BLOCK
    start = block * STOCK_OUT_BLOCK + shop.draws.whole("stock-out day", 7, STOCK_OUT_BLOCK - 6, series, block)
    length = shop.draws.whole("stock-out length", 2, 5, series, block)
    happens = shop.draws.uniform("stock-out", series, block) < 0.35
    until = start - days[:, None]
    return np.where(happens & (until > -length), np.maximum(until, 0), 9999)


def lead_days(shop: Shop) -> NDArray[np.int64]:
    """Days from order to delivery by place: the supplier's, and for three of four articles up to two more."""
    of_supplier = np.array([SUPPLIERS[CATEGORIES[each].supplier].lead_time_days for each in shop.category])
    return (of_supplier + np.where(shop.place % 4 == 3, 0, shop.place % 3)).astype(np.int64)


def stock(shop: Shop, played: Demand) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Units on hand at the end of each day and on order, by (day, series).

    A series is delivered once in 7 days, up to what it sells in those days and 3 more; before it runs out the stock
    dwindles, and what is due while it is out comes when it is over.
    """
    rate = base_units(shop, played.generation)
    days = played.days[:, None]
    since = (days + _delivery_day(shop)) % REVIEW_DAYS
    cover = np.minimum(REVIEW_DAYS - since + _SAFETY_DAYS, days_until_empty(shop, played.days))
    on_hand = np.where(played.in_stock, np.maximum(1, np.ceil(rate * cover)), 0).astype(np.int64)
    phase, ahead = days + _delivery_day(shop), _ordered_ahead(shop)
    coming = (phase + ahead) // REVIEW_DAYS - phase // REVIEW_DAYS
    late = np.zeros_like(coming)
    for step in range(REVIEW_DAYS):
        due = (days - step + _delivery_day(shop)) % REVIEW_DAYS == 0
        late += due & (_received(shop, played.days - step) > step)
    return on_hand, (coming + late) * _delivered(rate)


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of purchase orders that are placed or received on some days: arrays of equal length."""

    day: NDArray[np.int64]
    series: NDArray[np.int64]
    generation: NDArray[np.int64]
    quantity: NDArray[np.int64]
    ordered: NDArray[np.int64]
    due: NDArray[np.int64]
    received: NDArray[np.bool_]


def order_lines(shop: Shop, first: int, last: int) -> Lines:
    """What is ordered on each of the days, and what of earlier orders is received on them; by day and series.

    Orders are placed a lead time before a delivery is due, a week at least. On the opening day all are placed that are
    due after it.
    """
    ahead, longest = _ordered_ahead(shop), int(_ordered_ahead(shop).max())
    due_days = np.arange(first - REVIEW_DAYS, last + longest + 1)
    due, series = np.nonzero((due_days[:, None] + _delivery_day(shop)) % REVIEW_DAYS == 0)
    due = due_days[due]
    place = shop.series_place[series]
    generation, age = shop.generation(due_days[:, None])
    at = due - due_days[0]
    on_sale = shop.on_sale(due_days[:, None], age)[at, place] & (due > shop.opens)
    quantity = _delivered(base_units(shop, generation[:, shop.series_place]))[at, series]
    ordered = due - ahead[series]
    told = np.maximum(ordered, shop.opens)
    came = due + _received(shop, due_days)[at, series]
    parts = []
    for day, received in ((told, False), (came, True)):
        chosen = on_sale & (day >= first) & (day <= last)
        parts.append((day[chosen], series[chosen], generation[at, place][chosen], quantity[chosen], ordered[chosen]))
        parts[-1] += (due[chosen], np.full(int(chosen.sum()), received))
    columns = [np.concatenate(each) for each in zip(*parts, strict=True)]
    order = np.lexsort((columns[6], columns[5], columns[1], columns[0]))
    return Lines(*(column[order] for column in columns))


def _delivery_day(shop: Shop) -> NDArray[np.int64]:
    """By series; a delivery is due on the days whose number and this add up to a multiple of 7."""
    return shop.draws.whole("delivery day", 0, REVIEW_DAYS - 1, np.arange(len(shop.series_place)))


def _ordered_ahead(shop: Shop) -> NDArray[np.int64]:
    return np.maximum(lead_days(shop), REVIEW_DAYS)[shop.series_place]


def _delivered(rate: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.ceil(rate * REVIEW_DAYS).astype(np.int64)


def _received(shop: Shop, days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days until what is due on a day is received, by (day, series): those for which the shelf stays empty."""
    late = np.zeros((len(days), len(shop.series_place)), dtype=np.int64)
    for step in range(REVIEW_DAYS):
        empty = days_until_empty(shop, days + step) == 0
        late += empty & (late == step)
    return late
