"""A ratio is what its series shows, pulled to what its pools show, the more the less it has seen."""

import numpy as np
import pytest

from forecast_platform.forecasting.pooling import SPREADS, nested, pooled_ratios, pull

GROUP = np.array([0, 0, 1, 2])
LOCATION = np.array([0, 0, 0, 1])


def test_a_pull_is_the_mean_weighted_by_precision():
    assert pull(np.array([3 * 4.0]), np.array([3.0]), np.array([1.0]), 0.5)[0] == pytest.approx((3 * 4 + 4 * 1) / 7)


def test_without_evidence_every_ratio_is_one_and_with_much_it_is_its_pools_own():
    pools = nested(GROUP, LOCATION)
    ratio = np.array([[2.0], [4.0], [7.0], [9.0]])
    assert (pooled_ratios(ratio, np.zeros((4, 1)), pools) == 1).all()
    got = pooled_ratios(ratio, np.full((4, 1), 1e9), pools)[:, 0]
    assert got == pytest.approx([3.0, 3.0, 7.0, 9.0], rel=1e-6)


def test_a_pool_without_evidence_has_the_ratio_of_the_one_that_holds_it():
    precision = np.array([[1e9], [1e9], [0.0], [0.0]])
    got = pooled_ratios(np.array([[2.0], [4.0], [np.nan], [np.nan]]), precision, nested(GROUP, LOCATION))[:, 0]
    assert got == pytest.approx([3.0] * 4, rel=1e-6)


def test_three_levels_are_as_worked_by_hand():
    ratio, precision = np.array([[2.0], [2.0], [5.0], [8.0]]), np.array([[1.0], [2.0], [3.0], [4.0]])
    held = [1 / s**2 for s in SPREADS]
    everybody = (2 + 4 + 15 + 32 + held[0]) / (10 + held[0])
    first = (2 + 4 + 15 + held[1] * everybody) / (6 + held[1])
    group = (2 + 4 + held[2] * first) / (3 + held[2])
    got = pooled_ratios(ratio, precision, nested(GROUP, LOCATION))[:, 0]
    assert got[:2] == pytest.approx([group, group])
