"""Sales that arrive, change or vanish after their day was closed change what ``affected`` says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

import pandas as pd
import pytest

from forecast_platform.days import days_between
from forecast_platform.partitions import affected
from forecast_platform.runs import FOLLOWING_SALES, Step, make_changed
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

CLOSED = 69
FIRST_ORIGIN = 60
SALES = ("raw_sales", "sales_rejects")
BEFORE = [
    f"late-1,{day(58)},late first,north,3,9.50,o1",
    f"last-1,{day(12)},late last,north,2,4.50,o2",
    f"void-1,{day(14)},voided last,south,4,7.00,o3",
    f"void-2,{day(18)},voided last,south,4,7.00,o4",
]
AFTER = [
    f"late-0,{day(56)},late first,north,5,9.50,o5",
    f"last-2,{day(18)},late last,north,1,4.50,o6",
    f"void-2,{day(18)},voided last,south,0,7.00,o4",
    f"more,{day(56)},sku 1,south,6,3.25,o7",
]
CHANGED = [day(18), day(56)]
MOVED = {day(56), day(57)} | set(days_between(day(52), day(57))) | set(days_between(day(54), day(57)))
"""The first sale of one series is two days earlier; one leaves six days later, and one four days earlier: reach 40."""


def log_of(shop: Shop) -> pd.DataFrame:
    """Digest and run of every partition of every asset."""
    log = shop.warehouse.read("select asset, day, digest, run_id from partition_log")
    return log.assign(day=pd.to_datetime(log["day"]).dt.date).set_index(["asset", "day"]).sort_index()


def expected_partitions(shop: Shop, changed: Iterable[date], moved: Iterable[date]) -> set[tuple[str, date]]:
    return {
        (asset, each)
        for asset in (*SALES, *FOLLOWING_SALES)
        for origin in changed
        for each in affected(asset, origin, closed=day(CLOSED), windows=shop.scope.windows, moved=tuple(moved))
    }


def run_whole(shop: Shop) -> None:
    shop.run_facts(day(0), day(CLOSED))
    shop.run(["forecasts", *shop.chain.accuracy], day(FIRST_ORIGIN), day(CLOSED))


def make(shop: Shop) -> Callable[[Step], object]:
    return lambda step: shop.run(step.assets, step.first, step.last)


@pytest.mark.parametrize("backend", ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_late_and_voided_sales_change_what_they_touch_and_nothing_else(
    new_shop: Callable[..., Shop], backend: str, at: Callable
):
    shop, clean = (new_shop(backend) for _ in range(2))
    with at(day(CLOSED + 1)):
        for each in (shop, clean):
            each.put("history.csv", [*sales_lines(day(0), day(CLOSED)), *BEFORE])
        run_whole(shop)
        before, believed = log_of(shop), contents(shop.warehouse, only={"forecasts", "forecast_versions"})

        for each in (shop, clean):
            each.put("late.csv", AFTER)
        make_changed(shop.scope, CHANGED, make(shop))
        after = log_of(shop)

        # Exactly the partitions on record that `affected` names were made again; no other partition changed.
        assert before.index.equals(after.index)
        made_again = set(before.index[before["run_id"] != after["run_id"]])
        assert made_again == expected_partitions(shop, CHANGED, MOVED) & set(before.index)
        differing = set(before.index[before["digest"] != after["digest"]])
        assert differing <= made_again
        assert {each for asset, each in differing if asset == "daily_sales"} == {*CHANGED, *MOVED}
        assert {each for asset, each in differing if asset == "raw_sales"} == set(CHANGED)
        assert ("forecasts", day(CLOSED)) in differing and ("error_sums", day(61)) in differing

        # What was believed stays on record; only the newest origin has more versions.
        now = contents(shop.warehouse, only=set(believed))
        assert_same(believed, {name: among(frame, believed[name]) for name, frame in now.items()})
        new = now["forecast_versions"][
            ~now["forecast_versions"]["digest"].isin(believed["forecast_versions"]["digest"])
        ]
        # All were computed again; those that look back seven days at most have no new number to append, and those that
        # borrow from the group have one for every series.
        assert set(pd.to_datetime(new["origin_date"]).dt.date) == {day(CLOSED)}
        appended = dict(zip(new["model"], new["series"].astype(int), strict=True))
        assert appended == {
            **dict.fromkeys(("naive", "seasonal_naive_7", "moving_average_7"), 0),
            **dict.fromkeys(("linear", "weekday_profile", "ensemble"), 9),
        }

        # Everything that is computed from facts equals a warehouse that knew them all from the start.
        clean.run_facts(day(0), day(CLOSED))
        clean.run(["forecasts"], day(CLOSED), day(CLOSED))
        facts = {"raw_sales", "sales_rejects", "daily_sales", "weekly_sales", "features", "series_scales"}
        assert_same(contents(clean.warehouse, only=facts), contents(shop.warehouse, only=facts))
        pd.testing.assert_frame_equal(newest_forecasts(shop), newest_forecasts(clean), check_exact=True)

        # And the errors equal those of a ledger that is scored anew.
        scores = {"forecast_errors", "error_sums"}
        scored = contents(shop.warehouse, only=scores)
        shop.run(sorted(scores), day(FIRST_ORIGIN), day(CLOSED))
        assert_same(scored, contents(shop.warehouse, only=scores))
        assert log_of(shop)["digest"].equals(after["digest"])


def among(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``frame`` whose version is in ``other``."""
    return frame[frame["digest"].isin(other["digest"])].reset_index(drop=True)


def newest_forecasts(shop: Shop) -> pd.DataFrame:
    """What the newest origin forecasts, by model, series and horizon: the newest version that has the series."""
    rows = shop.warehouse.read(
        "select v.version_id, v.model, s.sku, s.location, f.horizon, f.mean, f.status from forecasts f"
        " join forecast_versions v on v.version_id = f.version_id join series s on s.series_id = f.series_id"
        " where f.origin_date = :origin",
        {"origin": day(CLOSED)},
    )
    key = ["model", "sku", "location", "horizon"]
    newest = rows.sort_values([*key, "version_id"]).drop_duplicates(key, keep="last")
    return newest.drop(columns="version_id").reset_index(drop=True)


def test_a_new_series_sold_on_two_late_days_is_in_on_every_day_since_the_first(
    new_shop: Callable[..., Shop], at: Callable
):
    shop = new_shop("duckdb")
    shop.put("history.csv", sales_lines(day(0), day(20)))
    with at(day(21)):
        shop.run(["raw_sales", "daily_sales"], day(0), day(20))
        shop.put("late.csv", [f"new-{n},{day(n)},new,north,2,9.50,n{n}" for n in (5, 9)])
        make_changed(shop.scope, [day(5), day(9)], make(shop))
    found = shop.warehouse.read("select sale_date, units from daily_sales where sku = 'new' order by sale_date")
    assert list(pd.to_datetime(found["sale_date"]).dt.date) == days_between(day(5), day(20))
    assert float(found["units"].sum()) == 4


def test_a_partition_that_was_never_made_is_not_made_because_a_day_changed(till: Shop, at: Callable):
    """Its own run reads the corrected facts when it comes."""
    till.put("history.csv", sales_lines(day(0), day(9)))
    with at(day(12)):
        till.run(["raw_sales"], day(0), day(9))
        before = log_of(till)
        till.put("late.csv", [f"more,{day(8)},sku 1,south,6,3.25,o7"])
        steps = make_changed(till.scope, [day(8)], make(till))
        after = log_of(till)
    assert steps == [Step(SALES, day(8), day(8))]
    assert before.index.equals(after.index)
    assert list(before.index[before["digest"] != after["digest"]]) == [("raw_sales", day(8))]
