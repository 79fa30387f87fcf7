"""statsforecast over a panel: the library's own numbers, one series never touching another."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting import forecast_origin, model_specs
from forecast_platform.forecasting.guards import COLD_START
from forecast_platform_tests.forecasting.demand import awkward, ordinary, panel_of

pytest.importorskip("statsforecast")
MODELS = ("AutoETS", "AutoTheta", "CrostonClassic", "CrostonOptimized", "CrostonSBA", "TSB", "ADIDA", "IMAPA")


def statsforecast(**parameters):
    from forecast_platform.forecasting.statistical import PanelStatsForecast

    return PanelStatsForecast(**parameters)


def forecast(y, horizon=14, **parameters):
    return statsforecast(**parameters).fit(y[:, None, :]).predict(fh=np.arange(1, horizon + 1))[:, 0, :]


@pytest.mark.slow
def test_sktimes_conformance_suite_passes_whole():
    from sktime.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(type(statsforecast()), raise_exceptions=True, verbose=False)
    assert len(results) > 300
    assert set(results.values()) == {"PASSED"}


def test_croston_with_syntetos_and_boylans_correction_is_what_it_is_by_hand():
    """A sale of 3 every third day, from the third: size 3, interval 3, so 0.95 * 3 / 3."""
    assert forecast(np.tile([0.0, 0.0, 3.0], (1, 20)), model="CrostonSBA")[0] == pytest.approx(np.full(14, 0.95))


@pytest.mark.parametrize("model", MODELS)
def test_a_series_gets_what_the_library_gives_it_alone(model):
    from statsforecast import models

    from forecast_platform.forecasting.statistical import INTERMITTENT

    y = np.nan_to_num(ordinary(4, seed=3))
    arguments = INTERMITTENT.get(model, {"season_length": 7})
    own = getattr(models, model)(**arguments).forecast(y=y[2], h=14)["mean"]
    assert forecast(y, model=model)[2] == pytest.approx(own)


@pytest.mark.parametrize("model", MODELS)
def test_every_series_gets_the_bits_it_gets_alone(model):
    y = np.concatenate([ordinary(3), np.stack(list(awkward().values()))])
    together = forecast(y, model=model)
    for row in range(len(y)):
        assert np.array_equal(forecast(y[row : row + 1], model=model)[0], together[row], equal_nan=True), row


def test_a_series_that_cannot_be_fitted_costs_itself_only():
    y = np.nan_to_num(ordinary(3))
    y[1, :-2] = np.nan
    got = forecast(y, model="AutoETS")
    assert np.isnan(got[1]).all()
    assert np.isfinite(got[[0, 2]]).all()


@pytest.mark.parametrize("model", MODELS)
def test_a_panel_with_awkward_series_is_served(model):
    y = np.concatenate([ordinary(6), np.stack(list(awkward().values()))])
    spec = model_specs({"theirs": f"PanelStatsForecast(model={model!r})"})
    got = list(forecast_origin(panel_of(y), spec, horizon=14))[-1]
    assert got.error is None
    assert np.isfinite(got.mean).all()
    assert ((got.status == COLD_START).all(axis=1) == ((~np.isnan(y)).sum(axis=1) < 20)).all()


@pytest.mark.parametrize("model", ["AutoETS", "AutoTheta"])
def test_its_own_quantiles_do_not_cross_and_are_centred_on_its_forecast(model):
    y = np.nan_to_num(ordinary(5)) + 20.0
    fitted = statsforecast(model=model).fit(y[:, None, :])
    levels = (0.9, 0.025, 0.5, 0.975, 0.1)
    got = fitted.quantiles(levels, 7)
    assert got.shape == (5, 7, 5)
    ordered = got[:, :, np.argsort(levels)]
    assert (np.diff(ordered, axis=2) >= 0).all()
    assert (got >= 0).all()
    assert (ordered[:, :, 4] - ordered[:, :, 0] > ordered[:, :, 3] - ordered[:, :, 1]).all()
    assert got[:, :, 2] == pytest.approx(fitted.predict(fh=np.arange(1, 8))[:, 0, :])


def test_a_model_of_slow_sellers_has_no_quantiles():
    assert statsforecast(model="TSB").fit(ordinary(2)[:, None, :]).quantiles((0.5,), 3) is None


def test_a_frame_of_series_of_unequal_length_gives_what_the_array_gives():
    y = ordinary(6)
    index = pd.MultiIndex.from_product([[f"sku {n} ü" for n in range(6)], pd.date_range("2026-01-01", periods=120)])
    frame = pd.DataFrame({"units": y.reshape(-1)}, index=index).dropna()
    got = statsforecast().fit(frame).predict(fh=[1, 2, 9])["units"].to_numpy().reshape(6, 3)
    assert np.array_equal(got, forecast(y, 9)[:, [0, 1, 8]], equal_nan=True)


def test_a_model_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"Prophet.*AutoETS"):
        statsforecast(model="Prophet")


def test_the_arguments_that_a_spec_may_name_are_those_of_the_class():
    from forecast_platform.forecasting.models import OWN

    made = type(statsforecast())
    assert tuple(inspect.signature(made.__init__).parameters)[1:] == OWN[made.__name__].parameters
