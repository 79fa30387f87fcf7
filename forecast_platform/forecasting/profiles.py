"""Level times weekday factor times what is known ahead: the base of a series' demand.

Matrices in, matrices out. The level is a series' own recent one; weekday factors, effects of covariates and growth
are pooled over location and category (``weekdays``, ``drivers``). sktime's interface is in ``forecasters``, bounds in
``guards``. Apart from the pooled ratios a series' numbers depend on its own days only, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.drivers import Effects, fit_effects, no_effects
from forecast_platform.forecasting.linear_systems import sum_rows
from forecast_platform.forecasting.pooling import pull
from forecast_platform.forecasting.weekdays import SEASON, Week, slots, slots_ahead, weekday_factors

Array = np.ndarray

MONTH = 30.0
"""Days of the growth rates below."""
MOST_GROWTH = 0.3
"""Largest correction of a level for growth, as a share of it."""
GROWS_ON = 14
"""Days ahead up to which growth goes on."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """What n series share with their pools, over a window of W days.

    Attributes:
        weekday: 7 x n factors that average 1, by slot (``weekdays.slots``).
        effects: of the covariates.
        factors: W x n; weekday factor times effects of each day.
    """

    weekday: Array
    effects: Effects
    factors: Array

    def ahead(self, horizon: int, covariates: Array | None) -> Array:
        """Factors of the days after the window: horizon x n."""
        factors = self.weekday[slots_ahead(horizon)]
        return factors * self.effects.factors(covariates) if self.effects.count else factors


@dataclass(frozen=True, kw_only=True)
class ProfileFit:
    """A fitted panel of n series.

    Attributes:
        level: n; NaN without an observed day.
        age: n; mean age in days of what is in the level.
        growth: n; growth a day of the series' location, as a share of its level at the origin.
        base: factors of the days.
    """

    level: Array
    age: Array
    growth: Array
    base: Base

    def levels(self, horizon: int) -> Array:
        """Levels of the days after the window, n x horizon: grown since its mean day, and on for ``GROWS_ON`` days."""
        return self.level[:, None] * growth_factors(self.growth, self.age, horizon)


def fit_base(y: Array, pools: Sequence[Array], *, spread: float, covariates: Array | None = None) -> Base:
    """Weekday factors and effects of covariates of n series.

    Args:
        y: W x n units, time first, NaN where not observed.
        pools: codes of the series, widest first; see ``pooling.nested``.
        spread: how far a series' own may be from its pool's.
        covariates: n x k x W, finite wherever ``y`` is; None for none.
    """
    week = Week.of(y)
    weekday = weekday_factors(week, pools, spread=spread)
    factors = weekday[slots(len(y))]
    effects = no_effects(y.shape[1])
    if covariates is not None and covariates.shape[1]:
        effects = fit_effects(y, factors, week.noise, covariates, pools, spread=spread)
        factors = factors * effects.factors(covariates)
    return Base(weekday=weekday, effects=effects, factors=factors)


def fit_profile(y: Array, base: Base, growth: Array, *, half_life: float) -> ProfileFit:
    """Fit every series.

    Args:
        y: W x n units, time first, NaN where not observed.
        base, growth: of these units, from ``fit_base`` and ``fit_growth``.
        half_life: days after which a day weighs half in the level.
    """
    level, age = discounted_level(y, base.factors, half_life)
    return ProfileFit(level=level, age=age, growth=growth, base=base)


def base_terms(base: Base, level: Array, *, covariates: Array | None) -> tuple[Array, Array, Array]:
    """What makes up level times factors of the days after the window.

    Args:
        base: from ``fit_base``.
        level: n x horizon; a series' level on each day.
        covariates: n x k x horizon, as known ahead; None for none.

    Returns:
        Level and weekday, n x horizon each, and covariates, n x k x horizon, in units.
    """
    weekday = base.weekday.T[:, slots_ahead(level.shape[1])]
    effects = base.effects
    if not effects.count:
        return level, level * (weekday - 1.0), np.empty((len(level), 0, level.shape[1]))
    told = level * effects.at_neutral()[:, None]
    return told, told * (weekday - 1.0), (level * weekday)[:, None, :] * effects.from_neutral(covariates)


def discounted_level(y: Array, factors: Array, half_life: float) -> tuple[Array, Array]:
    """Level of n series, a mean discounted by age, and the mean age in days of what is in it.

    Units over the factors of the same days, so that three strong weekdays or a promotion make no strong level.
    Where all factors of the observed days are 0 it is the units over the days.

    Args:
        y: W x n units, time first, NaN where not observed.
        factors: W x n.
        half_life: days after which a day weighs half.
    """
    units, exposure, days, age = (np.zeros(y.shape[1]) for _ in range(4))
    fade = 0.5 ** (1.0 / half_life)
    for row, factor in zip(y, factors, strict=True):
        observed = ~np.isnan(row)
        age = (age + days) * fade
        units = units * fade + np.where(observed, row, 0.0)
        exposure = exposure * fade + np.where(observed, factor, 0.0)
        days = days * fade + observed
    with np.errstate(invalid="ignore", divide="ignore"):
        level = units / np.where(exposure > 0, exposure, np.where(days > 0, days, np.nan))
        return level, np.where(days > 0, age / days, 0.0)


def growth_factors(growth: Array, age: Array | float, horizon: int) -> Array:
    """Factors n x horizon of levels that are ``age`` days old at the origin and grow by a share of them a day."""
    days = np.reshape(age, (-1, 1)) + np.minimum(np.arange(1, horizon + 1), GROWS_ON)
    return 1.0 + np.minimum(np.maximum(growth[:, None] * days, -MOST_GROWTH), MOST_GROWTH)


def fit_growth(y: Array, factors: Array, pools: Sequence[Array], spread: float) -> Array:
    """Growth a day of each series' location, as a share of its level today, pulled to that of all series: n.

    ``spread`` is the standard deviation of a month's growth of all series together around none, and of a location's
    around that of all.

    The slope of the pool's total units over what its weekdays would make of a steady level, by weighted least
    squares over the series observed nearly every day. Its variance is that of the totals around the line: a day of
    a single huge order tells of no growth.
    """
    observed = ~np.isnan(y)
    whole = sum_rows(observed.astype(float)) >= 0.5 * len(y)
    seen = observed & whole
    level = _sum_seen(y, seen) / np.maximum(_sum_seen(factors, seen), 1e-12)
    time = np.arange(len(y)) - (len(y) - 1.0)
    growth = np.zeros(y.shape[1])
    for codes in pools[:2]:
        size = int(codes.max(initial=-1)) + 1
        total, expected = (
            np.stack([np.bincount(codes, weights=np.where(here, row, 0.0), minlength=size) for here, row in days])
            for days in (zip(seen, y, strict=True), zip(seen, (level * row for row in factors), strict=True))
        )
        slope, precision = _relative_slope(total, expected, time[:, None])
        growth = pull((precision * slope)[codes], precision[codes], growth, spread / MONTH)
    return growth


def _sum_seen(values: Array, seen: Array) -> Array:
    """Sum over the first axis of what is seen, first row first, a row at a time."""
    total = np.zeros(values.shape[1:])
    for row, here in zip(values, seen, strict=True):
        total += np.where(here, row, 0.0)
    return total


def _weeks(days: Array) -> Array:
    """Sums over whole weeks, the last one first."""
    return np.stack([sum_rows(days[end - SEASON : end]) for end in range(len(days), SEASON - 1, -SEASON)])


def _relative_slope(total: Array, expected: Array, time: Array) -> tuple[Array, Array]:
    """Slope of total / expected over time, as a share of its value at the end, and that share's precision: g each."""
    centre = sum_rows(expected * time) / np.maximum(sum_rows(expected), 1e-12)
    away = time - centre
    with np.errstate(invalid="ignore", divide="ignore"):
        # Variance of a day's total goes with its expectation: weights 1 / expected.
        middle = sum_rows(total) / sum_rows(expected)
        squares = sum_rows(expected * away * away)
        slope = sum_rows(away * total) / squares
        residual = _weeks(np.where(expected > 0, total - expected * (middle + slope * away), 0.0))
        chi = residual * residual / _weeks(expected)
        variance = sum_rows(np.where(np.isfinite(chi), chi, 0.0)) / max(len(residual) - 2, 1) / squares
        share = slope / middle
        precision = middle * middle / np.maximum(variance, 1e-12)
    sound = np.isfinite(share) & np.isfinite(precision)
    return np.where(sound, share, 0.0), np.where(sound, precision, 0.0)
