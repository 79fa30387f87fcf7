"""The accuracy views equal pandas on the same errors."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast_platform.accuracy.champions import MIN_COVERAGE
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.dbt import recomputation
from forecast_platform_tests.dbt.shop import SERIES, Dbt, Version, day, open_shop, put_events
from forecast_platform_tests.dbt.test_incremental import a_month


def view(warehouse: Warehouse, query: str) -> pd.DataFrame:
    with warehouse.reading() as session:
        frame = session.frame(query)
    for name in frame.columns:
        if name in ("as_of", "target_date"):
            frame[name] = pd.to_datetime(frame[name]).dt.date
    return frame


def assert_same(found: Any, expected: dict[str, float], scope: object) -> None:
    for name, value in expected.items():
        got = found[name]
        got = math.nan if pd.isna(got) else float(got)
        assert got == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), (scope, name)


@pytest.fixture
def counted(warehouse: Warehouse, dbt: Dbt, versions: list[Version]) -> pd.DataFrame:
    """The errors that accuracy counts, as pandas has them, of a shop that dbt has built."""
    open_shop(warehouse, versions=versions)
    events = a_month()
    put_events(warehouse, events)
    dbt.build(0, 15)
    sales = recomputation.daily_sales(events, {})
    errors = recomputation.counted(recomputation.forecast_errors(versions, sales), recomputation.series_scales(sales))
    errors.attrs["revenue"] = {key: float(row["revenue"]) for key, row in sales.items()}
    return errors


def weights(errors: pd.DataFrame, as_of: Any) -> dict[int, float]:
    """Revenue of each series in the 28 days up to ``as_of``, not below 0."""
    sums: dict[int, float] = {}
    for (sale_date, series_id), revenue in errors.attrs["revenue"].items():
        if as_of - timedelta(days=27) <= sale_date <= as_of:
            sums[series_id] = sums.get(series_id, 0.0) + revenue
    return {series_id: max(total, 0.0) for series_id, total in sums.items()}


def scopes(errors: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """(model, bucket) -> its errors, with ``all`` for the buckets together."""
    by_bucket = dict(list(errors.groupby(["model", "horizon_bucket"])))
    return by_bucket | {(model, "all"): rows for model, rows in errors.groupby("model")}


def test_forecast_accuracy_equals_pandas_on_the_same_errors(warehouse: Warehouse, counted: pd.DataFrame) -> None:
    assert counted["ape"].isna().any() and counted["scaled_sq"].isna().any(), "the shop has no undefined metric to test"

    keys = ["as_of", "window_days", "model", "horizon_bucket"]
    found = view(warehouse, "select * from forecast_accuracy").set_index(keys).sort_index()
    expected_scopes = 0
    for as_of in (day(4), day(9), day(15)):
        for window in (7, 28, 90):
            since = as_of - timedelta(days=window - 1)
            inside = counted[(counted["target_date"] >= since) & (counted["target_date"] <= as_of)]
            for (model, bucket), errors in scopes(inside).items():
                expected_scopes += 1
                expected = recomputation.accuracy(errors, weights(counted, as_of))
                assert_same(found.loc[as_of, window, model, bucket], expected, (as_of, window, model, bucket))
            assert_value_added(found.loc[as_of, window])
    assert expected_scopes == len(found.loc[[day(4), day(9), day(15)]])

    total = view(warehouse, "select * from forecast_accuracy_total").set_index(["model", "horizon_bucket"])
    assert set(total["as_of"]) == {day(15)} and len(total) == len(scopes(counted))
    for key, errors in scopes(counted).items():
        assert_same(total.loc[key], recomputation.accuracy(errors, weights(counted, day(15))), key)
    assert_value_added(total)

    series = view(
        warehouse, f"select * from forecast_accuracy_by_series where as_of = date '{day(9)}' and window_days = 7"
    )
    inside = counted[(counted["target_date"] > day(2)) & (counted["target_date"] <= day(9))]
    found = series.set_index(["model", "horizon_bucket", "series_id"])
    for (model, bucket), errors in scopes(inside).items():
        for series_id, own in errors.groupby("series_id"):
            expected = recomputation.metrics(own) | recomputation.series_metrics(own)
            assert_same(found.loc[model, bucket, series_id], expected, (model, bucket, series_id))


def assert_value_added(found: pd.DataFrame) -> None:
    """FVA is the floor's metric minus the model's, in the same scope, for models that have the floor's errors."""
    floor = found.xs("seasonal_naive_7", level="model").reindex(found.index.get_level_values("horizon_bucket"))
    compared = found["n"].to_numpy() >= MIN_COVERAGE * floor["n"].to_numpy()
    for name, metric in (("fva_wape", "wape"), ("fva_rmsse", "mean_rmsse")):
        added = np.where(compared, floor[metric].to_numpy() - found[metric].to_numpy(), np.nan)
        pd.testing.assert_series_equal(
            found[name].astype(float), pd.Series(added.astype(float), found.index, name=name), rtol=1e-9, atol=1e-12
        )


def test_the_newest_version_is_shown_and_every_one_is_kept(
    warehouse: Warehouse, dbt: Dbt, versions: list[Version]
) -> None:
    open_shop(warehouse, versions=versions)
    dbt.build(0, 0, "tag:view", "tag:partitioned", "tag:staging")
    everything = view(warehouse, "select * from forecasts_by_sku")
    assert len(everything) == sum(len(version.means) for version in versions)
    latest = view(warehouse, f"select * from latest_forecasts where origin_date = date '{day(4)}' and model = 'linear'")
    older, newer = (version for version in versions if (version.origin, version.model) == (day(4), "linear"))
    newest = {series_id: newer if (series_id, 1) in newer.means else older for series_id in SERIES}
    assert set(newest.values()) == {older, newer}
    assert set(zip(latest["series_id"], latest["horizon"], strict=True)) == set(older.means)
    for row in latest.itertuples():
        version = newest[row.series_id]
        assert (row.version_id, row.mean) == (version.version_id, version.means[row.series_id, row.horizon])
