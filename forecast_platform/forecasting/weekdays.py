"""How demand is spread over the week: factors for each weekday, 1 on average, borrowed from like series.

Weekdays are numbered by slot: 0 is the weekday of the window's last day, 1 that of the day after. No levels and no
forecasts belong here; how series borrow from each other is in ``pooling``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast_platform.forecasting.linear_systems import blocks_of, sum_rows
from forecast_platform.forecasting.pooling import pooled_ratios, pull
from forecast_platform.threads import on_all_cores

Array = np.ndarray
SEASON = 7

LEAST_NOISE = 0.05
"""Smallest squared coefficient of variation of a day that is believed, so that a constant series is not everything."""

CLOSED_AFTER = 60
"""Series-weekdays with sales after which a weekday without any is a closed one. Were it open like the other six, as
many would leave it empty once in 22,000 times."""


def slots(days: int) -> Array:
    """Slot of each day of a window of ``days`` days."""
    return (np.arange(days) - (days - 1)) % SEASON


def slots_ahead(horizon: int) -> Array:
    """Slot of each day of the horizon."""
    return np.arange(1, horizon + 1) % SEASON


@dataclass(frozen=True)
class Week:
    """What n series show of the week.

    Attributes:
        days, mean: 7 x n; observed days and their mean units by slot.
        noise: n; squared coefficient of variation of a day around the mean of its weekday, infinite without a sale.
    """

    days: Array
    mean: Array
    noise: Array

    @classmethod
    def of(cls, y: Array) -> Week:
        """Of W x n units, time first, NaN where not observed. A series' numbers depend on its own days only."""
        parts = on_all_cores(lambda block: cls._of(y[:, block]), blocks_of(y.shape[1]))
        return cls(*(np.concatenate([vars(part)[name] for part in parts], axis=-1) for name in vars(parts[0])))

    @classmethod
    def _of(cls, y: Array) -> Week:
        observed = ~np.isnan(y)
        filled = np.where(observed, y, 0.0)
        place = slots(len(y))
        days = np.stack([sum_rows(observed[place == slot].astype(float)) for slot in range(SEASON)])
        units = np.stack([sum_rows(filled[place == slot]) for slot in range(SEASON)])
        mean = units / np.maximum(days, 1.0)
        total = sum_rows(days)
        away = np.where(observed, filled - mean[place], 0.0)
        # Within weekdays, so that a strong weekly pattern is no noise.
        variance = sum_rows(away * away) / np.maximum(total - SEASON, 1.0)
        level = sum_rows(units) / np.maximum(total, 1.0)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            noise = np.where(level > 0, variance / (level * level), np.inf)
        return cls(days, mean, np.maximum(noise, LEAST_NOISE))


def weekday_factors(week: Week, pools: Sequence[Array], *, spread: float) -> Array:
    """Weekday factors of each series, pulled to those of its pools.

    Each series counts by the precision of its own factors, observed days over noise, not by its units: a single
    order of a thousand pieces says little about the week.

    Args:
        week: what the n series show.
        pools: codes of the series, widest first, see ``pooling``. A weekday on which the second pool never sells,
            though it sells on others (``CLOSED_AFTER``), has the factor 0 there.
        spread: standard deviation of a series' factors around those of its narrowest pool.

    Returns:
        7 x n factors that average 1.
    """
    seen = week.days > 0
    average = sum_rows(week.mean) / np.maximum(sum_rows(seen.astype(float)), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(seen & (average > 0), week.mean / average, 0.0)
    precision = np.where(average > 0, week.days, 0.0) / week.noise
    pooled = pooled_ratios(ratio.T, precision.T, pools).T
    factors = np.where(_closed(week, pools[1]), 0.0, pull(precision * ratio, precision, pooled, spread))
    return factors * SEASON / sum_rows(factors)


def _closed(week: Week, pool: Array) -> Array:
    """7 x n; whether the series' pool never sells on that weekday."""
    size = int(pool.max(initial=-1)) + 1
    sold = np.stack([np.bincount(pool, weights=row, minlength=size) for row in week.mean > 0])
    return (sold == 0)[:, pool] & (sum_rows(sold) > CLOSED_AFTER)[pool]
