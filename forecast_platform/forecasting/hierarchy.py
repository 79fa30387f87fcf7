"""Forecasts of locations, categories and the total that add up. Matrices in, matrices out.

The levels are sums of series: every series is at one location, in one category, and in the total. Bottom-up sums the
series' forecasts. Reconciled forecasts start from forecasts of every node, those of the sums included, and move the
series' so that they fit all of them best (hierarchicalforecast, the extra ``hierarchy``); the nodes are then summed as
before, so that what is stored adds up by either way. Which forecasts there are is read elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from forecast_platform.forecasting.linear_systems import sum_rows
from forecast_platform.forecasting.models import ModelSpec
from forecast_platform.forecasting.panel import Panel, SeriesIndex
from forecast_platform.forecasting.run import forecast_origin

Array = np.ndarray
Method = Literal["bottom_up", "ols", "mint_shrink"]
CODE_VERSION = "1"

TOTAL, LOCATION, CATEGORY, SERIES = "total", "location", "category", "series"
NO_CATEGORY = "(no category)"
"""Node of the series whose category is unknown."""

MOST_SERIES = 4_000
"""Series that can be reconciled: the covariance of 4,000 is 128 MB, and a few such matrices are held at once."""

CUT_OFFS = 8
"""Weeks before the origin for which forecasts are made again, for the residuals of ``mint_shrink``: 56 a node. A window
that is short is left at least its half to learn from."""


@dataclass(frozen=True)
class Nodes:
    """The nodes above n series: k of them, by level and then name, the total last.

    Attributes:
        level, name: k texts each.
        members: k arrays; the rows of the series of each node, ascending.
    """

    level: tuple[str, ...]
    name: tuple[str, ...]
    members: tuple[Array, ...]

    def sums(self, values: Array) -> Array:
        """k x H sums of n x H values, in the order of the series."""
        return np.stack([sum_rows(values[rows]) for rows in self.members])

    def summing_matrix(self, series: int) -> Array:
        """(k + n) x n of ones and zeros: the nodes' rows, then one for each series."""
        matrix = np.zeros((len(self.members) + series, series))
        for row, members in enumerate(self.members):
            matrix[row, members] = 1.0
        matrix[len(self.members) :] = np.eye(series)
        return matrix


def nodes_of(series: SeriesIndex) -> Nodes:
    """The locations, the categories (``NO_CATEGORY`` for ""), and the total. Without a series the total alone."""
    category = np.where(series.category.astype(str) == "", NO_CATEGORY, series.category.astype(str))
    levels, names, members = [], [], []
    for level, label in ((LOCATION, series.location.astype(str)), (CATEGORY, category)):
        for name in sorted(set(label.tolist())):
            levels.append(level)
            names.append(name)
            members.append(np.flatnonzero(label == name))
    return Nodes((*levels, TOTAL), (*names, TOTAL), (*members, np.arange(len(series))))


def summed_panel(panel: Panel, nodes: Nodes) -> Panel:
    """The history of the nodes: sums over their series, a day that was not observed counting 0.

    Days before the first of a node's series are NaN, and covariates are left out: a price ratio has no sum.
    """
    observed = ~np.isnan(panel.y)
    units = nodes.sums(np.where(observed, panel.y, 0.0))
    started = np.logical_or.accumulate(np.stack([observed[rows].any(axis=0) for rows in nodes.members]), axis=1)
    empty = np.array([""] * len(nodes.name), dtype=object)
    index = SeriesIndex(
        series_id=np.arange(len(nodes.name), dtype=np.int32),
        sku=np.array(nodes.name, dtype=object),
        # A level's nodes are a group of their own: the total does not share a weekday profile with its parts.
        location=np.array(nodes.level, dtype=object),
        category=empty,
    )
    return Panel(origin=panel.origin, series=index, y=np.where(started, units, np.nan))


def reconciled(mean: Array, panel: Panel, nodes: Nodes, model: ModelSpec, *, method: Method) -> Array:
    """The series' forecasts, moved so that they fit the forecasts of the sums.

    Ordinary least squares (``ols``), or minimum trace with a shrunk covariance (``mint_shrink``: Wickramasuriya,
    Athanasopoulos and Hyndman, 2019). The sums are forecast by ``model`` from their own history. The covariance is that
    of what ``model`` missed, nodes and series alike, in the 7 days after each of the last ``CUT_OFFS`` weeks' ends
    inside the window. A forecast that comes out below 0 becomes 0, before the sums are made.

    Args:
        mean: n x H forecasts of the series of ``panel``.
        panel: what the origin sees of the n series.
        nodes: above them.
        model: forecasts the sums.
        method: ``ols`` or ``mint_shrink``.

    Returns:
        n x H, not below 0.

    Raises:
        ValueError: there are more series than can be reconciled, or the model fails on the sums.
        ImportError: the extra ``hierarchy`` is not installed.
    """
    if len(mean) > MOST_SERIES:
        raise ValueError(
            f"{len(mean)} series cannot be reconciled by {method}, which holds matrices of their number squared:"
            f" {MOST_SERIES} at most. Set reconciliation: bottom_up"
        )
    if not len(mean):
        return mean
    try:
        from hierarchicalforecast.methods import MinTrace
    except ImportError as error:
        raise ImportError(
            f"reconciliation: {method} needs hierarchicalforecast: pip install forecast-platform[hierarchy],"
            " or set reconciliation: bottom_up"
        ) from error
    above = summed_panel(panel, nodes)
    base = np.concatenate([_forecast(above, model, mean.shape[1]), mean])
    matrix = nodes.summing_matrix(len(mean))
    past = {}
    if method == "mint_shrink":
        upper, lower = _backcasts(above, model), _backcasts(panel, model)
        past = {
            name: np.concatenate(pair)
            for name, pair in zip(("y_insample", "y_hat_insample"), zip(upper, lower, strict=True), strict=True)
        }
    made = MinTrace(method=method).fit_predict(S=matrix, y_hat=base, **past)["mean"]
    return np.maximum(np.asarray(made)[len(nodes.name) :], 0.0) + 0.0


def _forecast(panel: Panel, model: ModelSpec, horizon: int) -> Array:
    made = next(iter(forecast_origin(panel, [model], horizon=horizon)))
    if made.mean is None:
        raise ValueError(f"the sums of {panel.origin} cannot be reconciled: model {made.model!r} failed: {made.error}")
    return made.mean


def _backcasts(panel: Panel, model: ModelSpec, *, days: int = 7) -> tuple[Array, Array]:
    """What was and what ``model`` would have forecast for the ``days`` after each cut-off: rows x (days · cut-offs)."""
    actual, fitted = [], []
    for back in range(min(CUT_OFFS, panel.window // 2 // days) * days, 0, -days):
        until = panel.window - back
        earlier = Panel(origin=panel.dates[until - 1].date(), series=panel.series, y=panel.y[:, :until])
        actual.append(np.nan_to_num(panel.y[:, until : until + days]))
        fitted.append(_forecast(earlier, model, days))
    return np.concatenate(actual, axis=1), np.concatenate(fitted, axis=1)
