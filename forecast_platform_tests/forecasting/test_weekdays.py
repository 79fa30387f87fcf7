"""Weekday profiles of groups average 1, and fall back to everybody's."""

import numpy as np
import pytest

from forecast_platform.forecasting.weekdays import slots, slots_ahead, weekday_profiles

WEEK = np.array([2.0, 1, 1, 1, 1, 1, 0])


def test_slots_count_from_the_last_day_of_the_window():
    assert slots(9).tolist() == [6, 0, 1, 2, 3, 4, 5, 6, 0]
    assert slots_ahead(8).tolist() == [1, 2, 3, 4, 5, 6, 0, 1]


def test_a_profile_is_the_groups_mean_by_weekday_over_its_mean():
    y = np.stack([np.tile(np.roll(WEEK, -1), 4), 3 * np.tile(np.roll(WEEK, -1), 4), np.ones(28)])
    profiles = weekday_profiles(y, np.array([0, 0, 1]))
    assert profiles[0] == pytest.approx(WEEK)
    assert profiles[1] == pytest.approx(WEEK)
    assert profiles[2] == pytest.approx(np.ones(7))


def test_a_group_without_a_sale_or_a_weekday_has_everybodys_profile():
    y = np.stack([np.tile(np.roll(WEEK, -1), 4), np.zeros(28), np.where(np.arange(28) > 25, 9.0, np.nan)])
    profiles = weekday_profiles(y, np.array([0, 1, 2]))
    assert np.array_equal(profiles[1], profiles[2])
    assert profiles[1].mean() == pytest.approx(1.0)
    assert profiles[1][6] < profiles[1][0]


def test_without_any_sale_the_profile_is_flat():
    assert (weekday_profiles(np.zeros((2, 28)), np.array([0, 1])) == 1).all()
    assert (weekday_profiles(np.full((2, 3), np.nan), np.array([0, 0])) == 1).all()


def test_days_that_were_not_observed_count_neither_way():
    y = np.tile(np.roll(WEEK, -1), 4)[None, :]
    holes = np.where(np.random.default_rng(0).random(28) < 0.3, np.nan, y)
    assert weekday_profiles(holes, np.array([0]))[0] == pytest.approx(WEEK)
