"""Horizons in buckets, as reports show them. No metric belongs here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

HORIZON_BUCKETS: tuple[str, ...] = ("1", "2-7", "8-14", "15-28", "29+")
"""Labels in order; the first four end with horizon 1, 7, 14 and 28."""
_ENDS = np.array([1, 7, 14, 28])


def horizon_bucket(horizon: npt.ArrayLike) -> np.ndarray:
    """Label of each horizon in days, 1 or more.

    Raises:
        ValueError: a horizon is below 1.
    """
    horizon = np.asarray(horizon)
    if (horizon < 1).any():
        raise ValueError(f"horizon is {horizon.min()}; it starts at 1, the day after the origin")
    return np.array(HORIZON_BUCKETS, dtype=object)[np.searchsorted(_ENDS, horizon, side="left")]
