"""One origin, every model: guarded, marked, each on its own, and from nothing that lies ahead."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.forecasting import (
    DEFAULT_MODELS,
    STATUSES,
    PanelHistory,
    forecast_origin,
    model_specs,
    regression,
)
from forecast_platform.forecasting.guards import COLD_START
from forecast_platform_tests.forecasting.demand import ORIGIN, POOLED, WINDOW, feature_rows, ordinary, panel_of

BROKEN = "RecursiveTabularRegressionForecaster(estimator=Ridge(), window_length=500)"


def by_model(y, models=None, horizon=28, **options):
    return {f.model: f for f in forecast_origin(panel_of(y, **options), model_specs(models), horizon=horizon)}


def test_the_models_arithmetic_is_as_worked_by_hand():
    y = np.arange(1.0, 29.0)[None, :]
    got = by_model(y, horizon=8)
    assert got["naive"].mean[0].tolist() == [28.0] * 8
    assert got["seasonal_naive_7"].mean[0].tolist() == [22, 23, 24, 25, 26, 27, 28, 22]
    assert got["moving_average_7"].mean[0].tolist() == [25.0] * 8


def test_a_short_series_is_a_cold_start_for_the_models_that_need_more():
    y = np.ones((2, 120))
    y[1, :110] = np.nan
    short = {name: (f.status[1] == COLD_START).all() for name, f in by_model(y).items()}
    assert short == {name: name == "linear" for name in DEFAULT_MODELS}
    assert by_model(y)["linear"].fallbacks == 1


def test_a_model_that_fails_stops_no_other_and_says_why_on_one_line():
    got = by_model(np.ones((3, 120)), {"broken": BROKEN, "unknown": "NoSuchForecaster()", "mine": "MovingAverage()"})
    assert list(got) == ["naive", "seasonal_naive_7", "broken", "unknown", "mine"]
    assert "NoSuchForecaster" in got["unknown"].error
    for name in ("broken", "unknown"):
        assert got[name].mean is None
        assert "\n" not in got[name].error
        with pytest.raises(ValueError, match=name):
            got[name].frame()
    assert got["mine"].error is None


def test_a_model_that_runs_out_of_memory_costs_its_own_forecasts_only():
    got = by_model(np.ones((3, 120)), {"huge": "LagRegression(windows=(100000000000000,))", "mine": "MovingAverage()"})
    assert "Error" in got["huge"].error
    assert got["mine"].error is None


def test_what_models_share_is_fitted_once_and_changes_no_bit(monkeypatch: pytest.MonkeyPatch):
    fitted = []
    fit = regression.fit_lag_regression
    # A choice of the penalty fits samples of the panel; the whole of it is the fit.
    monkeypatch.setattr(
        regression, "fit_lag_regression", lambda y, *rest, **named: (fitted.append(len(y)), fit(y, *rest, **named))[1]
    )
    y, names = ordinary(40), ("weekday_profile", "linear", "ensemble")
    specs = [model for model in model_specs() if model.name in names]
    together = {each.model: each for each in forecast_origin(panel_of(y), specs, horizon=28)}
    shared = fitted.count(40)
    alone = {model.name: next(iter(forecast_origin(panel_of(y), [model], horizon=28))) for model in specs}
    assert (shared, fitted.count(40) - shared) == (fitted.count(40) // 3, 2 * shared)
    for name in names:
        assert np.array_equal(together[name].mean, alone[name].mean)
        assert np.array_equal(together[name].status, alone[name].status)
    stiff = model_specs({"stiff": "LagRegression(ridge=100.0)"})[-1]
    beside = {each.model: each for each in forecast_origin(panel_of(y), [*specs, stiff], horizon=28)}
    assert np.array_equal(beside["stiff"].mean, next(iter(forecast_origin(panel_of(y), [stiff], horizon=28))).mean)
    assert not np.array_equal(beside["stiff"].mean, beside["linear"].mean)


def test_a_panel_without_series_gives_no_rows_and_no_error():
    for forecast in by_model(np.empty((0, 120)), {"theirs": "NaiveForecaster()", "linear": "LagRegression()"}).values():
        assert forecast.error is None
        assert forecast.mean.shape == forecast.status.shape == (0, 28)
        assert len(forecast.frame()) == 0


def test_the_frame_has_a_row_for_each_series_and_day_ahead():
    y = np.ones((3, 120))
    y[2, :115] = np.nan
    frame = by_model(y, horizon=2)["linear"].frame()
    assert frame["series_id"].tolist() == [0, 1, 2] * 2
    assert frame["horizon"].tolist() == [1] * 3 + [2] * 3
    assert frame["status"].tolist() == ["model", "model", "cold_start"] * 2
    assert set(frame["status"]) <= set(STATUSES)
    assert [str(t) for t in frame.dtypes] == ["int32", "int16", "float64", "string[pyarrow]"]


def test_a_horizon_of_a_year_works_and_none_is_refused():
    assert by_model(ordinary(5), horizon=365)["linear"].mean.shape == (5, 365)
    with pytest.raises(ValueError, match="horizon is 0"):
        by_model(ordinary(5), horizon=0)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 25))
def test_nothing_after_the_origin_is_seen(seed, cut):
    y = np.nan_to_num(ordinary(8, seed=seed, days=150))
    features, series = feature_rows(y, [(f"s{n}", "all") for n in range(8)])
    origin = ORIGIN - timedelta(days=cut)
    later = features["sale_date"] > pd.Timestamp(origin)
    nonsense = features.assign(
        units=features["units"].where(~later, 987654.0), in_stock=features["in_stock"] ^ later.to_numpy()
    )
    for model, (expected, got) in zip(
        model_specs(),
        zip(*(forecasts(frame, series, origin) for frame in (features, nonsense)), strict=True),
        strict=True,
    ):
        assert np.array_equal(expected, got), model.name


def test_row_order_ids_and_range_do_not_change_a_bit():
    y = ordinary(8, days=150)
    features, series = feature_rows(y, [(f"s{n}", "all") for n in range(8)])
    ids = np.random.default_rng(1).permutation(100)[:8].astype(np.int32)
    other = features.assign(series_id=ids[features["series_id"]]).sample(frac=1, random_state=3)
    renamed = series.assign(series_id=ids[series["series_id"]])
    window = features[features["sale_date"] > pd.Timestamp(ORIGIN) - pd.Timedelta(days=WINDOW)]
    expected = forecasts(features, series, ORIGIN)
    for got in (forecasts(other, renamed, ORIGIN), forecasts(window, series, ORIGIN)):
        assert all(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))


def forecasts(features, series, origin):
    panel = PanelHistory.from_features(features, series).panel_at(origin, window=WINDOW)
    return [forecast.mean for forecast in forecast_origin(panel, model_specs(), horizon=28)]


def test_a_changed_sale_of_one_series_changes_that_series_and_hardly_what_is_pooled():
    y = np.nan_to_num(ordinary(40))
    changed = y.copy()
    changed[4, -3] += 50
    same = np.arange(40) != 4
    for name, before in by_model(y).items():
        after = by_model(changed)[name]
        if name in POOLED:
            level = y.mean(axis=1)[same][:, None]
            assert (np.abs(after.mean - before.mean)[same] <= 0.1 * level).all(), name
        else:
            assert np.array_equal(before.mean[same], after.mean[same]), name
        if name != "naive":
            assert not np.array_equal(before.mean[4], after.mean[4])
