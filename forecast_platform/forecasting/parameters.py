"""What a parameter of a forecaster may be: checked when it is constructed, with an error that names it."""

from __future__ import annotations

import numpy as np


def at_least(name: str, value: int, least: int) -> None:
    """Refuse what is no whole number of days, ``least`` or more, with a ``ValueError``."""
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of days, {least} or more")


def above_zero(name: str, value: float) -> None:
    """Refuse 0, what is below it, and NaN, with a ``ValueError``."""
    # Without a penalty, weekday effects beside an intercept have no single solution.
    if not value > 0:
        raise ValueError(f"{name} is {value!r}; it must be above 0")
