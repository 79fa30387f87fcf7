"""How long a delivery takes: stages added up, and draws of whole days.

Draws are no random numbers but evenly spread ones (``spread``), the same for every series and run: a plan made twice
is the same to the bit, and a thousand of them say more than a thousand random ones.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray

DRAWS = 1024
"""Paths of a plan's series: a power of two, which is where a Sobol sequence is balanced."""

DIMENSIONS = 4

STAGES = ("order", "transit", "customs")
"""What a supplier's lead time is made of."""


def spread(draws: int = DRAWS) -> Array:
    """``DIMENSIONS`` x draws numbers in (0, 1) that fill the cube evenly: Sobol's sequence, moved off the zeros.

    (An additive recurrence by powers of one number left tenths of the plane empty in two of its dimensions, and three
    points of cycle service were missed.)
    """
    from scipy.stats import qmc

    return qmc.Sobol(DIMENSIONS, scramble=False).random(draws).T + 0.5 / draws


def of_stages(days: Array, deviations: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of lead times whose stages are independent: means and variances add up.

    Args:
        days, deviations: n x stages; a stage that is NaN is not told and adds nothing.

    Returns:
        n each; NaN where no stage is told.
    """
    told = ~np.isnan(days).all(axis=1)
    deviation = np.sqrt((np.nan_to_num(deviations) ** 2).sum(axis=1))
    return np.where(told, np.nan_to_num(days).sum(axis=1), np.nan), np.where(told, deviation, np.nan)


def lead_time_draws(mean: Array, deviation: Array, uniform: Array) -> Array:
    """Whole days until deliveries, with the mean and deviation of each of k lead times; never below 0.

    A lead time that varies is a gamma, rounded; one that does not and is no whole number is the two whole numbers
    beside it, as often as gives its mean.

    Args:
        mean, deviation: k each, days, not below 0.
        uniform: N numbers in (0, 1).

    Returns:
        k x N.
    """
    from scipy.special import gammaincinv

    draws = np.floor(mean[:, None] + uniform)
    varies = (deviation > 0) & (mean > 0)
    shape = (mean[varies] / deviation[varies]) ** 2
    scale = mean[varies] / shape
    draws[varies] = np.floor(gammaincinv(shape[:, None], uniform) * scale[:, None] + 0.5)
    return draws.astype(np.intp)
