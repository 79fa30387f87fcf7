"""Textbook inventory formulas, vectorised: normal theory, EOQ, newsvendor, what to order, how long the stock lasts.

They are the documented fallback where the ledger is too young to have paths of demand, and the cross-check of what is
computed from paths (``demand_paths``). Arrays broadcast against each other; units are those of demand, times are days
unless a docstring says otherwise.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
Numbers = Array | float


class InventoryError(ValueError):
    """A setting with which no stock can be planned. The message names it, its value and what would do."""


def service_factor(level: Numbers) -> Array:
    """z = Φ⁻¹(service level).

    Raises:
        InventoryError: a level is not between 0 and 1: at 1 no stock is enough, at 0 none is needed.
    """
    from scipy.special import ndtri

    values = np.asarray(level, dtype=np.float64)
    outside = ~((values > 0) & (values < 1))
    if outside.any():
        wrong = np.atleast_1d(values)[np.atleast_1d(outside)][0]
        raise InventoryError(
            f"service level {wrong:g} is not between 0 and 1: at 1 no stock is enough, at 0 none is needed; give a"
            " share such as 0.95"
        )
    return ndtri(values)


def lead_time_deviation(demand: Numbers, deviation: Numbers, days: Numbers, days_deviation: Numbers = 0.0) -> Array:
    """σ of demand over a lead time: √(L·σ_d² + d²·σ_L²), days and lead time independent.

    Args:
        demand, deviation: mean and standard deviation of a day's demand, d and σ_d.
        days, days_deviation: mean and standard deviation of the lead time, L and σ_L; with a periodic review L + R.
    """
    d, sd, length, sl = (np.asarray(each, dtype=np.float64) for each in (demand, deviation, days, days_deviation))
    return np.sqrt(length * sd * sd + d * d * sl * sl)


def safety_stock(
    level: Numbers, demand: Numbers, deviation: Numbers, days: Numbers, days_deviation: Numbers = 0.0
) -> Array:
    """z·√(L·σ_d² + d²·σ_L²), not below 0: a level under one half asks for no negative stock.

    Raises:
        InventoryError: see ``service_factor``.
    """
    return np.maximum(service_factor(level) * lead_time_deviation(demand, deviation, days, days_deviation), 0.0)


def cycle_service(reorder_point: Numbers, mean: Numbers, deviation: Numbers) -> Array:
    """Share of replenishment cycles without a stock-out: P(demand over the lead time ≤ reorder point), normal.

    Without variation it is 1 where the point covers the mean, else 0.
    """
    from scipy.special import ndtr

    point, mean, deviation = (np.asarray(each, dtype=np.float64) for each in (reorder_point, mean, deviation))
    varies = deviation > 0
    z = (point - mean) / np.where(varies, deviation, 1.0)
    return np.where(varies, ndtr(z), (point >= mean).astype(np.float64))


def expected_shortage(reorder_point: Numbers, mean: Numbers, deviation: Numbers) -> Array:
    """Units short per cycle, E[(demand over the lead time - reorder point)⁺], normal.

    -ss·(1 - Φ(ss/σ)) + σ·φ(ss/σ) with ss = reorder point - mean (Chopra and Meindl, Supply Chain Management).
    """
    from scipy.special import ndtr

    point, mean, deviation = (np.asarray(each, dtype=np.float64) for each in (reorder_point, mean, deviation))
    stock, varies = point - mean, deviation > 0
    z = stock / np.where(varies, deviation, 1.0)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    return np.where(varies, np.maximum(deviation * density - stock * ndtr(-z), 0.0), np.maximum(-stock, 0.0))


def fill_rate(reorder_point: Numbers, mean: Numbers, deviation: Numbers, quantity: Numbers) -> Array:
    """Share of demand met from the shelf: 1 - expected shortage per cycle / order quantity; 0 at the least.

    NaN where nothing is ordered.
    """
    q = np.asarray(quantity, dtype=np.float64)
    short = expected_shortage(reorder_point, mean, deviation)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(q > 0, np.maximum(1 - short / q, 0.0), np.nan)


def economic_order_quantity(demand: Numbers, order_cost: Numbers, holding_cost: Numbers) -> Array:
    """√(2·K·D/h) (Harris, 1913); NaN where a cost is missing or holding is free.

    Args:
        demand: D, units a year.
        order_cost: K, cost of an order whatever its size.
        holding_cost: h, cost of holding one unit for a year.
    """
    d, k, h = (np.asarray(each, dtype=np.float64) for each in (demand, order_cost, holding_cost))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(h > 0, np.sqrt(2 * k * np.maximum(d, 0.0) / h), np.nan)


def critical_ratio(underage: Numbers, overage: Numbers) -> Array:
    """Service level at which a newsvendor's expected cost is least: c_u / (c_u + c_o).

    Args:
        underage: c_u, what a unit too few costs.
        overage: c_o, what a unit too many costs.

    Raises:
        InventoryError: a cost is not positive.
    """
    under, over = (np.asarray(each, dtype=np.float64) for each in (underage, overage))
    for name, cost in (("underage", under), ("overage", over)):
        if not (cost > 0).all():
            wrong = np.atleast_1d(cost)[~(np.atleast_1d(cost) > 0)][0]
            raise InventoryError(f"{name} cost {wrong:g} of a newsvendor is not above 0")
    return under / (under + over)


def newsvendor_normal(mean: Numbers, deviation: Numbers, underage: Numbers, overage: Numbers) -> Array:
    """The stock that costs a newsvendor least, of normal demand: μ + σ·Φ⁻¹(c_u / (c_u + c_o))."""
    z = service_factor(critical_ratio(underage, overage))
    return np.asarray(mean, dtype=np.float64) + z * np.asarray(deviation, dtype=np.float64)


def order_quantity(level: Numbers, position: Numbers, moq: Numbers, multiple: Numbers) -> Array:
    """What to order to reach ``level``: 0 where the position does; else raised to the MOQ, then up to the multiple.

    Args:
        level: order-up-to level.
        position: on hand and on order, backorders taken off.
        moq: least quantity of an order; 0 or NaN: none.
        multiple: orders are multiples of it; 0 or NaN: none.
    """
    short = np.asarray(level, dtype=np.float64) - np.asarray(position, dtype=np.float64)
    least, step = (np.nan_to_num(np.asarray(each, dtype=np.float64)) for each in (moq, multiple))
    wanted = np.maximum(short, least)
    steps = np.where(step > 0, step, 1.0)
    # A millionth of a step is rounding, not demand.
    rounded = np.where(step > 0, np.ceil(wanted / steps - 1e-6) * step, wanted)
    return np.where(short > 1e-9, rounded, 0.0)


def days_of_inventory(on_hand: Array, forecast: Array) -> Array:
    """Days until the stock is used up: the first on which cumulative forecast ≥ on hand, fractional.

    Within the day it runs out on, demand is even. 0 where nothing is on hand; NaN where the stock outlasts the
    forecast, as it does without demand: "none within the horizon".

    Args:
        on_hand: n units; below 0 counts 0.
        forecast: n x H units of the days ahead, none below 0.
    """
    stock = np.maximum(np.asarray(on_hand, dtype=np.float64), 0.0)[:, None]
    total = np.cumsum(forecast, axis=1)
    reached = (total >= stock) & (total > 0)
    day = reached.argmax(axis=1)
    rows = np.arange(len(total))
    today = forecast[rows, day]
    before = total[rows, day] - today
    part = (stock[:, 0] - before) / np.where(today > 0, today, 1.0)
    return np.where(stock[:, 0] == 0, 0.0, np.where(reached.any(axis=1), day + np.clip(part, 0.0, 1.0), np.nan))
