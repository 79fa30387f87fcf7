"""The project's forecasters keep sktime's contract, and what it does not test: uneven panels."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.models import OWN, model_specs
from forecast_platform_tests.forecasting.demand import awkward, ordinary

CORE = [name for name, own in OWN.items() if own.module == "forecasters"]
"""Those that need no library beyond the platform's own; the others have test files of their own."""


def forecaster(class_name, **parameters):
    from forecast_platform.forecasting import forecasters

    return getattr(forecasters, class_name)(**parameters)


@pytest.mark.parametrize("class_name", CORE)
def test_sktimes_conformance_suite_passes_whole(class_name):
    from sktime.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(type(forecaster(class_name)), raise_exceptions=True, verbose=False)
    assert len(results) > 300
    assert set(results.values()) == {"PASSED"}


@pytest.mark.parametrize("class_name", CORE)
def test_the_arguments_that_a_spec_may_name_are_those_of_the_class(class_name):
    parameters = inspect.signature(type(forecaster(class_name)).__init__).parameters
    assert tuple(parameters)[1:] == OWN[class_name].parameters


@pytest.mark.parametrize("class_name", CORE)
def test_an_array_and_a_frame_of_the_same_panel_give_the_same_forecasts(class_name):
    y = ordinary(6)
    days = pd.date_range("2026-01-01", periods=y.shape[1], freq="D")
    index = pd.MultiIndex.from_product([[f"sku {n} ü" for n in range(6)], days], names=["sku", "day"])
    frame = pd.DataFrame({"units": y.reshape(-1)}, index=index)
    horizon = np.arange(1, 15)
    from_array = forecaster(class_name).fit(y[:, None, :]).predict(fh=horizon)
    from_frame = forecaster(class_name).fit(frame).predict(fh=horizon)
    assert np.array_equal(from_frame["units"].to_numpy().reshape(6, 14), from_array[:, 0, :])
    assert from_frame.index.names == ["sku", "day"]
    assert from_frame.index.get_level_values("day")[0] == days[-1] + pd.Timedelta(days=1)


@pytest.mark.parametrize("class_name", CORE)
def test_series_of_unequal_length_and_with_gaps_lie_on_one_calendar(class_name):
    """Rows that are absent and rows that are NaN are the same thing; order of rows does not matter."""
    y = np.stack(list(awkward().values())[1:])
    days = pd.date_range("2026-01-01", periods=y.shape[1], freq="D")
    index = pd.MultiIndex.from_product([range(len(y)), days])
    frame = pd.DataFrame({"units": y.reshape(-1)}, index=index).dropna()
    expected = forecaster(class_name).fit(y[:, None, :]).predict(fh=[1, 2, 9])[:, 0, :]
    got = forecaster(class_name).fit(frame).predict(fh=[1, 2, 9])
    assert np.array_equal(got["units"].to_numpy().reshape(len(y), 3), expected, equal_nan=True)


@pytest.mark.parametrize("class_name", CORE)
def test_every_series_gets_the_bits_it_gets_alone(class_name):
    y = np.concatenate([ordinary(30), np.stack(list(awkward().values()))])
    together = forecaster(class_name).fit(y[:, None, :]).predict(fh=np.arange(1, 29))[:, 0, :]
    for row in range(len(y)):
        alone = forecaster(class_name).fit(y[row : row + 1, None, :]).predict(fh=np.arange(1, 29))[:, 0, :]
        assert np.array_equal(alone[0], together[row], equal_nan=True), row


def test_covariates_known_ahead_reach_the_regression_by_array_and_by_frame():
    generator = np.random.default_rng(3)
    promotion = (generator.random((5, 1, 134)) < 0.2).astype(float)
    y = 4.0 + 6.0 * promotion[:, 0, :120] + generator.normal(0, 0.1, (5, 120))
    plain = forecaster("LagRegression", ridge=0.01)
    forecast = plain.fit(y[:, None, :], X=promotion[:, :, :120]).predict(fh=np.arange(1, 15), X=promotion[:, :, 120:])
    lift = forecast[:, 0, :][promotion[:, 0, 120:] == 1].mean() - forecast[:, 0, :][promotion[:, 0, 120:] == 0].mean()
    assert lift == pytest.approx(6.0, abs=0.4)
    days = pd.date_range("2026-01-01", periods=134, freq="D")
    past, ahead = (pd.MultiIndex.from_product([range(5), part]) for part in (days[:120], days[120:]))
    by_frame = forecaster("LagRegression", ridge=0.01).fit(
        pd.DataFrame({"y": y.reshape(-1)}, index=past),
        X=pd.DataFrame({"promotion": promotion[:, 0, :120].reshape(-1)}, index=past),
    )
    got = by_frame.predict(
        fh=np.arange(1, 15), X=pd.DataFrame({"promotion": promotion[:, 0, 120:].reshape(-1)}, index=ahead)
    )
    assert np.array_equal(got["y"].to_numpy().reshape(5, 14), forecast[:, 0, :])


@pytest.mark.parametrize(
    ("class_name", "parameters"),
    [
        ("SeasonalNaive", {"sp": 0}),
        ("SeasonalNaive", {"sp": 7.5}),
        ("MovingAverage", {"window": -1}),
        ("LagRegression", {"lags": ()}),
        ("LagRegression", {"lags": (0, 7)}),
        ("LagRegression", {"ridge": 0.0}),
        ("LagRegression", {"day_shrinkage": -1.0}),
    ],
)
def test_arguments_that_cannot_work_are_refused_by_name(class_name, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        forecaster(class_name, **parameters)


def test_the_default_models_are_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in model_specs():
            model.build().fit(ordinary(3)[:, None, :]).predict(fh=[1, 2])
