"""Weekday factors average 1, are a series' own where it has shown them and its pool's where it has not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.forecasting.weekdays import CLOSED_AFTER, LEAST_NOISE, Week, slots, slots_ahead, weekday_factors
from forecast_platform_tests.forecasting.demand import awkward, ordinary

WEEK = np.array([2.0, 1, 1, 1, 1, 1, 0])
DAYS = np.tile(np.roll(WEEK, -1), 17)


def factors(y, *pools, spread=0.1):
    pools = [np.asarray(pool) for pool in pools] or [np.zeros(len(y), dtype=int)] * 3
    return weekday_factors(Week.of(np.ascontiguousarray(np.asarray(y, dtype=float).T)), pools, spread=spread).T


def test_slots_count_from_the_last_day_of_the_window():
    assert slots(9).tolist() == [6, 0, 1, 2, 3, 4, 5, 6, 0]
    assert slots_ahead(8).tolist() == [1, 2, 3, 4, 5, 6, 0, 1]


def test_the_noise_of_a_day_is_its_variance_within_its_weekday_over_its_squared_mean():
    y = np.tile([1.0, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3], 6)[:, None]
    week = Week.of(y)
    assert week.mean[:, 0] == pytest.approx(np.full(7, 2.0))
    assert week.noise[0] == pytest.approx(84 * 1.0 / (84 - 7) / 4)
    assert Week.of(np.full((28, 1), 5.0)).noise[0] == LEAST_NOISE
    assert np.isinf(Week.of(np.zeros((28, 1))).noise[0])


def test_like_series_have_the_profile_that_they_share():
    got = factors(np.stack([DAYS, 3 * DAYS, 10 * DAYS]))
    assert got == pytest.approx(np.stack([WEEK] * 3), abs=0.03)
    assert got.mean(axis=1) == pytest.approx([1.0] * 3)


def test_a_young_series_has_its_groups_profile_and_an_old_one_its_own():
    flat = np.ones_like(DAYS)
    young = np.where(np.arange(len(DAYS)) >= len(DAYS) - 2, 1.0, np.nan)
    y = np.stack([*[DAYS] * 10, *[flat] * 10, young, young])
    group = np.array([0] * 10 + [1] * 10 + [0, 1])
    got = factors(y, np.zeros(22, dtype=int), np.zeros(22, dtype=int), group)
    assert got[20] == pytest.approx(got[0], abs=0.2)
    assert got[21] == pytest.approx(got[10], abs=0.2)
    assert got[20][0] > 1.5 > got[21][0]


def test_one_order_of_a_billion_moves_nobodys_week():
    y = np.stack([DAYS] * 20 + [np.zeros_like(DAYS)])
    spiked = y.copy()
    spiked[20, 50] = 1e9
    assert factors(spiked)[:20] == pytest.approx(factors(y)[:20], abs=0.02)


def test_a_weekday_on_which_a_location_never_sells_is_closed_there_and_only_there():
    location = np.array([0] * 12 + [1] * 12)
    y = np.stack([DAYS] * 12 + [np.ones_like(DAYS)] * 12)
    got = factors(y, np.zeros(24, dtype=int), location, location)
    assert (got[:12, 6] == 0).all()
    assert (got[12:, 6] > 0.8).all()
    few = int(CLOSED_AFTER / 6)
    assert factors(y[:few])[0, 6] > 0


def test_without_any_sale_or_day_the_week_is_flat():
    assert factors(np.zeros((2, 28))) == pytest.approx(np.ones((2, 7)))
    assert factors(np.full((2, 3), np.nan)) == pytest.approx(np.ones((2, 7)))
    assert factors(np.empty((0, 28))).shape == (0, 7)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([0.01, 0.1, 3.0]))
def test_factors_average_one_and_are_not_negative_for_whatever_there_is(seed, spread):
    y = np.concatenate([ordinary(12, seed=seed), np.stack(list(awkward().values()))])
    group = np.random.default_rng(seed).integers(0, 3, len(y))
    got = factors(y, np.zeros_like(group), np.zeros_like(group), group, spread=spread)
    assert got.mean(axis=1) == pytest.approx(np.ones(len(y)))
    assert (got >= 0).all()
