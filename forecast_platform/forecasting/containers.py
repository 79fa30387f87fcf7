"""sktime's data containers as matrices, and back.

The platform hands its forecasters ``numpy3D`` (n x 1 x W), which costs nothing to check or convert; the
other containers are what sktime's interface promises to anybody who uses the forecasters elsewhere:
series of unequal length and with gaps are laid on one calendar. No forecasting belongs here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray


@dataclass(frozen=True)
class Layout:
    """How a container was laid out, so that forecasts can be given back in kind.

    Attributes:
        instances: index of the series; None for one series or an array.
        names: names of the index levels; ``columns``: the container's columns.
        kind: ``array``, ``series`` or ``panel``.
    """

    kind: str
    instances: pd.Index | None = None
    names: tuple[Any, ...] = ()
    columns: pd.Index | None = None


def to_matrix(container: Array | pd.DataFrame) -> tuple[Array, Layout]:
    """Lay one variable of every series on one calendar.

    Args:
        container: ``numpy3D`` with one variable, a ``pd.DataFrame`` of one column, or such with a
            ``MultiIndex`` whose last level is the time.

    Returns:
        n x W of float64, oldest day first, NaN where a series has no value; and the layout.
    """
    if isinstance(container, np.ndarray):
        return np.asarray(container[:, 0, :], dtype=np.float64), Layout("array")
    names = tuple(container.index.names)
    values = container.iloc[:, 0].to_numpy(dtype=np.float64)
    if not isinstance(container.index, pd.MultiIndex):
        matrix = np.full((1, 0), np.nan)
        if len(values):
            place = _positions(container.index)
            matrix = np.full((1, int(place.max()) + 1), np.nan)
            matrix[0, place] = values
        return matrix, Layout("series", names=names, columns=container.columns)
    instances, row = _instances(container.index)
    column = _positions(container.index.get_level_values(-1))
    matrix = np.full((len(instances), int(column.max()) + 1), np.nan)
    matrix[row, column] = values
    return matrix, Layout("panel", instances, names, container.columns)


def from_matrix(matrix: Array, layout: Layout, times: pd.Index) -> Array | pd.DataFrame:
    """Give n x F forecasts for the ``times`` of the horizon back in the container's own layout."""
    if layout.kind == "array":
        return np.ascontiguousarray(matrix)[:, None, :]
    if layout.kind == "series":
        return pd.DataFrame(matrix.T, index=times, columns=layout.columns)
    keys = [(*(key if isinstance(key, tuple) else (key,)), time) for key in layout.instances for time in times]
    index = pd.MultiIndex.from_tuples(keys, names=layout.names)
    return pd.DataFrame(matrix.reshape(-1, 1), index=index, columns=layout.columns)


def covariate_cube(
    container: Array | pd.DataFrame | None, layout: Layout, days: int, *, at: Array | None = None
) -> Array | None:
    """Covariates as n x k x days; None where none are given.

    Args:
        container: as for ``to_matrix``, with k variables, for the same series.
        days: length of the cube.
        at: the place of each time step within it; by default the last ones.

    Raises:
        ValueError: a series has another number of time steps than ``at`` has places.
    """
    if container is None:
        return None
    if isinstance(container, np.ndarray):
        values = np.asarray(container, dtype=np.float64)
    else:
        series = 1 if layout.instances is None else len(layout.instances)
        if len(container) % series:
            raise ValueError(f"X has {len(container)} rows for {series} series; every series needs the same time steps")
        if layout.instances is not None:
            row = layout.instances.get_indexer(container.index.droplevel(-1))
            container = container.iloc[np.argsort(row, kind="stable")]
        values = container.to_numpy(dtype=np.float64).reshape(series, -1, container.shape[1]).transpose(0, 2, 1)
    cube = np.full((*values.shape[:2], days), np.nan)
    if at is None:
        values = values[:, :, -days:]
        at = np.arange(days - values.shape[2], days)
    elif values.shape[2] != len(at):
        raise ValueError(f"X has {values.shape[2]} time steps for a horizon of {len(at)}; give one for each")
    cube[:, :, at] = values
    return cube


def _instances(index: pd.MultiIndex) -> tuple[pd.Index, Array]:
    """The series in order of appearance, and the number of each row's."""
    keys = index.droplevel(-1)
    row, instances = pd.factorize(keys)
    return pd.Index(instances), row


def _positions(times: pd.Index) -> Array:
    """Place of each time stamp on the calendar from the first to the last, in steps of their frequency."""
    if isinstance(times, pd.DatetimeIndex):
        calendar = pd.DatetimeIndex(times.unique()).sort_values()
        frequency = times.freq or (pd.infer_freq(calendar) if len(calendar) > 2 else None)
        try:
            times = times.to_period(frequency or "D")
        except ValueError:
            return calendar.get_indexer(times)
    numbers = times.asi8 // times.freq.n if isinstance(times, pd.PeriodIndex) else times.to_numpy()
    return (numbers - numbers.min()).astype(np.intp)
