"""The feature table: one row for each day and series of daily sales.

Every column is a function of the series' own days up to that day, of its calendar, and of nothing else.
Days are laid out as a matrix, series x days, so that a lag is a shifted view and "days, not rows" holds by
itself. A trailing window adds the window's own values, newest day first, for every day of a range in the
same order, which is why a range gives the bits of single days.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from forecast_platform.features.calendar import HolidayCalendar
from forecast_platform.features.numbers import nearest_float64

Array = np.ndarray
LAGS = (1, 7, 14, 28)
WINDOWS = (7, 28)
LOOK_BACK_DAYS = max(*LAGS, *WINDOWS)
"""Days before a day that its features look at."""

REQUIRED = ("sale_date", "series_id", "sku", "location", "units", "avg_price", "on_promotion", "in_stock")

READ_FROM: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("sale_date", "series_id", "units", "on_promotion", "in_stock")},
    **{name: ("units",) for name in (*(f"lag_{days}" for days in LAGS), *(f"rolling_mean_{days}" for days in WINDOWS))},
    "trend_index": ("units",),
    **{name: ("sale_date",) for name in ("day_of_week", "is_weekend", "month")},
    "is_holiday": ("sale_date", "location"),
    "price_ratio": ("avg_price",),
}
"""Columns of daily sales that the values of each feature come from. Holidays come from the calendar, too."""


class FeatureError(ValueError):
    """Features cannot be built from the rows given. The message says which and why."""


def build_features(
    daily: pd.DataFrame, *, first: date, last: date, holidays: HolidayCalendar | None = None
) -> pd.DataFrame:
    """Features of every row of daily sales dated ``first`` to ``last``.

    Definitions for day D of a series; missing days count 0:

    - ``lag_k``: units of D - k. ``rolling_mean_k``: mean of units over D-k..D-1.
    - ``trend_index``: (``lag_1`` - ``lag_7``) / 7.
    - ``day_of_week``: 0 Monday to 6 Sunday; ``is_weekend``: Saturday or Sunday; ``month``: 1 to 12.
    - ``price_ratio``: price of D / mean of the known prices of D-28..D-1; 1.0 where either is unknown.
    - ``on_promotion``, ``in_stock``: as of D.

    Args:
        daily: rows of ``daily_sales`` from ``LOOK_BACK_DAYS`` before ``first`` to ``last``, in any order; rows of
            other days are not read.
        first, last: the days wanted, both included.
        holidays: public holidays by location; None for none.

    Returns:
        The columns and types of the table ``features``, one row for each row of ``daily`` in the range, sorted
        by day, SKU and location in codepoint order. No nulls.

    Raises:
        FeatureError: a column is missing, a day and series occurs twice, or units are null or not finite.
        CountryError: a country's holidays are not known.
    """
    missing = [name for name in REQUIRED if name not in daily.columns]
    if missing:
        raise FeatureError(f"daily sales lack the columns {', '.join(missing)}")
    start = np.datetime64(first, "D") - LOOK_BACK_DAYS
    length = (last - first).days + 1
    if length < 1:
        raise FeatureError(f"the range ends before it starts: {first} to {last}")
    column = ((daily["sale_date"].to_numpy().astype("datetime64[D]")) - start).astype(np.intp)
    inside = (column >= 0) & (column < LOOK_BACK_DAYS + length)
    if not inside.all():
        daily, column = daily[inside], column[inside]
    names, row = _series_rows(daily)
    shape = (len(names), LOOK_BACK_DAYS + length)
    source = _source_rows(daily, row, column, shape)
    units = nearest_float64(daily["units"]) + 0.0
    if not np.isfinite(units).all():
        bad = daily.loc[~np.isfinite(units)].iloc[0]
        raise FeatureError(
            f"units of {bad['sku']!r} at {bad['location']!r} on {bad['sale_date']:%Y-%m-%d} are no number"
        )

    at_day, at_series = np.nonzero(source[:, LOOK_BACK_DAYS:].T >= 0)
    at = at_series, at_day
    wanted = source[at_series, at_day + LOOK_BACK_DAYS]
    table = {"sale_date": pd.date_range(pd.Timestamp(first), periods=length, freq="D").to_numpy()[at_day]}
    table["series_id"] = daily["series_id"].to_numpy()[wanted].astype(np.int32)
    table["units"] = units[wanted]
    table |= _sales_columns(_matrix(units, row, column, shape, 0.0), length, at)
    table |= _calendar_columns(names["location"].to_numpy(), first, length, holidays or HolidayCalendar(), at)
    table["on_promotion"] = daily["on_promotion"].to_numpy(dtype=bool)[wanted]
    prices = _matrix(nearest_float64(daily["avg_price"]), row, column, shape, np.nan)
    table["price_ratio"] = _price_ratio(prices, length)[at]
    table["in_stock"] = daily["in_stock"].to_numpy(dtype=bool)[wanted]
    return pd.DataFrame(table, copy=False)


def _series_rows(daily: pd.DataFrame) -> tuple[pd.DataFrame, Array]:
    """The series that occur, sorted by SKU and location, and for each row of ``daily`` its place among them."""
    codes, ids = pd.factorize(daily["series_id"].to_numpy())
    where = np.empty(len(ids), dtype=np.intp)
    where[codes] = np.arange(len(codes))
    names = daily[["sku", "location"]].iloc[where].astype(object).reset_index(drop=True)
    pairs = list(zip(names["sku"], names["location"], strict=True))
    order = np.array(sorted(range(len(ids)), key=pairs.__getitem__), dtype=np.intp)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return names.iloc[order].reset_index(drop=True), place[codes]


def _source_rows(daily: pd.DataFrame, row: Array, column: Array, shape: tuple[int, int]) -> Array:
    """Number of the row of ``daily`` that holds each series and day; -1 where there is none.

    Raises:
        FeatureError: two rows hold the same.
    """
    source = np.full(shape, -1, dtype=np.intp)
    source[row, column] = np.arange(len(daily))
    lost = np.flatnonzero(source[row, column] != np.arange(len(daily)))
    if len(lost):
        bad = daily.iloc[lost[0]]
        raise FeatureError(
            f"daily sales hold {bad['sku']!r} at {bad['location']!r} more than once on {bad['sale_date']:%Y-%m-%d}"
        )
    return source


def _matrix(values: Array, row: Array, column: Array, shape: tuple[int, int], empty: float) -> Array:
    matrix = np.full(shape, empty)
    matrix[row, column] = values
    return matrix


def _before(matrix: Array, days: int, length: int) -> Array:
    """The values of ``days`` earlier, for each day of the range: series x length."""
    return matrix[:, LOOK_BACK_DAYS - days : LOOK_BACK_DAYS - days + length]


def _sales_columns(units: Array, length: int, at: tuple[Array, Array]) -> dict[str, Array]:
    columns = {f"lag_{days}": _before(units, days, length)[at] for days in LAGS}
    total = np.zeros((len(units), length))
    for days in range(1, max(WINDOWS) + 1):
        total += _before(units, days, length)
        if days in WINDOWS:
            columns[f"rolling_mean_{days}"] = total[at] / days
    columns["trend_index"] = (columns["lag_1"] - columns["lag_7"]) / 7.0
    return columns


def _price_ratio(prices: Array, length: int) -> Array:
    total, known = np.zeros((len(prices), length)), np.zeros((len(prices), length))
    prices = np.where(np.isfinite(prices) & (prices > 0), prices, np.nan)
    for days in range(1, LOOK_BACK_DAYS + 1):
        price = _before(prices, days, length)
        total += np.where(np.isnan(price), 0.0, price)
        known += ~np.isnan(price)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = _before(prices, 0, length) / (total / known)
    return np.where(np.isnan(ratio), 1.0, ratio)


def _calendar_columns(
    locations: Array, first: date, length: int, holidays: HolidayCalendar, at: tuple[Array, Array]
) -> dict[str, Array]:
    row, offset = at
    days = pd.date_range(pd.Timestamp(first), periods=length, freq="D")
    distinct, place = np.unique(locations.astype(object), return_inverse=True)
    weekday = days.dayofweek.to_numpy()
    return {
        "day_of_week": weekday.astype(np.int16)[offset],
        "is_weekend": (weekday >= 5)[offset],
        "month": days.month.to_numpy().astype(np.int16)[offset],
        "is_holiday": holidays.is_holiday(distinct, days)[place[row], offset],
    }
