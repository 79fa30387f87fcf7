"""What kind of demand a series has: by its gaps and sizes, its revenue and its steadiness.

Pure functions of the days up to one day. The demand class is the segment with which a series is judged where its own
errors are few. Which models a class may be given is in the tenant's settings, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from forecast_platform.days import days_between
from forecast_platform.features.numbers import nearest_float64
from forecast_platform.threads import on_all_cores

Array = np.ndarray

DEMAND_CLASSES: tuple[str, ...] = ("smooth", "erratic", "intermittent", "lumpy", "new", "inactive")
SMOOTH, ERRATIC, INTERMITTENT, LUMPY, NEW, INACTIVE = range(len(DEMAND_CLASSES))

ADI_THRESHOLD = 4 / 3
CV2_THRESHOLD = 0.5
"""Above the first a series sells with gaps, above the second in sizes that vary. (Syntetos, Boylan and Croston, 2005,
give 1.32 and 0.49; these are the round values next to them.)"""

NEW_DAYS = 28
"""A series is new on its first 27 days: until every look-back of its features is inside its life."""

INACTIVE_DAYS = 84
"""Days without demand after which a series is inactive: twelve weeks, or the window where that is shorter."""

ABC_SHARES = (0.80, 0.95)
"""A: the series that bring the first 80 % of revenue, B: up to 95 %, C: the rest (Pareto's rule as it is used)."""

BLOCK = 512
"""Series whose days are looked at together: as many as stay in a core's cache."""

XYZ_LIMITS = (0.5, 1.0)
"""X: coefficient of variation of weekly units up to 0.5, Y: up to 1, Z: above, or not known (Scholz-Reiter et al.,
2012, Integration of demand forecasts in ABC-XYZ analysis)."""

REQUIRED = ("sale_date", "series_id", "sku", "location", "units", "revenue", "in_stock")

READ_FROM: dict[str, tuple[str, ...]] = {
    "as_of": ("sale_date",),
    "series_id": ("series_id",),
    "demand_class": ("units", "in_stock"),
    "adi": ("units", "in_stock"),
    "cv2": ("units",),
    "xyz": ("units",),
    "abc": ("revenue",),
}
"""Columns of daily sales that the values of each column of the table come from."""


@dataclass(frozen=True)
class Demand:
    """The kind of demand of n series.

    Attributes:
        code: n; place in ``DEMAND_CLASSES``.
        adi: n; mean days from one sale to the next, from the first one on. NaN without a sale.
        cv2: n; squared coefficient of variation of the units of days with a sale. NaN without one, 0 with one.
    """

    code: Array
    adi: Array
    cv2: Array

    @property
    def name(self) -> Array:
        """n; the class in words."""
        return np.array(DEMAND_CLASSES, dtype=object)[self.code]


def classify(y: Array) -> Demand:
    """The demand class of each series on the last of W days.

    - ``new``: its first day is less than ``NEW_DAYS`` days back, the last day counted.
    - ``inactive``, if not new: no demand on the last ``INACTIVE_DAYS`` days.
    - else by ADI = observed days from the first sale on / days with a sale, and CV² = (σ / μ)² of the units of those
      days (population σ): smooth (both at most the threshold), erratic (CV² above), intermittent (ADI above), lumpy.

    Args:
        y: n x W units, oldest day first, as ``Panel.y``: NaN before a series' first day and where the shelf was empty,
            which are no days without demand and are not counted.
    """
    observed = ~np.isnan(y)
    units = np.where(observed, y, 0.0)
    sold = units > 0
    counted = observed & np.logical_or.accumulate(sold, axis=1)
    sales = sold.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        adi = counted.sum(axis=1) / np.where(sales > 0, sales, np.nan)
        mean = units.sum(axis=1) / np.where(sales > 0, sales, np.nan)
        deviation = np.where(sold, units - mean[:, None], 0.0)
        cv2 = (deviation * deviation).sum(axis=1) / sales / (mean * mean)
    code = np.where(adi > ADI_THRESHOLD, INTERMITTENT, SMOOTH) + (cv2 > CV2_THRESHOLD)
    code = np.where(sold[:, -INACTIVE_DAYS:].any(axis=1), code, INACTIVE)
    old = observed[:, : max(y.shape[1] - NEW_DAYS + 1, 0)].any(axis=1)
    return Demand(np.where(old, code, NEW), adi, cv2)


def abc_classes(revenue: Array) -> Array:
    """A, B or C of each of n series, given in order of name: of two that bring the same the first is the larger.

    A series is A if those above it bring less than 80 % of all revenue, B if less than 95 %, else C; so the largest
    is always A. Without revenue of its own a series is C.
    """
    revenue = np.maximum(np.nan_to_num(revenue), 0.0)
    order = np.argsort(-revenue, kind="stable")
    before = np.cumsum(revenue[order]) - revenue[order]
    total = revenue.sum()
    rank = np.empty(len(revenue), dtype=np.intp)
    rank[order] = np.searchsorted(np.array(ABC_SHARES) * total, before, side="right")
    return np.array(["A", "B", "C"], dtype=object)[np.where(revenue > 0, rank, 2)]


def xyz_classes(y: Array) -> Array:
    """X, Y or Z of each series by the coefficient of variation σ / μ of its weeks that end with the last day.

    Weeks are whole ones since the first sale; days that are NaN count 0. With fewer than two it is Z.

    Args:
        y: n x W units, as for ``classify``.
    """
    weeks = y.shape[1] // 7
    units = np.nan_to_num(y[:, y.shape[1] - 7 * weeks :]).reshape(len(y), weeks, 7)
    started = np.logical_or.accumulate((units > 0).reshape(len(y), 7 * weeks), axis=1).reshape(units.shape)
    # The week of the first sale is whole only where that is its first day.
    whole = started[:, :, 0]
    total = np.where(whole, units.sum(axis=2), 0.0)
    count = whole.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total.sum(axis=1) / count
        deviation = np.where(whole, total - mean[:, None], 0.0)
        variation = np.sqrt((deviation * deviation).sum(axis=1) / count) / mean
    known = (count >= 2) & (mean > 0)
    rank = np.where(known, np.searchsorted(XYZ_LIMITS, np.where(known, variation, 0.0), side="left"), 2)
    return np.array(["X", "Y", "Z"], dtype=object)[rank]


def demand_classes(daily: pd.DataFrame, *, first: date, last: date, window: int) -> pd.DataFrame:
    """The table ``demand_classes`` for the days ``first`` to ``last``: a row for each series with one on that day.

    Each day sees the ``window`` days that end with it and nothing else, so that a range gives what single days give.

    Args:
        daily: the columns ``REQUIRED`` of ``daily_sales`` from ``window`` - 1 days before ``first`` on, in any order.
        window: days.

    Returns:
        ``as_of``, ``series_id``, ``demand_class``, ``adi``, ``cv2``, ``abc``, ``xyz``, by day, SKU and location.

    Raises:
        ValueError: a column is missing.
    """
    missing = [name for name in REQUIRED if name not in daily.columns]
    if missing:
        raise ValueError(f"daily sales lack the columns {', '.join(missing)}")
    series_id, row = _rows_by_name(daily)
    start = np.datetime64(first - timedelta(days=window - 1), "D")
    column = (daily["sale_date"].to_numpy().astype("datetime64[D]") - start).astype(np.intp)
    shape = (len(series_id), window + (last - first).days)
    inside = (column >= 0) & (column < shape[1])
    at = row[inside], column[inside]
    present, units, revenue = np.zeros(shape, dtype=bool), np.full(shape, np.nan), np.zeros(shape)
    present[at] = True
    sold = nearest_float64(daily["units"])
    # What was sold was demand, though the shelf was empty in the evening.
    known = daily["in_stock"].to_numpy(dtype=bool) | (sold > 0)
    units[at] = np.where(known, sold, np.nan)[inside]
    revenue[at] = nearest_float64(daily["revenue"])[inside]
    days = days_between(first, last)

    def of_block(rows: slice) -> list[_Classes]:
        return [
            _classes_of_block(units[rows, offset : offset + window], revenue[rows, offset : offset + window], here)
            for offset, here in enumerate(present[rows, window - 1 :].T)
        ]

    blocks = on_all_cores(of_block, [slice(at, at + BLOCK) for at in range(0, max(len(series_id), 1), BLOCK)])
    parts = []
    for offset, day in enumerate(days):
        here = np.flatnonzero(present[:, offset + window - 1])
        code, adi, cv2, earned, xyz = (np.concatenate(each) for each in zip(*(b[offset] for b in blocks), strict=True))
        columns = {
            "as_of": np.full(len(here), np.datetime64(day, "ns")),
            "series_id": series_id[here],
            "demand_class": Demand(code, adi, cv2).name,
            "adi": adi,
            "cv2": cv2,
            "abc": abc_classes(earned),
            "xyz": xyz,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


_Classes = tuple[Array, Array, Array, Array, Array]
"""Of some series on one day: code, adi, cv2, revenue of the window, and X, Y or Z."""


def _classes_of_block(units: Array, revenue: Array, present: Array) -> _Classes:
    units, revenue = units[present], revenue[present]
    demand = classify(units)
    return demand.code, demand.adi, demand.cv2, revenue.sum(axis=1), xyz_classes(units)


def _rows_by_name(daily: pd.DataFrame) -> tuple[Array, Array]:
    """The ids that occur, in order of SKU and location, and for each row its place among them."""
    ids, where, inverse = np.unique(daily["series_id"].to_numpy(), return_index=True, return_inverse=True)
    sku, location = (daily[name].iloc[where].astype(object).to_numpy() for name in ("sku", "location"))
    order = np.array(sorted(range(len(ids)), key=lambda i: (sku[i], location[i])), dtype=np.intp)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return ids[order].astype(np.int32), place[inverse]
