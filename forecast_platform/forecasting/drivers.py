"""What covariates known ahead do to demand: shares of a day's base by covariate, borrowed from like series.

A series has seen a handful of promotions; its category has seen hundreds. The effect of each covariate is a share of
the base (level times weekday factor), one linear effect for each, so that slow and fast sellers can be pooled. No
level, no recursion and no calendar belongs here; how series borrow is as in ``pooling``, for several effects at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.linear_systems import solve_symmetric, sum_rows
from forecast_platform.forecasting.pooling import SPREADS

Array = np.ndarray
LEAST, MOST = 0.1, 10.0
"""Bounds of all effects of a day together, as factors of its base."""


@dataclass(frozen=True)
class Effects:
    """Effects of k covariates on n series: day = base · (1 + Σ slope · (x - centre)).

    Attributes:
        slope: n x k; share of the base for one unit of the covariate.
        centre: n x k; the covariate's mean over the observed days.
        neutral: n x k; where the effect counts as none when it is told: of a covariate that is only 0 or 1 the commoner
            (no promotion, no holiday, but a shop that is open), else the centre.
    """

    slope: Array
    centre: Array
    neutral: Array

    @property
    def count(self) -> int:
        """Covariates, k."""
        return self.slope.shape[1]

    def at_neutral(self) -> Array:
        """Factor of a day on which every covariate is neutral: n."""
        return 1.0 + sum_rows((self.slope * (self.neutral - self.centre)).T)

    def from_neutral(self, covariates: Array) -> Array:
        """What each covariate adds to that factor: n x k x days from n x k x days; bounded together."""
        parts = self.slope[:, :, None] * (covariates - self.neutral[:, :, None])
        total = sum_rows(parts.swapaxes(0, 1))
        start = self.at_neutral()[:, None]
        bounded = np.minimum(np.maximum(start + total, LEAST), MOST) - start
        with np.errstate(invalid="ignore", divide="ignore"):
            held = (bounded != total) & (total != 0)
            return np.where(held[:, None, :], parts * (bounded / total)[:, None, :], parts)

    def factors(self, covariates: Array) -> Array:
        """Factor of each day: days x n from n x k x days."""
        return (self.at_neutral()[:, None] + sum_rows(self.from_neutral(covariates).swapaxes(0, 1))).T


def no_effects(series: int) -> Effects:
    """Effects of no covariate."""
    return Effects(*(np.empty((series, 0)) for _ in range(3)))


def fit_effects(y: Array, base: Array, noise: Array, covariates: Array, pools: Sequence[Array], *, spread: float):
    """Effects of each series, pulled to those of its pools.

    Args:
        y: W x n units, time first, NaN where not observed.
        base: W x n; weekday factor of each day.
        noise: n; squared coefficient of variation of a day, by which a series counts.
        covariates: n x k x W, finite wherever ``y`` is.
        pools: codes of the series, widest first.
        spread: standard deviation of a series' effects around its pool's, for one standard deviation of a covariate.

    Returns:
        The ``Effects``. A covariate that never changed has none.
    """
    observed = ~np.isnan(y)
    number, series = covariates.shape[1], y.shape[1]
    level = sum_rows(np.where(observed, y, 0.0)) / np.maximum(sum_rows(np.where(observed, base, 0.0)), 1e-12)
    known = (level > 0) & np.isfinite(noise)
    away = np.where(observed & known, (y - level * base) / np.where(known, level, 1.0), 0.0)
    weight = np.where(known, 1.0 / noise, 0.0)
    days = np.maximum(sum_rows(observed.astype(float)), 1.0)
    columns, centre, neutral, scale = [], np.zeros((series, number)), np.zeros((series, number)), np.ones(number)
    for k in range(number):
        values = np.where(observed, covariates[:, k].T, 0.0)
        centre[:, k] = sum_rows(values) / days
        moved = np.where(observed, values - centre[:, k], 0.0)
        scale[k] = np.sqrt(sum_rows(sum_rows((moved * moved).T)[:, None])[0] / max(days.sum(), 1.0))
        binary = bool(np.isin(values, (0.0, 1.0)).all())
        neutral[:, k] = np.rint(centre[:, k]) if binary else centre[:, k]
        columns.append(base * moved / (scale[k] if scale[k] > 0 else 1.0))
    gram, right = np.zeros((number, number, series)), np.zeros((number, series))
    for i, column in enumerate(columns):
        right[i] = weight * sum_rows(column * away)
        for j in range(i + 1):
            gram[i, j] = weight * sum_rows(column * columns[j])
    slope = _pull_together(gram, right, pools, spread)
    return Effects((slope / np.where(scale > 0, scale, 1.0)[:, None]).T, centre, neutral)


def _pull_together(gram: Array, right: Array, pools: Sequence[Array], spread: float) -> Array:
    """``pooling.pooled_ratios`` for effects that are known jointly: k x n."""
    prior = np.zeros_like(right)
    alone = np.arange(right.shape[1])
    for codes, width in zip((*pools, alone), (*SPREADS[: len(pools)], spread), strict=True):
        size = int(codes.max(initial=-1)) + 1
        first = np.zeros(size, dtype=np.intp)
        first[codes[::-1]] = alone[::-1]
        total = right if codes is alone else _by_code(right, codes, size)
        system = gram.copy() if codes is alone else _by_code(gram, codes, size)
        held = 1.0 / (width * width)
        for k in range(len(right)):
            system[k, k] += held
        prior = solve_symmetric(system, total + held * prior[:, first])[:, codes]
    return prior


def _by_code(values: Array, codes: Array, size: int) -> Array:
    """Sums over the series of each code, along the last axis."""
    flat = values.reshape(-1, values.shape[-1])
    summed = np.stack([np.bincount(codes, weights=row, minlength=size) for row in flat])
    return summed.reshape(*values.shape[:-1], size)
