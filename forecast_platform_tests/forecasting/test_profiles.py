"""A level is a discounted mean of adjusted days; growth is the pool's; what covariates do is found."""

import numpy as np
import pytest

from forecast_platform.forecasting.profiles import (
    GROWS_ON,
    MOST_GROWTH,
    base_terms,
    discounted_level,
    fit_base,
    fit_growth,
    fit_profile,
)
from forecast_platform_tests.forecasting.demand import awkward, ordinary


def one_pool(series):
    return [np.zeros(series, dtype=int)] * 3


def fitted(y, pools=None, past=None, growth_spread=0.05):
    pools, over_time = pools or one_pool(len(y)), np.ascontiguousarray(y.T)
    base = fit_base(over_time, pools, spread=0.1, covariates=past)
    return fit_profile(over_time, base, fit_growth(over_time, base.factors, pools, growth_spread), half_life=28.0)


def forecast(y, pools=None, horizon=14, past=None, ahead=None):
    fit = fitted(y, pools, past)
    level, weekday, drivers = base_terms(fit.base, fit.levels(horizon), covariates=ahead)
    return level + weekday + drivers.sum(axis=1)


def test_the_level_is_the_discounted_mean_worked_by_hand():
    y = np.array([[8.0], [np.nan], [2.0], [4.0]])
    level, age = discounted_level(y, np.ones((4, 1)), half_life=1.0)
    assert level[0] == pytest.approx((8 / 8 + 2 / 2 + 4) / (1 / 8 + 1 / 2 + 1))
    assert age[0] == pytest.approx((3 / 8 + 1 / 2) / (1 / 8 + 1 / 2 + 1))


def test_strong_days_make_no_strong_level():
    """Six sold on a day that sells double are a level of three."""
    level, _ = discounted_level(np.array([[6.0], [np.nan]]), np.array([[2.0], [1.0]]), half_life=28.0)
    assert level[0] == pytest.approx(3.0)


def test_a_steady_shop_is_forecast_as_it_is():
    week = np.array([4.0, 1, 1, 1, 1, 6, 7])
    y = np.tile(week, 17)[None, :] * np.arange(1.0, 21.0)[:, None]
    assert forecast(y, horizon=7) == pytest.approx(week * np.arange(1.0, 21.0)[:, None], rel=0.03)


def test_growth_that_all_share_brings_the_level_up_and_that_of_noise_does_not():
    generator = np.random.default_rng(0)
    rate = np.exp(0.004 * np.arange(120)) * 5
    grown = generator.poisson(rate, size=(300, 120)).astype(float)
    still = fitted(grown, growth_spread=1e-9)
    fit = fitted(grown)
    at_origin = rate[-1]
    assert still.levels(1).mean() < 0.9 * at_origin
    assert fit.levels(1).mean() == pytest.approx(at_origin, rel=0.05)
    assert fit.levels(60)[0, 59] == fit.levels(60)[0, GROWS_ON - 1]
    flat = fitted(generator.poisson(5.0, size=(300, 120)).astype(float))
    assert abs(flat.growth[0]) * 30 < 0.02


def test_one_order_of_a_billion_grows_nobodys_level_beyond_its_bound():
    y = ordinary(30)
    spiked = np.concatenate([y, np.zeros((1, 120))])
    spiked[30, 100] = 1e9
    plain, got = forecast(y), forecast(spiked)[:30]
    known = ~np.isnan(plain)
    assert np.abs(got[known] - plain[known]).max() <= 2 * MOST_GROWTH * plain[known].max()


def test_a_promotion_is_learned_from_the_group_by_a_series_that_had_none():
    generator = np.random.default_rng(3)
    promotion = (generator.random((60, 1, 134)) < 0.08).astype(float)
    promotion[0, 0, :120], promotion[0, 0, 120:] = 0.0, 1.0
    y = generator.poisson(5.0 * (1 + promotion[:, 0, :120])).astype(float)
    fit = fitted(y, past=promotion[:, :, :120])
    level, weekday, drivers = base_terms(fit.base, fit.levels(14), covariates=promotion[:, :, 120:])
    assert (level + weekday).mean() == pytest.approx(5.0, rel=0.08)
    assert drivers[0].mean() == pytest.approx(5.0, rel=0.25)
    assert (drivers[1:, 0][promotion[1:, 0, 120:] == 0] == 0).all()


def test_without_covariates_or_with_constant_ones_the_forecasts_are_the_same():
    y = ordinary(20)
    constant = np.ones((20, 1, 120))
    got = forecast(y, past=constant, ahead=constant[:, :, :14])
    assert np.allclose(got, forecast(y), equal_nan=True)


def test_a_covariate_far_outside_what_was_seen_is_bounded():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(40, 1, 120))
    y = generator.poisson(np.clip(5 + x[:, 0], 0.1, None)).astype(float)
    got = forecast(y, past=x, ahead=np.full((40, 1, 14), 1e6))
    assert got.max() <= 11.5 * y.mean(axis=1).max()


@pytest.mark.parametrize(("name", "y"), awkward().items())
def test_an_awkward_series_has_a_level_or_none(name, y):
    got = forecast(y[None, :])
    if name == "no day at all":
        assert np.isnan(got).all()
    else:
        assert np.isfinite(got).all()
        assert got.min() >= 0


def test_a_base_of_no_series_is_empty():
    assert fit_base(np.empty((120, 0)), one_pool(0), spread=0.1).factors.shape == (120, 0)
    assert forecast(np.empty((0, 120))).shape == (0, 14)
