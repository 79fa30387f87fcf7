"""The forecast of a series that a model cannot serve: too short, or with a result that is no number.

Each such series is forecast alone, from its own days and its group's weekday profile; a series without
a sale from its group's median level. Which series need it is decided in ``guards``.
"""

from __future__ import annotations

import numpy as np

from forecast_platform.forecasting.weekdays import Week, slots, slots_ahead, weekday_factors

Array = np.ndarray
CODE_VERSION = "2"
PROFILE_SPREAD = 0.1
"""How far a series' weekday factors may be from its group's; see ``weekdays.weekday_factors``."""


def fallback_forecast(y: Array, group: Array, *, horizon: int) -> Array:
    """Level of a series times its group's weekday profile.

    The level is the units of the observed days over the sum of the profile on those days, so that three
    strong weekdays do not make a strong week. A series without a sale has the median level of its group's
    series that sold, else 0.

    Args:
        y: n x W units, NaN where not observed.
        group: n codes from 0 on.
        horizon: days ahead.

    Returns:
        n x horizon, finite and not below 0 for finite, not negative ``y``.
    """
    profiles = weekday_factors(
        Week.of(np.ascontiguousarray(y.T)), (np.zeros_like(group), group), spread=PROFILE_SPREAD
    ).T
    units, weight, days = np.zeros(len(y)), np.zeros(len(y)), np.zeros(len(y))
    for day, slot in enumerate(slots(y.shape[1])):
        observed = ~np.isnan(y[:, day])
        units += np.where(observed, y[:, day], 0.0)
        weight += np.where(observed, profiles[:, slot], 0.0)
        days += observed
    sold = units > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.where(weight > 0, units / weight, units / days)
    level = np.where(sold, level, _median_by_group(level, group, sold))
    return level[:, None] * profiles[:, slots_ahead(horizon)]


def _median_by_group(level: Array, group: Array, sold: Array) -> Array:
    """Median level of the series that sold, of each series' group; 0 where none did."""
    median = np.zeros(int(group.max(initial=-1)) + 1)
    if not sold.any():
        return median[group]
    order = np.argsort(group[sold], kind="stable")
    codes, starts = np.unique(group[sold][order], return_index=True)
    for code, levels in zip(codes, np.split(level[sold][order], starts[1:]), strict=True):
        median[code] = np.median(levels)
    return median[group]
