"""Drift, by hand, against other people's code, and as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forecast_platform.accuracy.drift import (
    ShiftRules,
    Weeks,
    against_history,
    kolmogorov_smirnov,
    level_shift,
    population_stability,
    shift_told,
    tracking_signals,
    unusual,
)

ERRORS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)
IN_FULL = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=40)
"""The least doubles have lost their digits, and half of one is 0: in another unit they are another number."""


def test_a_tracking_signal_is_the_sum_of_errors_in_mean_absolute_errors():
    # Σ e = 4, MAD = 8 / 4 = 2; all of one sign: the number of days; errors that cancel: 0; none at all: undefined.
    nothing = np.nan
    errors = np.array(
        [[2.0, 1.0, 3.0, nothing], [-2.0, 5.0, -3.0, nothing], [3.0, 2.0, nothing, nothing], [1, 1, 0, nothing]]
    )
    np.testing.assert_allclose(tracking_signals(errors), [2.0, 4.0, 0.0, nothing])


@given(IN_FULL, st.floats(0.01, 100))
def test_a_tracking_signal_has_no_unit(errors: list[float], unit: float):
    signal = tracking_signals(np.array(errors)[:, None])[0]
    assert tracking_signals(unit * np.array(errors)[:, None])[0] == pytest.approx(signal, rel=1e-6, abs=1e-6)


@given(ERRORS)
def test_a_tracking_signal_is_at_most_the_number_of_days_and_turns_with_its_errors(errors: list[float]):
    signal = tracking_signals(np.array(errors)[:, None])[0]
    assert abs(signal) <= len(errors) + 1e-9
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
    *, series: int = 120, days: int = 110, seed: int = 0, level: float = 60.0, shifted: int = 0, by: float = 1.5
) -> Weeks:
    """Forecasts and Poisson sales of weeks; the sales of the last day shifted for some series."""
    generator = np.random.default_rng(seed)
    forecast = np.full((days, series), level) * generator.uniform(0.5, 2.0, series)
    actual = generator.poisson(forecast).astype(float)
    actual[-1, :shifted] = generator.poisson(forecast[-1, :shifted] * by)
    return Weeks(forecast, actual, forecast.copy())


@pytest.mark.parametrize("by", [0.5, 1.5])
def test_a_shift_of_a_tenth_of_the_series_is_told_whichever_way_and_none_is_not(by: float):
    for seed in range(5):
        shift = level_shift(windows(seed=seed, shifted=12, by=by))
        toward, other = (shift.up, shift.down) if by > 1 else (shift.down, shift.up)
        assert toward > ShiftRules().evidence and other < 0
        quiet = level_shift(windows(seed=seed))
        assert max(quiet.up, quiet.down) < 0


def test_the_evidence_is_that_of_a_sparse_mixture_of_negative_binomials():
    # History without any error: no growth (1 halved 14 times), dispersion 1, and the least spread there is, 0.5. So
    # variances are 0.5 (μ + gμ²), drawn up to 1.02 μ, and 9 times as much for windows that stray.
    forecast = np.tile([20.0, 40.0, 80.0, 160.0], (110, 1))
    actual = forecast.copy()
    actual[-1] = [31, 38, 130, 75]
    shift = level_shift(Weeks(forecast, actual, forecast.copy()))

    def density(mean: np.ndarray, wider: float = 1.0) -> np.ndarray:
        variance = np.maximum(wider * 0.5 * (mean + 0.5**14 * mean**2), 1.02 * mean)
        size = mean**2 / (variance - mean)
        return stats.nbinom.pmf(actual[-1], size, size / (size + mean))

    mean = forecast[-1]
    stray = 0.02 * density(mean, 9.0)
    for found, level in ((shift.up, 1.5), (shift.down, 0.5)):
        ratio = (0.98 * density(level * mean) + stray) / (0.98 * density(mean) + stray)
        assert found == pytest.approx(np.log(0.9 + 0.1 * ratio).sum(), rel=1e-6)
    np.testing.assert_allclose(
        shift.deviations, (actual[-1] - mean) / np.sqrt(0.5 * (mean + 0.5**14 * mean**2)), rtol=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(30)))
def test_the_order_of_the_series_does_not_matter_nor_does_one_without_sales(seed: int, order: list[int]):
    weeks = windows(series=30, seed=seed, shifted=3)
    shift = level_shift(weeks)
    again = level_shift(Weeks(weeks.forecast[:, order], weeks.actual[:, order], weeks.noise[:, order]))
    assert (again.up, again.down) == pytest.approx((shift.up, shift.down))
    none = np.full((110, 1), np.nan)
    wider = level_shift(Weeks(*(np.hstack([each, none]) for each in (weeks.forecast, weeks.actual, weeks.noise))))
    assert (wider.up, wider.down) == pytest.approx((shift.up, shift.down))
    assert np.isnan(wider.deviations[-1])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(1.5, 8.0))
def test_a_series_that_sells_in_lots_is_less_evidence_than_one_that_sells_singly(seed: int, lot: float):
    weeks = windows(seed=seed)
    weeks.actual[-1, 0] = 1.5 * weeks.forecast[-1, 0]
    noise = weeks.noise.copy()
    noise[:, 0] *= lot
    single, in_lots = level_shift(weeks), level_shift(Weeks(weeks.forecast, weeks.actual, noise))
    assert 0 < in_lots.deviations[0] < single.deviations[0]


def test_what_a_forecast_was_wrong_by_the_week_before_is_less_news_this_week():
    deviations = []
    for before in (0.7, 1.0, 1.3):
        weeks = windows(level=500.0, seed=3)
        weeks.actual[:] *= np.random.default_rng(4).normal(1.0, 0.15, weeks.actual.shape)
        weeks.actual[-8, 0], weeks.actual[-1, 0] = before * weeks.forecast[-8, 0], 1.3 * weeks.forecast[-1, 0]
        deviations.append(level_shift(weeks).deviations[0])
    assert deviations[0] > 1.3 * deviations[1] > 1.3**2 * deviations[2] > 0


def test_one_series_that_strays_alone_is_no_shift_of_a_tenth():
    for by in (40.0, 1.5, 0.0):
        weeks = windows(seed=1)
        weeks.actual[-1, 0] = by * weeks.forecast[-1, 0]
        shift = level_shift(weeks)
        assert max(shift.up, shift.down) < 0


@pytest.mark.parametrize("days", [1, 7, 40])
def test_without_a_past_there_is_no_evidence(days: int):
    shift = level_shift(windows(days=days, shifted=30))
    assert (shift.up, shift.down) == (0, 0)
    assert np.isnan(shift.deviations).all()


def test_a_shift_stays_told_for_as_long_as_windows_share_days_with_the_one_it_was_seen_on():
    rules = ShiftRules(evidence=2.0, window=3)
    told = [shift_told([0.0, 2.1, 1.5, 1.9, 0.9, -1.5][:days], rules) for days in range(1, 7)]
    assert told == [False, True, True, True, False, False]
