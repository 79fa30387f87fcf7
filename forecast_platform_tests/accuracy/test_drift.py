"""Drift, by hand, against other people's code, and as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forecast_platform.accuracy.drift import (
    ShiftRules,
    against_history,
    kolmogorov_smirnov,
    level_shift,
    population_stability,
    shift_told,
    tracking_signals,
    unusual,
)

ERRORS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def test_a_tracking_signal_is_the_sum_of_errors_in_mean_absolute_errors():
    # Σ e = 4, MAD = 8 / 4 = 2; all of one sign: the number of days; errors that cancel: 0; none at all: undefined.
    nothing = np.nan
    errors = np.array(
        [[2.0, 1.0, 3.0, nothing], [-2.0, 5.0, -3.0, nothing], [3.0, 2.0, nothing, nothing], [1, 1, 0, nothing]]
    )
    np.testing.assert_allclose(tracking_signals(errors), [2.0, 4.0, 0.0, nothing])


@given(ERRORS, st.floats(0.01, 100))
def test_a_tracking_signal_has_no_unit_and_at_most_the_number_of_days(errors: list[float], unit: float):
    signal = tracking_signals(np.array(errors)[:, None])[0]
    assert abs(signal) <= len(errors) + 1e-9
    assert tracking_signals(unit * np.array(errors)[:, None])[0] == pytest.approx(signal, rel=1e-6, abs=1e-6)
    assert tracking_signals(-np.array(errors)[:, None])[0] == -signal


def test_a_volume_is_unusual_when_far_in_deviations_and_in_proportion():
    # Median 100, MAD 4, so a deviation is max(5.93, 10) = 10.
    earlier = [92, 96, 100, 104, 108]
    assert unusual(161, earlier, deviations=6, change=0.5) == 100
    assert unusual(39, earlier, deviations=6, change=0.5) == 100
    assert unusual(159, earlier, deviations=6, change=0.5) is None
    assert unusual(161, earlier, deviations=6, change=0.7) is None
    assert unusual(3, [0, 0, 0, 1], deviations=6, change=0.5) is None


def test_population_stability_by_hand():
    # Two bins of the reference's median: half and half, against one in ten and nine in ten.
    reference, recent = np.repeat([0.0, 1.0], 5000), np.repeat([0.0, 1.0], [1000, 9000])
    assert population_stability(reference, recent, bins=2) == pytest.approx(
        (0.1 - 0.5) * np.log(0.1 / 0.5) + (0.9 - 0.5) * np.log(0.9 / 0.5), rel=0.01
    )
    assert np.isnan(population_stability(reference, []))


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_population_stability_is_least_for_equal_populations_and_sees_what_moved(seed: int, moved: float):
    draws = np.random.default_rng(seed).normal(size=(2, 2000))
    same = population_stability(draws[0], draws[1])
    assert 0 <= same < 0.05
    if abs(moved) > 1:
        assert population_stability(draws[0], draws[1] + moved) > 0.5


def test_the_distance_of_two_samples_is_that_of_their_distribution_functions():
    generator = np.random.default_rng(3)
    a, b = generator.normal(size=300), generator.normal(0.4, size=200)
    points = np.concatenate([a, b])
    by_hand = max(abs((a <= point).mean() - (b <= point).mean()) for point in points)
    assert kolmogorov_smirnov(a, b) == pytest.approx(by_hand)


def test_a_figure_is_judged_against_the_history_before_its_own_window():
    figures = [0.30, 0.32, np.nan, 0.28, 0.30, 0.9, 0.9, 0.5]
    rise = against_history(figures, recent=3)
    assert (rise.value, rise.usual) == (0.5, 0.30)
    assert rise.spread == pytest.approx(1.4826 * 0.01)
    assert rise.above(share=0.5) and not rise.above(share=0.7) and not rise.above(share=0.5, deviations=20)
    with pytest.raises(ValueError, match="3 days of figures hold none before the last 3"):
        against_history(figures[:3], recent=3)


def windows(
    *, series: int = 120, days: int = 100, seed: int = 0, level: float = 60.0, shifted: int = 0, by: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts and Poisson sales of weeks, days x series; the sales of the last day shifted for some series."""
    generator = np.random.default_rng(seed)
    forecast = np.full((days, series), level) * generator.uniform(0.5, 2.0, series)
    actual = generator.poisson(forecast).astype(float)
    actual[-1, :shifted] = generator.poisson(forecast[-1, :shifted] * by)
    return forecast, actual


@pytest.mark.parametrize("by", [0.5, 1.5])
def test_a_shift_of_a_tenth_of_the_series_is_told_whichever_way_and_none_is_not(by: float):
    # Estimates are low, 0.05 to 0.09 for a tenth: one series' evidence is bounded.
    for seed in range(5):
        shift = level_shift(*windows(seed=seed, shifted=12, by=by))
        toward, other = (shift.up, shift.down) if by > 1 else (shift.down, shift.up)
        assert toward > 0.04 > 0.02 > other
        quiet = level_shift(*windows(seed=seed))
        assert max(quiet.up, quiet.down) < 0.02


def test_the_share_is_the_likeliest_of_a_sparse_mixture():
    forecast, actual = windows(series=40, seed=5, shifted=4)
    rules = ShiftRules(window=7, reference=84, least=42)
    shift = level_shift(forecast, actual, rules)
    z = shift.deviations
    root = lambda units: 2 * np.sqrt(units + 0.375)  # noqa: E731
    residual = (root(actual[-1]) - root(forecast[-1])) / np.sqrt(1 + 0.03 * forecast[-1])
    spread = residual / z
    delta = (root(1.5 * forecast[-1]) - root(forecast[-1])) / np.sqrt(1 + 0.03 * forecast[-1]) / spread
    delta = np.minimum(delta, 3.5)
    assert (np.abs(z) < 5).all()
    ratios = stats.norm.pdf(z, loc=delta) / stats.norm.pdf(z)
    grid = np.linspace(0, 0.4, 81)
    likelihood = [np.log(1 - share + share * np.minimum(ratios, np.exp(3.0))).sum() for share in grid]
    assert shift.up == pytest.approx(grid[int(np.argmax(likelihood))])
    assert shift.up == pytest.approx(0.1, abs=0.06)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(30)))
def test_the_order_of_the_series_does_not_matter_nor_does_one_without_sales(seed: int, order: list[int]):
    forecast, actual = windows(series=30, days=70, seed=seed, shifted=3)
    shift = level_shift(forecast, actual)
    again = level_shift(forecast[:, order], actual[:, order])
    assert (again.up, again.down) == pytest.approx((shift.up, shift.down))
    none = np.full((70, 1), np.nan)
    wider = level_shift(np.hstack([forecast, none]), np.hstack([actual, none]))
    assert (wider.up, wider.down) == pytest.approx((shift.up, shift.down))
    assert np.isnan(wider.deviations[-1])


def test_one_series_that_strays_alone_is_no_shift_of_a_tenth():
    forecast, actual = windows(seed=1)
    actual[-1, 0] = 40 * forecast[-1, 0]
    assert level_shift(forecast, actual).up < ShiftRules().share


def test_a_told_shift_stays_told_until_it_is_clearly_over():
    rules = ShiftRules(share=2.0)
    told = [shift_told([0.0, 2.1, 1.5, 1.9, 0.9, 1.5][:days], rules) for days in range(1, 7)]
    assert told == [False, True, True, True, False, False]
