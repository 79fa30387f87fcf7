"""Sums over days ahead: quantiles of summed paths, and which series stand for a class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from forecast_platform.forecasting.paths import LEVELS, SOURCES, name_ranks, path_quantiles, sources, sum_days


def test_the_quantile_of_fourteen_days_of_poisson_five_is_84_and_the_sum_of_daily_ones_126():
    paths = np.random.default_rng(3).poisson(5.0, size=(200_000, 14)).astype(float)
    summed = path_quantiles(np.array([70.0]), sum_days(paths) / 70.0, whole=True, levels=[0.95])
    daily = [path_quantiles(np.array([5.0]), paths[:, d] / 5.0, whole=True, levels=[0.95])[0, 0] for d in range(14)]
    assert (summed[0, 0], sum(daily)) == (84.0, 126.0)
    assert stats.poisson.ppf(0.95, 70.0) == 84.0 and 14 * stats.poisson.ppf(0.95, 5.0) == 126.0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.floats(0, 1e6))
def test_quantiles_are_order_statistics_that_never_cross_or_fall_below_zero(sums: list[float], unit: float):
    found = path_quantiles(np.array([unit]), np.array(sums), whole=False)[0]
    expected = [unit * sorted(sums)[min(int(np.ceil(level * len(sums))), len(sums)) - 1] for level in LEVELS]
    assert found.tolist() == pytest.approx(expected)
    assert (np.diff(found) >= 0).all() and (found >= 0).all()


def test_which_series_stand_for_a_class_is_told_by_their_names_alone():
    sku, location = [f"s {number}" for number in range(500)], ["é"] * 500
    classes = np.array(["smooth", "lumpy"] * 250, dtype=object)
    ranks = name_ranks(sku, location)
    chosen = sources(ranks, classes)
    assert len(chosen) == 2 * SOURCES and (classes[chosen] == "lumpy").sum() == SOURCES
    shuffled = np.random.default_rng(1).permutation(500)
    again = sources(name_ranks([sku[row] for row in shuffled], location), classes[shuffled])
    assert set(shuffled[again]) == set(chosen)
    assert len(sources(ranks[:0], classes[:0])) == 0
    assert len(set(name_ranks(["a", "a b"], ["b c", "c"]).tolist())) == 2
