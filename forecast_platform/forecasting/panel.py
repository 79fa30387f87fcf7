"""Histories of all series as matrices: what a forecast of one origin may see.

The long frame of features is pivoted once for a range (``PanelHistory``) and cut for each origin
(``Panel``). What leaves here for an origin holds nothing dated after it. No model and no fill-in rule
belongs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from forecast_platform.forecasting.categories import category_of

Array = np.ndarray
NEUTRAL: Mapping[str, float] = {"price_ratio": 1.0}
"""Value of a covariate on a day without a row; 0 for the ones not named."""


class PanelError(ValueError):
    """The frames given do not make a panel. The message says which rows and what would."""


@dataclass(frozen=True)
class SeriesIndex:
    """The series of a panel, sorted by SKU and location in codepoint order.

    ``series_id`` is this warehouse's number: written, never sorted by or digested.
    """

    series_id: Array
    sku: Array
    location: Array
    category: Array

    def __len__(self) -> int:
        return len(self.series_id)

    @cached_property
    def group(self) -> Array:
        """Code of each series' (location, category), from 0 on, in codepoint order."""
        pairs = list(zip(self.location, self.category, strict=True))
        codes = {pair: code for code, pair in enumerate(sorted(set(pairs)))}
        return np.array([codes[pair] for pair in pairs], dtype=np.intp)


@dataclass(frozen=True)
class Panel:
    """What one origin sees: n series x W days that end with the origin.

    Attributes:
        origin: last closed day whose facts are in it.
        series: n; the series with a row on the origin day.
        y: n x W units; NaN before a series' first row in the window and on days the shelf was empty. A day
            without a row after the first one counts 0.
        covariates: names of what is known ahead.
        past: n x k x W; ``future``: n x k x H, as known on the origin, without NaN. k = 0 where nothing is.
    """

    origin: date
    series: SeriesIndex
    y: Array
    covariates: tuple[str, ...] = ()
    past: Array = field(default_factory=lambda: np.empty((0, 0, 0)))
    future: Array = field(default_factory=lambda: np.empty((0, 0, 0)))

    @property
    def window(self) -> int:
        """Days of history."""
        return self.y.shape[1]

    @property
    def observed(self) -> Array:
        """n x W; whether the day may be learned from."""
        return ~np.isnan(self.y)

    @property
    def dates(self) -> pd.DatetimeIndex:
        """The W days."""
        return pd.date_range(end=pd.Timestamp(self.origin), periods=self.window, freq="D")

    def with_covariates(self, past: Mapping[str, Array], future: Mapping[str, Array]) -> Panel:
        """This panel with what is known beside sales: n x W and n x H of each name, in the order of ``past``.

        Raises:
            PanelError: a covariate has no values ahead, or one that is no finite number.
        """
        missing = sorted(set(past) - set(future))
        if missing:
            raise PanelError(f"no values ahead of {self.origin} are given for the covariates {', '.join(missing)}")
        for name in past:
            if not (np.isfinite(past[name]).all() and np.isfinite(future[name]).all()):
                raise PanelError(f"covariate {name!r} as known on {self.origin} holds values that are not finite")
        count = len(self.series)
        return replace(
            self,
            covariates=tuple(past),
            past=_stack([past[name] for name in past], count),
            future=_stack([future[name] for name in past], count),
        )


@dataclass(frozen=True)
class PanelHistory:
    """All rows of a range of days as matrices: m series x T days.

    Attributes:
        first: the first of the T days.
        names: m; sorted by SKU and location.
        present: m x T; whether there is a row.
        units: m x T; NaN where the shelf was empty, 0 where there is no row.
        covariates: m x T each, by name.
    """

    first: date
    names: SeriesIndex
    present: Array
    units: Array
    covariates: Mapping[str, Array]

    @classmethod
    def from_features(
        cls,
        features: pd.DataFrame,
        series: pd.DataFrame,
        *,
        origins: tuple[date, date] | None = None,
        covariates: Sequence[str] = (),
    ) -> PanelHistory:
        """Pivot rows of ``features``, in any order.

        Args:
            features: ``sale_date``, ``series_id``, ``units``, ``in_stock`` and the columns named by ``covariates``.
            series: ``series_id``, ``sku``, ``location`` of at least the series in ``features``.
            origins: first and last day to be forecast from, part of the history even where no series has a row
                (before the first sale of all, or once every series is inactive); default: only days with a row.
            covariates: columns to carry along.

        Raises:
            PanelError: a series has no name, a day and series has two rows, or units are not finite.
        """
        names, row = _name_rows(features["series_id"].to_numpy(), series)
        day = features["sale_date"].to_numpy().astype("datetime64[D]")
        covered = np.concatenate([day, np.array(origins or (), dtype="datetime64[D]")])
        first = covered.min() if len(covered) else np.datetime64("1970-01-01", "D")
        column = (day - first).astype(np.intp)
        shape = (len(names), int((covered - first).astype(np.intp).max(initial=-1)) + 1)
        units = features["units"].to_numpy(dtype=np.float64)
        if not np.isfinite(units).all():
            raise PanelError(f"features hold units that are not finite, first on {day[~np.isfinite(units)][0]}")
        present = np.zeros(shape, dtype=bool)
        present[row, column] = True
        if np.count_nonzero(present) != len(features):
            raise PanelError(
                f"features hold {len(features) - np.count_nonzero(present)} second rows of a day and series;"
                " each (sale_date, series_id) may occur once"
            )
        in_stock = features["in_stock"].to_numpy(dtype=bool)
        return cls(
            first=first.item(),
            names=names,
            present=present,
            units=_pivot(np.where(in_stock, units + 0.0, np.nan), row, column, shape, 0.0),
            covariates={
                name: _pivot(features[name].to_numpy(dtype=np.float64), row, column, shape, NEUTRAL.get(name, 0.0))
                for name in covariates
            },
        )

    def panel_at(self, origin: date, *, window: int, items: pd.DataFrame | None = None) -> Panel:
        """Cut what ``origin`` may see: the series with a row on that day, and their last ``window`` days.

        Args:
            origin: a day of this history.
            window: days of history, W. Days before the history's first are NaN.
            items: rows of ``items``, for the categories; those valid from after the origin are not read.

        Returns:
            A panel without covariates; see ``covariates_at`` and ``Panel.with_covariates``.

        Raises:
            PanelError: the origin is outside the history.
        """
        rows, here = self._cut(origin, window)
        started = np.logical_or.accumulate(self.present[rows, here], axis=1)
        return Panel(
            origin=origin,
            series=_take(self.names, rows, items, origin),
            y=_pad(np.where(started, self.units[rows, here], np.nan), window, np.nan),
        )

    def covariates_at(self, origin: date, *, window: int) -> dict[str, Array]:
        """Past values of each covariate, n x W, for the series of ``panel_at``; neutral where there is no row."""
        rows, here = self._cut(origin, window)
        return {
            name: _pad(values[rows, here], window, NEUTRAL.get(name, 0.0)) for name, values in self.covariates.items()
        }

    def rows_at(self, origin: date) -> Array:
        """Which of the m series have a row on the origin: positions in ``names``, n, in order."""
        return self._cut(origin, 1)[0]

    def _cut(self, origin: date, window: int) -> tuple[Array, slice]:
        last = (origin - self.first).days
        if not 0 <= last < self.present.shape[1]:
            end = self.first + timedelta(days=self.present.shape[1] - 1)
            raise PanelError(f"origin {origin} is outside the features given, {self.first} to {end}")
        return np.flatnonzero(self.present[:, last]), slice(max(0, last + 1 - window), last + 1)


def _name_rows(series_id: Array, series: pd.DataFrame) -> tuple[SeriesIndex, Array]:
    """The names of the ids that occur, sorted, and for each row its place among them."""
    ids, inverse = np.unique(series_id, return_inverse=True)
    named = series.set_index("series_id")[["sku", "location"]].astype(object)
    missing = ids[~np.isin(ids, named.index.to_numpy())]
    if len(missing):
        raise PanelError(f"{len(missing)} series of features are not in the table series, first series_id {missing[0]}")
    named = named.loc[ids]
    sku, location = named["sku"].to_numpy(dtype=object), named["location"].to_numpy(dtype=object)
    order = np.array(sorted(range(len(ids)), key=lambda i: (sku[i], location[i])), dtype=np.intp)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    empty = np.full(len(ids), "", dtype=object)
    return SeriesIndex(ids[order].astype(np.int32), sku[order], location[order], empty), place[inverse]


def _take(names: SeriesIndex, rows: Array, items: pd.DataFrame | None, origin: date) -> SeriesIndex:
    sku, location = names.sku[rows], names.location[rows]
    category = names.category[rows] if items is None else category_of(sku, location, items, as_of=origin)
    return SeriesIndex(names.series_id[rows], sku, location, category)


def _pivot(values: Array, row: Array, column: Array, shape: tuple[int, int], empty: float) -> Array:
    matrix = np.full(shape, empty)
    matrix[row, column] = values
    return matrix


def _pad(matrix: Array, days: int, value: float) -> Array:
    """Put days of ``value`` before the first, up to ``days`` in all."""
    missing = days - matrix.shape[1]
    return np.pad(matrix, ((0, 0), (missing, 0)), constant_values=value) if missing else matrix


def _stack(matrices: list[Array], series: int) -> Array:
    return np.stack(matrices, axis=1) if matrices else np.empty((series, 0, 0))
