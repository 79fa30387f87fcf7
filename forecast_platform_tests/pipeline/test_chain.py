"""The whole chain, in both warehouses: idempotent, a backtest, honest about what it lacks."""

from __future__ import annotations

import random
from collections.abc import Callable

import pandas as pd
import pytest

from forecast_platform.forecasting import DEFAULT_MODELS
from forecast_platform.runs import RunFailed
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]
HISTORY = 34
"""Days of facts before the origins that are run one by one."""


def with_history(shop: Shop, days: int) -> Shop:
    shop.put("history.csv", sales_lines(day(0), day(days - 1)))
    return shop


@pytest.mark.slow
def test_a_range_run_twice_leaves_everything_as_once_did(shop: Shop, at: Callable):
    with_history(shop, HISTORY)
    with at(day(HISTORY)):
        shop.run_facts(day(0), day(HISTORY - 1))
        shop.run(["forecasts", *shop.chain.accuracy], day(HISTORY - 6), day(HISTORY - 1))
        first = contents(shop.warehouse)
        digests = shop.warehouse.read("select asset, day, rows, digest from partition_log order by asset, day")
        assert len(first["forecasts"]) == 6 * len(DEFAULT_MODELS) * 8 * 7 and len(first["forecast_errors"]) > 0

        shop.run_chain(day(HISTORY - 6), day(HISTORY - 1))
        assert_same(first, contents(shop.warehouse))
        again = shop.warehouse.read("select asset, day, rows, digest from partition_log order by asset, day")
    assert digests.equals(again)
    outcomes = shop.warehouse.read("select outcome, count(*) as n from forecast_runs group by outcome order by outcome")
    assert dict(zip(outcomes["outcome"], outcomes["n"], strict=True)) == dict.fromkeys(
        ("appended", "on record"), 6 * len(DEFAULT_MODELS)
    )


@pytest.mark.parametrize(
    ("backend", "days"),
    [
        ("duckdb", 2),
        pytest.param("duckdb", 14, marks=pytest.mark.slow),
        pytest.param("postgresql", 3, marks=pytest.mark.slow),
    ],
)
def test_a_range_run_equals_single_runs_in_order_and_again_in_any_order(
    new_shop: Callable[..., Shop], backend: str, at: Callable, days: int
):
    whole, single = (with_history(new_shop(backend), HISTORY + days) for _ in range(2))
    last = HISTORY + days - 1
    with at(day(last + 1)):
        for each in (whole, single):
            each.run_facts(day(0), day(HISTORY - 1))
        whole.run_chain(day(HISTORY), day(last))
        for offset in range(HISTORY, last + 1):
            single.run_chain(day(offset), day(offset))
        assert_same(contents(whole.warehouse), contents(single.warehouse))

        shuffled = list(range(HISTORY, last + 1))
        random.Random(1).shuffle(shuffled)
        again = shuffled[: max(days // 3, 1)]
        for offset in again:
            single.run_chain(day(offset), day(offset))
        assert_same(contents(whole.warehouse), contents(single.warehouse))
    outcomes = single.warehouse.read("select outcome, count(*) as n from forecast_runs group by outcome")
    assert dict(zip(outcomes["outcome"], outcomes["n"], strict=True)) == {
        "appended": days * len(DEFAULT_MODELS),
        "on record": len(again) * len(DEFAULT_MODELS),
    }


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_nonsense_after_an_origin_leaves_its_forecasts_as_they_were(
    new_shop: Callable[..., Shop], backend: str, at: Callable
):
    honest, nonsense = (with_history(new_shop(backend), HISTORY) for _ in range(2))
    honest.put("after.csv", sales_lines(day(HISTORY), day(HISTORY + 4)))
    nonsense.put(
        "after.csv",
        [f"x{n},{day(HISTORY + n % 5)},sku {n % 6},north,{10**5 - n},99.99,x" for n in range(60)],
    )
    for shop in (honest, nonsense):
        with at(day(HISTORY + 5)):
            shop.run_facts(day(0), day(HISTORY + 4))
            shop.run(["forecasts"], day(HISTORY - 2), day(HISTORY - 1))
    ledger = {"forecasts", "forecast_versions"}
    assert_same(contents(honest.warehouse, only=ledger), contents(nonsense.warehouse, only=ledger))


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_days_that_are_missing_fail_by_name_and_days_without_sales_are_zeros(shop: Shop, at: Callable):
    empty = day(5)
    shop.put("history.csv", [line for line in sales_lines(day(0), day(HISTORY)) if f",{empty}," not in line])
    with at(day(HISTORY)):
        shop.run_facts(day(0), day(9))
        shop.run(["raw_sales"], day(12), day(20))
        with pytest.raises(RunFailed, match=r"daily_sales looks back on .*raw_sales.* 2026-01-11 to 2026-01-12"):
            shop.run(["daily_sales"], day(13), day(20))
        with pytest.raises(RunFailed, match=r"series_scales looks back on .*daily_sales.* 2026-01-11 to 2026-01-21"):
            shop.run(["series_scales"], day(20), day(20))
        with pytest.raises(RunFailed, match=r"features looks back on .*daily_sales.* 2026-01-11 to 2026-01-16"):
            shop.run(["features"], day(15), day(15))
        with pytest.raises(RunFailed, match=r"forecasts looks back on .*features.* 2026-01-11 to 2026-01-21"):
            shop.run(["forecasts"], day(20), day(20))
    assert shop.warehouse.read("select * from forecasts").empty
    rows = shop.warehouse.read("select units from daily_sales where sale_date = :day", {"day": empty})
    assert len(rows) > 0 and (rows["units"].astype(float) == 0).all()
    assert shop.warehouse.logged("raw_sales", empty, empty)[empty].rows == 0


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_an_open_day_is_no_origin_and_a_gap_in_the_ledger_fails_while_its_youth_does_not(shop: Shop, at: Callable):
    with_history(shop, HISTORY + 1)
    with at(day(HISTORY)):
        shop.run_facts(day(0), day(HISTORY))
        assert shop.warehouse.last_day("features") == day(HISTORY)
        for asset in ("forecasts", "forecast_errors"):
            with pytest.raises(RunFailed, match="open until midnight"):
                shop.run([asset], day(HISTORY), day(HISTORY))
        shop.run(["forecasts"], day(28), day(29))
        shop.run(["forecast_errors", "error_sums"], day(29), day(30))
        shop.run(["forecasts"], day(31), day(31))
        with pytest.raises(RunFailed, match=r"forecast_errors looks back on .*forecasts.* 2026-01-31"):
            shop.run(["forecast_errors", "error_sums"], day(32), day(32))
    scored = shop.warehouse.read("select distinct target_date from forecast_errors order by target_date")
    assert [each.date() for each in pd.to_datetime(scored["target_date"])] == [day(29), day(30)]
