"""The batched ridge regression is the one that a plain least-squares solver gives, series by series."""

import numpy as np
import pytest

from forecast_platform.forecasting.gaps import fill_gaps
from forecast_platform.forecasting.regression import LagDesign, fit_lag_regression, predict_lag_regression
from forecast_platform_tests.forecasting.demand import awkward, ordinary

DESIGN = LagDesign(lags=(1, 7, 14), window=7, season=7, ridge=0.5, day_shrinkage=4.0)


def forecast(y, horizon=28, **options):
    return predict_lag_regression(fit_lag_regression(y, DESIGN, **options), DESIGN, horizon=horizon)


def plain_forecast(y, design, horizon):
    """One series, one row a day, one least-squares problem with the penalties as extra rows."""
    observed = ~np.isnan(y)
    centre, spread = y[observed].mean(), y[observed].std() or 1.0
    z = list(fill_gaps(((y - centre) / spread)[:, None], season=design.season, default=0.0)[:, 0])
    low, high = ((y[observed] - centre) / spread).min(), ((y[observed] - centre) / spread).max()

    def row(day):
        dummies = [float((day - (len(y) - 1)) % design.season == slot) for slot in range(design.season)]
        return [1.0, *dummies, *(z[day - lag] for lag in design.lags), np.mean(z[day - design.window : day])]

    days = [d for d in range(design.reach, len(y)) if observed[d] and observed[: d - design.reach + 1].any()]
    x, target = np.array([row(d) for d in days]), np.array([z[d] for d in days])
    penalty = np.sqrt(
        [0.0] + [design.day_shrinkage] * design.season + [design.ridge * len(days)] * (len(design.lags) + 1)
    )
    weights = np.linalg.lstsq(np.vstack([x, np.diag(penalty)]), np.append(target, np.zeros(len(penalty))), rcond=None)[
        0
    ]
    result = []
    for _ in range(horizon):
        result.append(float(np.dot(row(len(z)), weights)))
        z.append(min(max(result[-1], low), high))
    residual = target - x @ weights
    return centre + spread * np.array(result), 1 - (residual**2).sum() / ((target - target.mean()) ** 2).sum()


def test_forecasts_and_r2_are_those_of_a_plain_least_squares_solver():
    y = ordinary(25, seed=3)
    y = y[(~np.isnan(y)).sum(axis=1) > 40]
    weights = fit_lag_regression(y, DESIGN)
    got = predict_lag_regression(weights, DESIGN, horizon=28)
    for series in range(len(y)):
        expected, r2 = plain_forecast(y[series], DESIGN, 28)
        np.testing.assert_allclose(got[series], expected, rtol=1e-8, atol=1e-8)
        assert weights.in_sample_r2[series] == pytest.approx(r2, abs=1e-8)


def test_no_bit_depends_on_the_block_on_neighbours_or_on_their_order():
    y = np.concatenate([ordinary(60, seed=9), np.stack(list(awkward().values()))])
    whole = forecast(y)
    for block in (1, 2, 7, 64, 10_000):
        assert np.array_equal(forecast(y, block=block), whole, equal_nan=True), block
    order = np.random.default_rng(4).permutation(len(y))
    assert np.array_equal(forecast(y[order]), whole[order], equal_nan=True)


def test_memory_layout_changes_no_bit():
    y = ordinary(20)
    assert np.array_equal(forecast(np.asfortranarray(y)), forecast(y), equal_nan=True)
    padded = np.full((20, 121), np.nan)
    padded[:, 1:] = y
    assert np.array_equal(forecast(padded[:, 1:]), forecast(y), equal_nan=True)


@pytest.mark.parametrize(("name", "y"), awkward().items())
def test_an_awkward_series_has_a_defined_forecast(name, y):
    got = forecast(y[None, :])[0]
    if name == "no day at all":
        assert np.isnan(got).all()
    else:
        assert np.isfinite(got).all()
        assert np.abs(got).max() <= 3 * np.nanmax(y)


def test_a_constant_series_stays_what_it_is_and_zero_stays_zero():
    assert forecast(np.full((1, 120), 7.0))[0] == pytest.approx(np.full(28, 7.0), rel=1e-12)
    assert (forecast(np.zeros((1, 120))) == 0).all()


def test_a_series_without_a_training_day_is_its_mean():
    y = np.full((1, 120), np.nan)
    y[0, -3:] = [1, 2, 6]
    assert forecast(y)[0] == pytest.approx(np.full(28, 3.0))


def test_a_window_shorter_than_the_longest_lag_is_the_mean():
    assert forecast(np.array([[1.0, 2.0, 6.0]]), horizon=2)[0] == pytest.approx([3.0, 3.0])


def test_a_weekly_pattern_is_found():
    week = np.array([9.0, 1, 1, 1, 1, 4, 6])
    got = forecast(np.tile(week, 17)[None, :119], horizon=7)[0]
    assert np.corrcoef(got, week)[0, 1] > 0.99


def test_a_stock_out_is_no_training_day():
    """Zeros of an empty shelf drag the forecast down; days marked as not observed do not."""
    generator = np.random.default_rng(0)
    y = generator.poisson(10, size=(50, 120)).astype(float)
    empty = generator.random((50, 120)) < 0.3
    assert forecast(np.where(empty, 0.0, y)).mean() < 8
    assert forecast(np.where(empty, np.nan, y)).mean() == pytest.approx(10, abs=0.5)


def test_a_recursion_that_would_explode_is_fed_back_within_the_window():
    free = LagDesign(lags=(1,), window=7, season=7, ridge=1e-9, day_shrinkage=1e-9)
    y = 1.3 ** np.arange(60)[None, :]
    got = predict_lag_regression(fit_lag_regression(y, free), free, horizon=365)
    assert got.max() < 2 * y.max()


def test_no_series_at_all_gives_no_forecast():
    assert forecast(np.empty((0, 120))).shape == (0, 28)
