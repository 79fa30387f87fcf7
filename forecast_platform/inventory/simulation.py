"""Days gone by, ordered for by the plan of each evening, by a simple rule, and as it really was: what each came to.

A replay of past days is as honest as what it is given: levels of an evening come from that evening's plan, lead times
from deliveries that really came. Demand on days with an empty shelf is not known; what was then expected stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_platform.inventory.lead_times import DRAWS, lead_time_draws
from forecast_platform.inventory.plan import YEAR, orders
from forecast_platform.inventory.replay import Replayed, Rule, replay
from forecast_platform.inventory.terms import ORDER_UP_TO, Terms

Array = np.ndarray

PLAN, SIMPLE, ACTUAL = "plan", "simple", "actual"
SIMPLE_DAYS = 30
"""The rule that the plan is compared with orders up to what was sold in so many days."""

GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Evening:
    """What the plan of one evening says of n series: ``nan`` where it has no row.

    Attributes:
        up_to, point: n levels.
        terms: n; how they are bought.
    """

    up_to: Array
    point: Array
    terms: Terms


@dataclass(frozen=True, kw_only=True)
class Past:
    """n series over the T days that are played, the first of them the day after the first evening.

    Attributes:
        first_day: number of the first day that is played, since ``terms.REVIEWED_SINCE``.
        demand: n x T units; ``censored``: n x T, where it stands for what an empty shelf did not sell.
        before: n x SIMPLE_DAYS units sold up to the first evening, in order.
        opening: n units on hand on the first evening.
        arriving: n x (T + 1) units ordered before it, by the first day on which they are on the shelf, the last
            column after the days played. What comes in the course of a day is on the shelf the next morning.
        lead_time: n x T whole days from the order in the evening of each day until it comes.
        ordered: n x T units that were really ordered on each day, or ``None``.
    """

    first_day: int
    demand: Array
    censored: Array
    before: Array
    opening: Array
    arriving: Array
    lead_time: Array
    ordered: Array | None


def by_the_plan(past: Past, evenings: Sequence[Evening]) -> Rule:
    """Orders of each evening's plan, on the evenings on which a series is looked at."""

    def rule(day: int, on_hand: Array, on_order: Array) -> Array:
        evening = evenings[day]
        known = ~np.isnan(evening.up_to)
        up_to, point = np.nan_to_num(evening.up_to), np.nan_to_num(evening.point)
        wanted = orders(on_hand + on_order, up_to, point, np.maximum(up_to - point, 0.0), evening.terms)
        return np.where(known & evening.terms.looked_at(past.first_day + day), wanted, 0.0)

    return rule


def by_the_simple_rule(past: Past, evenings: Sequence[Evening]) -> Rule:
    """Up to what was sold in the last ``SIMPLE_DAYS`` days, with the least orders and multiples of the plan."""
    sold = np.concatenate([past.before, past.demand], axis=1)

    def rule(day: int, on_hand: Array, on_order: Array) -> Array:
        terms = evenings[day].terms
        level = sold[:, day + 1 : day + 1 + SIMPLE_DAYS].sum(axis=1)
        policy = np.full(len(level), ORDER_UP_TO, dtype=object)
        wanted = orders(on_hand + on_order, level, level, level, terms.changed(policy=policy))
        return np.where(terms.looked_at(past.first_day + day), wanted, 0.0)

    return rule


def as_it_was(past: Past) -> Rule:
    """What was really ordered.

    Raises:
        ValueError: nobody knows.
    """
    if past.ordered is None:
        raise ValueError("no order is on record: there is nothing to compare the plan with")
    ordered = past.ordered
    return lambda day, on_hand, on_order: ordered[:, day]


def simulate(past: Past, evenings: Sequence[Evening]) -> dict[str, Replayed]:
    """What each rule came to: the plan, the simple rule, and where orders are known what was really ordered.

    What is not there when it is asked for is lost, as in a shop. Days count from when an order of the first look at a
    series could have come.

    Args:
        evenings: T plans; the first is of the evening of the first day played.
    """
    rules = {PLAN: by_the_plan(past, evenings), SIMPLE: by_the_simple_rule(past, evenings)}
    if past.ordered is not None:
        rules[ACTUAL] = as_it_was(past)
    since = first_counted(past, evenings[0].terms)
    return {
        name: replay(
            *(past.demand, rule, past.lead_time, past.opening),
            backorders=False,
            arriving=past.arriving,
            since=since,
        )
        for name, rule in rules.items()
    }


def first_counted(past: Past, terms: Terms) -> Array:
    """n days from which on orders could make a difference: before, what was ordered earlier is all that comes."""
    looked = np.stack([terms.looked_at(past.first_day + day) for day in range(past.demand.shape[1])], axis=1)
    first = looked.argmax(axis=1)
    there = first + past.lead_time[np.arange(len(first)), first] + 1
    return np.where(looked.any(axis=1), there, past.demand.shape[1])


def outcome(came: Replayed, past: Past, terms: Terms, rows: Array) -> dict[str, float]:
    """What a rule came to for some of the series.

    Args:
        terms: of the last evening, for costs.
        rows: which of the n.

    Returns:
        ``series`` of which a day counts; ``demand`` and ``met`` units; ``fill_rate``; ``cycle_service``;
        ``stockout_days``, the share of days on which something was asked for that was not there; ``stock_units`` and
        ``stock_value``, means of the evenings; ``orders``, ``ordered``; ``holding_cost`` and ``ordering_cost``;
        ``censored_days`` of those that count. Values and costs are of the series whose costs are known. NaN where none
        is, or where there is nothing to divide by.
    """
    rows = rows[came.days[rows] > 0]
    some = came.take(rows)
    cost, rate = terms.unit_cost[rows], terms.holding_rate[rows]
    value, days = some.stock * cost, float(some.days.sum())
    return {
        "series": float(len(rows)),
        "demand": float(some.demand.sum()),
        "met": float(some.met.sum()),
        "fill_rate": some.fill_rate,
        "cycle_service": some.cycle_service,
        "stockout_days": float(some.days_out.sum() / days) if days else np.nan,
        "stock_units": float(some.stock.sum()),
        "stock_value": _known_sum(value),
        "orders": float(some.orders.sum()),
        "ordered": float(some.ordered.sum()),
        "holding_cost": _known_sum(value * rate * some.days / YEAR),
        "ordering_cost": _known_sum(some.orders * terms.order_cost[rows]),
        "censored_days": float((past.censored[rows] & some.counted).sum()),
    }


def _known_sum(values: Array) -> float:
    """Of the values that are known; NaN where none is."""
    return float(np.nansum(values)) if (~np.isnan(values)).any() else np.nan


def lead_times(lines: pd.DataFrame, terms: Terms, days: Array) -> Array:
    """Lead times of orders of n series placed on T days, n x T whole days.

    An order takes as long as the one of the same series that was placed last, of those that have come; of a series
    without one it is drawn from what its terms say, evenly over days and series.

    Args:
        lines: ``row`` (which of the n), ``ordered`` and ``took`` (numbers of days); in order of ``ordered``.
        days: T numbers of days, ascending.
    """
    kinds, kind = np.unique(np.stack([terms.lead_time, terms.lead_time_deviation]), axis=1, return_inverse=True)
    quantiles = lead_time_draws(kinds[0], kinds[1], (np.arange(DRAWS) + 0.5) / DRAWS)
    # Steps of the golden ratio fill a line evenly however many are taken.
    turn = np.arange(len(days))[None, :] * GOLDEN + (np.arange(len(kind.reshape(-1))) * GOLDEN**2)[:, None]
    drawn = quantiles[kind.reshape(-1)[:, None], (turn % 1.0 * DRAWS).astype(np.intp)]
    for row, own in lines.groupby("row"):
        place = np.searchsorted(own["ordered"].to_numpy(), days, side="right") - 1
        drawn[row] = own["took"].to_numpy()[np.maximum(place, 0)]
    return drawn
