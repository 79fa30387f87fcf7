"""The plan: a defined row for every awkward input, the same whatever stands beside it, policies as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast_platform.inventory.formulas import InventoryError, safety_stock
from forecast_platform.inventory.plan import Limits, plan
from forecast_platform.inventory.stock import Stock
from forecast_platform.inventory.terms import FILL, FIXED_QUANTITY, NEWSVENDOR, ORDER_UP_TO, Terms
from forecast_platform_tests.inventory.shops import HISTORY, HORIZON, Shop

SHOP = Shop(36, 28, 3)
NAN = float("nan")


def terms_of(series: int, **given: float | str | bool) -> Terms:
    usual = {
        **{"lead_time": 5.0, "lead_time_deviation": 0.0, "review": 7.0, "policy": ORDER_UP_TO, "metric": "cycle"},
        **{"service": 0.95, "moq": NAN, "multiple": NAN, "unit_cost": 2.0, "order_cost": NAN, "holding_rate": NAN},
        **{"underage": NAN, "least_cover": NAN, "most_cover": NAN, "stocked": True},
    }
    kinds = {"policy": object, "metric": object, "stocked": bool}
    return Terms(
        **{name: np.full(series, value, dtype=kinds.get(name, float)) for name, value in (usual | given).items()}
    )


def stock_of(series: int, on_hand: float = 20.0, *, due: dict[int, float] | None = None, **given: float) -> Stock:
    deliveries = np.zeros((series, HORIZON))
    for day, units in (due or {}).items():
        deliveries[:, day - 1] = units
    usual = {"later": 0.0, "days_unsold": 0.0} | given
    return Stock(
        on_hand=np.full(series, on_hand),
        deliveries=deliveries,
        **{name: np.full(series, value) for name, value in usual.items()},
    )


def young(terms: Terms, stock: Stock, *, mean: float = 2.0, deviation: float = 1.5, limits: Limits | None = None):
    """The plan of one series whose ledger has no paths."""
    ahead = SHOP.ahead(HISTORY).take(slice(0, 1))
    ahead.mean[:] = mean
    return plan(ahead, {}, terms, stock, np.array([deviation]), limits).iloc[0]


def test_a_young_ledger_is_planned_by_the_normal_formula_and_says_so():
    row = young(terms_of(1), stock_of(1))
    expected = 24 + float(safety_stock(0.95, 2.0, 1.5, 12.0))
    assert row["method"] == "normal"
    assert row["demand_lead_time"] == 10.0 and row["demand_protection"] == 24.0
    assert row["reorder_point"] == np.ceil(expected) == row["order_up_to"]
    assert row["order_quantity"] == np.ceil(expected) - 20
    assert row["days_of_inventory"] == 10.0 and row["inventory_value"] == 40.0
    # 20 on hand last 10 days of 12; a delivery takes 5.
    assert (row["status"], row["action"], row["priority"]) == ("understocked", "reorder", 2)


@pytest.mark.parametrize(
    ("changed", "stock", "mean", "expected"),
    [
        # No stock: out, at once.
        ({}, {"on_hand": 0.0}, 2.0, {"status": "out of stock", "action": "reorder now", "stockout_probability": 1.0}),
        # More was sold than there was: what is owed is ordered as well.
        ({}, {"on_hand": -10.0}, 2.0, {"status": "out of stock", "order_quantity": 43.0, "inventory_value": 0.0}),
        # No demand: nothing is ordered, nothing runs out.
        ({}, {"on_hand": 5.0}, 0.0, {"order_quantity": 0.0, "days_of_inventory": NAN, "stockout_probability": 0.0}),
        ({}, {"on_hand": 0.0}, 0.0, {"order_quantity": 0.0, "days_of_inventory": 0.0, "action": "none"}),
        # A delivery at once: only the review is covered.
        ({"lead_time": 0.0}, {"on_hand": 2.0}, 2.0, {"demand_lead_time": 0.0, "demand_protection": 14.0}),
        # The least order is above the need, and lots are of 12.
        ({"moq": 100.0, "multiple": 12.0}, {"on_hand": 20.0}, 2.0, {"order_quantity": 108.0}),
        # Ten thousand are on their way.
        ({}, {"on_hand": 1.0, "later": 10_000.0}, 2.0, {"order_quantity": 0.0, "action": "watch"}),
        ({}, {"on_hand": 1.0, "due": {1: 10_000.0}}, 2.0, {"order_quantity": 0.0, "action": "none"}),
        # Nothing was sold for long.
        ({}, {"on_hand": 9.0, "days_unsold": 90.0}, 0.0, {"status": "dead stock", "action": "watch"}),
        ({}, {"on_hand": 900.0}, 2.0, {"status": "overstocked", "order_quantity": 0.0, "action": "watch"}),
        ({}, {"on_hand": 60.0}, 2.0, {"status": "normal", "order_quantity": 0.0, "action": "none"}),
        # Not stocked: nothing is ordered, and an empty shelf is as it should be.
        ({"stocked": False}, {"on_hand": 0.0}, 2.0, {"status": "not stocked", "order_quantity": 0.0, "action": "none"}),
        # Bounds on what an order covers.
        ({"least_cover": 40.0}, {"on_hand": 0.0}, 2.0, {"order_up_to": 80.0, "order_quantity": 80.0}),
        ({"most_cover": 10.0}, {"on_hand": 0.0}, 2.0, {"order_up_to": 20.0, "order_quantity": 20.0}),
        # Lots: EOQ where there are costs, by normal theory as from paths.
        (
            {"policy": FIXED_QUANTITY, "order_cost": 10.0, "holding_rate": 0.5},
            {"on_hand": 5.0},
            2.0,
            {"eoq": np.sqrt(2 * 10 * 730 / 1.0), "order_quantity": 121.0},
        ),
        ({"policy": FIXED_QUANTITY}, {"on_hand": 500.0}, 2.0, {"order_quantity": 0.0}),
        # Lots of what nobody asks for are not ordered, and bounds of cover do not cut a lot.
        ({"policy": FIXED_QUANTITY, "moq": 12.0}, {"on_hand": 0.0}, 0.0, {"order_quantity": 0.0, "order_up_to": 0.0}),
        ({"policy": FIXED_QUANTITY, "moq": 300.0, "most_cover": 5.0}, {"on_hand": 0.0}, 2.0, {"order_quantity": 300.0}),
        # What has not sold for long is not ordered, whatever is forecast of it.
        ({}, {"on_hand": 1.0, "days_unsold": 90.0}, 0.5, {"status": "dead stock", "order_quantity": 0.0}),
        # Nobody knows what there is: nothing is ordered, and somebody has to look where stock is wanted.
        ({}, {"on_hand": NAN}, 2.0, {"status": "stock unknown", "action": "watch", "order_quantity": 0.0}),
        ({"stocked": False}, {"on_hand": NAN}, 2.0, {"status": "not stocked", "action": "none"}),
        ({}, {"on_hand": NAN}, 0.0, {"status": "stock unknown", "action": "none", "stockout_probability": NAN}),
        # Reviewed every 0 days is every day.
        ({"review": 0.0, "metric": FILL, "service": 0.9}, {"on_hand": 0.0}, 2.0, {"order_up_to": 17.0}),
    ],
)
def test_every_input_has_a_defined_row(changed: dict, stock: dict, mean: float, expected: dict):
    row = young(terms_of(1, **changed), stock_of(1, **stock), mean=mean)
    for name, value in expected.items():
        if isinstance(value, str):
            assert row[name] == value
        else:
            assert row[name] == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"service": 1.0}, "service level 1"),
        ({"service": 0.0}, "service level 0"),
        ({"lead_time": -1.0}, "lead_time -1"),
        ({"lead_time": NAN}, "lead_time nan"),
        ({"policy": "guess"}, "policy 'guess'"),
        ({"metric": "luck"}, "metric 'luck'"),
    ],
)
def test_terms_that_no_plan_can_be_made_of_are_refused_by_name(changed: dict, told: str):
    with pytest.raises(InventoryError, match=told):
        young(terms_of(1, **changed), stock_of(1))


def test_an_order_waits_for_its_review_unless_the_stock_may_run_out_before_it_comes():
    shop, nobody = SHOP.ahead(HISTORY).take(slice(0, 1)), np.array([False])
    shop.mean[:] = 2.0

    def action(on_hand: float, **reviewed: np.ndarray) -> str:
        return plan(shop, {}, terms_of(1), stock_of(1, on_hand), np.array([1.5]), **reviewed)["action"].item()

    # 10 units are expected in the 5 days of a delivery, give or take 3.4: 17 are enough for 95 of 100.
    assert (action(17.0), action(17.0, looked_at=nobody)) == ("reorder", "watch")
    assert (action(15.0), action(15.0, looked_at=nobody)) == ("reorder now", "reorder now")
    assert action(60.0, looked_at=nobody) == "none"


def test_limits_are_settings():
    stock = stock_of(1, 60.0, days_unsold=30.0)
    assert young(terms_of(1), stock, limits=Limits(overstocked=20.0))["status"] == "overstocked"
    assert young(terms_of(1), stock, limits=Limits(dead=30.0))["status"] == "dead stock"


@pytest.fixture(scope="module")
def pools():
    return SHOP.pools(HISTORY)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"metric": FILL},
        {"policy": FIXED_QUANTITY, "order_cost": 30.0, "holding_rate": 0.3},
        {"policy": FIXED_QUANTITY, "metric": FILL},
        {"policy": NEWSVENDOR, "underage": 0.5, "holding_rate": 0.3},
        {"lead_time_deviation": 3.0, "lead_time": 8.0},
    ],
)
def test_a_series_row_is_the_same_whatever_stands_beside_it(pools, changed: dict):
    ahead, terms, stock = SHOP.ahead(HISTORY), terms_of(SHOP.series, **changed), stock_of(SHOP.series)
    unknown = np.full(SHOP.series, NAN)
    together = plan(ahead, pools, terms, stock, unknown)
    assert (together["method"] == "paths").all()
    rows = np.random.default_rng(1).permutation(SHOP.series)[:10]
    some = Terms(**{name: values[rows] for name, values in vars(terms).items()})
    few = Stock(**{name: values[rows] for name, values in vars(stock).items()})
    alone = plan(ahead.take(rows), pools, some, few, unknown[rows])
    pd.testing.assert_frame_equal(alone, together.iloc[rows].reset_index(drop=True), check_exact=True)


def test_more_service_and_longer_or_less_certain_lead_times_need_more(pools):
    ahead, stock, unknown = SHOP.ahead(HISTORY), stock_of(SHOP.series), np.full(SHOP.series, NAN)

    def up_to(**changed: float) -> np.ndarray:
        return plan(ahead, pools, terms_of(SHOP.series, **changed), stock, unknown)["order_up_to"].to_numpy()

    usual = up_to()
    for more in ({"service": 0.99}, {"lead_time": 9.0}, {"review": 14.0}):
        assert (up_to(**more) >= usual).all() and up_to(**more).sum() > usual.sum()
    assert up_to(lead_time_deviation=3.0).sum() > usual.sum()


def test_a_newsvendor_covers_the_share_that_costs_least_and_without_costs_its_service_level(pools):
    ahead, stock, unknown = SHOP.ahead(HISTORY), stock_of(SHOP.series), np.full(SHOP.series, NAN)
    terms = terms_of(SHOP.series, policy=NEWSVENDOR, underage=1.0, holding_rate=365 / 12, unit_cost=1 / 9)
    ratio = terms_of(SHOP.series, service=0.9)
    ours, theirs = (plan(ahead, pools, each, stock, unknown)["order_up_to"] for each in (terms, ratio))
    assert ours.tolist() == theirs.tolist()
    without = replace(terms, underage=unknown)
    plain = plan(ahead, pools, terms_of(SHOP.series), stock, unknown)["order_up_to"]
    assert plan(ahead, pools, without, stock, unknown)["order_up_to"].tolist() == plain.tolist()
