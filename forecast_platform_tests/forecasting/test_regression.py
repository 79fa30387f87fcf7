"""The batched ridge regression is the one that a plain least-squares solver gives, series by series."""

from dataclasses import replace

import numpy as np
import pytest

from forecast_platform.forecasting.regression import (
    RIDGES,
    LagDesign,
    choose_design,
    fit_lag_regression,
    lag_regression_terms,
)
from forecast_platform.forecasting.weekdays import slots
from forecast_platform_tests.forecasting.demand import awkward, ordinary

DESIGN = LagDesign(lags=(1, 7, 14), windows=(7, 28), half_life=10.0, ridge=0.5, day_shrinkage=4.0)
WEEK = np.array([1.3, 0.7, 0.9, 1.1, 1.2, 1.0, 0.8])


def factors_of(y, horizon=0):
    week = WEEK[np.append(slots(y.shape[1]), np.arange(1, horizon + 1) % 7).astype(int)]
    return np.repeat(week[None, :], len(y), axis=0)


def forecast(y, horizon=28, design=DESIGN, **options):
    factors = factors_of(y, horizon)
    days = y.shape[1]
    weights = fit_lag_regression(y, factors[:, :days], design, **options)
    weekday, recent, _ = lag_regression_terms(weights, design, factors[:, days:])
    return weights.level[:, None] * factors[:, days:] + weekday + recent


def plain_forecast(y, design, horizon):
    """One series, one row a day, one least-squares problem with the penalties as extra rows."""
    observed, factor = ~np.isnan(y), factors_of(y[None, :], horizon)[0]
    spread = y[observed].std() or 1.0

    def level(day):
        past = [(0.5 ** ((day - 1 - d) / design.half_life), y[d], factor[d]) for d in range(day) if observed[d]]
        return sum(w * u for w, u, _ in past) / sum(w * f for w, _, f in past) if past else 0.0

    levels = [level(day) for day in range(len(y) + 1)] + [level(len(y))] * horizon
    # A day of the tail that was not observed is its base at the origin.
    units = [y[d] if observed[d] else levels[d] * factor[d] for d in range(len(y))]

    def row(day):
        away = (np.array(units[:day]) - levels[day] * factor[:day]) / spread
        dummies = [float((day - (len(y) - 1)) % 7 == slot) for slot in range(7)]
        return [
            *dummies,
            *(away[day - lag] for lag in design.lags),
            *(away[day - w : day].mean() for w in design.windows),
        ]

    days = [d for d in range(design.reach, len(y)) if observed[d] and observed[: d - design.reach + 1].any()]
    x = np.array([row(d) for d in days])
    target = np.array([(y[d] - levels[d] * factor[d]) / spread for d in days])
    dense = len(design.lags) + len(design.windows)
    penalty = np.sqrt([design.day_shrinkage] * 7 + [design.ridge * len(days)] * dense)
    stacked = np.vstack([x, np.diag(penalty)])
    weights = np.linalg.lstsq(stacked, np.append(target, np.zeros(len(penalty))), rcond=None)[0]
    units = [y[d] if observed[d] else levels[-1] * factor[d] for d in range(len(y))]
    result = []
    for day in range(len(y), len(y) + horizon):
        result.append(levels[day] * factor[day] + spread * float(np.dot(row(day), weights)))
        units.append(min(max(result[-1], 0.0), y[observed].max()))
    residual = target - x @ weights
    return np.array(result), 1 - (residual**2).sum() / (target**2).sum()


def test_forecasts_and_r2_are_those_of_a_plain_least_squares_solver():
    y = ordinary(25, seed=3)
    y = y[(~np.isnan(y)).sum(axis=1) > 60]
    weights = fit_lag_regression(y, factors_of(y), DESIGN)
    got = forecast(y)
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


def test_zero_stays_zero_and_a_series_without_a_training_day_is_its_base():
    assert (forecast(np.zeros((1, 120))) == 0).all()
    y = np.full((1, 120), np.nan)
    y[0, -1] = 6.0
    assert forecast(y, horizon=7)[0] == pytest.approx(6.0 / WEEK[0] * np.roll(WEEK, -1))


def test_a_window_shorter_than_the_longest_lag_is_the_base():
    assert forecast(np.array([[1.0, 2.0, 6.0]]), horizon=2).shape == (1, 2)
    assert forecast(np.full((1, 3), 4.0) * factors_of(np.ones((1, 3))), horizon=7)[0] == pytest.approx(
        4.0 * np.roll(WEEK, -1)
    )


def test_a_weekly_pattern_of_a_series_own_is_found():
    week = np.array([9.0, 1, 1, 1, 1, 4, 6])
    got = forecast(np.tile(week, 17)[None, :119], horizon=7)[0]
    assert np.corrcoef(got, week)[0, 1] > 0.98


def test_a_stock_out_is_no_training_day():
    """Zeros of an empty shelf drag the forecast down; days marked as not observed do not."""
    generator = np.random.default_rng(0)
    y = generator.poisson(10 * factors_of(np.ones((50, 120)))).astype(float)
    empty = generator.random((50, 120)) < 0.3
    assert forecast(np.where(empty, 0.0, y)).mean() < 8
    assert forecast(np.where(empty, np.nan, y)).mean() == pytest.approx(10, abs=0.5)


def test_a_recursion_that_would_explode_is_fed_back_within_the_window():
    free = LagDesign(lags=(1,), windows=(7,), half_life=10.0, ridge=1e-9, day_shrinkage=1e-9)
    y = 1.3 ** np.arange(60)[None, :]
    assert forecast(y, horizon=365, design=free).max() < 5 * y.max()


def test_no_series_at_all_gives_no_forecast():
    assert forecast(np.empty((0, 120))).shape == (0, 28)


def test_lags_that_are_not_used_weigh_nothing_and_the_others_as_if_they_were_not_there():
    y = np.nan_to_num(ordinary(20))
    unused = replace(DESIGN, used=(7, 14))
    weights = fit_lag_regression(y, factors_of(y), unused)
    assert (weights.lag[:, 0] == 0).all()
    assert np.allclose(forecast(y, design=unused), forecast(y, design=replace(DESIGN, lags=(7, 14))))


def test_strong_memory_is_given_a_weak_ridge_and_noise_a_strong_one():
    generator = np.random.default_rng(2)
    noise = generator.poisson(20.0, size=(200, 120)).astype(float)
    walk = np.zeros((200, 120))
    for day in range(1, 120):
        walk[:, day] = 0.9 * walk[:, day - 1] + generator.normal(size=200)
    remembered = 50.0 + 5.0 * walk
    chosen = {name: choose_design(y, np.ones_like(y), DESIGN) for name, y in {"n": noise, "r": remembered}.items()}
    assert chosen["n"].ridge == max(RIDGES)
    assert chosen["r"].ridge == min(RIDGES)
    assert 1 in chosen["r"].used


def test_what_is_chosen_sees_the_window_only_and_repeats_itself():
    y = ordinary(50)
    assert choose_design(y, factors_of(y), DESIGN) == choose_design(y.copy(), factors_of(y), DESIGN)
    assert choose_design(y[:, :30], factors_of(y[:, :30]), DESIGN) == DESIGN
    assert choose_design(np.full((3, 120), np.nan), np.ones((3, 120)), DESIGN) == DESIGN
