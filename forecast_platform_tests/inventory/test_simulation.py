"""Past days played again: by hand, what counts, and a plan of perfect levels against the simple rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast_platform.inventory.simulation import (
    ACTUAL,
    PLAN,
    SIMPLE,
    SIMPLE_DAYS,
    Evening,
    Past,
    first_counted,
    lead_times,
    outcome,
    simulate,
)
from forecast_platform.inventory.terms import FIXED_QUANTITY
from forecast_platform_tests.inventory.test_plan import terms_of

DAYS = 8


def past_of(demand: float = 3.0, *, lead: int = 2, opening: float = 12.0, ordered: np.ndarray | None = None) -> Past:
    return Past(
        first_day=0,
        demand=np.full((1, DAYS), demand),
        censored=np.zeros((1, DAYS), dtype=bool),
        before=np.full((1, SIMPLE_DAYS), 1.0),
        opening=np.array([opening]),
        arriving=np.zeros((1, DAYS + 1)),
        lead_time=np.full((1, DAYS), lead, dtype=np.intp),
        ordered=ordered,
    )


def evenings(up_to: float, point: float | None = None, **terms) -> list[Evening]:
    bought = terms_of(1, **({"review": 1.0} | terms))
    levels = np.array([up_to]), np.array([up_to if point is None else point])
    return [Evening(*levels, bought)] * DAYS


def test_each_rule_orders_as_it_says_and_days_count_from_the_first_delivery():
    ordered = np.zeros((1, DAYS))
    ordered[0, 1] = 40.0
    past = past_of(ordered=ordered)
    came = simulate(past, evenings(12.0))
    # Ordered in the evening of day 0, there in the morning of day 3: 5 of the 8 days count.
    assert first_counted(past, evenings(12.0)[0].terms)[0] == 3
    plan, simple, actual = (came[name] for name in (PLAN, SIMPLE, ACTUAL))
    assert plan.days[0] == 5
    # 12 - 3 = 9 left on day 0, 3 are ordered each evening and arrive three mornings later: never short.
    assert plan.evening[0].tolist() == [9.0, 6.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    assert (plan.fill_rate, plan.orders[0], plan.ordered[0], plan.stock[0]) == (1.0, 5.0, 15.0, 3.0)
    # The simple rule reaches up to the units of the last 30 days: 29 x 1 + 3, 28 x 1 + 2 x 3, ...
    assert simple.evening[0, 3] == 3.0 - 3.0 + (32.0 - 9.0)
    # 40 came in the morning of day 4: nothing is there on day 4's eve but what was left.
    assert actual.evening[0].tolist() == [9.0, 6.0, 3.0, 0.0, 37.0, 34.0, 31.0, 28.0]
    told = outcome(plan, past, evenings(12.0, holding_rate=0.365, order_cost=4.0)[0].terms, np.array([0]))
    assert told == pytest.approx(
        {
            **{"series": 1, "demand": 15, "met": 15, "fill_rate": 1, "cycle_service": 1, "stockout_days": 0},
            **{
                "stock_units": 3,
                "stock_value": 6,
                "orders": 5,
                "ordered": 15,
                "holding_cost": 0.03,
                "ordering_cost": 20,
            },
            "censored_days": 0,
        }
    )


def test_lots_are_ordered_at_the_point_and_a_review_period_is_waited_for():
    lots = simulate(past_of(), evenings(30.0, 6.0, policy=FIXED_QUANTITY))[PLAN]
    # On day 1 six are left: 24 are ordered, and nothing more until the position is at 6 again.
    assert lots.evening[0].tolist() == [9.0, 6.0, 3.0, 0.0, 21.0, 18.0, 15.0, 12.0]
    weekly = simulate(past_of(), evenings(12.0, review=7.0))[PLAN]
    assert weekly.evening[0].tolist() == [9.0, 6.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0]


def test_what_was_ordered_before_is_awaited_and_a_series_without_a_plan_orders_nothing():
    arriving = np.zeros((1, DAYS + 1))
    arriving[0, 3] = 9.0
    arriving[0, DAYS] = 100.0
    awaited = simulate(replace(past_of(), arriving=arriving), evenings(12.0))[PLAN]
    assert awaited.ordered[0] == 0.0 and awaited.evening[0, 3] == 9.0
    gone = [Evening(np.array([np.nan]), np.array([np.nan]), each.terms) for each in evenings(12.0)]
    assert simulate(past_of(), gone)[PLAN].ordered[0] == 0.0
    with pytest.raises(KeyError):
        simulate(past_of(), evenings(12.0))[ACTUAL]


def test_lead_times_are_those_of_the_newest_delivery_or_drawn_from_the_terms():
    terms = terms_of(3, lead_time=10.0, lead_time_deviation=2.0)
    lines = pd.DataFrame({"row": [0, 0], "ordered": [2, 5], "took": [7, 4]})
    found = lead_times(lines, terms, np.arange(400))
    assert found[0, :8].tolist() == [7, 7, 7, 7, 7, 4, 4, 4]
    for row in (1, 2):
        assert found[row].mean() == pytest.approx(10.0, abs=0.2) and found[row].std() == pytest.approx(2.0, abs=0.2)
    assert (found[1] != found[2]).any()


def test_a_day_that_does_not_count_is_played_and_not_counted():
    nothing = simulate(past_of(lead=30), evenings(12.0))[PLAN]
    assert nothing.days[0] == 0 and np.isnan(nothing.stock[0]) and nothing.demand[0] == 0
    told = outcome(nothing, past_of(lead=30), evenings(12.0)[0].terms, np.array([0]))
    assert told["series"] == 0 and np.isnan(told["stockout_days"])
