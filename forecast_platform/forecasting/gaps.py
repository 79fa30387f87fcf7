"""What stands in for a day that was not observed, where a model needs a number.

A day is not observed before a series' first day and while the shelf was empty. Such a day is never a
training target; only as a regressor, or as input of a model that accepts no gaps, is it filled.
"""

from __future__ import annotations

import numpy as np


def fill_gaps(y: np.ndarray, *, season: int, default: np.ndarray | float) -> np.ndarray:
    """Fill days that were not observed: the same weekday of the cycle before, else ``default``.

    Args:
        y: W x n, time first; NaN where not observed.
        season: days of the cycle.
        default: a number for each series, or one for all.

    Returns:
        W x n without NaN, if ``default`` has none.
    """
    filled = y.copy()
    for start in range(0, len(y), season):
        now = filled[start : start + season]
        before = filled[start - season : start][: len(now)] if start else np.broadcast_to(default, now.shape)
        np.copyto(now, before, where=np.isnan(now))
    return filled
