"""Whether what is measured has left its usual range: pure functions of arrays, a number or a verdict out.

Tracking signals, a sudden shift of the level of some series, a figure against its own history, the population of a
feature, coverage away from nominal. What is read, and when a check fails, is in ``assets.checks``.

Over many series some always stray. So no function judges series one by one: the share of one-sided series is compared
with a limit, and a shift is told from the evidence of all series together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Array = np.ndarray

GAUSSIAN = 1.4826
"""Standard deviations of a normal variable in its median absolute deviation."""


def unusual(value: float, earlier: Sequence[float], *, deviations: float, change: float) -> float | None:
    """The median of ``earlier``, if ``value`` is far from it; else ``None``.

    Far is both more than ``deviations`` robust standard deviations (1.4826 · MAD, at least √median, the least that
    counts stray) and more than ``change`` times the median.
    """
    usual = float(np.median(earlier))
    spread = max(GAUSSIAN * float(np.median(np.abs(np.asarray(earlier) - usual))), np.sqrt(max(usual, 1.0)))
    distance = abs(value - usual)
    return usual if distance > deviations * spread and distance > change * usual else None


def tracking_signals(errors: npt.ArrayLike) -> Array:
    """Σ error / MAD of each series, MAD = mean |error| over the same days (Brown, 1959; Trigg, 1964).

    Args:
        errors: days x series; NaN where there is none.

    Returns:
        One number a series: in -n .. n for n days of errors, n where all have one sign; NaN without any error.
    """
    errors = np.asarray(errors, dtype=float)
    counted = np.isfinite(errors)
    n = counted.sum(axis=0)
    absolute = np.where(counted, np.abs(errors), 0.0).sum(axis=0)
    total = np.where(counted, errors, 0.0).sum(axis=0)
    signal = np.divide(total * n, absolute, out=np.zeros(n.shape), where=absolute > 0)
    return np.where(n > 0, signal, np.nan)


def population_stability(reference: npt.ArrayLike, recent: npt.ArrayLike, *, bins: int = 10) -> float:
    """Population stability index, Σ (r - e) · ln(r / e) over the reference's quantile bins (Siddiqi, 2006).

    ``e`` and ``r`` are the shares of reference and recent values in a bin; half a value is added to each bin, so that
    an empty one is no infinity. Values that many share make fewer bins. 0 for equal shares; NaN where either is empty.
    """
    reference, recent = (np.asarray(each, dtype=float) for each in (reference, recent))
    if not len(reference) or not len(recent):
        return float("nan")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)))
    places = np.arange(len(edges) + 1)
    shares = []
    for values in (reference, recent):
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(places)) + 0.5
        shares.append(counts / counts.sum())
    expected, found = shares
    return float(((found - expected) * np.log(found / expected)).sum())


def kolmogorov_smirnov(reference: npt.ArrayLike, recent: npt.ArrayLike) -> float:
    """Two-sample Kolmogorov-Smirnov distance: the largest difference of the distribution functions, in 0 .. 1."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(reference, recent, method="asymp").statistic)


@dataclass(frozen=True)
class Rise:
    """A figure beside its own history: ``usual`` is the history's median, ``spread`` 1.4826 times its MAD."""

    value: float
    usual: float
    spread: float

    def above(self, *, share: float, deviations: float = 4.0) -> bool:
        """Whether the figure exceeds the usual by ``share`` of it and by ``deviations`` spreads."""
        rise = self.value - self.usual
        return rise > share * self.usual and rise > deviations * self.spread


def against_history(figures: npt.ArrayLike, *, recent: int) -> Rise:
    """The last of daily ``figures`` against those before its own window of ``recent`` days; NaN are left out.

    Raises:
        ValueError: no figure is older than ``recent`` days.
    """
    figures = np.asarray(figures, dtype=float)
    history = figures[:-recent]
    history = history[np.isfinite(history)]
    if not len(history):
        raise ValueError(f"{len(figures)} days of figures hold none before the last {recent}")
    usual = float(np.median(history))
    return Rise(float(figures[-1]), usual, GAUSSIAN * float(np.median(np.abs(history - usual))))


@dataclass(frozen=True)
class ShiftRules:
    """What shift is looked for, and on what evidence it is told.

    Attributes:
        shift: relative change of a series' level, up or down.
        share: of the series, in which it is looked for.
        evidence: log-likelihood ratio, such a shift to none, above which it is told.
        window: days of sales that one forecast is compared with.
        reference: days of windows before, from which it is known how far a series strays.
        least: of them, below which a series is not looked at.
    """

    shift: float = 0.5
    share: float = 0.1
    evidence: float = 2.0
    window: int = 7
    reference: int = 84
    least: int = 56


@dataclass(frozen=True)
class Weeks:
    """Sums over the window of days that ended on each day: days x series, NaN where too few days can be compared.

    Attributes:
        forecast, actual: units, as forecast just before the window and as sold.
        noise: variance of ``actual`` from day to day, n / (n - 1) · Σ (e - ē)² over the errors e of the n days.
    """

    forecast: Array
    actual: Array
    noise: Array

    def until(self, end: int) -> Weeks:
        """Its first ``end`` days."""
        return Weeks(self.forecast[:end], self.actual[:end], self.noise[:end])


@dataclass(frozen=True)
class Shift:
    """Evidence of a shift up and down as of one day, and each series' deviation in σ, NaN where not looked at."""

    up: float
    down: float
    deviations: Array


LEAST_FORECAST = 3.0
"""Units forecast of a window from which a series is looked at: below, half of it is no evidence of anything."""
CARRIED = 0.5
"""Share of the last window's error, as far as it is more than noise, that the next one has too: the forecasts follow a
level late. Of the shifts on four generated shops 2 in 100 more are found with it."""
OUTLIERS, WIDER = 0.02, 9.0
"""Windows that stray for reasons of their own, and their variance relative to others: bounds one series' evidence."""
DISPERSION_UNITS = 14.0
"""Units of forecast that the dispersion common to all series weighs as much as, in a series' own."""
SPREAD_WEEKS = 21.0
"""Weeks that a usual spread weighs as much as, in a series' own."""
HALF_OF_SQUARES = 0.4549
"""Median of the square of a standard normal variable."""


def level_shift(weeks: Weeks, rules: ShiftRules = ShiftRules()) -> Shift:
    """Whether the level of some series has shifted within the last window of days: log-likelihood ratios up and down.

    A window's sales are compared with the forecast made just before it, as a negative binomial of mean μ and variance
    s · (c · μ + g · μ²): c is the series' dispersion from day to day, g what a level wanders in a week in all series,
    s the series' own. With l the log-likelihood ratio of mean (1 ± shift) · μ to mean μ, the evidence that so many of
    the series have shifted, and nobody knows which, is Σ ln(1 + share · (exp(l) - 1)) (a sparse mixture, Ingster,
    1997). c, g and s are those of the windows that ended before this one began.

    Args:
        weeks: the last row is of the day asked for.

    Returns:
        The evidence; 0 or less where it is for no shift or where no series can be looked at.
    """
    usual = _usual(weeks, rules)
    expected = _carried(weeks, usual, rules.window)[-1]
    sold = weeks.actual[-1]
    seen = usual.known & np.isfinite(expected + sold) & (weeks.forecast[-1] > LEAST_FORECAST)
    mean, units, of = expected[seen], sold[seen], usual.of(seen)
    deviations = np.full(len(seen), np.nan)
    deviations[seen] = (units - mean) / np.sqrt(of.variance(mean))
    quiet = _log_density(units, mean, of.variance(mean))
    stray = np.log(OUTLIERS) + _log_density(units, mean, WIDER * of.variance(mean))
    evidence = []
    for level in (mean * (1 + rules.shift), mean * (1 - rules.shift)):
        shifted = _log_density(units, level, of.variance(level))
        ratio = np.logaddexp(np.log1p(-OUTLIERS) + shifted, stray) - np.logaddexp(np.log1p(-OUTLIERS) + quiet, stray)
        evidence.append(float(np.log1p(rules.share * np.expm1(ratio)).sum()))
    return Shift(*evidence, deviations)


@dataclass(frozen=True)
class _Usual:
    """How far the sales of a window stray from their mean; ``known``: whether the series has enough of a past."""

    dispersion: Array
    growth: float
    spread: Array
    known: Array

    def variance(self, mean: Array) -> Array:
        return self.spread * (self.dispersion * mean + self.growth * mean**2)

    def of(self, series: Array) -> _Usual:
        return _Usual(self.dispersion[series], self.growth, self.spread[series], self.known[series])


def _usual(weeks: Weeks, rules: ShiftRules) -> _Usual:
    end = max(len(weeks.forecast) - rules.window, 0)
    before = slice(max(end - rules.reference, 0), end)
    forecast = weeks.forecast[before]
    known = np.isfinite(forecast).sum(axis=0) >= rules.least
    units, noise = np.nansum(forecast, axis=0), np.nansum(weeks.noise[before], axis=0)
    sold = known & (units > 0)
    common = float(np.median(noise[sold] / units[sold])) if sold.any() else 1.0
    dispersion = np.maximum((noise + DISPERSION_UNITS * common) / (units + DISPERSION_UNITS), 1.0)
    usual = _Usual(dispersion, 0.02, np.ones(len(known)), known)
    apart = np.arange(end - 1, max(before.start, rules.window) - 1, -rules.window)
    for _ in range(2):  # what is carried depends on the growth, and the growth on what is carried
        mean = _carried(weeks, usual, rules.window)[apart]
        squares = (weeks.actual[apart] - mean) ** 2
        looked_at = known & np.isfinite(squares) & (weeks.forecast[apart] > LEAST_FORECAST)
        counted = np.broadcast_to(dispersion, mean.shape)[looked_at] * mean[looked_at]
        usual = replace(usual, growth=_growth(squares[looked_at], counted, mean[looked_at]))
    variance = usual.variance(mean)
    ratio = np.divide(squares, variance, out=np.full(squares.shape, np.nan), where=variance > 0)
    n = np.isfinite(ratio).sum(axis=0)
    own = np.nansum(np.minimum(ratio, 9.0), axis=0) / np.maximum(n, 1)
    spread = np.maximum(np.exp(n / (n + SPREAD_WEEKS) * np.log(own + 0.1)), 0.5)
    return replace(usual, spread=spread)


def _growth(squares: Array, counted: Array, mean: Array) -> float:
    """The g at which half of the squared errors are below the median of their size, for variances counted + g · μ²."""
    low, high = 0.0, 0.5
    for _ in range(12 if len(squares) else 0):
        middle = (low + high) / 2
        below = np.median(squares / (counted + middle * mean**2)) <= HALF_OF_SQUARES
        low, high = (low, middle) if below else (middle, high)
    return (low + high) / 2


def _carried(weeks: Weeks, usual: _Usual, window: int) -> Array:
    """The forecasts, moved by what of the error of the window before they have not followed yet."""
    mean = weeks.forecast.copy()
    before, sold = weeks.forecast[:-window], weeks.actual[:-window]
    wandered = usual.growth * before / (usual.dispersion + usual.growth * before)
    error = np.clip((sold - before) / np.maximum(before, 0.5), -0.5, 0.5)
    mean[window:] *= 1 + CARRIED * np.nan_to_num(wandered * error)
    return mean


def _log_density(units: Array, mean: Array, variance: Array) -> Array:
    """Of the negative binomial of that mean and variance, close to Poisson's where the variance is no larger.

    Without what depends on the units alone, which no ratio has.
    """
    from scipy.special import gammaln

    size = mean**2 / (np.maximum(variance, 1.02 * mean) - mean)
    return gammaln(units + size) - gammaln(size) - size * np.log1p(mean / size) - units * np.log1p(size / mean)


def shift_told(evidence: Sequence[float], rules: ShiftRules = ShiftRules()) -> bool:
    """Whether a shift is told on the last of some days in a row: for a window of days from the last one it is seen on.

    The windows of those days share sales, so it is one shift.
    """
    return max(evidence[-rules.window :]) > rules.evidence
