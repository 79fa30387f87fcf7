"""Days gone by, played again with other orders: what a rule would have had on the shelf, sold, missed and ordered.

A rule sees the stock of each evening and says what to order; what came of it is counted. Which rule, and whose demand,
is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

Rule = Callable[[int, Array, Array], Array]
"""Day, on hand and on order of n series in its evening, to n units to order; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of a rule, n series each.

    Attributes:
        demand, met: units asked for, and of those the units that were there when they were.
        cycles, cycles_kept: replenishment cycles that ended, and those without a stock-out.
        stock: mean units on hand at the end of a day.
        days_out: days on which something was asked for that was not there.
        orders, ordered: orders, and units of them.
    """

    demand: Array
    met: Array
    cycles: Array
    cycles_kept: Array
    stock: Array
    days_out: Array
    orders: Array
    ordered: Array

    @property
    def cycle_service(self) -> float:
        """Share of all cycles without a stock-out; NaN without a cycle."""
        return float(self.cycles_kept.sum() / self.cycles.sum()) if self.cycles.sum() else float("nan")

    @property
    def fill_rate(self) -> float:
        """Share of all demand that was met at once; NaN without demand."""
        return float(self.met.sum() / self.demand.sum()) if self.demand.sum() else float("nan")


def replay(demand: Array, rule: Rule, lead_time: Array, opening: Array, *, backorders: bool) -> Replayed:
    """Play T days of n series.

    In the morning what is due is delivered, then demand is met as far as there is stock, in the evening the rule
    orders. An order of the evening of day t is delivered in the morning of day t + 1 + lead time, whatever was ordered
    before or after it. A cycle runs from one delivery to the next; the one that is open at either end is not counted.

    Args:
        demand: n x T units.
        rule: see ``Rule``.
        lead_time: n x T whole days; of an order placed on each day.
        opening: n units on hand before the first day.
        backorders: whether what is not there is owed, or lost.
    """
    n, days = demand.shape
    due = np.zeros((n, days + int(lead_time.max(initial=0)) + 2))
    hand, rows = opening.astype(np.float64), np.arange(n)
    coming = np.zeros(n)
    open_cycle, short = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    met, cycles, kept, stock, out, orders, ordered = (np.zeros(n) for _ in range(7))
    for day in range(days):
        delivered = due[:, day]
        ended = delivered > 0
        cycles += ended & open_cycle
        kept += ended & open_cycle & ~short
        open_cycle |= ended
        short &= ~ended
        hand, coming = hand + delivered, coming - delivered
        asked = demand[:, day]
        sold = np.clip(hand, 0.0, asked)
        missed = asked - sold > 1e-9
        met += sold
        out += missed
        short |= missed
        hand = hand - (asked if backorders else sold)
        stock += np.maximum(hand, 0.0)
        order = rule(day, hand, coming)
        placed = order > 0
        due[rows[placed], day + 1 + lead_time[placed, day]] += order[placed]
        coming = coming + order
        orders += placed
        ordered += order
    return Replayed(
        demand=demand.sum(axis=1),
        met=met,
        cycles=cycles,
        cycles_kept=kept,
        stock=stock / days,
        days_out=out,
        orders=orders,
        ordered=ordered,
    )
