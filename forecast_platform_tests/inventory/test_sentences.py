"""Each row's sentence says what its figures say."""

from __future__ import annotations

import numpy as np
import pytest

from forecast_platform.inventory.plan import plan
from forecast_platform.inventory.sentences import sentences
from forecast_platform_tests.inventory.shops import HISTORY
from forecast_platform_tests.inventory.test_plan import SHOP, stock_of, terms_of


@pytest.mark.parametrize(
    ("terms", "stock", "mean", "sentence"),
    [
        (
            {"lead_time_deviation": 2.0},
            {"on_hand": 6.0},
            2.0,
            "Sells about 2 a day; 6 on hand, enough for 3 days, and a delivery takes 5 days, give or take 2 days:"
            " order 29 now; without more, 88% likely to run out before.",
        ),
        (
            {},
            {"on_hand": 20.0},
            2.0,
            "Sells about 2 a day; 20 on hand, enough for 10 days, and a delivery takes 5 days: order 13 to have 33.",
        ),
        (
            {},
            {"on_hand": -3.0, "later": 12.0},
            2.0,
            "Sells about 2 a day; 3 owed and 12 on order, and a delivery takes 5 days: order 24 now.",
        ),
        (
            {"lead_time": 0.0},
            {"on_hand": 1500.0},
            2.0,
            "Sells about 2 a day; 1,500 on hand, enough for more than the days ahead: too much, nothing is ordered.",
        ),
        ({}, {"on_hand": 50.0}, 2.0, "Sells about 2 a day; 50 on hand, enough for 25 days: nothing is ordered."),
        (
            {},
            {"on_hand": 1.0, "later": 10_000.0},
            0.05,
            "Sells about 0.05 a day; 1 on hand and 10,000 on order, enough for 20 days: nothing is ordered.",
        ),
        (
            {},
            {"on_hand": 1.0, "later": 10_000.0},
            2.0,
            "Sells about 2 a day; 1 on hand and 10,000 on order, enough for 0.5 days, and a delivery takes 5 days:"
            " what is on its way may come too late.",
        ),
        ({}, {"on_hand": 9.0, "days_unsold": 120.0}, 0.0, "No sale for 120 days, and 9 on hand: nothing is ordered."),
        ({}, {"on_hand": 0.0}, 0.0, "No demand is expected, and none on hand: nothing is ordered."),
        ({"stocked": False}, {"on_hand": 0.0}, 2.0, "Not stocked: none on hand, and nothing is ordered."),
    ],
)
def test_a_sentence_says_what_to_do_and_why(terms: dict, stock: dict, mean: float, sentence: str):
    ahead = SHOP.ahead(HISTORY).take(slice(0, 1))
    ahead.mean[:] = mean
    bought, held = terms_of(1, **terms), stock_of(1, **stock)
    rows = plan(ahead, {}, bought, held, np.array([1.5]))
    assert sentences(rows, held, bought) == [sentence]
