"""Any sktime forecaster runs series by series, and no series can fail another."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting import forecast_origin, model_specs
from forecast_platform.forecasting.guards import COLD_START, FALLBACK, MODEL
from forecast_platform.forecasting.isolated import forecast_each
from forecast_platform_tests.forecasting.demand import awkward, ordinary, panel_of

SPECS = (
    "NaiveForecaster(strategy='mean', window_length=14)",
    "Croston(smoothing=0.2)",
    "Differencer() * TrendForecaster()",
    "PolynomialTrendForecaster(degree=2)",
    "TrendForecaster(regressor=Ridge(alpha=2.0))",
    "RecursiveTabularRegressionForecaster(estimator=Ridge(), window_length=14)",
    "DirectTabularRegressionForecaster(estimator=LinearRegression(), window_length=7)",
    "RecursiveTabularRegressionForecaster(estimator=RandomForestRegressor(n_estimators=5), window_length=7)",
    "EnsembleForecaster([('a', NaiveForecaster(sp=7)), ('b', TrendForecaster())])",
    "LogTransformer() * NaiveForecaster(sp=7)",
    "FallbackForecaster([('a', PolynomialTrendForecaster(degree=3)), ('b', NaiveForecaster())])",
    "NaiveForecaster(strategy='drift')",
    "MultiplexForecaster([('a', NaiveForecaster()), ('b', TrendForecaster())], selected_forecaster='b')",
)


WITH_A_LIBRARY = (
    ("statsmodels", "ThetaForecaster(deseasonalize=False)"),
    ("statsmodels", "ExponentialSmoothing(trend='add', damped_trend=True)"),
    ("statsmodels", "Deseasonalizer(sp=7) * Detrender() * NaiveForecaster()"),
    ("prophet", "Prophet(weekly_seasonality=True)"),
)
"""Classes of sktime that need a package which the platform does without."""


@pytest.mark.parametrize(("package", "text"), WITH_A_LIBRARY)
def test_a_spec_that_needs_a_package_serves_a_panel_where_the_package_is(package, text):
    pytest.importorskip(package)
    y = np.concatenate([ordinary(3), awkward()["constant"][None], awkward()["all zero"][None]])
    got = forecasts(y, text)
    assert got.error is None
    assert np.isfinite(got.mean).all()
    assert (got.status[1] == MODEL).all()
    assert np.array_equal(forecasts(y[1:2], text).mean[0], got.mean[1])


def forecasts(y, text):
    return list(forecast_origin(panel_of(y), model_specs({"theirs": text}), horizon=14))[-1]


@pytest.mark.parametrize("text", SPECS)
def test_any_spec_of_sktime_serves_a_panel_with_awkward_series(text):
    y = np.concatenate([ordinary(6), np.stack(list(awkward().values()))])
    got = forecasts(y, text)
    assert got.error is None
    assert np.isfinite(got.mean).all()
    short = (~np.isnan(y)).sum(axis=1) < 20
    assert ((got.status == COLD_START) == short[:, None]).all()
    assert (got.status[:6][~short[:6]] == MODEL).mean() > 0.9
    alone = forecasts(y[1:2], text)
    assert np.array_equal(alone.mean[0], got.mean[1])


def test_a_series_that_raises_gets_the_fallback_and_the_others_their_own_forecast():
    """The window is longer than one series: fitting that one raises."""
    text = "RecursiveTabularRegressionForecaster(estimator=LinearRegression(), window_length=40)"
    y = ordinary(4, seed=8)[1:]
    y = np.nan_to_num(y)
    y[1, :90] = np.nan
    got, without = forecasts(y, text), forecasts(y[[0, 2]], text)
    assert (got.status[1] == FALLBACK).all()
    assert np.isfinite(got.mean[1]).all()
    assert got.fallbacks == 1
    assert np.array_equal(got.mean[[0, 2]], without.mean)
    assert np.array_equal(got.status[[0, 2]], without.status)


def test_a_forecaster_that_fails_for_every_series_fails_as_a_model():
    model = model_specs({"theirs": "RecursiveTabularRegressionForecaster(estimator=Ridge(), window_length=500)"})[-1]
    panel = panel_of(np.ones((3, 120)))
    attempt = forecast_each(model.build(), panel.y, panel.dates, horizon=3, min_history=20)
    assert (attempt.tried, attempt.failed, attempt.first[0]) == (3, 3, 0)
    (got,) = forecast_origin(panel, [model], horizon=3)
    assert got.error == f"EverySeriesFailed: {attempt.first[1]}" and got.mean is None


FOREST = "RecursiveTabularRegressionForecaster(estimator=RandomForestRegressor(n_estimators=3{}), window_length=7)"


def test_random_numbers_start_anew_for_every_series_and_leave_no_trace():
    y = np.nan_to_num(ordinary(3))
    np.random.seed(123)
    before = np.random.get_state()[1].copy()
    first = forecasts(y, FOREST.format("")).mean
    assert np.array_equal(np.random.get_state()[1], before)
    np.random.seed(99)
    assert np.array_equal(forecasts(y, FOREST.format("")).mean, first)
    assert np.array_equal(forecasts(y[2:], FOREST.format("")).mean[0], first[2])


def test_a_seed_of_the_spec_is_kept():
    y = ordinary(3, seed=2)[2:]
    first, second, again = (forecasts(y, FOREST.format(f", random_state={seed}")).mean for seed in (1, 2, 1))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)


def drawing_forecaster(source):
    """A forecaster whose forecast is one random number, from numpy's global state or from its own generator."""
    from sktime.forecasting.base import BaseForecaster

    class Drawing(BaseForecaster):
        _tags: ClassVar = {"requires-fh-in-fit": False, "y_inner_mtype": "pd.Series"}

        def __init__(self, source="global", random_state=None):
            self.source = source
            self.random_state = random_state
            super().__init__()

        def _fit(self, y, X, fh):
            own = self.source == "own"
            self.draw_ = np.random.default_rng(self.random_state).random() if own else np.random.rand()
            return self

        def _predict(self, fh, X):
            return pd.Series(self.draw_, index=fh.to_absolute_index(self.cutoff))

    return Drawing(source)


@pytest.mark.parametrize("source", ["global", "own"])
def test_random_numbers_of_either_kind_repeat(source):
    panel = panel_of(np.ones((2, 30)))
    runs = []
    for seed in (1, 2):
        np.random.seed(seed)
        runs.append(forecast_each(drawing_forecaster(source), panel.y, panel.dates, horizon=1, min_history=20).mean)
    assert np.isfinite(runs[0]).all()
    assert np.array_equal(runs[0], runs[1])
