"""The service that a plan promises is reached: days played with its own orders, deliveries random."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from forecast_platform.inventory.formulas import safety_stock
from forecast_platform.inventory.plan import plan
from forecast_platform.inventory.replay import Replayed, replay
from forecast_platform.inventory.stock import Stock
from forecast_platform.inventory.terms import CYCLE, FILL, FIXED_QUANTITY, ORDER_UP_TO, Terms
from forecast_platform_tests.inventory.shops import HISTORY, HORIZON, Shop

WEEK = 7


def terms_of(
    shop: Shop, service: float, *, policy: str = ORDER_UP_TO, metric: str = CYCLE, review: int = WEEK
) -> Terms:
    """Lead times of 5, 8 or 12 days that vary by a fifth or two; orders of any size."""
    generator = np.random.default_rng(shop.seed + 1)
    lead_time = generator.choice([5.0, 8.0, 12.0], shop.series)
    nothing = np.full(shop.series, np.nan)
    return Terms(
        lead_time=lead_time,
        lead_time_deviation=lead_time * generator.choice([0.2, 0.4], shop.series),
        review=np.full(shop.series, float(review)),
        policy=np.full(shop.series, policy, dtype=object),
        metric=np.full(shop.series, metric, dtype=object),
        service=np.full(shop.series, service),
        moq=np.zeros(shop.series),
        multiple=np.zeros(shop.series),
        unit_cost=nothing,
        order_cost=nothing,
        holding_rate=nothing,
        underage=nothing,
        least_cover=nothing,
        most_cover=nothing,
        stocked=np.ones(shop.series, dtype=bool),
    )


def played(shop: Shop, terms: Terms, order, review: int = WEEK) -> Replayed:
    """``order(origin, on hand, on order)`` every ``review`` days; stock starts at what a first order would reach."""
    generator = np.random.default_rng(shop.seed + 2)
    shape = ((terms.lead_time / terms.lead_time_deviation) ** 2)[:, None]
    days = generator.gamma(shape, (terms.lead_time_deviation**2 / terms.lead_time)[:, None], (shop.series, shop.days))
    empty = np.zeros(shop.series)
    opening = order(HISTORY - 1, empty, empty)

    def rule(day: int, on_hand: np.ndarray, on_order: np.ndarray) -> np.ndarray:
        looks = (day + 1) % review == 0
        return order(HISTORY + day, on_hand, on_order) if looks else empty

    demand = shop.demand[:, HISTORY : HISTORY + shop.days]
    return replay(demand, rule, np.floor(days + 0.5).astype(np.intp), opening, backorders=True)


def by_the_plan(shop: Shop, terms: Terms):
    """Orders of the plan, from the newest forecasts and from paths up to a week old."""

    @cache
    def pools_of_week(week: int):
        return shop.pools(WEEK * week)

    def order(origin: int, on_hand: np.ndarray, on_order: np.ndarray) -> np.ndarray:
        ahead, pools = shop.ahead(origin), pools_of_week(origin // WEEK)
        stock = Stock(
            on_hand=on_hand,
            deliveries=np.zeros((shop.series, HORIZON)),
            later=on_order,
            days_unsold=np.zeros(shop.series),
        )
        made = plan(ahead, pools, terms, stock, np.full(shop.series, np.nan))
        assert (made["method"] == "paths").all()
        return made["order_quantity"].to_numpy()

    return order


def by_the_normal_formula(shop: Shop, terms: Terms, service: float):
    def order(origin: int, on_hand: np.ndarray, on_order: np.ndarray) -> np.ndarray:
        mean = shop.ahead(origin).expected(terms.protection)
        safety = safety_stock(
            service, mean / terms.protection, shop.deviation(origin), terms.protection, terms.lead_time_deviation
        )
        return np.maximum(np.ceil(mean + safety) - on_hand - on_order, 0.0)

    return order


def stock_in_days(shop: Shop, came: Replayed, rows: np.ndarray) -> float:
    """Mean stock in days of demand."""
    return float((came.stock[rows] / (came.demand[rows] / shop.days)).mean())


@pytest.mark.slow
@pytest.mark.parametrize("service", [0.90, 0.95, 0.98])
def test_the_cycle_service_that_was_asked_for_is_reached(service: float):
    shop = Shop(600, 224, 11)
    terms = terms_of(shop, service)
    assert played(shop, terms, by_the_plan(shop, terms)).cycle_service == pytest.approx(service, abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "metric", "review", "service"),
    [
        (ORDER_UP_TO, FILL, WEEK, 0.90),
        (ORDER_UP_TO, FILL, WEEK, 0.95),
        (FIXED_QUANTITY, CYCLE, 1, 0.95),
        (FIXED_QUANTITY, FILL, 1, 0.90),
        (FIXED_QUANTITY, FILL, 1, 0.95),
    ],
)
def test_each_policy_reaches_its_own_target(policy: str, metric: str, review: int, service: float):
    shop = Shop(150, 224 if review == WEEK else 140, 12)
    terms = terms_of(shop, service, policy=policy, metric=metric, review=review)
    # A lot of two weeks: EOQ with the cost of an order that makes it so.
    weeks = 2 * WEEK * shop.demand[:, :HISTORY].mean(axis=1)
    daily = shop.demand[:, :HISTORY].mean(axis=1)
    costs = {"unit_cost": np.ones(shop.series), "holding_rate": np.ones(shop.series)}
    terms = Terms(**{**vars(terms), **costs, "order_cost": weeks**2 / (2 * daily * 365)})
    came = played(shop, terms, by_the_plan(shop, terms), review)
    reached = came.cycle_service if metric == CYCLE else came.fill_rate
    assert reached == pytest.approx(service, abs=0.02)


@pytest.mark.slow
def test_intermittent_demand_needs_no_more_stock_than_by_the_normal_formula_and_comes_nearer_its_target():
    shop = Shop(600, 224, 13)
    rows = np.flatnonzero(shop.kind == "intermittent")

    def service(came: Replayed) -> float:
        return came.cycles_kept[rows].sum() / came.cycles[rows].sum()

    terms = terms_of(shop, 0.95)
    ours = played(shop, terms, by_the_plan(shop, terms))
    normal = [
        played(shop, terms, by_the_normal_formula(shop, terms, level)) for level in (0.95, 0.97, 0.98, 0.985, 0.99)
    ]
    assert abs(service(ours) - 0.95) < abs(service(normal[0]) - 0.95)
    reached = [service(each) for each in normal]
    assert reached[0] < service(ours) < reached[-1]
    stocks = [stock_in_days(shop, each, rows) for each in normal]
    assert stock_in_days(shop, ours, rows) <= np.interp(service(ours), reached, stocks)


def test_a_short_play_reaches_its_service_within_what_chance_leaves():
    shop = Shop(90, 56, 14)
    terms = terms_of(shop, 0.90)
    assert played(shop, terms, by_the_plan(shop, terms)).cycle_service == pytest.approx(0.90, abs=0.06)
