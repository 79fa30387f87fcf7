"""Whether what is measured has left its usual range: pure functions of arrays, a number or a verdict out.

Tracking signals, a sudden shift of the level of some series, a figure against its own history, the population of a
feature, coverage away from nominal. What is read, and when a check fails, is in ``assets.checks``.

Over many series some always stray. So no function judges series one by one: the share of one-sided series is compared
with a limit, and a shift is told from the evidence of all series together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    """What shift is looked for, and of how many series it is told.

    Attributes:
        shift: relative change of a series' level, up or down.
        share: of the series, as estimated, from which a shift is told; half of it keeps a told one up.
        window: days of sales that one forecast is compared with.
        reference: days of windows before, from which each series' spread is known.
        least: of them, below which a series is not looked at.
    """

    shift: float = 0.5
    share: float = 0.09
    window: int = 7
    reference: int = 84
    least: int = 42


@dataclass(frozen=True)
class Shift:
    """The estimated shares of series shifted up and down as of one day, and each one's deviation in σ."""

    up: float
    down: float
    deviations: Array


SHARES = np.linspace(0, 0.4, 81)
"""Shares of shifted series of which the likeliest is taken."""


GROWTH = 0.03
"""Variance of a window's square-rooted sum beyond counting, by unit forecast: a level wanders in proportion to it."""
POOLED_DAYS = 150
"""Days of windows that the spread common to all series weighs as much as, in a series' own spread."""
LEAST_FORECAST = 3.0
"""Units forecast of a window from which a series is looked at: below, half of it is no evidence of anything."""
LARGEST_RATIO = 3.0
"""Bound of one series' log-likelihood ratio, so that one that strays alone stands for no tenth of them."""


def level_shift(forecast: npt.ArrayLike, actual: npt.ArrayLike, rules: ShiftRules = ShiftRules()) -> Shift:
    """Of how many series the level has shifted within the last window of days.

    A window's sales are compared with the forecast made just before it. With r = 2√(a + 3/8) - 2√(f + 3/8)
    (Anscombe, 1948), z = r / σ and δ the z of a series that has shifted, the share is the likeliest one of a sparse
    normal mixture, "so many of the series have shifted, nobody knows which" (Ingster, 1997): that of the largest
    Σ ln(1 + share · (exp(z·δ - δ²/2) - 1)) over the series. σ² is a series' own mean r² over the reference,
    drawn to that of all series. Only the windows that ended before this one began count as reference.

    Args:
        forecast, actual: days x series, the sums over the window that ended on that day; the last row is the day asked
            for. NaN where a series has too few days to compare.

    Returns:
        The shares shifted up and down as of the last day.
    """
    forecast, actual = (np.asarray(each, dtype=float) for each in (forecast, actual))
    residual = (_root(actual) - _root(forecast)) / np.sqrt(1 + GROWTH * forecast)
    spread, n = _spreads(residual[: -rules.window][-rules.reference :], rules.least)
    expected, z = forecast[-1], np.clip(residual[-1] / spread, -5, 5)
    seen = (n >= rules.least) & np.isfinite(z) & (expected > LEAST_FORECAST) & (actual[-1] > 0)
    scale = spread * np.sqrt(1 + GROWTH * expected)
    up = (_root(expected * (1 + rules.shift)) - _root(expected)) / scale
    down = (_root(expected) - _root(expected * (1 - rules.shift))) / scale
    return Shift(
        up=_likeliest_share(z[seen], up[seen]),
        down=_likeliest_share(-z[seen], down[seen]),
        deviations=np.where(seen, z, np.nan),
    )


def _root(units: Array) -> Array:
    """Counts of variance in proportion to their mean have variance 1 on this scale."""
    return 2 * np.sqrt(units + 0.375)


def _spreads(residuals: Array, least: int) -> tuple[Array, Array]:
    """Standard deviation of each series, drawn to the median of all; and on how many days it rests."""
    counted = np.isfinite(residuals)
    n = counted.sum(axis=0)
    squares = np.where(counted, residuals**2, np.nan)
    with np.errstate(all="ignore"):
        bound = 9 * _column_medians(squares) + 1e-9
        own = np.where(counted, np.minimum(squares, bound), 0.0).sum(axis=0) / np.maximum(n, 1)
    known = own[n >= least]
    pooled = np.median(known) if len(known) else 1.0
    weight = n / (n + POOLED_DAYS)
    return np.exp((weight * np.log(own + 1e-9) + (1 - weight) * np.log(pooled + 1e-9)) / 2), n


def _column_medians(values: Array) -> Array:
    """Median of each column without its NaN; NaN for a column of nothing else."""
    ordered = np.sort(values, axis=0)
    n = np.isfinite(values).sum(axis=0)
    columns = np.arange(values.shape[1])
    last = max(len(values) - 1, 0)
    low, high = (np.clip(place, 0, last) for place in ((n - 1) // 2, n // 2))
    return (ordered[low, columns] + ordered[high, columns]) / 2


def _likeliest_share(z: Array, delta: Array) -> float:
    delta = np.minimum(delta, 3.5)
    ratio = np.expm1(np.clip(z * delta - delta**2 / 2, -30, LARGEST_RATIO))
    likelihoods = [np.log1p(share * ratio).sum() for share in SHARES]
    return float(SHARES[int(np.argmax(likelihoods))])


def shift_told(shares: Sequence[float], rules: ShiftRules = ShiftRules()) -> bool:
    """Whether a shift is told on the last of some days in a row: from ``share`` on, until it falls to half of it."""
    told = False
    for each in shares:
        told = each > rules.share or (told and each > rules.share / 2)
    return told
