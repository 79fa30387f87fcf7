"""What covariates known ahead do to demand: shares of a day's base by covariate, borrowed from like series.

A series has seen a handful of promotions; its category has seen hundreds. The effect of each covariate is a share of
the base (level times weekday factor), one linear effect for each, so that slow and fast sellers can be pooled. No
level, no recursion and no calendar belongs here; how series borrow is as in ``pooling``, for several effects at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.linear_systems import blocks_of, solve_symmetric, sum_rows
from forecast_platform.forecasting.pooling import SPREADS
from forecast_platform.threads import on_all_cores

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
        factors = np.empty((covariates.shape[2], len(self.slope)))

        def fill(block: slice) -> None:
            own = Effects(self.slope[block], self.centre[block], self.neutral[block])
            parts = own.from_neutral(covariates[block])
            factors[:, block] = (own.at_neutral()[:, None] + sum_rows(parts.swapaxes(0, 1))).T

        on_all_cores(fill, blocks_of(len(self.slope)))
        return factors


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
    number, series = covariates.shape[1], y.shape[1]
    blocks = blocks_of(series)
    seen = on_all_cores(lambda block: _seen(y[:, block], covariates[block]), blocks)
    centre = np.concatenate([each.centre for each in seen])
    binary = np.logical_and.reduce([each.binary for each in seen])
    neutral = np.where(binary, np.rint(centre), centre)
    days = np.maximum(np.concatenate([each.days for each in seen]), 1.0)
    squares = np.zeros((number, len(y)))
    for block in blocks:
        for k in range(number):
            moved = _moved(y[:, block], covariates[block, k], centre[block, k])
            for own in (moved * moved).T:  # series by series, whatever their block
                np.add(squares[k], own, out=squares[k])
    scale = np.sqrt(sum_rows(squares.T) / max(days.sum(), 1.0))
    unit = np.where(scale > 0, scale, 1.0)
    systems = on_all_cores(
        lambda block: _systems(y[:, block], base[:, block], noise[block], covariates[block], centre[block], unit),
        blocks,
    )
    gram, right = (np.concatenate(each, axis=-1) for each in zip(*systems, strict=True))
    slope = _pull_together(gram, right, pools, spread)
    return Effects((slope / unit[:, None]).T, centre, neutral)


@dataclass(frozen=True)
class _Seen:
    """Of n series: days observed; of k covariates their means over those, n x k, and whether each is only 0 or 1."""

    days: Array
    centre: Array
    binary: Array


def _seen(y: Array, covariates: Array) -> _Seen:
    observed = ~np.isnan(y)
    days = sum_rows(observed.astype(float))
    centre, binary = np.zeros(covariates.shape[:2]), np.zeros(covariates.shape[1], dtype=bool)
    for k in range(covariates.shape[1]):
        values = np.where(observed, covariates[:, k].T, 0.0)
        centre[:, k] = sum_rows(values) / np.maximum(days, 1.0)
        binary[k] = np.isin(values, (0.0, 1.0)).all()
    return _Seen(days, centre, binary)


def _moved(y: Array, covariate: Array, centre: Array) -> Array:
    """How far a covariate is from its mean on the observed days: W x n."""
    observed = ~np.isnan(y)
    return np.where(observed, np.where(observed, covariate.T, 0.0) - centre, 0.0)


def _systems(y: Array, base: Array, noise: Array, covariates: Array, centre: Array, unit: Array) -> tuple[Array, Array]:
    """Normal equations of each series' own effects, lower triangle: k x k x n and k x n."""
    observed, number = ~np.isnan(y), covariates.shape[1]
    level = sum_rows(np.where(observed, y, 0.0)) / np.maximum(sum_rows(np.where(observed, base, 0.0)), 1e-12)
    known = (level > 0) & np.isfinite(noise)
    away = np.where(observed & known, (y - level * base) / np.where(known, level, 1.0), 0.0)
    weight = np.where(known, 1.0 / noise, 0.0)
    columns = [base * _moved(y, covariates[:, k], centre[:, k]) / unit[k] for k in range(number)]
    gram, right = np.zeros((number, number, y.shape[1])), np.zeros((number, y.shape[1]))
    for i, column in enumerate(columns):
        right[i] = weight * sum_rows(column * away)
        for j in range(i + 1):
            gram[i, j] = weight * sum_rows(column * columns[j])
    return gram, right


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
