"""The project's forecasters keep sktime's contract, and what it does not test: uneven panels."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.models import OWN, model_specs
from forecast_platform_tests.forecasting.demand import awkward, ordinary

CORE = [name for name, own in OWN.items() if own.module == "forecasters"]
"""Those that need no library beyond the platform's own; the others have test files of their own."""
POOLED_CLASSES = ("LagRegression", "WeekdayProfile", "Ensemble")


def forecaster(class_name, **parameters):
    from forecast_platform.forecasting import forecasters

    return getattr(forecasters, class_name)(**parameters)


QUICKLY_CONFORMING = ("MovingAverage", "Ensemble")
"""One of those that know each series alone and one that is fitted to all of them, which has two more for members."""


@pytest.mark.parametrize(
    "class_name",
    [name if name in QUICKLY_CONFORMING else pytest.param(name, marks=pytest.mark.slow) for name in CORE],
)
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


@pytest.mark.parametrize("class_name", [name for name in CORE if name not in POOLED_CLASSES])
def test_every_series_gets_the_bits_it_gets_alone(class_name):
    y = np.concatenate([ordinary(30), np.stack(list(awkward().values()))])
    together = forecaster(class_name).fit(y[:, None, :]).predict(fh=np.arange(1, 29))[:, 0, :]
    for row in range(len(y)):
        alone = forecaster(class_name).fit(y[row : row + 1, None, :]).predict(fh=np.arange(1, 29))[:, 0, :]
        assert np.array_equal(alone[0], together[row], equal_nan=True), row


@pytest.mark.parametrize("class_name", POOLED_CLASSES)
def test_copies_of_a_panel_in_other_order_get_the_same_forecasts_but_for_rounding(class_name):
    y = np.nan_to_num(ordinary(30))
    order = np.random.default_rng(0).permutation(30)
    got = forecaster(class_name).fit(y[:, None, :]).predict(fh=[1, 7])[:, 0, :]
    shuffled = forecaster(class_name).fit(y[order][:, None, :]).predict(fh=[1, 7])[:, 0, :]
    assert np.allclose(shuffled, got[order], rtol=1e-9)


def promoted_panel():
    generator = np.random.default_rng(3)
    x = np.stack([generator.random((40, 134)) < 0.1, np.round(generator.normal(1, 0.1, (40, 134)), 2)], axis=1)
    x = x.astype(float)
    rate = generator.lognormal(1.0, 1.0, (40, 1)) * (1 + 1.2 * x[:, 0]) * (2.0 - x[:, 1])
    return generator.poisson(rate[:, :120]).astype(float), x


@pytest.mark.parametrize("class_name", POOLED_CLASSES)
def test_contributions_sum_to_the_forecast_and_bear_the_covariates_names(class_name):
    y, x = promoted_panel()
    context = PanelContext(
        group=np.arange(40) % 4,
        location=np.arange(40) % 2,
        category=np.arange(40) % 2,
        dates=pd.date_range("2026-01-01", periods=120),
        covariates=("on_promotion", "price_ratio"),
    )
    horizon = np.arange(1, 15)
    fitted = forecaster(class_name).in_context(context).fit(y[:, None, :], X=x[:, :, :120])
    forecast = fitted.predict(fh=horizon, X=x[:, :, 120:])[:, 0, :]
    terms = fitted.contributions(horizon, X=x[:, :, 120:])
    recent = () if class_name == "WeekdayProfile" else ("recent sales",)
    assert set(terms) == {"level", "weekday", *recent, "on_promotion", "price_ratio"}
    assert np.abs(sum(terms.values()) - forecast).max() < 1e-9 * max(1.0, np.abs(forecast).max())
    promoted = x[:, 0, 120:] == 1
    assert terms["on_promotion"][~promoted] == pytest.approx(0.0, abs=0.15 * y.mean())
    assert terms["on_promotion"][promoted].mean() > 0.5 * y.mean()
    some = fitted.contributions([2, 9], X=x[:, :, [121, 128]])
    assert np.allclose(some["weekday"], terms["weekday"][:, [1, 8]])


@pytest.mark.parametrize("class_name", POOLED_CLASSES)
def test_without_covariates_there_are_no_terms_of_them(class_name):
    fitted = forecaster(class_name).fit(ordinary(8)[:, None, :])
    assert set(fitted.contributions([1, 2])) <= {"level", "weekday", "recent sales"}
    with pytest.raises(Exception, match="fit"):
        forecaster(class_name).contributions([1])


def test_an_ensemble_is_the_mean_of_its_members_and_the_profile_alone_where_there_is_too_little():
    y = np.nan_to_num(ordinary(20))
    y[3, :105] = np.nan
    horizon = np.arange(1, 15)

    def of(class_name, **parameters):
        return forecaster(class_name, **parameters).fit(y[:, None, :]).predict(fh=horizon)[:, 0, :]

    linear, profile, both = of("LagRegression"), of("WeekdayProfile"), of("Ensemble")
    long = np.arange(20) != 3
    assert np.allclose(both[long], (linear[long] + profile[long]) / 2)
    assert np.allclose(both[3], profile[3])
    assert np.allclose(of("Ensemble", linear_weight=0.0), profile)
    assert np.allclose(of("Ensemble", linear_weight=1.0)[long], linear[long])


@pytest.mark.parametrize("class_name", POOLED_CLASSES)
def test_covariates_known_ahead_reach_a_forecaster_by_array_and_by_frame(class_name):
    y, x = promoted_panel()
    x = x[:, :1]
    forecast = forecaster(class_name).fit(y[:, None, :], X=x[:, :, :120]).predict(fh=np.arange(1, 15), X=x[:, :, 120:])
    lift = forecast[:, 0, :][x[:, 0, 120:] == 1].sum() / (x[:, 0, 120:] == 1).sum() / y.mean()
    assert 1.6 < lift < 2.4
    days = pd.date_range("2026-01-01", periods=134, freq="D")
    past, ahead = (pd.MultiIndex.from_product([range(40), part]) for part in (days[:120], days[120:]))
    by_frame = forecaster(class_name).fit(
        pd.DataFrame({"y": y.reshape(-1)}, index=past),
        X=pd.DataFrame({"promotion": x[:, 0, :120].reshape(-1)}, index=past),
    )
    got = by_frame.predict(fh=np.arange(1, 15), X=pd.DataFrame({"promotion": x[:, 0, 120:].reshape(-1)}, index=ahead))
    assert np.array_equal(got["y"].to_numpy().reshape(40, 14), forecast[:, 0, :])


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
        ("LagRegression", {"windows": (0,)}),
        ("WeekdayProfile", {"half_life": 0.0}),
        ("WeekdayProfile", {"profile_spread": -0.1}),
        ("WeekdayProfile", {"growth_spread": float("nan")}),
        ("Ensemble", {"linear_weight": 1.5}),
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
