"""Draws by key: fixed for good, independent of each other, distributed as they say."""

from __future__ import annotations

import numpy as np
import pytest

from forecast_platform.sources.demo_draws import Draws, poisson


def test_a_draw_is_the_same_number_on_every_machine_and_version():
    drawn = Draws(7).uniform("units", np.array([0, 1, -1, 20_000]), 3)
    assert drawn.tolist() == [0.37353906616390453, 0.7106325304736926, 0.1246986225497142, 0.04630598292505206]


def test_a_draw_does_not_depend_on_what_is_drawn_beside_it():
    grid = Draws(7).uniform("units", np.arange(50)[:, None], np.arange(30))
    assert grid[17, 4] == Draws(7).uniform("units", 17, 4)


@pytest.mark.parametrize(
    "other", [Draws(8).uniform("a", 1, 2), Draws(7).uniform("b", 1, 2), Draws(7).uniform("a", 2, 1)]
)
def test_another_seed_stream_or_order_of_coordinates_is_another_draw(other):
    assert Draws(7).uniform("a", 1, 2) != other


def test_uniform_draws_are_uniform_and_unrelated_to_their_neighbours():
    grid = Draws(3).uniform("grid", np.arange(400)[:, None], np.arange(400))
    assert np.histogram(grid, bins=20, range=(0, 1))[0] == pytest.approx(np.full(20, 8000), rel=0.05)
    for a, b in ((grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.01


def test_whole_numbers_reach_both_ends_equally_often():
    values, counts = np.unique(Draws(3).whole("dice", 1, 6, np.arange(60_000)), return_counts=True)
    assert values.tolist() == [1, 2, 3, 4, 5, 6]
    assert counts == pytest.approx(np.full(6, 10_000), rel=0.05)


@pytest.mark.parametrize("rate", [0.3, 4.0, 60.0, 500.0])
def test_poisson_counts_have_the_rate_as_mean_and_variance(rate):
    counts = poisson(Draws(5).uniform("counts", np.arange(40_000)), np.full(40_000, rate))
    assert counts.mean() == pytest.approx(rate, rel=0.03)
    assert counts.var() == pytest.approx(rate, rel=0.05)


def test_a_rate_of_zero_gives_zero():
    assert poisson(np.array([0.0, 0.5, 0.999999]), np.zeros(3)).tolist() == [0, 0, 0]
