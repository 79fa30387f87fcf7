"""Days played by hand."""

from __future__ import annotations

import numpy as np
import pytest

from forecast_platform.inventory.replay import Replayed, replay


def played(*, backorders: bool) -> Replayed:
    """Three a day are asked for; six are ordered on the first evening, two on the second, each two mornings ahead."""
    orders, seen = [6.0, 2.0, 0.0, 0.0], []

    def rule(day: int, on_hand: np.ndarray, on_order: np.ndarray) -> np.ndarray:
        seen.append((on_hand[0], on_order[0]))
        return np.array([orders[day]])

    came = replay(np.full((1, 4), 3.0), rule, np.ones((1, 4), dtype=np.intp), np.array([5.0]), backorders=backorders)
    expected = [(2, 0), (-1, 6), (2, 2), (1, 0)] if backorders else [(2, 0), (0, 6), (3, 2), (2, 0)]
    assert seen == expected
    return came


@pytest.mark.parametrize(("backorders", "stock"), [(True, 1.25), (False, 1.75)])
def test_what_is_not_there_is_owed_or_lost(backorders: bool, stock: float):
    came = played(backorders=backorders)
    assert (came.demand[0], came.met[0], came.days_out[0], came.stock[0]) == (12.0, 11.0, 1.0, stock)
    assert (came.orders[0], came.ordered[0]) == (2.0, 8.0)
    assert came.fill_rate == pytest.approx(11 / 12)
    # One cycle ended: from the delivery of the third day to that of the fourth.
    assert (came.cycles[0], came.cycles_kept[0], came.cycle_service) == (1.0, 1.0, 1.0)


def test_nothing_asked_for_is_no_service():
    nothing = np.zeros((2, 3))
    came = replay(nothing, lambda *_: np.zeros(2), nothing.astype(np.intp), np.zeros(2), backorders=True)
    assert np.isnan(came.fill_rate) and np.isnan(came.cycle_service)
