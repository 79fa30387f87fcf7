"""Small panels with every oddity that real demand has, as matrices and as frames of features."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.forecasting import Panel, SeriesIndex

ORIGIN = date(2026, 5, 31)
WINDOW = 120
TEXT = pd.ArrowDtype(pa.string())
POOLED = ("linear", "weekday_profile", "ensemble")
"""Default models that borrow from like series: what one series sells moves the others' forecasts a little."""


def ordinary(series: int = 40, *, seed: int = 1, days: int = WINDOW) -> np.ndarray:
    """Counts with a weekday pattern and many zeros, some series young, some with stock-outs."""
    generator = np.random.default_rng(seed)
    week = generator.dirichlet(np.full(7, 5.0)) * 7
    level = generator.lognormal(0.5, 1.2, size=(series, 1))
    y = generator.poisson(level * week[np.arange(days) % 7]).astype(float)
    for row in range(0, series, 5):
        y[row, : generator.integers(0, max(days - 2, 1))] = np.nan
    for row in range(1, series, 5):
        y[row, generator.integers(0, days, size=10)] = np.nan
    return y


def awkward(days: int = WINDOW) -> dict[str, np.ndarray]:
    """One series each of what breaks models."""
    generator = np.random.default_rng(5)
    late = np.full((4, days), np.nan)
    late[1, -1:], late[2, -5:], late[3, -19:] = 3.0, [0, 2, 0, 0, 1], 1.0
    spike = generator.poisson(2.0, days).astype(float)
    spike[days // 2] = 1e9
    explosive = 1.2 ** np.arange(days)
    holes = generator.poisson(4.0, days).astype(float)
    holes[::2] = np.nan
    ended = generator.poisson(4.0, days).astype(float)
    ended[-30:] = np.nan
    return {
        "no day at all": late[0],
        "one day": late[1],
        "five days": late[2],
        "nineteen days": late[3],
        "all zero": np.zeros(days),
        "constant": np.full(days, 7.0),
        "every second day unknown": holes,
        "ended a month ago": ended,
        "spike of a billion": spike,
        "grows by a fifth a day": explosive,
        "one sale": np.where(np.arange(days) == 60, 1.0, 0.0),
        "tiny": np.full(days, 1e-4) * (np.arange(days) % 3),
    }


def panel_of(y: np.ndarray, *, names: list[str] | None = None, category: list[str] | None = None) -> Panel:
    """A panel of one location around a matrix."""
    names = [f"s{row:05d}" for row in range(len(y))] if names is None else names
    index = SeriesIndex(
        series_id=np.arange(len(y), dtype=np.int32),
        sku=np.array(names, dtype=object),
        location=np.array(["all"] * len(y), dtype=object),
        category=np.array(category or [""] * len(y), dtype=object),
    )
    return Panel(origin=ORIGIN, series=index, y=y)


def feature_rows(
    y: np.ndarray, names: list[tuple[str, str]], *, last: date = ORIGIN
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of ``features`` and of ``series`` that hold a matrix; NaN is a day without a row."""
    row, column = np.nonzero(~np.isnan(y))
    days = pd.date_range(end=pd.Timestamp(last), periods=y.shape[1], freq="D").to_numpy()
    features = pd.DataFrame(
        {
            "sale_date": days[column],
            "series_id": row.astype(np.int32),
            "units": y[row, column],
            "on_promotion": (row + column) % 9 == 0,
            "price_ratio": 1.0 - ((row + column) % 9 == 0) * 0.2,
            "in_stock": (row * 7 + column) % 23 != 0,
        }
    )
    series = pd.DataFrame(
        {
            "series_id": np.arange(len(y), dtype=np.int32),
            "sku": pd.array([sku for sku, _ in names], dtype=TEXT),
            "location": pd.array([location for _, location in names], dtype=TEXT),
        }
    )
    return features, series
