"""The simple forecasters' arithmetic: last day, last week, recent mean. Matrices in, matrices out.

``y`` is n x W, oldest day first, NaN where a day was not observed; results are in its units. A series'
numbers depend on its own row only, to the bit: sums are taken day by day over all series. sktime's
interface is in ``forecasters``.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def last_observed(y: Array) -> Array:
    """The last observed day of each series: n. NaN for a series without one."""
    return mean_of_last(y, 1)


def last_season(y: Array, season: int) -> Array:
    """For each day of the cycle after the window, its last observation: n x season.

    Column 0 is the day after the window's last. NaN where that weekday was never observed.
    """
    result = np.full((len(y), season), np.nan)
    for ahead in range(1, season + 1):
        for day in range(y.shape[1] - 1 + ahead - season, -1, -season):
            column = result[:, ahead - 1]
            missing = np.isnan(column)
            if not missing.any():
                break
            np.copyto(column, y[:, day], where=missing)
    return result


def mean_of_last(y: Array, window: int) -> Array:
    """Mean of the last ``window`` observed days, of all of them where there are fewer: n. NaN where there is none."""
    total, count = np.zeros(len(y)), np.zeros(len(y))
    for day in range(y.shape[1] - 1, -1, -1):
        column = y[:, day]
        wanted = ~np.isnan(column) & (count < window)
        # Adding 0 to a series that has its days already changes none of its bits.
        total += np.where(wanted, column, 0.0)
        count += wanted
        if count.min(initial=window) >= window:
            break
    with np.errstate(invalid="ignore"):
        return total / np.where(count > 0, count, np.nan)


def repeat_season(season: Array, horizon: int) -> Array:
    """Repeat one cycle over the horizon: n x season to n x horizon."""
    return season[:, np.arange(horizon) % season.shape[1]]
