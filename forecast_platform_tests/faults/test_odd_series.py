"""Series and days that have next to nothing in them, through every asset: defined numbers, marked, and no crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from forecast_platform.days import days_between
from forecast_platform_tests.faults.invariants import assert_sound
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

LAST = 35
MODELS = {"naive", "seasonal_naive_7", "moving_average_7", "linear"}
POOLED = {"linear", "weekday_profile", "ensemble"}
QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]


def series(sku: str, quantities: dict[date, float]) -> list[str]:
    """One sale a day of one SKU."""
    return [f"{sku}-{day},{day},{sku},north,{quantity},1.50,o" for day, quantity in quantities.items()]


def odd_lines() -> list[str]:
    every_day = days_between(day(0), day(LAST))
    return [
        *series("constant", dict.fromkeys(every_day, 5)),
        *series("one tiny constant", dict.fromkeys(every_day, 0.001)),
        *series("sold on the last day only", {every_day[-1]: 3}),
        *series("sold on the first day only", {every_day[0]: 3}),
        *series("sold on one weekday only", {each: 7 for each in every_day if each.weekday() == 2}),
        *series("all came back", dict.fromkeys(every_day[::2], 2)),
        *[
            line.replace("all came back-", "back-")
            for line in series("all came back", dict.fromkeys(every_day[::2], -2))
        ],
        *series("only returns", dict.fromkeys(every_day, -1)),
        *series("only zeros", dict.fromkeys(every_day, 0)),
    ]


WITHOUT_A_SALE = {"only returns", "only zeros"}
ALL_ZERO = {"sold on the first day only", "all came back"}
"""Series whose training window holds no sale, and which are still in."""


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_constant_empty_zero_and_one_point_series_get_defined_forecasts_and_scores(shop: Shop, at: Callable):
    shop.put("ordinary.csv", sales_lines(day(0), day(LAST), skus=2, shops=["north"]))
    shop.put("odd.csv", odd_lines())
    with at(day(LAST + 1)):
        shop.run_facts(day(0), day(LAST))
        shop.run(["forecasts", *shop.chain.accuracy], day(LAST - 7), day(LAST))
    assert_sound(shop.warehouse)

    origin = {"day": day(LAST)}
    made = shop.warehouse.read("select * from latest_forecasts where origin_date = :day", origin)
    expected = {line.split(",")[2] for line in [*odd_lines(), *sales_lines(day(0), day(LAST), skus=2)]} - WITHOUT_A_SALE
    assert set(made["sku"]) == expected
    assert made.groupby("model")["sku"].nunique().to_dict() == dict.fromkeys(set(made["model"]), len(expected))
    assert set(made["model"]) >= MODELS
    means = made["mean"].to_numpy(dtype=float)
    assert np.isfinite(means).all() and (means >= 0).all()

    by_series = {sku: group for sku, group in made.groupby("sku")}
    for sku, each_day in (("constant", 5), ("one tiny constant", 0.001)):
        of_model = by_series[sku].astype({"mean": float}).groupby("model")["mean"]
        assert sorted(of_model.size()) == [7] * len(MODELS | POOLED)
        for model in MODELS - POOLED:
            np.testing.assert_allclose(of_model.get_group(model), each_day, rtol=1e-9, err_msg=model)
        # A series borrows the shape of its week from a shop in which another is sold on Wednesdays only.
        np.testing.assert_allclose(of_model.mean()[sorted(POOLED)], each_day, rtol=0.1)
    for sku in ALL_ZERO:
        assert (by_series[sku]["mean"] == 0).all(), sku
    young = by_series["sold on the last day only"].set_index("model")["status"]
    assert set(young["linear"]) == {"cold_start"}

    scales = shop.warehouse.read(
        "select sku, scale_abs, scale_sq from series_scales join series using (series_id) where as_of = :day", origin
    ).set_index("sku")
    assert set(scales.index) == expected
    assert scales.loc["constant", "scale_abs"] == 0
    errors = shop.warehouse.read("select e.*, sku from forecast_errors e join series using (series_id)")
    assert np.isfinite(errors["error"].to_numpy(dtype=float)).all() and len(errors)
    accuracy = shop.warehouse.read("select * from forecast_accuracy_by_series")
    figures = accuracy.select_dtypes("number").to_numpy(dtype=float, na_value=np.nan)
    assert not np.isinf(figures).any(), "an undefined metric is null"


@pytest.mark.slow
def test_days_without_a_single_sale_are_empty_partitions_on_record_for_every_asset(shop: Shop, at: Callable):
    shop.put("nothing.csv", [])
    with at(day(LAST + 1)):
        shop.run_facts(day(0), day(LAST))
        shop.run(["forecasts", *shop.chain.accuracy], day(LAST - 3), day(LAST))
    for asset in shop.chain.all:
        for each in days_between(day(LAST - 2), day(LAST)):
            logged = shop.warehouse.logged(asset, each, each)
            # The total of nothing is a forecast, of 0 on each of the seven days.
            assert logged[each].rows == (7 if asset == "hierarchy_forecasts" else 0), (asset, each)
    assert_sound(shop.warehouse)


@pytest.mark.slow
def test_a_day_that_is_voided_whole_leaves_no_row_behind_in_any_asset(shop: Shop, at: Callable):
    only = day(20)
    path = shop.put("sales.csv", series("sold once", {only: 3}))
    with at(day(LAST + 1)):
        shop.run_facts(day(0), day(LAST))
        assert len(shop.warehouse.read("select * from features")) > 0
        path.write_text(path.read_text().replace(",3,", ",0,"))
        shop.run_facts(day(0), day(LAST))
    for table in ("daily_sales", "features", "series_scales"):
        assert shop.warehouse.read(f"select * from {table}").empty, table
    assert_sound(shop.warehouse)
