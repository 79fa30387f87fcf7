"""Stock levels of the policies, from draws of demand: what a level of service asks for.

- (R, S): every R days order up to S. A stock-out is avoided until the delivery of the *next* order: L + R days.
- (s, Q): when the position is found at or below s, order Q. Stock is looked at every R days, so s covers the lead time
  and what the stock was below s already (``undershoot_draws``).
- newsvendor: S at the share of demand that costs least to cover, c_u / (c_u + c_o).

Cycle service is the share of replenishment cycles without a stock-out, fill rate the share of demand met from the
shelf. Draws are n x N units, N of equal weight.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forecast_platform.inventory.formulas import InventoryError, service_factor

Array = np.ndarray

HALVINGS = 40
"""Of the interval in which a level for a fill rate lies: to a millionth of a millionth of the largest draw."""


def cycle_level(draws: Array, service: Array) -> Array:
    """The smallest level that at least a share ``service`` of the draws do not exceed: n units.

    Raises:
        InventoryError: a service level is not between 0 and 1.
    """
    service_factor(service)
    rank = np.maximum(np.ceil(service * draws.shape[1] - 1e-9).astype(np.intp), 1) - 1
    return np.sort(draws, axis=1)[np.arange(len(draws)), rank]


def fill_level(protection: Array, carried: Array, demand: Array, fill: Array) -> Array:
    """The smallest order-up-to level S of (R, S) whose expected fill rate is at least ``fill``: n units.

    Short in a review period is what demand of L + R exceeds S by, less what that of L already did: the period's own
    share (Silver, Pyke and Peterson, chapter 7). Over demand of R it is the share not met.

    Args:
        protection: n x N demand over L + R. carried: over L.
        demand: n expected units of a review period.
        fill: n shares in (0, 1).

    Raises:
        InventoryError: a fill rate is not between 0 and 1.
    """

    until_next, until_own = Excess(protection), Excess(carried)

    def short(level: Array) -> Array:
        return until_next.over(level) - until_own.over(level)

    return least_level(short, (1 - _share(fill)) * demand, protection.max(axis=1, initial=0.0))


def reorder_level(draws: Array, quantity: Array, fill: Array) -> Array:
    """The smallest reorder point s of (s, Q) whose expected fill rate is at least ``fill``: n units.

    Args:
        draws: n x N demand over the lead time, with the undershoot.
        quantity: n units of an order, Q.
        fill: n shares in (0, 1).

    Raises:
        InventoryError: a fill rate is not between 0 and 1.
    """

    excess = Excess(draws)

    def short(level: Array) -> Array:
        return excess.over(level) - excess.over(level + quantity)

    return least_level(short, (1 - _share(fill)) * quantity, draws.max(axis=1, initial=0.0))


def _share(fill: Array) -> Array:
    if not ((fill > 0) & (fill < 1)).all():
        wrong = fill[~((fill > 0) & (fill < 1))][0]
        raise InventoryError(f"fill rate {wrong:g} is not between 0 and 1; give a share such as 0.95")
    return fill


class Excess:
    """What draws exceed a level by, on average: one sort, then a search for each level that is asked for."""

    def __init__(self, draws: Array) -> None:
        self._sorted = np.sort(draws, axis=1)
        self._above = np.zeros((len(draws), draws.shape[1] + 1))
        self._above[:, :-1] = np.cumsum(self._sorted[:, ::-1], axis=1)[:, ::-1]

    def over(self, level: Array) -> Array:
        """E[(draw - level)⁺], n each."""
        rows, count = np.arange(len(level)), self._sorted.shape[1]
        low, high = np.zeros(len(level), dtype=np.intp), np.full(len(level), count)
        while (low < high).any():
            middle = np.minimum((low + high) // 2, count - 1)
            below = (self._sorted[rows, middle] <= level) & (low < high)
            low, high = np.where(below, middle + 1, low), np.where(below, high, np.minimum(high, middle))
        return (self._above[rows, low] - level * (count - low)) / count


def least_level(short: Callable[[Array], Array], allowed: Array, most: Array) -> Array:
    """The smallest level in [0, ``most``] at which ``short``, which falls with the level, is at most ``allowed``."""
    low, high = np.zeros(len(most)), most
    enough = short(low) <= allowed
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        met = short(middle) <= allowed
        low, high = np.where(met, low, middle), np.where(met, middle, high)
    return np.where(enough, 0.0, high)
