"""A distribution of demand around each forecast, from the series' scale, gaps and sizes as of the origin.

Vectors in, probabilities and quantiles out, one element a forecast. It needs no error ever made: it is what intervals
rest on while the ledger is young, and the scale on which ``calibration`` compares the errors of different series.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

Array = np.ndarray

MOST_CERTAIN = 0.995
"""Largest share of days with a sale that 120 days can show: (120 - ½) / 120."""

RATIO_LIMITS = (0.02, 50.0)
"""How far a forecast may be from its series' level before the law stops following it: below, a forecast of (almost)
nothing would call any sale impossible."""

PRIOR_SALES, PRIOR_CV2 = 5.0, 0.8
"""Variation of sale sizes before any is seen, worth five sales: Online Retail's median is 0.8."""

HISTORY_DAYS = 120
"""Days that ADI and CV² rest on, to tell how many sales those were."""

LEAST_CV2 = 0.1
"""Added to every variation of sizes: no size is known to the unit."""


class Usual(NamedTuple):
    """Gaps and sizes of the middle one of some forecasts: what is taken of one whose own say nothing."""

    gaps: float
    sizes: float


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """N forecasts with what was known of their series on the origin, one element each.

    Attributes:
        mean: expected units.
        horizon: days ahead, 1 or more.
        segment: place of the demand class in ``DEMAND_CLASSES``.
        scale_sq: mean squared one-day difference; 0 for a constant series, NaN for one whose first sale was today.
        adi, cv2: gaps and sizes of ``demand_classes``; NaN where nothing was sold.
        whole: whether the series sells whole units only.
    """

    mean: Array
    horizon: Array
    segment: Array
    scale_sq: Array
    adi: Array
    cv2: Array
    whole: Array

    def __len__(self) -> int:
        return len(self.mean)

    def take(self, rows: Array | slice) -> Outlook:
        """Some of the forecasts."""
        return replace(self, **{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @property
    def usual(self) -> Usual:
        """Medians of ``adi`` and ``cv2`` over the forecasts whose series are known from more than a day."""
        return Usual(_median(self._more_than_a_day(self.adi), 1.0), _median(self._more_than_a_day(self.cv2), PRIOR_CV2))

    def gaps_and_sizes(self, usual: Usual) -> tuple[Array, Array]:
        """``adi`` and ``cv2``; where a day at most is known, which would call any series steady, the usual ones."""
        return tuple(
            np.where(np.isnan(values), middle, values)
            for values, middle in zip(map(self._more_than_a_day, (self.adi, self.cv2)), usual, strict=True)
        )

    def _more_than_a_day(self, values: Array) -> Array:
        return np.where(np.isnan(self.scale_sq), np.nan, values)

    @property
    def level(self) -> Array:
        """Units a day that the series has sold, as its scale, gaps and sizes imply; NaN where they do not say.

        For independent days scale_sq is twice the variance, and the squared coefficient of variation of a day is
        (1 + cv2) · adi - 1.
        """
        variation = (1 + self.cv2) * self.adi - 1
        known = (variation > 1e-9) & (self.scale_sq > 0)
        return np.sqrt(np.where(known, self.scale_sq, np.nan) / 2 / np.where(known, variation, 1.0))


@dataclass(frozen=True)
class DemandLaw:
    """N distributions: no sale with probability 1 - ``chance``, else a log-normal size, rounded where units are whole.

    A rounded size is at least 1. Sales come as a compound Poisson: with a forecast above the series' level there are
    more of them, of the same size.

    Attributes:
        chance: P(y > 0).
        middle, spread: mean and standard deviation of the logarithm of a sale's size.
        whole: whether the units are whole.
    """

    chance: Array
    middle: Array
    spread: Array
    whole: Array

    def cdf(self, y: Array) -> Array:
        """P(Y <= y)."""
        from scipy.special import ndtr

        counted = np.where(self.whole, np.floor(y) + 0.5, y)
        sold = np.where(self.whole, y >= 1, y > 0)
        with np.errstate(divide="ignore"):
            below = ndtr((np.log(np.where(sold, counted, 1.0)) - self.middle) / self.spread)
        return np.where(y < 0, 0.0, 1 - self.chance + self.chance * np.where(sold, below, 0.0))

    def cdf_before(self, y: Array) -> Array:
        """P(Y < y)."""
        return np.where(self.whole, self.cdf(np.ceil(y) - 1), np.where(y > 0, self.cdf(y), 0.0))

    def quantile(self, probability: Array) -> Array:
        """The smallest y with P(Y <= y) >= ``probability``: a whole number where units are whole."""
        from scipy.special import ndtri

        sold = probability - (1 - self.chance)
        share = np.clip(sold / np.where(self.chance > 0, self.chance, 1.0), 1e-12, 1 - 1e-12)
        size = np.exp(np.minimum(self.middle + self.spread * ndtri(share), 700.0))
        size = np.where(self.whole, np.maximum(np.ceil(size - 0.5), 1.0), size)
        return np.where(sold > 0, size, 0.0)


def demand_law(outlook: Outlook, mean: Array, usual: Usual | None = None) -> DemandLaw:
    """The law of each forecast around ``mean``, the expected units that are believed (see ``calibration``).

    ``usual``: of all forecasts that ``outlook`` is some of; by default its own.
    """
    (adi, cv2), level = outlook.gaps_and_sizes(outlook.usual if usual is None else usual), outlook.level
    level = np.where(np.isnan(level), mean, level)
    ratio = np.where(level > 0, mean / np.where(level > 0, level, 1.0), 1.0)
    ratio = np.clip(ratio, *RATIO_LIMITS)
    # A compound Poisson of rate λ has a day's CV² of at least 1 / λ.
    variation = (1 + cv2) * adi - 1
    rate = np.maximum(-np.log1p(-np.minimum(1 / adi, MOST_CERTAIN)), 1 / np.maximum(variation, 1e-3))
    chance = np.where(level > 0, -np.expm1(-rate * ratio), 0.0)
    size = ratio * level / np.where(chance > 0, chance, 1.0)
    sales = HISTORY_DAYS / adi
    varies = (sales * cv2 + PRIOR_SALES * PRIOR_CV2) / (sales + PRIOR_SALES)
    # A whole size of at least 1 varies no less than a Poisson of what is above 1.
    counted = np.maximum(size, 1.0)
    size = np.where(outlook.whole, counted, size)
    least = np.where(outlook.whole, (counted - 1) / (counted * counted), 0.0)
    spread_sq = np.log1p(np.maximum(varies, least) + LEAST_CV2)
    middle = np.log(np.where(size > 0, size, 1.0)) - spread_sq / 2
    return DemandLaw(chance, middle, np.sqrt(spread_sq), outlook.whole)


def _median(values: Array, default: float) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else default
