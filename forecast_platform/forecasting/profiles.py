"""Level times weekday profile: a recent level of each series, spread over the week as its group is.

Matrices in, matrices out. The level remembers longer the less a series sells; profile and growth are pooled
over location and category (``pooling``). sktime's interface is in ``forecasters``, bounds in ``guards``.
Apart from the pooled ratios a series' numbers depend on its own days only, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.linear_systems import sum_rows
from forecast_platform.forecasting.pooling import pooled_ratios, pull
from forecast_platform.forecasting.weekdays import SEASON, slots, slots_ahead

Array = np.ndarray


@dataclass(frozen=True, kw_only=True)
class ProfileDesign:
    """How long the levels remember, and how far series may differ.

    Attributes:
        half_life: days after which a day weighs half in the recent level.
        long_half_life: likewise in the long level, to which the recent one is pulled.
        level_spread: standard deviation of a series' recent level, as a share of its long level times the pool's growth.
        profile_spread: standard deviation of a series' weekday factors around its pool's, of a pool's around the wider.
        growth_spread: likewise of the growth of pools.
    """

    half_life: float
    long_half_life: float
    level_spread: float
    profile_spread: float
    growth_spread: float


LEAST_NOISE = 0.05
"""Smallest squared coefficient of variation of a day that is believed: no series is known better than to a fifth."""

CLOSED_AFTER = 60
"""Sale days of a location on other weekdays after which a weekday without a sale is a closed one: were it open, as many
would leave it empty once in 22,000."""


@dataclass(frozen=True, kw_only=True)
class ProfileFit:
    """A fitted panel of n series.

    Attributes:
        level: n; expected units of a day of factor 1, NaN without an observed day.
        profile: n x 7 factors that average 1, by slot (``weekdays.slots``).
    """

    level: Array
    profile: Array


def fit_profile(y: Array, pools: Sequence[Array], design: ProfileDesign) -> ProfileFit:
    """Fit every series.

    Args:
        y: n x W units, NaN where not observed.
        pools: codes of the n series, widest first; see ``pooling.nested``.
        design: memory and spreads.
    """
    time_first = np.ascontiguousarray(y.T)
    units = _by_slot(time_first)
    factors = _profile(units, pools, design)
    level = _level(time_first, units.noise, factors, pools, design)
    return ProfileFit(level=level, profile=factors.T)


def predict_profile(fit: ProfileFit, *, horizon: int) -> Array:
    """Level times profile for the days after the window: n x horizon."""
    return fit.level[:, None] * fit.profile[:, slots_ahead(horizon)]


@dataclass(frozen=True)
class _Week:
    """Observed days and mean units by weekday slot, each 7 x n, and a day's noise: squared coefficient of variation."""

    days: Array
    mean: Array
    noise: Array


def _by_slot(y: Array) -> _Week:
    observed = ~np.isnan(y)
    filled = np.where(observed, y, 0.0)
    place = slots(len(y))
    days = np.stack([sum_rows(observed[place == slot].astype(float)) for slot in range(SEASON)])
    units = np.stack([sum_rows(filled[place == slot]) for slot in range(SEASON)])
    mean = units / np.maximum(days, 1.0)
    away = np.where(observed, filled - mean[place], 0.0)
    total = sum_rows(days)
    # Within weekdays, so that a strong weekly pattern is no noise. With few days there is nothing to see it by:
    # those count as if two more had been as far off as a Poisson day of one unit.
    variance = (sum_rows(away * away)) / np.maximum(total - SEASON, 1.0)
    level = sum_rows(units) / np.maximum(total, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = np.where(level > 0, variance / (level * level), np.inf)
    return _Week(days, mean, np.maximum(noise, LEAST_NOISE))


def _profile(week: _Week, pools: Sequence[Array], design: ProfileDesign) -> Array:
    """7 x n factors that average 1."""
    seen = week.days > 0
    sevenths = sum_rows(week.mean) / np.maximum(sum_rows(seen.astype(float)), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(seen & (sevenths > 0), week.mean / sevenths, 0.0)
    precision = np.where(sevenths > 0, week.days, 0.0) / week.noise
    pooled = pooled_ratios(ratio.T, precision.T, pools, spread=design.profile_spread).T
    factors = pull(precision * ratio, precision, pooled, design.profile_spread)
    factors = np.where(_closed(week, pools[1]), 0.0, factors)
    average = sum_rows(factors) / SEASON
    return factors / np.where(average > 0, average, 1.0)


def _closed(week: _Week, location: Array) -> Array:
    """7 x n; whether the series' location never sells on that weekday."""
    size = int(location.max(initial=-1)) + 1
    sold = np.stack([np.bincount(location, weights=row, minlength=size) for row in week.mean > 0])
    return (sold == 0)[:, location] & (sum_rows(sold * 1.0) > CLOSED_AFTER)[location]


def _level(y: Array, noise: Array, factors: Array, pools: Sequence[Array], design: ProfileDesign) -> Array:
    recent, recent_days = _discounted(y, factors, design.half_life)
    long, long_days = _discounted(y, factors, design.long_half_life)
    with np.errstate(invalid="ignore", divide="ignore"):
        long = long / np.where(long_days > 0, long_days, np.nan)
        now = recent / np.where(recent_days > 0, recent_days, np.nan)
        ratio = np.where((long > 0) & (recent_days > 0), now / long, 0.0)
    precision = np.where(long > 0, recent_days, 0.0) / noise
    growth = pooled_ratios(ratio[:, None], precision[:, None], pools, spread=design.growth_spread)[:, 0]
    share = pull(precision * ratio, precision, growth, design.level_spread)
    return long * share


def _discounted(y: Array, factors: Array, half_life: float) -> tuple[Array, Array]:
    """Discounted sums of units and of the factors of the days observed, n each."""
    units, days = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    fade = 0.5 ** (1.0 / half_life)
    for row, slot in zip(y, slots(len(y)), strict=True):
        observed = ~np.isnan(row)
        units = units * fade + np.where(observed, row, 0.0)
        days = days * fade + np.where(observed, factors[slot], 0.0)
    return units, days
