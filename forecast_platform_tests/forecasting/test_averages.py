"""Last day, last week and recent mean, worked by hand; a day that was not observed is passed over."""

import numpy as np

from forecast_platform.forecasting.averages import last_observed, last_season, mean_of_last, repeat_season

NAN = np.nan
Y = np.array(
    [
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        [NAN, NAN, 3, 4, 5, 6, 7, 8, NAN, NAN],
        [NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 4],
        [NAN] * 10,
    ],
    dtype=float,
)


def test_the_last_observed_day_counts():
    assert np.array_equal(last_observed(Y), [10, 8, 4, NAN], equal_nan=True)


def test_the_season_takes_each_weekdays_last_observation():
    expected = [[4, 5, 6, 7, 8, 9, 10], [4, 5, 6, 7, 8, NAN, 3], [NAN] * 6 + [4], [NAN] * 7]
    assert np.array_equal(last_season(Y, 7), expected, equal_nan=True)


def test_the_mean_takes_the_last_observed_days_and_fewer_where_there_are_no_more():
    assert np.array_equal(mean_of_last(Y, 4), [8.5, 6.5, 4, NAN], equal_nan=True)
    assert np.array_equal(mean_of_last(Y, 100), [5.5, 5.5, 4, NAN], equal_nan=True)


def test_a_cycle_longer_than_the_window_leaves_its_unknown_days_open():
    assert np.array_equal(last_season(Y[:1, -2:], 3), [[NAN, 9, 10]], equal_nan=True)


def test_a_cycle_is_repeated_over_the_horizon():
    assert repeat_season(np.array([[1.0, 2.0, 3.0]]), 5).tolist() == [[1, 2, 3, 1, 2]]
