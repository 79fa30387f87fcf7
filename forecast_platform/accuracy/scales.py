"""Scales of series: what one day's naive forecast missed by, in the training window.

The denominators of MASE and RMSSE (Hyndman and Koehler, 2006; M5). No forecast error belongs here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def demand_scales(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute and mean squared one-day difference of each series, from its first non-zero day.

    Args:
        y: n x W units, oldest day first; NaN counts 0, as in daily sales without a row.

    Returns:
        ``scale_abs`` and ``scale_sq``, n each; NaN where there is no day after the first non-zero one, or where
        every difference is 0, because a zero scale divides nothing.
    """
    y = np.nan_to_num(y)
    sold = y > 0
    counted = np.logical_or.accumulate(sold, axis=1)[:, :-1]
    step = np.where(counted, np.diff(y, axis=1), 0.0)
    days = counted.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute, square = np.abs(step).sum(axis=1) / days, (step * step).sum(axis=1) / days
    return np.where(absolute > 0, absolute, np.nan), np.where(square > 0, square, np.nan)


def series_scales(daily: pd.DataFrame, *, as_of: pd.Timestamp, window: int) -> pd.DataFrame:
    """Scales of the series with a row on ``as_of``, over the ``window`` days that end with it.

    Args:
        daily: ``sale_date``, ``series_id``, ``units``; rows outside the window are not read.
        as_of: the last day of the window.
        window: days.

    Returns:
        ``as_of``, ``series_id``, ``scale_abs``, ``scale_sq``, sorted by ``series_id``.
    """
    as_of = pd.Timestamp(as_of)
    days = pd.date_range(end=as_of, periods=window, freq="D")
    inside = daily[(daily["sale_date"] >= days[0]) & (daily["sale_date"] <= as_of)]
    present = np.sort(inside.loc[inside["sale_date"] == as_of, "series_id"].unique())
    wide = inside.assign(units=inside["units"].astype(float)).pivot(
        index="series_id", columns="sale_date", values="units"
    )
    absolute, square = demand_scales(wide.reindex(index=present, columns=days).to_numpy(dtype=float))
    return pd.DataFrame({"as_of": as_of, "series_id": present, "scale_abs": absolute, "scale_sq": square})
