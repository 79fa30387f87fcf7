"""Rows that say something of a day for some of the series, dated by when it became known: which one counts.

A row names a SKU, a location or a category, or leaves them at ``all``. What a row says is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

Array = np.ndarray
EVERYTHING = "all"
"""What a row writes for a SKU, location or category that it does not name."""


@dataclass(frozen=True)
class _Level:
    """The rows that name the same columns: their positions, oldest knowledge first, and what they name as a number."""

    columns: tuple[str, ...]
    rows: Array
    key: Array


class ScopedRows:
    """Dated rows of a scope.

    Args:
        frame: ``known_from``, ``target_date`` and the columns of ``scope``, in any order. A day, scope and day of
            knowledge occur once.
        scope: columns that name series, the most particular first: a row that names the SKU comes before one that
            does not, whatever else both name.

    Attributes:
        frame: the rows in the order that ``newest`` numbers them.
    """

    def __init__(self, frame: pd.DataFrame, *, scope: Sequence[str]) -> None:
        self.frame = frame.sort_values("known_from", kind="stable", ignore_index=True)
        self._known = _days(self.frame["known_from"])
        self._target = _days(self.frame["target_date"])
        self._names: dict[str, pd.Index] = {}
        codes: dict[str, Array] = {}
        for column in scope:
            codes[column], names = pd.factorize(self.frame[column].to_numpy(dtype=object))
            self._names[column] = pd.Index(names, dtype=object)
        named = {column: self.frame[column].to_numpy(dtype=object) != EVERYTHING for column in scope}
        level = np.zeros(len(self.frame), dtype=np.intp)
        for column in scope:
            level = 2 * level + named[column]
        self._levels = [self._level(scope, codes, named, level == which) for which in np.unique(level)[::-1]]

    def _level(
        self, scope: Sequence[str], codes: Mapping[str, Array], named: Mapping[str, Array], chosen: Array
    ) -> _Level:
        rows = np.flatnonzero(chosen)
        columns = tuple(column for column in scope if named[column][rows[0]])
        return _Level(columns, rows, self._key(columns, {column: codes[column][rows] for column in columns}, len(rows)))

    def _key(self, columns: Sequence[str], codes: Mapping[str, Array], count: int) -> Array:
        """One number for what a row or series names; -1 for a series of which a name occurs in no row."""
        key = np.zeros(count, dtype=np.int64)
        lost = np.zeros(count, dtype=bool)
        for column in columns:
            key = key * len(self._names[column]) + codes[column]
            lost |= codes[column] < 0
        return np.where(lost, -1, key)

    def newest(self, series: Mapping[str, Array], *, origin: date, first: date, days: int) -> Array:
        """The row that counts for each series and day: the most particular one, and of those the newest known.

        Args:
            series: n names for each column of the scope.
            origin: rows known from a later day are not read.
            first: the first of ``days`` days.

        Returns:
            n x days positions in ``frame``; -1 where no row says anything.
        """
        count = len(next(iter(series.values())))
        result = np.full((count, days), -1, dtype=np.int32)
        target = self._target - np.datetime64(first, "D").astype(np.int64)
        usable = (self._known <= np.datetime64(origin, "D").astype(np.int64)) & (target >= 0) & (target < days)
        codes = {column: names.get_indexer(series[column].astype(object)) for column, names in self._names.items()}
        for level in self._levels:
            inside = usable[level.rows]
            rows, (keys, group) = level.rows[inside], np.unique(level.key[inside], return_inverse=True)
            if not len(rows):
                continue
            said = np.full((len(keys), days), -1, dtype=np.int32)
            # Of several values for one cell numpy keeps the last: the rows are in the order in which they became known.
            said[group, target[rows]] = rows
            wanted = self._key(level.columns, codes, count)
            place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            here = np.flatnonzero(keys[place] == wanted)
            result[here] = np.where(result[here] >= 0, result[here], said[place[here]])
        return result


def _days(column: pd.Series) -> Array:
    return column.to_numpy().astype("datetime64[D]").astype(np.int64)
