"""The inventory plan of a day: from stock, terms and demand ahead to what to order, why, and how urgent it is.

One row a series, whatever it is given: no stock, no demand, no lead time and 10,000 units on order are ordinary inputs.
Levels come from paths of demand where the ledger has them (``lead_time_demand``), else from normal theory
(``formulas``); ``method`` says which.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecast_platform.inventory.formulas import (
    critical_ratio,
    cycle_service,
    days_of_inventory,
    economic_order_quantity,
    expected_shortage,
    lead_time_deviation,
    order_quantity,
    service_factor,
)
from forecast_platform.inventory.lead_time_demand import (
    Ahead,
    SpanPools,
    demand_draws,
    has_paths,
    stockout_probabilities,
    undershoot_draws,
)
from forecast_platform.inventory.lead_times import DRAWS, lead_time_draws, spread
from forecast_platform.inventory.policies import cycle_level, fill_level, least_level, reorder_level
from forecast_platform.inventory.stock import Stock
from forecast_platform.inventory.terms import FILL, FIXED_QUANTITY, NEWSVENDOR, Terms

Array = np.ndarray

OUT_OF_STOCK, UNDERSTOCKED, OVERSTOCKED, DEAD_STOCK, NORMAL, NOT_STOCKED, STOCK_UNKNOWN = (
    "out of stock",
    "understocked",
    "overstocked",
    "dead stock",
    "normal",
    "not stocked",
    "stock unknown",
)
REORDER_NOW, REORDER, WATCH, NONE = "reorder now", "reorder", "watch", "none"
ACTIONS = (REORDER_NOW, REORDER, WATCH, NONE)
"""In order of priority, 1 to 4."""

BLOCK = 2048
"""Series whose draws are held at once: 16 MB a thousand paths each."""

YEAR = 365.0


@dataclass(frozen=True)
class Limits:
    """From where on stock is too much or dead, in days; understocked is below lead time and review."""

    overstocked: float = 90.0
    dead: float = 90.0


def plan(
    ahead: Ahead,
    pools: SpanPools,
    terms: Terms,
    stock: Stock,
    deviation: Array,
    limits: Limits | None = None,
    *,
    looked_at: Array | None = None,
) -> pd.DataFrame:
    """The plan's figures, one row a series in the order given.

    Args:
        ahead: the published forecasts.
        pools: paths of the days 1 .. t ahead for t up to the horizon; empty while the ledger is young.
        deviation: n; standard deviation of a day's error, for normal theory. NaN: taken from the scale, or as a
            Poisson's.
        looked_at: n; which series are reviewed this evening; all where it is not given. What is ordered of another
            can wait, unless it may run out before it would be delivered.

    Returns:
        ``demand_daily`` (mean of the horizon), ``demand_lead_time``, ``demand_protection`` (over L + R), ``demand_std``
        (of the latter), ``safety_stock``, ``reorder_point``, ``order_up_to``, ``order_quantity``, ``eoq``,
        ``days_of_inventory`` (NaN: outlasts the horizon), ``stockout_probability`` (before an order of today is
        delivered), ``stockout_day`` (first day ahead by which the stock has run out more likely than not, or NaN),
        ``inventory_value``, ``status``, ``action``, ``priority`` and ``method``.

    Raises:
        InventoryError: see ``Terms.check``.
    """
    terms.check()
    unknown = np.isnan(stock.on_hand)
    stock = replace(stock, on_hand=np.where(unknown, 0.0, stock.on_hand))
    measured = has_paths(ahead, pools)
    levels = _normal_levels(ahead, terms, _deviation(ahead, deviation))
    gone = _normal_stockouts(ahead, stock, _deviation(ahead, deviation))
    ordered = _by_cell(ahead, terms, np.flatnonzero(measured))
    for rows in (ordered[at : at + BLOCK] for at in range(0, len(ordered), BLOCK)):
        of_paths = _path_levels(ahead.take(rows), pools, terms.take(rows))
        for name, values in of_paths.items():
            levels[name][rows] = values
        gone[rows] = stockout_probabilities(ahead.take(rows), pools, stock.available[rows])
    # Where no demand is expected none is stocked for, whatever was missed before.
    asked = ahead.mean.sum(axis=1) > 0
    levels = {name: np.where(asked, values, 0.0) for name, values in levels.items()}
    gone = np.where(asked[:, None] | (stock.available <= 0), gone, 0.0)
    looked_at = np.ones(len(ahead), dtype=bool) if looked_at is None else looked_at
    figures = _figures(ahead, terms, stock, levels, gone, measured, limits or Limits(), looked_at)
    unknown &= terms.stocked
    return _without_stock(figures, unknown) if unknown.any() else figures


def _without_stock(figures: pd.DataFrame, unknown: Array) -> pd.DataFrame:
    """Where nobody knows what there is, nothing is ordered: somebody has to look. Demand and levels stay."""
    wanted = figures["demand_daily"].to_numpy()[unknown] > 0
    figures.loc[unknown, ["days_of_inventory", "stockout_probability", "stockout_day", "inventory_value"]] = np.nan
    figures.loc[unknown, "order_quantity"] = 0.0
    figures.loc[unknown, "status"] = STOCK_UNKNOWN
    figures.loc[unknown, "action"] = np.where(wanted, WATCH, NONE)
    priority = np.where(wanted, ACTIONS.index(WATCH), ACTIONS.index(NONE)) + 1
    figures.loc[unknown, "priority"] = priority.astype(np.int16)
    return figures


def _by_cell(ahead: Ahead, terms: Terms, rows: Array) -> Array:
    """Rows with those of one model, demand class and lead time beside each other: a block then has few of each."""
    keys = (terms.review, terms.lead_time_deviation, terms.lead_time, ahead.demand_class, ahead.model)
    codes = [np.unique(key[rows], return_inverse=True)[1] for key in keys]
    return rows[np.lexsort(codes)]


def _deviation(ahead: Ahead, deviation: Array) -> Array:
    """σ of a day: as given, else half the squared one-day difference is a day's variance, at least a Poisson's."""
    poisson = np.sqrt(ahead.mean.mean(axis=1))
    of_scale = np.fmax(ahead.scale / np.sqrt(2.0), poisson)
    return np.where(np.isnan(deviation), of_scale, deviation)


def _quantity(ahead: Ahead, terms: Terms) -> tuple[Array, Array]:
    """EOQ (NaN without costs), and Q of (s, Q): the EOQ, else demand of a review period; at least MOQ, in multiples."""
    daily = ahead.mean.mean(axis=1)
    eoq = economic_order_quantity(daily * YEAR, terms.order_cost, terms.unit_cost * terms.holding_rate)
    wanted = np.where(np.isnan(eoq), daily * np.maximum(terms.review, 1.0), eoq)
    quantity = order_quantity(np.maximum(wanted, 1.0), 0.0, terms.moq, terms.multiple)
    return eoq, np.where(ahead.whole, np.ceil(quantity - 1e-6), quantity)


def _target(terms: Terms) -> Array:
    """Cycle service asked for: the service level, or a newsvendor's critical ratio."""
    news = terms.policy == NEWSVENDOR
    service = terms.service.copy()
    if news.any():
        overage = (terms.unit_cost * terms.holding_rate / YEAR * terms.protection)[news]
        known = (terms.underage[news] > 0) & (overage > 0)
        ratio = critical_ratio(np.where(known, terms.underage[news], 1.0), np.where(known, overage, 1.0))
        service[news] = np.where(known, np.clip(ratio, 1e-6, 1 - 1e-6), service[news])
    return service


def _path_levels(ahead: Ahead, pools: SpanPools, terms: Terms) -> dict[str, Array]:
    lead, review, path, place = spread(DRAWS)
    kinds, kind = np.unique(
        np.stack([terms.lead_time, terms.lead_time_deviation, np.maximum(np.rint(terms.review), 1.0)]),
        axis=1,
        return_inverse=True,
    )
    kind = kind.reshape(-1)
    until = lead_time_draws(kinds[0], kinds[1], lead)
    protection = demand_draws(ahead, pools, until + kinds[2][:, None].astype(np.intp), kind, path)
    point = cycle_level(protection, _target(terms))
    fixed, fill = terms.policy == FIXED_QUANTITY, (terms.metric == FILL) & (terms.policy != NEWSVENDOR)
    for lots, of_units in ((True, True), (True, False), (False, True)):
        rows = np.flatnonzero((fixed == lots) & (fill == of_units))
        if not len(rows):
            continue
        some, service = ahead.take(rows), terms.service[rows]
        waiting, every = demand_draws(some, pools, until, kind[rows], path), kinds[2][kind[rows]]
        if not lots:
            point[rows] = fill_level(protection[rows], waiting, some.expected(every), service)
            continue
        below = waiting + undershoot_draws(some, pools, every.astype(np.intp), review, place)
        quantity = _quantity(some, terms.take(rows))[1]
        point[rows] = reorder_level(below, quantity, service) if of_units else cycle_level(below, service)
    point = np.where(ahead.whole, np.ceil(point - 1e-6), point)
    return {"point": point, "mean": protection.mean(axis=1), "std": protection.std(axis=1)}


def _normal_levels(ahead: Ahead, terms: Terms, deviation: Array) -> dict[str, Array]:
    days = terms.protection
    mean = ahead.expected(days)
    daily = mean / days
    std = lead_time_deviation(daily, deviation, days, terms.lead_time_deviation)
    point = mean + np.maximum(service_factor(_target(terms)), 0.0) * std
    fill = (terms.metric == FILL) & (terms.policy != NEWSVENDOR)
    if fill.any():
        every = ahead.expected(np.maximum(terms.review, 1.0))
        lot = np.where(terms.policy == FIXED_QUANTITY, _quantity(ahead, terms)[1], every)
        allowed = (1 - terms.service) * lot
        reached = least_level(lambda level: expected_shortage(level, mean, std), allowed, mean + 8 * std)
        point = np.where(fill, reached, point)
    return {"point": np.where(ahead.whole, np.ceil(point - 1e-6), point), "mean": mean, "std": std}


def _normal_stockouts(ahead: Ahead, stock: Stock, deviation: Array) -> Array:
    days = np.arange(1, ahead.horizon + 1)
    total = np.cumsum(ahead.mean, axis=1)
    spreads = deviation[:, None] * np.sqrt(days)
    available = stock.available
    gone = np.where(available > 0, 1 - cycle_service(available, total, spreads), 1.0)
    return np.maximum.accumulate(gone, axis=1)


def orders(position: Array, up_to: Array, point: Array, quantity: Array, terms: Terms) -> Array:
    """What n series order of a position: on hand and on order.

    Args:
        up_to, point: order-up-to level and reorder point.
        quantity: Q of those bought in lots.
    """
    ordered = order_quantity(up_to, position, terms.moq, terms.multiple)
    # (s, Q): nothing above the point; else whole lots that reach above it.
    lots = np.ceil(np.maximum(point - position, 0.0) / np.maximum(quantity, 1e-9) + 1e-9)
    in_lots = np.where(position <= point, np.maximum(lots, 1.0) * quantity, 0.0)
    ordered = np.where(terms.policy == FIXED_QUANTITY, in_lots, ordered)
    return np.where(terms.stocked & (up_to > 0), ordered, 0.0)


def _figures(
    ahead: Ahead,
    terms: Terms,
    stock: Stock,
    levels: dict[str, Array],
    gone: Array,
    measured: Array,
    limits: Limits,
    looked_at: Array,
) -> pd.DataFrame:
    daily, point = ahead.mean.mean(axis=1), levels["point"]
    eoq, quantity = _quantity(ahead, terms)
    fixed = terms.policy == FIXED_QUANTITY
    least, most = (ahead.expected(np.nan_to_num(days)) for days in (terms.least_cover, terms.most_cover))
    up_to = np.where(np.isnan(terms.most_cover), point, np.minimum(point, np.maximum(most, 0.0)))
    up_to = np.where(np.isnan(terms.least_cover), up_to, np.maximum(up_to, least))
    up_to = np.where(ahead.whole, np.ceil(up_to - 1e-6), up_to)
    # Lots are what they are: bounds of cover are for those that order up to a level. Nobody stocks without demand.
    up_to = np.where(daily > 0, np.where(fixed, point + quantity, up_to), 0.0)
    cover = days_of_inventory(stock.on_hand, ahead.mean)
    runs_out = _first_day(gone >= 0.5)
    status = _status(stock, terms, ahead, cover, limits)
    ordered = orders(stock.on_hand + stock.on_order, up_to, point, quantity, terms)
    ordered = np.where(status == DEAD_STOCK, 0.0, ordered)
    lead = np.clip(np.ceil(terms.lead_time).astype(np.intp), 0, ahead.horizon)
    at_delivery = np.where(lead > 0, gone[np.arange(len(gone)), np.maximum(lead - 1, 0)], (stock.on_hand <= 0) * 1.0)
    urgent = at_delivery > 1 - _target(terms)
    action = _action(stock, ahead, terms, ordered, status, urgent, looked_at)
    return pd.DataFrame(
        {
            "demand_daily": daily,
            "demand_lead_time": ahead.expected(terms.lead_time),
            "demand_protection": levels["mean"],
            "demand_std": levels["std"],
            "safety_stock": np.maximum(point - levels["mean"], 0.0),
            "reorder_point": point,
            "order_up_to": up_to,
            "order_quantity": ordered,
            "eoq": eoq,
            "days_of_inventory": cover,
            "stockout_probability": at_delivery,
            "stockout_day": runs_out,
            "inventory_value": np.maximum(stock.on_hand, 0.0) * terms.unit_cost,
            "status": status,
            "action": action,
            "priority": np.array([ACTIONS.index(each) + 1 for each in action], dtype=np.int16),
            "method": np.where(measured, "paths", "normal").astype(object),
        }
    )


def _first_day(reached: Array) -> Array:
    """n; the first day ahead on which something holds, NaN where on none."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.nan)


def _long_cover(ahead: Ahead, stock: Stock, cover: Array) -> Array:
    """Days of inventory, beyond the horizon as long as its last week goes on; infinite without demand."""
    left = np.maximum(stock.on_hand, 0.0) - ahead.mean.sum(axis=1)
    week = ahead.mean[:, -7:].mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.where(week > 0, ahead.horizon + left / week, np.inf)
    return np.where(np.isnan(cover), beyond, cover)


def _status(stock: Stock, terms: Terms, ahead: Ahead, cover: Array, limits: Limits) -> Array:
    empty, lasts = stock.on_hand <= 0, _long_cover(ahead, stock, cover)
    kinds = [
        (empty & ~terms.stocked, NOT_STOCKED),
        (empty, OUT_OF_STOCK),
        (stock.days_unsold >= limits.dead, DEAD_STOCK),
        (lasts < terms.protection, UNDERSTOCKED),
        # Of what was never forecast, as what is new on the shelf, nobody knows how long it lasts.
        ((lasts > limits.overstocked) & (ahead.model != ""), OVERSTOCKED),
    ]
    conditions, names = zip(*kinds, strict=True)
    return np.select(conditions, [np.full(len(empty), name, dtype=object) for name in names], NORMAL)


def _action(
    stock: Stock, ahead: Ahead, terms: Terms, ordered: Array, status: Array, urgent: Array, looked_at: Array
) -> Array:
    """What is to be done: at once where the risk before a delivery is more than was asked for, else at a review."""
    used_up = _first_day(np.cumsum(ahead.mean, axis=1) >= np.maximum(stock.available, 1e-12))
    soon = np.nan_to_num(used_up, nan=np.inf) <= terms.protection
    wanted = ordered > 0
    watched = np.isin(status.astype(str), (DEAD_STOCK, OVERSTOCKED)) | wanted | (soon & terms.stocked)
    conditions = [wanted & urgent, wanted & looked_at, watched]
    return np.select(conditions, [np.full(len(ordered), name, dtype=object) for name in ACTIONS[:3]], NONE)
