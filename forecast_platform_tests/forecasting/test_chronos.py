"""Chronos-2 over a panel, with a tiny checkpoint of random weights: no number here says how well it forecasts."""

import inspect
import warnings

import numpy as np
import pytest

from forecast_platform.forecasting import forecast_origin, model_specs
from forecast_platform_tests.forecasting.demand import awkward, ordinary, panel_of

torch = pytest.importorskip("torch")
pytest.importorskip("chronos")
LEVELS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """A folder as a download of the real weights would be, a thousandth of their size."""
    from chronos.chronos2 import Chronos2Model
    from chronos.chronos2.config import Chronos2CoreConfig

    torch.manual_seed(7)
    config = Chronos2CoreConfig(
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        dropout_rate=0.0,
        chronos_config={
            "context_length": 128,
            "input_patch_size": 8,
            "input_patch_stride": 8,
            "output_patch_size": 8,
            "quantiles": LEVELS,
            "use_reg_token": True,
            "use_arcsinh": True,
            "max_output_patches": 4,
            "time_encoding_scale": 128,
        },
        architectures=["Chronos2Model"],
    )
    folder = tmp_path_factory.mktemp("chronos") / "tiny"
    Chronos2Model(config).save_pretrained(folder)
    return str(folder)


def chronos(checkpoint: str, **parameters):
    from forecast_platform.forecasting.chronos import Chronos2

    return Chronos2(path=checkpoint, **({"batch_size": 8} | parameters))


def forecast(checkpoint: str, y: np.ndarray, horizon: int = 14, **parameters) -> np.ndarray:
    fitted = chronos(checkpoint, **parameters).fit(y[:, None, :])
    return fitted.predict(fh=np.arange(1, horizon + 1))[:, 0, :]


@pytest.mark.slow
def test_sktimes_conformance_suite_passes_whole(checkpoint: str, monkeypatch):
    from sktime.utils.estimator_checks import check_estimator

    from forecast_platform.forecasting.chronos import Chronos2

    settings = [{"path": checkpoint, "batch_size": 4}, {"path": checkpoint, "batch_size": 4, "context_length": 16}]
    monkeypatch.setattr(Chronos2, "get_test_params", classmethod(lambda cls, parameter_set="default": settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(Chronos2, raise_exceptions=True, verbose=False)
    assert len(results) > 300
    assert set(results.values()) == {"PASSED"}


def test_its_quantiles_are_those_of_the_library(checkpoint: str):
    from chronos import Chronos2Pipeline

    y = np.nan_to_num(ordinary(3))
    own, _ = Chronos2Pipeline.from_pretrained(checkpoint).predict_quantiles(
        y[:, None, :].astype(np.float32), prediction_length=14, quantile_levels=LEVELS
    )
    got = chronos(checkpoint).fit(y[:, None, :]).quantiles(LEVELS, 14)
    expected = np.maximum(np.maximum.accumulate(np.stack([each[0].numpy() for each in own]), axis=2), 0.0)
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_quantiles_between_the_models_own_lie_between_and_beyond_them_stay(checkpoint: str):
    fitted = chronos(checkpoint).fit(np.nan_to_num(ordinary(4))[:, None, :])
    got = fitted.quantiles([0.01, 0.05, 0.175, 0.25, 0.95, 0.99], 5)
    assert np.array_equal(got[:, :, 0], got[:, :, 1])
    assert np.array_equal(got[:, :, 5], got[:, :, 4])
    low, high = fitted.quantiles([0.1, 0.2], 5).transpose(2, 0, 1)
    assert got[:, :, 2] == pytest.approx(0.25 * low + 0.75 * high)


def test_the_point_forecast_is_the_mean_of_the_quantiles_by_the_probability_around_each(checkpoint: str):
    y = np.nan_to_num(ordinary(2)) + 1000.0
    fitted = chronos(checkpoint).fit(y[:, None, :])
    mass = np.array([0.05, 0.075, *[0.1] * 7, 0.075, 0.05])
    raw = fitted._told(3)[1]
    assert fitted.predict(fh=[1, 2, 3])[:, 0, :] == pytest.approx((raw * mass / mass.sum()).sum(axis=2))


def test_every_series_gets_the_bits_it_gets_alone(checkpoint: str):
    y = np.concatenate([ordinary(10), np.stack(list(awkward().values()))])
    together = forecast(checkpoint, y)
    for row in range(len(y)):
        assert np.array_equal(forecast(checkpoint, y[row : row + 1])[0], together[row], equal_nan=True), row


def test_a_horizon_beyond_one_pass_is_served(checkpoint: str):
    got = forecast(checkpoint, np.nan_to_num(ordinary(3)), horizon=60)
    assert got.shape == (3, 60)
    assert np.isfinite(got).all()


def test_a_panel_with_awkward_series_is_served_through_its_spec(checkpoint: str):
    y = np.concatenate([ordinary(6), np.stack(list(awkward().values()))])
    model = model_specs({"chronos": f"Chronos2(path={checkpoint!r}, batch_size=8)"})[-1]
    got = next(forecast_origin(panel_of(y), [model], horizon=14))
    assert got.error is None
    assert np.isfinite(got.mean).all()
    assert "torch-" in model.code_version


def test_weights_that_are_not_there_cost_the_model_its_own_forecasts_only(tmp_path):
    models = model_specs({"chronos": f"Chronos2(path={str(tmp_path / 'nowhere')!r})"})
    results = list(forecast_origin(panel_of(ordinary(3)), models, horizon=7))
    assert [each.error is None for each in results] == [True, True, False]


def test_half_precision_is_another_number_and_near(checkpoint: str):
    y = np.nan_to_num(ordinary(3))
    whole, half = forecast(checkpoint, y), forecast(checkpoint, y, dtype="bfloat16")
    assert not np.array_equal(whole, half)
    assert half == pytest.approx(whole, rel=0.2, abs=1.0)


@pytest.mark.parametrize("parameters", [{"dtype": "float8"}, {"batch_size": 0}, {"threads": 0}])
def test_arguments_that_cannot_work_are_refused_by_name(checkpoint: str, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        chronos(checkpoint, **parameters)


def test_the_arguments_that_a_spec_may_name_are_those_of_the_class(checkpoint: str):
    from forecast_platform.forecasting.models import OWN

    made = type(chronos(checkpoint))
    assert tuple(inspect.signature(made.__init__).parameters)[1:] == OWN["Chronos2"].parameters
