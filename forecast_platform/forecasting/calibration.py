"""Intervals from the errors on record: split-conformal calibration of the law of demand around each forecast.

The law (``demand_law``) says where within its own distribution each past actual lay, whatever the series' scale: its
probability integral transform (PIT). In every cell (model x horizon bucket x demand class) the PITs of the calibration
window show how far the law is to be trusted: a level p is read where a share p of them lies below. That is
distributional conformal prediction (Chernozhukov, Wüthrich and Zhu, 2021). Of a count the PIT is spread evenly over
the probability of its atom (Czado, Gneiting and Held, 2009), so that a calibrated quantile lies on an atom with
P(y < q) <= p <= P(y <= q).

A cell with few errors leans on its bucket, that on its model, and that on the law itself, which is all there is while
the ledger is empty. One model at a time; which errors are read is decided by the caller, apart from those that the
origin may not know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast_platform.accuracy.buckets import HORIZON_BUCKETS, horizon_bucket
from forecast_platform.accuracy.demand_classes import DEMAND_CLASSES
from forecast_platform.forecasting.demand_law import DemandLaw, Outlook, demand_law
from forecast_platform.threads import on_all_cores

Array = np.ndarray

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
"""Levels of the five quantiles of ``forecast_intervals``."""

SETTLED_ORIGINS = 28
"""Origins on record from which intervals are called calibrated; before, the law still has a say."""

BUCKETS, CLASSES = len(HORIZON_BUCKETS), len(DEMAND_CLASSES)
PLACES = 4096
"""Places on [0, 1] in which PITs are counted. Counts are whole numbers, so that their sums need no order."""

HALF_LIFE = 56
"""Days after which an error counts half. Half or twice as long changes pinball loss by 0.1 % on Online Retail."""

BLOCK = 16_384
"""Forecasts whose quantiles are made at once: their arrays stay in a core's cache."""

FULL_WEIGHT = 256
UNIT = 1 << 16
PRIOR = {"law": 300.0, "model": 500.0, "bucket": 50.0}
"""What the wider distribution counts in the narrower one, in errors of today. 200 instead of 50 for the bucket: pinball
loss 0.1 % lower on Online Retail, 0.1 % higher on the demo, whose new series are then above their q90 5 % too often."""

FAR = 32.0
"""Scaled distances beyond which an error says no more about whether a model is to be trusted."""


@dataclass(frozen=True, kw_only=True)
class PastErrors:
    """N forecasts of one model that have met their actual.

    Attributes:
        outlook: the forecasts, with what was known as of their own origins.
        actual: units.
        origin, target: days, as ``datetime64[D]``.
    """

    outlook: Outlook
    actual: Array
    origin: Array
    target: Array

    def __len__(self) -> int:
        return len(self.actual)

    def take(self, rows: Array | slice) -> PastErrors:
        """Some of the errors."""
        return PastErrors(
            outlook=self.outlook.take(rows),
            actual=self.actual[rows],
            origin=self.origin[rows],
            target=self.target[rows],
        )

    @classmethod
    def none(cls) -> PastErrors:
        """Those of a ledger that is still empty."""
        numbers, places = np.empty(0), np.empty(0, dtype=np.intp)
        days = np.empty(0, dtype="datetime64[D]")
        outlook = Outlook(
            mean=numbers,
            horizon=places,
            segment=places,
            scale_sq=numbers,
            adi=numbers,
            cv2=numbers,
            whole=np.empty(0, dtype=bool),
        )
        return cls(outlook=outlook, actual=numbers, origin=days, target=days)

    def known_on(self, origin: np.datetime64, window: int) -> PastErrors:
        """Those whose target day is among the ``window`` days that end with ``origin``."""
        age = (origin - self.target).astype(int)
        return self.take((age >= 0) & (age < window))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the errors of one model say on one origin.

    Attributes:
        trust: by horizon bucket, how much of the way from a series' level to its forecast is believed, 0 to 1.
        reached: cells x (places + 1); calibrated probability of each place of the law. Cells are buckets x classes.
        errors, origins: how many there were.
    """

    trust: Array
    reached: Array
    errors: int
    origins: int

    @property
    def method(self) -> str:
        """``law``: no errors yet; ``young``: of fewer than ``SETTLED_ORIGINS`` origins; else ``conformal``."""
        if self.errors == 0:
            return "law"
        return "young" if self.origins < SETTLED_ORIGINS else "conformal"

    def quantiles(self, outlook: Outlook, levels: tuple[float, ...] = LEVELS) -> Array:
        """N x len(levels); never below 0, and never crossing."""
        grid = np.arange(PLACES + 1) / PLACES
        # Short of certainty: beyond the last error on record nothing is known.
        read = np.stack([np.interp(levels, each, grid) for each in self.reached]).clip(0, 1 - 0.5 / PLACES)
        usual, result = outlook.usual, np.empty((len(levels), len(outlook)))

        def fill(rows: slice) -> None:
            part = outlook.take(rows)
            law, cells = demand_law(part, self._believed(part), usual), _cells(part)
            for place in range(len(levels)):
                result[place, rows] = law.quantile(read[cells, place])

        on_all_cores(fill, [slice(at, at + BLOCK) for at in range(0, len(outlook), BLOCK)])
        return result.T

    def pit(self, outlook: Outlook, actual: Array) -> tuple[Array, Array]:
        """P(Y < actual) and P(Y <= actual) of each forecast; equal where units are not whole and something sold."""
        before, upto = _transform(demand_law(outlook, self._believed(outlook)), actual)
        cells, grid = _cells(outlook), np.arange(PLACES + 1) / PLACES
        lower, upper = np.empty(len(outlook)), np.empty(len(outlook))
        for cell in np.unique(cells):
            here = cells == cell
            lower[here] = np.interp(before[here], grid, self.reached[cell])
            upper[here] = np.interp(upto[here], grid, self.reached[cell])
        return lower, upper

    def _believed(self, outlook: Outlook) -> Array:
        return _believed(outlook, self.trust)


def calibrate(errors: PastErrors, *, origin: np.datetime64, window: int) -> Calibration:
    """What the errors of one model teach on ``origin``; those of later target days are not looked at.

    Args:
        errors: of one model, in any order: the result is the same to the bit.
        origin: the last closed day.
        window: days of errors that count, K.
    """
    known = errors.known_on(origin, window)
    age = (origin - known.target).astype(int)
    weight = np.maximum(np.rint(FULL_WEIGHT * 0.5 ** (age / HALF_LIFE)), 1.0)
    trust = _trust(known, weight)
    law = demand_law(known.outlook, _believed(known.outlook, trust))
    counts = _counts(*_transform(law, known.actual), weight, _cells(known.outlook))
    return Calibration(
        trust=trust,
        reached=_reached(counts / (FULL_WEIGHT * UNIT)),
        errors=len(known),
        origins=len(np.unique(known.origin)),
    )


def sampled_horizons(day: int, horizon: int) -> tuple[int, ...]:
    """One horizon of each bucket, up to ``horizon``, whose errors of target day ``day`` (its ordinal) are learned from.

    The others of a bucket met the same actual and say little more. Each has its turn, on every weekday.
    """
    horizons = np.arange(1, horizon + 1)
    labels = horizon_bucket(horizons)
    buckets = [horizons[labels == label] for label in HORIZON_BUCKETS if (labels == label).any()]
    return tuple(int(each[(day // 7 + 5 * (day % 7)) % len(each)]) for each in buckets)


def _cells(outlook: Outlook) -> Array:
    return _buckets(outlook) * CLASSES + outlook.segment


def _buckets(outlook: Outlook) -> Array:
    labels = np.unique(outlook.horizon)
    codes = np.array([HORIZON_BUCKETS.index(label) for label in horizon_bucket(labels)], dtype=np.intp)
    return codes[np.searchsorted(labels, outlook.horizon)]


def _trust(errors: PastErrors, weight: Array) -> Array:
    """By bucket, the least-squares weight of (forecast - level) for (actual - level), both in units of the scale.

    A bucket without errors has that of the next shorter one; without any, the forecast is believed.
    """
    outlook, level = errors.outlook, errors.outlook.level
    known = ~np.isnan(level)
    scale = np.sqrt(np.where(known, outlook.scale_sq, 1.0))
    ahead, came = (
        np.where(known, np.clip((values - level) / scale, -FAR, FAR), 0.0) for values in (outlook.mean, errors.actual)
    )
    # Whole numbers up to 2^53 are added exactly, in any order.
    buckets = _buckets(outlook)
    moved, square = (
        np.bincount(buckets, weights=weight * np.rint(product * 1024), minlength=BUCKETS)
        for product in (ahead * came, ahead * ahead)
    )
    trust, last = np.empty(BUCKETS), 1.0
    for bucket in range(BUCKETS):
        last = min(max(moved[bucket] / square[bucket], 0.0), 1.0) if square[bucket] > 0 else last
        trust[bucket] = last
    return trust


def _believed(outlook: Outlook, trust: Array) -> Array:
    """Expected units: the forecast, drawn towards the level of its series as far as its model is not to be trusted."""
    level, weight = outlook.level, trust[_buckets(outlook)]
    return np.where(np.isnan(level), outlook.mean, weight * outlook.mean + (1 - weight) * level)


def _transform(law: DemandLaw, actual: Array) -> tuple[Array, Array]:
    upto = law.cdf(actual)
    return np.minimum(law.cdf_before(actual), upto), upto


def _counts(before: Array, upto: Array, weight: Array, cells: Array) -> Array:
    """Cells x places: the PITs that lie there, times ``UNIT`` and weight; each is spread evenly over its atom."""
    first = np.clip(np.floor(before * PLACES), 0, PLACES - 1).astype(np.intp)
    end = np.maximum(np.clip(np.ceil(upto * PLACES), 1, PLACES).astype(np.intp), first + 1)
    share = np.rint(UNIT / (end - first)) * weight
    row, size = cells * (PLACES + 1), BUCKETS * CLASSES * (PLACES + 1)
    steps = np.bincount(row + first, weights=share, minlength=size) - np.bincount(
        row + end, weights=share, minlength=size
    )
    return np.cumsum(steps.reshape(-1, PLACES + 1), axis=1)[:, :PLACES]


def _reached(counts: Array) -> Array:
    """Cells x (places + 1): cumulative shares, each cell leaning on the wider ones (see ``PRIOR``)."""
    cell = counts.reshape(BUCKETS, CLASSES, PLACES)
    bucket = cell.sum(axis=1)
    model = _shares(bucket.sum(axis=0) + PRIOR["law"] / PLACES)
    bucket = _shares(bucket + PRIOR["model"] * model)
    cell = _shares(cell + PRIOR["bucket"] * bucket[:, None]).reshape(-1, PLACES)
    reached = np.zeros((len(cell), PLACES + 1))
    np.cumsum(cell, axis=1, out=reached[:, 1:])
    return reached / reached[:, -1:]


def _shares(counts: Array) -> Array:
    return counts / counts.sum(axis=-1, keepdims=True)
