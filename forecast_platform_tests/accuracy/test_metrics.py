"""Metrics equal hand-worked values and plain numpy; what is not defined is null."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.accuracy import error_metrics, forecast_value_added, scaled_metrics, series_scaled_errors

NAN = np.nan
ERRORS = pd.DataFrame(
    {
        "model": ["a", "a", "a", "b", "b"],
        "series_id": [1, 1, 2, 1, 2],
        "forecast": [12.0, 3.0, 1.0, 0.0, 5.0],
        "actual": [10.0, 4.0, 0.0, 0.0, 0.0],
        "scale_abs": [2.0, 2.0, 0.5, 2.0, 0.5],
        "scale_sq": [5.0, 5.0, 1.0, 5.0, 0.0],
    }
)


def test_metrics_are_as_worked_by_hand():
    got = error_metrics(ERRORS, by=["model"]).set_index("model")
    a = got.loc["a"]
    assert a["n"] == 3
    assert a["wape"] == pytest.approx(4 / 14)
    assert a["mape"] == pytest.approx((0.2 + 0.25) / 2)
    assert a["mape_coverage"] == pytest.approx(2 / 3)
    assert a["bias"] == pytest.approx(2 / 14)
    assert a["mae"] == pytest.approx(4 / 3)
    assert a["rmse"] == pytest.approx(np.sqrt(2))


def test_without_an_actual_sale_the_ratios_are_null_and_the_rest_is_not():
    b = error_metrics(ERRORS, by=["model"]).set_index("model").loc["b"]
    assert np.isnan([b["wape"], b["mape"], b["bias"]]).all()
    assert (b["mape_coverage"], b["mae"]) == (0.0, 2.5)


def test_a_total_is_of_the_whole_scope_and_no_mean_of_ratios():
    total = error_metrics(ERRORS)
    assert len(total) == 1
    assert total["wape"].iloc[0] == pytest.approx(9 / 14)


def test_no_errors_at_all_give_nulls():
    total = error_metrics(ERRORS.iloc[:0]).iloc[0]
    assert total["n"] == 0
    assert np.isnan([total["wape"], total["mae"], total["rmse"]]).all()
    assert len(error_metrics(ERRORS.iloc[:0], by=["model"])) == 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1e6), st.integers(0, 50)), min_size=1, max_size=40))
def test_metrics_equal_plain_numpy(rows):
    frame = pd.DataFrame(rows, columns=["bucket", "forecast", "actual"])
    for row in error_metrics(frame, by=["bucket"]).itertuples():
        part = frame[frame["bucket"] == row.bucket]
        f, a = part["forecast"].to_numpy(), part["actual"].to_numpy(dtype=float)
        above = a > 0
        expected = [
            np.abs(f - a).sum() / a.sum() if a.sum() else NAN,
            (np.abs(f - a)[above] / a[above]).mean() if above.any() else NAN,
            above.mean(),
            (f - a).sum() / a.sum() if a.sum() else NAN,
            np.abs(f - a).mean(),
            np.sqrt(((f - a) ** 2).mean()),
        ]
        got = [row.wape, row.mape, row.mape_coverage, row.bias, row.mae, row.rmse]
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_a_row_without_an_actual_is_the_callers_error():
    with pytest.raises(ValueError, match="1 rows of errors have no actual"):
        error_metrics(ERRORS.assign(actual=[NAN, 1, 1, 1, 1]))


def test_scaled_errors_are_as_worked_by_hand():
    got = series_scaled_errors(ERRORS, by=["model"]).set_index(["model", "series_id"])
    assert got.loc[("a", 1), "mase"] == pytest.approx((2 + 1) / 2 / 2)
    assert got.loc[("a", 1), "rmsse"] == pytest.approx(np.sqrt((4 + 1) / 2 / 5))
    assert got.loc[("a", 2)].tolist() == [2.0, 1.0]
    assert got.loc[("b", 1)].tolist() == [0.0, 0.0]
    assert got.loc[("b", 2), "mase"] == 10.0
    assert np.isnan(got.loc[("b", 2), "rmsse"])


def test_means_over_series_are_plain_and_by_weight_and_count_what_is_not_defined():
    got = scaled_metrics(ERRORS, by=["model"], weights=pd.Series({1: 3.0, 2: 1.0})).set_index("model")
    assert got.loc["a", "rmsse"] == pytest.approx((np.sqrt(0.5) + 1.0) / 2)
    assert got.loc["a", "weighted_rmsse"] == pytest.approx((3 * np.sqrt(0.5) + 1.0) / 4)
    assert (got.loc["a", "series"], got.loc["a", "undefined"]) == (2, 0)
    assert (got.loc["b", "series"], got.loc["b", "undefined"]) == (1, 1)
    assert got.loc["b", "weighted_rmsse"] == 0.0
    assert "weighted_rmsse" not in scaled_metrics(ERRORS)


def test_each_origin_counts_with_its_own_scale():
    frame = pd.DataFrame({"series_id": [1, 1], "forecast": [2.0, 4.0], "actual": [0.0, 0.0]})
    frame = frame.assign(scale_abs=[1.0, 4.0], scale_sq=[1.0, 4.0])
    got = series_scaled_errors(frame).iloc[0]
    assert got["mase"] == pytest.approx((2 + 1) / 2)
    assert got["rmsse"] == pytest.approx(np.sqrt((4 + 4) / 2))


def test_value_added_is_what_the_benchmark_missed_more():
    metrics = pd.DataFrame(
        {
            "model": ["seasonal_naive_7", "linear", "seasonal_naive_7", "linear", "linear"],
            "bucket": ["1", "1", "2-7", "2-7", "8-14"],
            "wape": [1.0, 0.7, 1.2, 1.5, 1.0],
        },
        index=[9, 8, 7, 6, 5],
    )
    got = forecast_value_added(metrics, metric="wape", by=["bucket"])
    assert got.index.tolist() == [9, 8, 7, 6, 5]
    np.testing.assert_allclose(got, [0.0, 0.3, 0.0, -0.3, NAN])
    total = forecast_value_added(metrics.iloc[:2], metric="wape")
    np.testing.assert_allclose(total, [0.0, 0.3])
    assert forecast_value_added(metrics.iloc[[1]], metric="wape").isna().all()
