"""How demand is spread over the week, pooled over a group of series.

A profile is a factor for each weekday, 1 on average over the week. Weekdays are numbered by slot: 0 is
the weekday of the window's last day, 1 that of the day after. No levels and no forecasts belong here.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
SEASON = 7


def slots(days: int) -> Array:
    """Slot of each day of a window of ``days`` days."""
    return (np.arange(days) - (days - 1)) % SEASON


def slots_ahead(horizon: int) -> Array:
    """Slot of each day of the horizon."""
    return np.arange(1, horizon + 1) % SEASON


def weekday_profiles(y: Array, group: Array) -> Array:
    """Weekday profile of each series' group: the mean of observed units by weekday, over the mean of the seven.

    Args:
        y: n x W units, NaN where not observed.
        group: n codes from 0 on. The order of the series fixes the order of the sums.

    Returns:
        n x 7 factors that average 1. A group without a sale, or without an observation on some weekday,
        has the profile of all series; if those have none either, it is flat.
    """
    groups = int(group.max(initial=-1)) + 1
    units, days = np.zeros((groups, SEASON)), np.zeros((groups, SEASON))
    for day, slot in enumerate(slots(y.shape[1])):
        column = y[:, day]
        observed = ~np.isnan(column)
        units[:, slot] += np.bincount(group, weights=np.where(observed, column, 0.0), minlength=groups)
        days[:, slot] += np.bincount(group, weights=observed, minlength=groups)
    everything = _profile(units.sum(axis=0, keepdims=True), days.sum(axis=0, keepdims=True))
    everything = np.where(np.isnan(everything), 1.0, everything)
    profiles = _profile(units, days)
    return np.where(np.isnan(profiles), everything, profiles)[group]


def _profile(units: Array, days: Array) -> Array:
    """Profiles of g groups, g x 7; a whole row of NaN where it is not defined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = units / days
        level = mean.sum(axis=1, keepdims=True) / SEASON
        return mean / np.where(level > 0, level, np.nan)
