"""Days gone by, played again with other orders: what a rule would have had on the shelf, sold, missed and ordered.

A rule sees the stock of each evening and says what to order; what came of it is counted. Which rule, and whose demand,
is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

Array = np.ndarray

Rule = Callable[[int, Array, Array], Array]
"""Day, on hand and on order of n series in its evening, to n units to order; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of a rule, n series each; of the days that count.

    Attributes:
        days: days that count.
        demand, met: units asked for, and of those the units that were there when they were.
        cycles, cycles_kept: replenishment cycles that ended, and those without a stock-out.
        stock: mean units on hand at the end of a day; NaN where no day counts.
        days_out: days on which something was asked for that was not there.
        orders, ordered: orders, and units of them.
        counted: n x T; which days count.
        evening, missed: n x T units on hand at the end of each day, not below 0, and units missed on it, of all days.
    """

    days: Array
    demand: Array
    met: Array
    cycles: Array
    cycles_kept: Array
    stock: Array
    days_out: Array
    orders: Array
    ordered: Array
    counted: Array
    evening: Array
    missed: Array

    def take(self, rows: Array) -> Replayed:
        """What came of some series."""
        return Replayed(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @property
    def cycle_service(self) -> float:
        """Share of all cycles without a stock-out; NaN without a cycle."""
        return float(self.cycles_kept.sum() / self.cycles.sum()) if self.cycles.sum() else float("nan")

    @property
    def fill_rate(self) -> float:
        """Share of all demand that was met at once; NaN without demand."""
        return float(self.met.sum() / self.demand.sum()) if self.demand.sum() else float("nan")


def replay(
    demand: Array,
    rule: Rule,
    lead_time: Array,
    opening: Array,
    *,
    backorders: bool,
    arriving: Array | None = None,
    since: Array | None = None,
) -> Replayed:
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
        since: n; the first day that counts of each series. Days before it are played all the same.
        arriving: n x up to T + 1 units that were ordered before the first day, by the morning of their delivery.
    """
    n, days = demand.shape
    due = np.zeros((n, days + int(lead_time.max(initial=0)) + 2))
    hand, rows = opening.astype(np.float64), np.arange(n)
    if arriving is not None:
        due[:, : arriving.shape[1]] += arriving
    coming = due.sum(axis=1)
    evening, lost = np.zeros((n, days)), np.zeros((n, days))
    open_cycle, short = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    met, cycles, kept, out, orders, ordered = (np.zeros(n) for _ in range(6))
    counts = np.arange(days) >= (np.zeros(n) if since is None else since)[:, None]
    for day in range(days):
        delivered = due[:, day]
        counted, ended = counts[:, day], delivered > 0
        cycles += ended & open_cycle & counted
        kept += ended & open_cycle & ~short & counted
        # A cycle that began before the first day that counts is none.
        open_cycle |= ended & counted
        short &= ~ended
        hand, coming = hand + delivered, coming - delivered
        asked = demand[:, day]
        sold = np.clip(hand, 0.0, asked)
        missed = asked - sold > 1e-9
        met += sold * counted
        out += missed & counted
        short |= missed
        hand = hand - (asked if backorders else sold)
        evening[:, day], lost[:, day] = np.maximum(hand, 0.0), asked - sold
        order = rule(day, hand, coming)
        placed = order > 0
        due[rows[placed], day + 1 + lead_time[placed, day]] += order[placed]
        coming = coming + order
        orders += placed & counted
        ordered += order * counted
    played = counts.sum(axis=1).astype(np.float64)
    return Replayed(
        days=played,
        demand=(demand * counts).sum(axis=1),
        met=met,
        cycles=cycles,
        cycles_kept=kept,
        stock=np.divide((evening * counts).sum(axis=1), played, out=np.full(n, np.nan), where=played > 0),
        days_out=out,
        orders=orders,
        ordered=ordered,
        counted=counts,
        evening=evening,
        missed=lost,
    )
