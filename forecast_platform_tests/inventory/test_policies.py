"""Levels of the policies: brute force over draws, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecast_platform.inventory.formulas import InventoryError
from forecast_platform.inventory.policies import Excess, cycle_level, fill_level, reorder_level

DRAWS = arrays.arrays(np.float64, (3, 40), elements=st.integers(0, 50).map(float))
LEVELS = arrays.arrays(np.float64, 3, elements=st.floats(-5, 60))
SHARES = st.floats(0.01, 0.99)


@given(DRAWS, LEVELS)
def test_the_excess_is_the_mean_of_what_lies_above(draws: np.ndarray, level: np.ndarray):
    assert Excess(draws).over(level) == pytest.approx(np.maximum(draws - level[:, None], 0).mean(axis=1), abs=1e-9)


@given(DRAWS, SHARES)
def test_a_cycle_level_is_the_smallest_that_enough_draws_keep_to(draws: np.ndarray, share: float):
    level = cycle_level(draws, np.full(3, share))
    assert ((draws <= level[:, None]).mean(axis=1) >= share - 1e-9).all()
    assert ((draws < level[:, None]).mean(axis=1) < share).all()


@given(DRAWS, DRAWS, SHARES)
def test_a_fill_level_is_the_smallest_that_leaves_little_enough_short(
    carried: np.ndarray, period: np.ndarray, share: float
):
    protection = carried + period
    level = fill_level(protection, carried, period.mean(axis=1), np.full(3, share))

    def short(at: np.ndarray) -> np.ndarray:
        over = np.maximum(protection - at[:, None], 0) - np.maximum(carried - at[:, None], 0)
        return over.mean(axis=1)

    allowed = (1 - share) * period.mean(axis=1)
    assert (short(level) <= allowed + 1e-6).all()
    assert ((level < 1e-6) | (short(level - 1e-4) > allowed - 1e-6)).all()


@given(DRAWS, st.floats(1, 100), SHARES)
def test_a_reorder_level_leaves_as_little_short_per_lot(draws: np.ndarray, quantity: float, share: float):
    level = reorder_level(draws, np.full(3, quantity), np.full(3, share))
    at = level[:, None]
    short = (np.maximum(draws - at, 0) - np.maximum(draws - at - quantity, 0)).mean(axis=1)
    assert (short <= (1 - share) * quantity + 1e-6).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_no_stock_gives_is_refused(share: float):
    draws, shares = np.ones((1, 4)), np.array([share])
    for refused in (
        lambda: cycle_level(draws, shares),
        lambda: fill_level(draws, draws, np.ones(1), shares),
        lambda: reorder_level(draws, np.ones(1), shares),
    ):
        with pytest.raises(InventoryError, match="is not between 0 and 1"):
            refused()
