"""Forecasts of whole weeks: means summed, quantiles of summed paths (``paths``). Matrices in, matrices out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from forecast_platform.forecasting.paths import LEVELS, Pools, Span

Array = np.ndarray
CODE_VERSION = "2"

WEEK = 7


@dataclass(frozen=True, order=True)
class Week(Span):
    """A whole week, Sunday to Saturday, within a horizon."""

    week_ending: date


def whole_weeks(origin: date, horizon: int) -> list[Week]:
    """The weeks that lie wholly within the ``horizon`` days after ``origin``."""
    until_sunday = (6 - origin.weekday()) % WEEK or WEEK
    firsts = range(until_sunday, horizon - WEEK + 2, WEEK)
    return [Week(first, first + WEEK - 1, origin + timedelta(days=first + WEEK - 1)) for first in firsts]


def assumed_quantiles(mean: Array, scale: Array, *, whole: Array | bool, days: int = WEEK) -> Array:
    """Quantiles while the ledger is too young to have paths: assumed, not measured.

    Days are taken as independent, and the squared one-day difference as twice a day's variance, so that the sum varies
    by ``days`` · scale² / 2, or like a Poisson number if that is more or the scale is unknown. Whole numbers follow a
    negative binomial with these moments (a Poisson where they are equal), others a gamma.

    Args:
        mean: n sums over the days.
        scale: n root mean squared one-day differences, NaN where unknown.
        whole: n, or one for all.
        days: length of the sum.

    Returns:
        n x levels.
    """
    from scipy import stats

    levels = np.array(LEVELS)[None, :]
    average = mean[:, None]
    spread = np.nan_to_num(days * np.asarray(scale, dtype=np.float64) ** 2 / 2.0)[:, None]
    variance = np.maximum(spread, average)
    result = np.zeros((len(mean), len(LEVELS)))
    sold = mean > 0
    counted = np.broadcast_to(whole, len(mean)) & sold
    wide = counted & (variance[:, 0] > average[:, 0] * (1.0 + 1e-9))
    m, v = average[wide], variance[wide]
    result[wide] = stats.nbinom.ppf(levels, m * m / (v - m), m / v)
    even = counted & ~wide
    result[even] = stats.poisson.ppf(levels, average[even])
    other = sold & ~counted
    m, v = average[other], variance[other]
    result[other] = stats.gamma.ppf(levels, m * m / v, scale=v / m)
    # Far below one sale a quantile underflows; it is 0.
    return np.maximum.accumulate(np.maximum(np.nan_to_num(result), 0.0), axis=1)


def weekly_quantiles(
    mean: Array, scale: Array, model: Array, demand_class: Array, whole: Array, pools: Pools
) -> tuple[Array, Array]:
    """Quantiles of one week for all series.

    Args:
        mean: n summed means of the week.
        scale: n root mean squared one-day differences as of the origin, NaN where unknown.
        model, demand_class: n texts each.
        whole: n; whether the history is in whole numbers.
        pools: the week's paths.

    Returns:
        n x levels, and n: whether they rest on paths (else they are assumed).
    """
    result = np.empty((len(mean), len(LEVELS)))
    measured = np.zeros(len(mean), dtype=bool)
    for pair in sorted(set(zip(model.tolist(), demand_class.tolist(), strict=True))):
        pool = pools.of(*pair)
        if pool is not None:
            rows = np.flatnonzero((model == pair[0]) & (demand_class == pair[1]) & ~np.isnan(scale))
            result[rows] = pool.quantiles(mean[rows], scale[rows], whole=whole[rows])
            measured[rows] = True
    assumed = ~measured
    result[assumed] = assumed_quantiles(mean[assumed], scale[assumed], whole=whole[assumed])
    return result, measured
