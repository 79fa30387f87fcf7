"""A series that no model can serve is forecast from its own days and its group."""

import numpy as np
import pytest

from forecast_platform.forecasting.fallback import fallback_forecast
from forecast_platform_tests.forecasting.demand import awkward, ordinary

WEEK = np.array([2.0, 1, 1, 1, 1, 1, 0])
"""Slot 0, the weekday of the window's last day, sells double; the day before it nothing."""


def group_of_three():
    y = np.tile(np.roll(WEEK, -1), 4) * np.array([[1.0], [3.0], [8.0]])
    return y, np.array([0, 0, 0])


def with_young(days):
    y, group = group_of_three()
    young = np.full((1, 28), np.nan)
    young[0, 28 - len(days) :] = days
    return np.concatenate([y, young]), np.append(group, 0)


def test_a_few_days_are_brought_to_a_level_by_the_weekdays_they_were():
    """Six sold on a weekday that sells double are a level of three a day."""
    y, group = with_young([6.0])
    got = fallback_forecast(y, group, horizon=8)
    assert got[3, :7].mean() == pytest.approx(3.0, rel=0.1)
    # Its own single day pulls its week a little from the group's.
    assert got[3] == pytest.approx(got[2] / 8 * got[3, :7].mean(), abs=0.5)
    assert got[3, 6] == got[3, :7].max()
    assert got[3, 7] == got[3, 0]


def test_the_mean_of_whole_weeks_stays_the_mean():
    y, group = group_of_three()
    assert fallback_forecast(y, group, horizon=7).mean(axis=1) == pytest.approx([1.0, 3.0, 8.0])


def test_a_series_without_a_sale_has_its_groups_median_level():
    for days in ([], [0.0, 0.0, 0.0]):
        got = fallback_forecast(*with_young(days), horizon=7)[3]
        assert got.mean() == pytest.approx(3.0, rel=0.05)


def test_a_group_that_never_sold_is_forecast_as_zero():
    y, group = with_young([0.0])
    group[3] = 1
    assert (fallback_forecast(y, group, horizon=7)[3] == 0).all()
    assert (fallback_forecast(np.zeros((3, 28)), np.array([0, 1, 1]), horizon=7) == 0).all()


def test_only_sales_on_a_weekday_that_never_sells_still_give_a_level():
    got = fallback_forecast(np.array([[np.nan] * 27 + [5.0]]), np.array([0]), horizon=7)
    assert (got == 5).all()


def test_it_is_finite_and_not_negative_for_whatever_there_is():
    y = np.concatenate([np.stack(list(awkward().values())), ordinary(20)])
    got = fallback_forecast(y, np.arange(len(y)) % 3, horizon=28)
    assert np.isfinite(got).all()
    assert (got >= 0).all()
