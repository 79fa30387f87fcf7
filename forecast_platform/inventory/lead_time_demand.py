"""What may be asked for until a delivery: draws of demand over days ahead, from the ledger's own errors.

A draw is a sum of days that some past origin forecast and that were then sold (``forecasting.paths``), laid around this
series' forecast of as many days; how many days it spans is a draw of the lead time. Nothing is assumed of the shape of
demand, of how days depend on each other, or of how wrong forecasts are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.paths import Pool, Pools

Array = np.ndarray

WEEK = 7


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """n series as their newest forecast sees them.

    Attributes:
        mean: n x H units of the days ahead.
        scale: n; root mean squared one-day difference as of the origin, NaN where unknown.
        model, demand_class: n texts each.
        whole: n; whether the series sells whole units only.
    """

    mean: Array
    scale: Array
    model: Array
    demand_class: Array
    whole: Array

    def __len__(self) -> int:
        return len(self.mean)

    def take(self, rows: Array | slice) -> Ahead:
        """Some of the series."""
        return Ahead(
            mean=self.mean[rows],
            scale=self.scale[rows],
            model=self.model[rows],
            demand_class=self.demand_class[rows],
            whole=self.whole[rows],
        )

    @property
    def horizon(self) -> int:
        """H."""
        return self.mean.shape[1]

    def expected(self, days: Array) -> Array:
        """n forecasts summed over the first ``days`` days, n whole or broken numbers.

        Beyond the horizon its last week goes on.
        """
        total = np.concatenate([np.zeros((len(self), 1)), np.cumsum(self.mean, axis=1)], axis=1)
        inside = np.minimum(days, self.horizon)
        whole = np.floor(inside).astype(np.intp)
        rows = np.arange(len(self))
        part = (inside - whole) * self.mean[rows, np.minimum(whole, self.horizon - 1)]
        return total[rows, whole] + part + np.maximum(days - self.horizon, 0.0) * self.mean[:, -WEEK:].mean(axis=1)


SpanPools = Mapping[int, Pools]
"""By number of days t, the paths of the days 1 .. t ahead; t up to the horizon."""


def has_paths(ahead: Ahead, pools: SpanPools) -> Array:
    """n; whether there are paths of every span for the series' model and class: the ledger is old enough."""
    known = np.zeros(len(ahead), dtype=bool)
    for model, demand_class, rows in _cells(ahead):
        known[rows] = all(each.of(model, demand_class) is not None for each in pools.values()) and bool(pools)
    return known & ~np.isnan(ahead.scale)


def demand_draws(ahead: Ahead, pools: SpanPools, days: Array, lead_time: Array, uniform: Array) -> Array:
    """Draws of demand over lead times, n x N: units; whole numbers of a series that sells such.

    Args:
        ahead: n series, each of which has paths (``has_paths``).
        pools: see ``SpanPools``.
        days: k x N draws of days, not below 0.
        lead_time: n; which of the k is the series'.
        uniform: N numbers in (0, 1) that choose the paths.
    """
    draws = np.zeros((len(ahead), days.shape[1]))
    for kind in np.unique(lead_time):
        of_kind = np.flatnonzero(lead_time == kind)
        for span in np.unique(days[kind]):
            if span > 0:
                at = np.flatnonzero(days[kind] == span)
                draws[of_kind[:, None], at] = _span_draws(ahead.take(of_kind), pools, int(span), uniform[at])
    return np.where(ahead.whole[:, None], np.floor(draws + 0.5), draws)


def undershoot_draws(ahead: Ahead, pools: SpanPools, review: Array, uniform: Array, place: Array) -> Array:
    """Draws of how far the stock is below a reorder point when that is seen, n x N.

    Stock that is looked at every R days is found below the point by a part of what was sold since the last look: large
    sales take it there more often than small ones, and any part of one may be below. So a sum of R days is drawn in
    proportion to its size, and a uniform part of it: the forward recurrence time of renewal theory (Silver, Pyke and
    Peterson, Inventory Management and Production Planning and Scheduling, chapter 7).

    Args:
        review: n whole days, 1 or more.
        uniform, place: N numbers in (0, 1) each: which sum, and which part of it.
    """
    draws = np.zeros((len(ahead), len(uniform)))
    for span in np.unique(review):
        of_span = np.flatnonzero(review == span)
        seen = ahead.take(of_span)
        for rows, unit, sums in _around(seen, pools, int(span)):
            shares = np.cumsum(np.sort(sums))
            if len(rows) and shares[-1] > 0:
                chosen = np.sort(sums)[np.minimum(np.searchsorted(shares, uniform * shares[-1]), len(sums) - 1)]
                draws[of_span[rows]] = unit[:, None] * (chosen * place)
    # A whole sale of x leaves 0 to x - 1 below the point, as the last of what is above it may be any of its units.
    return np.where(ahead.whole[:, None], np.floor(draws), draws)


def stockout_probabilities(ahead: Ahead, pools: SpanPools, available: Array) -> Array:
    """Probability that the stock has run out by the end of each day ahead, n x H, from the paths.

    Args:
        ahead: n series, each of which has paths.
        available: n x H; on hand and what will have been delivered by the end of each day.
    """
    reached = np.zeros(available.shape)
    for span in range(1, available.shape[1] + 1):
        stock = available[:, span - 1]
        for rows, unit, sums in _around(ahead, pools, span):
            with np.errstate(divide="ignore", invalid="ignore"):
                bound = np.where(unit > 0, stock[rows] / unit, np.inf)
            asked = np.sort(sums)
            # The last unit sold leaves nothing: out of stock is demand that reaches what there is.
            out = len(asked) - np.searchsorted(asked, bound * (1 - 1e-12), side="left")
            reached[rows, span - 1] = np.where(stock[rows] > 0, out / len(asked), 1.0)
    return np.maximum.accumulate(reached, axis=1)


def _span_draws(ahead: Ahead, pools: SpanPools, span: int, uniform: Array) -> Array:
    draws = np.empty((len(ahead), len(uniform)))
    for rows, unit, sums in _around(ahead, pools, span):
        place = np.minimum((uniform * len(sums)).astype(np.intp), len(sums) - 1)
        draws[rows] = unit[:, None] * np.sort(sums)[place]
    return draws


def _around(ahead: Ahead, pools: SpanPools, span: int) -> Iterator[tuple[Array, Array, Array]]:
    """Rows, units and sums by cell and band (``Pool.around``) over the first ``span`` days.

    Beyond the longest span with paths its sums stand for the longer one, in proportion.
    """
    longest = max(pools)
    known = min(span, longest)
    within = ahead.expected(np.full(len(ahead), float(known)))
    asked = ahead.expected(np.full(len(ahead), float(span)))
    for model, demand_class, rows in _cells(ahead):
        pool: Pool | None = pools[known].of(model, demand_class)
        if pool is None:
            raise ValueError(f"no paths of {known} days for {model} and {demand_class} series: ask has_paths first")
        for band, (places, unit, sums) in enumerate(pool.around(within[rows], ahead.scale[rows])):
            further = np.full(len(places), span / known) if band == 0 else asked[rows][places] / within[rows][places]
            yield rows[places], unit * further, sums


def _cells(ahead: Ahead) -> Iterator[tuple[str, str, Array]]:
    """Model, demand class and the rows that have both."""
    for model, demand_class in sorted(set(zip(ahead.model.tolist(), ahead.demand_class.tolist(), strict=True))):
        yield model, demand_class, np.flatnonzero((ahead.model == model) & (ahead.demand_class == demand_class))
