"""Ridge regression on a series' own recent past, for all series at once: matrices in, matrices out.

What is regressed is how far a day lies from its base (level times weekday factor times known drivers, ``profiles``):
on lags and rolling means, each as its distance from the base, on weekday effects and on covariates of the series'
own. So what little a series shows is a correction of what its group shows, and much penalty leaves the base. Several
days ahead by recursion. sktime's interface is in ``forecasters``, bounds on what may be published in ``guards``.

Series are handled in blocks with time as the first axis, by elementwise arithmetic only (see ``linear_systems``):
given the base, a series' numbers do not depend, to the bit, on its block or on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast_platform.forecasting.linear_systems import solve_symmetric, sum_rows
from forecast_platform.forecasting.profiles import discounted_level
from forecast_platform.forecasting.weekdays import SEASON
from forecast_platform.threads import on_all_cores

Array = np.ndarray
BLOCK = 1024
"""Series handled together. 120 days of 1,024 series are 1 MB, so that a block stays in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class LagDesign:
    """What the regression looks at, and how strongly it is held back.

    Attributes:
        lags: days back, each one regressor.
        windows: days of the rolling means that end the day before, each one regressor.
        half_life: days after which a day weighs half in the level.
        ridge: penalty on the standardised lags, rolling means and covariates, as a share of the training days:
            0.1 weighs as much as a tenth of the days seen.
        day_shrinkage: penalty on the weekday effects, in days: a weekday seen that often counts half.
        used: which of the lags are used; None for all.
    """

    lags: tuple[int, ...]
    windows: tuple[int, ...]
    half_life: float
    ridge: float
    day_shrinkage: float
    used: tuple[int, ...] | None = None

    @property
    def reach(self) -> int:
        """Days of history that one forecast needs."""
        return max(*self.lags, *self.windows)


@dataclass(frozen=True, kw_only=True)
class LagWeights:
    """A fitted panel: n series, L lags, M rolling means, k covariates.

    With z = (day - level · factor) / spread, where level is the series' and factor the day's:
    z = day[slot] + Σ lag·z_lag + Σ mean·z_mean + Σ covariate·(x - x_centre).

    Attributes:
        level, spread: n; discounted mean at the origin; standard deviation of the observed days.
        day: n x 7; slot 0 is the weekday of the last day of the window, slot 1 of the day after, and so on.
        lag: n x L, in the order of ``LagDesign.lags``; mean: n x M, in that of ``windows``.
        covariate: n x k; ``covariate_centre``: n x k, the covariates' means over the training days.
        tail: n x reach; units of the last days, gaps filled, from which the recursion starts.
        tail_factors: n x reach; the factors of those days.
        high: n; largest day, up to which a forecast is fed back.
        rows: n; training days.
        in_sample_r2: n; share of the squared distances from the base that is explained over the training days, no
            measure of forecasting skill. NaN where there is nothing to explain.
    """

    level: Array
    spread: Array
    day: Array
    lag: Array
    mean: Array
    covariate: Array
    covariate_centre: Array
    tail: Array
    tail_factors: Array
    high: Array
    rows: Array
    in_sample_r2: Array


def fit_lag_regression(
    y: Array, factors: Array, design: LagDesign, *, covariates: Array | None = None, block: int = BLOCK
) -> LagWeights:
    """Fit every series.

    Args:
        y: n x W; NaN where a day was not observed: before the first day it is unknown, later a gap. Days that
            are not observed are no training targets; as regressors they are their base.
        factors: n x W; factor of each day, 1 on average (``profiles.Base.factors``).
        design: regressors and penalties.
        covariates: n x k x W, finite wherever ``y`` is; None for none.
        block: series handled together; changes speed and memory, never a bit of the result.

    Returns:
        The weights. A series without a training day is its level, NaN without an observed day.
    """
    series, days = y.shape
    missing = max(design.reach - days, 0)
    if covariates is None:
        covariates = np.empty((series, 0, days))
    if missing:
        y = np.concatenate([np.full((series, missing), np.nan), y], axis=1)
        factors = np.concatenate([np.ones((series, missing)), factors], axis=1)
        covariates = np.concatenate([np.zeros((*covariates.shape[:2], missing)), covariates], axis=2)
    blocks = [slice(start, start + block) for start in range(0, max(series, 1), block)]
    parts = on_all_cores(lambda rows: _fit_block(y[rows], factors[rows], covariates[rows], design), blocks)
    names = LagWeights.__dataclass_fields__
    return LagWeights(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def lag_regression_terms(
    weights: LagWeights, design: LagDesign, factors: Array, *, covariates: Array | None = None
) -> tuple[Array, Array, Array]:
    """What the regression adds to the base of the days after the window, one day after the other.

    A forecast is fed back between 0 and the largest day of the series' own window, so that no recursion can
    explode; what is returned for a day is not bounded by that.

    Args:
        weights, design: from ``fit_lag_regression``.
        factors: n x horizon; factors of the days ahead.
        covariates: n x k x horizon, as known ahead; None for none.

    Returns:
        Weekday and recent sales, n x horizon each, and covariates, n x k x horizon, in the units of ``y``. Their sum
        and ``weights.level`` times ``factors`` are the forecast.
    """
    blocks = [slice(start, start + BLOCK) for start in range(0, max(len(factors), 1), BLOCK)]

    def terms(rows: slice) -> tuple[Array, Array, Array]:
        own = LagWeights(**{name: values[rows] for name, values in vars(weights).items()})
        return _block_terms(own, design, factors[rows], None if covariates is None else covariates[rows])

    return tuple(map(np.concatenate, zip(*on_all_cores(terms, blocks), strict=True)))


def _block_terms(
    weights: LagWeights, design: LagDesign, factors: Array, covariates: Array | None
) -> tuple[Array, Array, Array]:
    reach, (series, horizon), known = design.reach, factors.shape, weights.covariate.shape[1]
    factor = np.concatenate([weights.tail_factors.T, factors.T])
    base = weights.level * factor
    away = np.empty((reach + horizon, series))
    away[:reach] = (weights.tail.T - base[:reach]) / weights.spread
    weekday, recent, drivers = (np.empty((horizon, *extra, series)) for extra in ((), (), (known,)))
    lag, mean, day = weights.lag.T.copy(), weights.mean.T.copy(), weights.day.T.copy()
    for step in range(horizon):
        now = reach + step
        weekday[step] = day[(step + 1) % SEASON]
        recent[step] = 0.0
        for weight, back in zip(lag, design.lags, strict=True):
            recent[step] += weight * away[now - back]
        for weight, window in zip(mean, design.windows, strict=True):
            recent[step] += weight * (sum_rows(away[now - window : now]) / window)
        value = weekday[step] + recent[step]
        for k in range(known):
            drivers[step, k] = weights.covariate[:, k] * (covariates[:, k, step] - weights.covariate_centre[:, k])
            value = value + drivers[step, k]
        units = base[now] + weights.spread * value
        away[now] = (np.minimum(np.maximum(units, 0.0), weights.high) - base[now]) / weights.spread
    weekday, recent, drivers = (
        np.ascontiguousarray(np.moveaxis(term * weights.spread, -1, 0)) for term in (weekday, recent, drivers)
    )
    return weekday, recent, np.ascontiguousarray(drivers.swapaxes(1, 2))


def _fit_block(y: Array, factors: Array, covariates: Array, design: LagDesign) -> LagWeights:
    y, factors = np.ascontiguousarray(y.T), np.ascontiguousarray(factors.T)
    days, reach = len(y), design.reach
    observed = ~np.isnan(y)
    level, _ = discounted_level(y, factors, design.half_life)
    spread = _spread(y, observed)
    past_level = _past_levels(y, factors, design.half_life)
    filled = np.where(observed, y, past_level * factors)
    # A day is a training day when it was observed and all its regressors lie after the first observed day.
    started = np.logical_or.accumulate(observed, axis=0)
    used = (observed[reach:] & started[: days - reach]).astype(float)
    dense, centre = _regressors(filled, factors, past_level, spread, covariates, used, design)
    target = used * (filled[reach:] - past_level[reach:] * factors[reach:]) / spread
    solution, rows, r2 = _ridge(dense, target, used, design, last=days - 1)
    lags = SEASON + len(design.lags)
    means = lags + len(design.windows)
    return LagWeights(
        level=level,
        spread=spread,
        day=solution[:SEASON].T,
        lag=solution[SEASON:lags].T,
        mean=solution[lags:means].T,
        covariate=solution[means:].T,
        covariate_centre=centre.T,
        tail=np.where(observed, y, level * factors)[days - reach :].T,
        tail_factors=factors[days - reach :].T,
        high=np.where(observed, y, 0.0).max(axis=0, initial=0.0),
        rows=rows,
        in_sample_r2=r2,
    )


def _spread(y: Array, observed: Array) -> Array:
    """Standard deviation of the observed days; 1 for a constant series and without any."""
    count = np.maximum(sum_rows(observed.astype(float)), 1.0)
    centre = sum_rows(np.where(observed, y, 0.0)) / count
    away = np.where(observed, y - centre, 0.0)
    spread = np.sqrt(sum_rows(away * away) / count)
    return np.where(spread > 1e-9 * np.abs(centre), spread, 1.0)


def _past_levels(y: Array, factors: Array, half_life: float) -> Array:
    """The discounted level as it was before each day, W x n; 0 before the first observed day."""
    levels = np.zeros_like(y)
    units, exposure = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    fade = 0.5 ** (1.0 / half_life)
    for day, (row, factor) in enumerate(zip(y, factors, strict=True)):
        levels[day] = units / np.where(exposure > 0, exposure, 1.0)
        observed = ~np.isnan(row)
        units = units * fade + np.where(observed, row, 0.0)
        exposure = exposure * fade + np.where(observed, factor, 0.0)
    return levels


def _regressors(
    filled: Array, factors: Array, level: Array, spread: Array, covariates: Array, used: Array, design: LagDesign
) -> tuple[list[Array], Array]:
    """Lags, rolling means and covariates of the training days, each R x n and 0 on days that are not used."""
    days, reach = len(filled), design.reach
    now = level[reach:]
    weight = used / spread
    columns = [
        weight * (filled[reach - back : days - back] - now * factors[reach - back : days - back])
        for back in design.lags
    ]
    for window in design.windows:
        units, exposure = np.zeros_like(used), np.zeros_like(used)
        for back in range(window, 0, -1):
            units += filled[reach - back : days - back]
            exposure += factors[reach - back : days - back]
        columns.append(weight * ((units - now * exposure) / window))
    count = np.maximum(sum_rows(used), 1.0)
    centres = np.empty((covariates.shape[1], used.shape[1]))
    for k in range(len(centres)):
        values = np.where(used > 0, covariates[:, k, reach:].T, 0.0)
        centres[k] = sum_rows(values) / count
        columns.append(used * (values - centres[k]))
    return columns, centres


def _ridge(
    dense: list[Array], target: Array, used: Array, design: LagDesign, *, last: int
) -> tuple[Array, Array, Array]:
    """Normal equations of weekday effects and dense regressors; solution p x n, training days, R²."""
    series = used.shape[1]
    size = SEASON + len(dense)
    gram, right = np.zeros((size, size, series)), np.zeros((size, series))
    slots = [slice((slot + last - design.reach) % SEASON, None, SEASON) for slot in range(SEASON)]

    def by_slot(values: Array) -> Array:
        return np.stack([sum_rows(values[rows]) for rows in slots])

    counts, right[:SEASON] = by_slot(used), by_slot(target)
    rows = sum_rows(counts)
    for slot in range(SEASON):
        gram[slot, slot] = counts[slot]
    for i, column in enumerate(dense, start=SEASON):
        gram[i, :SEASON] = by_slot(column)
        right[i] = sum_rows(column * target)
        for j, other in enumerate(dense[: i - SEASON + 1], start=SEASON):
            gram[i, j] = sum_rows(column * other)
    penalties = _penalties(design, size, rows)
    for i in range(size):
        gram[i, i] += penalties[i]
    solution = solve_symmetric(gram, right)
    for lag, back in enumerate(design.lags):
        if design.used is not None and back not in design.used:
            solution[SEASON + lag] = 0.0
    return solution, rows, _in_sample_r2(gram, right, solution, sum_rows(target * target), rows, penalties)


UNUSED = 1e12
"""Penalty on a lag that is not used, as a share of the training days."""


def _penalties(design: LagDesign, size: int, rows: Array) -> list[Array]:
    # At least one day, so that a series without a training day, whose columns are all 0, is solvable too.
    share = np.maximum(rows, 1.0)
    lags = [design.ridge if design.used is None or back in design.used else UNUSED for back in design.lags]
    ridge = [*lags, *[design.ridge] * (size - SEASON - len(lags))]
    return [np.full_like(rows, design.day_shrinkage)] * SEASON + [value * share for value in ridge]


def _in_sample_r2(
    gram: Array, right: Array, solution: Array, squares: Array, rows: Array, penalties: Sequence[Array]
) -> Array:
    """Share of squares explained. From b'(2r - Gb), G without its penalties, the residual follows."""
    explained = np.zeros_like(rows)
    for i, weight in enumerate(solution):
        product = np.zeros_like(rows)
        for j, other in enumerate(solution):
            product += (gram[i, j] if j <= i else gram[j, i]) * other
        explained += weight * (2.0 * right[i] - product + penalties[i] * weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(squares > 1e-9 * rows, explained / squares, np.nan)


RIDGES = (0.5, 2.0, 8.0)
INNER_DAYS = 14
"""Days of an inner test, and days from one to the next."""
INNER_ORIGINS = 2
INNER_SERIES = 600
"""Series that the choice looks at: evenly spaced in the panel's order. The choice costs a tenth of the fit."""


def choose_design(y: Array, factors: Array, design: LagDesign, *, covariates: Array | None = None) -> LagDesign:
    """The ridge and the lags that forecast the last days of the window best, from the days before them.

    Every ridge of ``RIDGES``, with all lags and with those of whole weeks only, is fitted on the window cut by
    ``INNER_DAYS`` once and twice, and scored on the days cut off by the squared error in units of the series' spread.
    One choice for the panel, a pooled statistic; the first of equals. ``design`` itself where the window is too short.

    Args:
        y, factors, covariates: as for ``fit_lag_regression``; the factors saw the days cut off, which is the same for
            every candidate.
        design: what is not chosen.
    """
    whole_weeks = tuple(back for back in design.lags if back % SEASON == 0)
    candidates = [replace(design, ridge=r, used=u) for r in RIDGES for u in dict.fromkeys((design.lags, whole_weeks))]
    step = max(1, len(y) // INNER_SERIES)
    y, factors = y[::step], factors[::step]
    covariates = covariates[::step] if covariates is not None else None
    errors = np.zeros(len(candidates))
    for fold in range(1, INNER_ORIGINS + 1):
        end = y.shape[1] - fold * INNER_DAYS
        if end < design.reach + 2 * INNER_DAYS:
            break
        errors += [_inner_error(y, factors, covariates, end, candidate) for candidate in candidates]
    return candidates[int(errors.argmin())] if errors.any() else design


def _inner_error(y: Array, factors: Array, covariates: Array | None, end: int, design: LagDesign) -> float:
    """Mean squared error of the days after ``end``, in squares of each series' spread."""
    test = slice(end, end + INNER_DAYS)
    before, ahead = (None, None) if covariates is None else (covariates[:, :, :end], covariates[:, :, test])
    weights = fit_lag_regression(y[:, :end], factors[:, :end], design, covariates=before)
    weekday, recent, drivers = lag_regression_terms(weights, design, factors[:, test], covariates=ahead)
    added = weekday + recent + sum_rows(drivers.swapaxes(0, 1))
    error = (weights.level[:, None] * factors[:, test] + added - y[:, test]) / weights.spread[:, None]
    with np.errstate(invalid="ignore"):
        squares = np.where(np.isfinite(error), np.minimum(error * error, LARGEST_SQUARE), 0.0)
    return float(sum_rows(sum_rows(squares)[:, None])[0]) / max(int(np.isfinite(error).sum()), 1)


LARGEST_SQUARE = 100.0
"""Squared error of a day, in squares of the spread, beyond which it decides no more: a single order of thousands."""
