"""Lead times: stages add up, draws have the mean and deviation they are of."""

from __future__ import annotations

import numpy as np
import pytest

from forecast_platform.inventory.lead_times import DIMENSIONS, DRAWS, lead_time_draws, of_stages, spread


def test_draws_fill_every_pair_of_dimensions_evenly():
    points = spread()
    assert points.shape == (DIMENSIONS, DRAWS) and (points > 0).all() and (points < 1).all()
    for first in range(DIMENSIONS):
        for second in range(first):
            tenths = np.histogram2d(points[first], points[second], bins=8, range=[[0, 1], [0, 1]])[0]
            assert tenths.min() >= 8 and tenths.max() <= 24


def test_stages_add_up_and_one_that_is_not_told_adds_nothing():
    days = np.array([[2.0, 7.0, 3.0], [np.nan, 5.0, np.nan], [np.nan] * 3, [0.0, 0.0, 0.0]])
    deviations = np.array([[1.0, 2.0, 2.0], [np.nan, 1.5, np.nan], [np.nan] * 3, [np.nan] * 3])
    mean, deviation = of_stages(days, deviations)
    assert mean.tolist()[:2] == [12.0, 5.0] and deviation.tolist()[:2] == [3.0, 1.5]
    assert np.isnan(mean[2]) and np.isnan(deviation[2])
    assert (mean[3], deviation[3]) == (0.0, 0.0)


@pytest.mark.parametrize(("mean", "deviation"), [(8.0, 2.0), (14.0, 5.0), (3.0, 1.0), (30.0, 10.0)])
def test_draws_of_a_lead_time_that_varies_have_its_moments(mean: float, deviation: float):
    draws = lead_time_draws(np.array([mean]), np.array([deviation]), spread()[0])[0]
    assert draws.dtype.kind == "i" and draws.min() >= 0
    assert draws.mean() == pytest.approx(mean, abs=0.1)
    # Whole days vary a little more: by the twelfth of a day that rounding adds.
    assert draws.std() == pytest.approx(np.sqrt(deviation**2 + 1 / 12), rel=0.05)


@pytest.mark.parametrize(("mean", "days"), [(0.0, {0}), (5.0, {5}), (2.25, {2, 3}), (0.5, {0, 1})])
def test_a_lead_time_that_does_not_vary_is_the_whole_days_beside_it(mean: float, days: set[int]):
    draws = lead_time_draws(np.array([mean]), np.array([0.0]), spread()[0])[0]
    assert set(draws.tolist()) == days and draws.mean() == pytest.approx(mean, abs=1e-3)


def test_a_deviation_without_a_lead_time_is_no_lead_time():
    assert not lead_time_draws(np.array([0.0]), np.array([3.0]), spread()[0]).any()
