"""Scales are the mean one-day differences from the first sale on."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.accuracy import demand_scales, series_scales

NAN = np.nan


def test_scales_are_as_worked_by_hand():
    y = np.array(
        [[0, 0, 2, 5, 5], [NAN, NAN, 4, NAN, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 3], [0, 0, 0, 0, 0]], dtype=float
    )
    absolute, square = demand_scales(y)
    # First sale on the third day: differences 3, 0; then 4, 1 with the unknown day as 0.
    assert np.array_equal(absolute, [1.5, 2.5, NAN, NAN, NAN], equal_nan=True)
    assert np.array_equal(square, [4.5, 8.5, NAN, NAN, NAN], equal_nan=True)


def test_scales_equal_a_plain_loop():
    generator = np.random.default_rng(1)
    y = generator.poisson(0.4, size=(200, 30)).astype(float)
    absolute, square = demand_scales(y)
    for row in range(200):
        sold = np.flatnonzero(y[row])
        steps = np.diff(y[row, sold[0] :]) if len(sold) else np.array([])
        for got, power in ((absolute[row], 1), (square[row], 2)):
            expected = np.mean(np.abs(steps) ** power) if len(steps) else 0.0
            assert np.isnan(got) if expected == 0 else np.isclose(got, expected, rtol=1e-12)


def test_the_frame_reads_its_window_only_and_the_series_of_its_day():
    rows = [
        ("2026-01-01", 2, 99),
        ("2026-01-02", 2, 1),
        ("2026-01-04", 2, 4),
        ("2026-01-03", 1, 5),
        ("2026-01-05", 2, 9),
    ]
    daily = pd.DataFrame(rows, columns=["sale_date", "series_id", "units"]).assign(
        sale_date=lambda frame: pd.to_datetime(frame["sale_date"]),
        units=lambda frame: pd.array([Decimal(u) for u in frame["units"]], dtype=pd.ArrowDtype(pa.decimal128(18, 4))),
    )
    got = series_scales(daily, as_of=pd.Timestamp("2026-01-04"), window=3)
    assert got["series_id"].tolist() == [2]
    assert got["scale_abs"].tolist() == [2.5]
    assert got["scale_sq"].tolist() == [8.5]
