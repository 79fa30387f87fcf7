"""Checks of sales and features: good data passes; what is wrong is told with its day, how many, and an example."""

from __future__ import annotations

from datetime import timedelta

from forecast_platform.assets.checks.daily_sales import volume
from forecast_platform.assets.checks.features import calendar_complete
from forecast_platform.assets.checks.freshness import newest_day_present
from forecast_platform.assets.checks.raw_sales import reject_share
from forecast_platform.assets.checks.schema import schema_held
from forecast_platform.days import days_between
from forecast_platform_tests.assets.checks.conftest import DAY, CheckedShop

DAILY = {"sku": "a", "location": "x", "series_id": 1, "units": 0, "units_returned": 0, "revenue": 0, "orders": 1}
DAILY |= {"on_promotion": False, "in_stock": True}
WEEKS = [DAY - timedelta(weeks=week) for week in range(9)]


def test_a_table_has_its_declared_columns_until_somebody_changes_one(checked: CheckedShop):
    for name in ("raw_sales", "features", "forecasts", "forecast_intervals", "daily_sales"):
        assert checked.look(lambda look, name=name: schema_held(look, name)).passed, name
    checked.execute("alter table daily_sales rename column units to sold")
    checked.execute("alter table daily_sales alter column orders type bigint")
    found = checked.look(lambda look: schema_held(look, "daily_sales"))
    assert not found.passed
    assert found.description == (
        "daily_sales.orders is bigint, declared integer; daily_sales.sold is numeric(18, 4), declared nowhere;"
        " daily_sales.units is missing, declared numeric(18, 4)"
    )


def sell(checked: CheckedShop, units: list[float], lines: list[int]) -> None:
    """Units and order lines of the same weekday, the newest day first."""
    days = WEEKS[: len(units)]
    checked.insert("daily_sales", **DAILY, sale_date=days, units_sold=units)
    for day, count in zip(days, lines, strict=True):
        checked.log("raw_sales", day, rows=count)


def test_a_days_volume_is_compared_with_the_same_weekday(checked: CheckedShop):
    sell(checked, [100.0, 101, 99, 103, 97], [50, 51, 49, 52, 48])
    assert checked.look(volume).passed
    checked.execute(f"update daily_sales set units_sold = 1000 where sale_date = '{DAY}'")
    found = checked.look(volume)
    assert not found.passed and found.severity.value == "WARN"
    assert found.description == f"Monday {DAY}: 1,000 units, usually 100 (median of 4 such days)"
    checked.settings = {"monitoring": {"volume_blocks": True}}
    assert checked.look(volume).severity.value == "ERROR"


def test_a_day_without_any_sale_is_told_unless_such_days_have_been(checked: CheckedShop):
    sell(checked, [0.0, 101, 99, 103, 97], [0, 51, 49, 52, 48])
    found = checked.look(volume)
    assert found.description == f"Monday {DAY}: no sale at all; each of 4 such days before had some"
    checked.log("raw_sales", WEEKS[3], rows=0)
    assert checked.look(volume).passed


def test_a_day_with_too_few_such_days_before_is_not_judged(checked: CheckedShop):
    sell(checked, [1000.0, 1, 1, 1], [50, 1, 1, 1])
    assert checked.look(volume).passed


def reject(checked: CheckedShop, bad: int, good: int) -> None:
    numbers = list(range(1, bad + 1))
    checked.insert(
        "sales_rejects", sale_date=DAY, source="f", row_number=numbers, reason="quantity is no number", payload="{}"
    )
    checked.insert("sales_rejects", sale_date=DAY, source="g", row_number=1, reason="ignored: void", payload="{}")
    # A file of which nothing could be read has a row as well.
    checked.insert("sales_rejects", sale_date=DAY, source="h", row_number=0, reason="no UTF-8", payload="{}")
    checked.log("raw_sales", DAY, rows=good)


def test_some_bad_rows_are_told_and_most_of_a_day_stops_what_follows(checked: CheckedShop):
    reject(checked, bad=15, good=985)
    assert checked.look(reject_share).passed
    checked.log("raw_sales", DAY, rows=85)
    found = checked.look(reject_share)
    assert (found.passed, found.severity.value) == (False, "WARN")
    assert found.description == f"{DAY}: 15 bad rows beside 85 good ones; most often (15): quantity is no number"
    assert found.metadata["forecast_platform/told_of"].value == [DAY.isoformat()]
    checked.log("raw_sales", DAY, rows=14)
    assert checked.look(reject_share).severity.value == "ERROR"
    checked.log("raw_sales", DAY, rows=1)
    assert checked.look(reject_share).severity.value == "WARN", "too few rows to say that a day cannot be read"


FEATURES = dict.fromkeys(("units", "lag_1", "lag_7", "lag_14", "lag_28", "rolling_mean_7", "rolling_mean_28"), 1.0)
FEATURES |= {"trend_index": 0.0, "day_of_week": 1, "is_weekend": False, "month": 3, "is_holiday": False}
FEATURES |= {"on_promotion": False, "price_ratio": 1.0, "in_stock": True}


def test_every_active_series_has_features_on_every_day_and_no_other(checked: CheckedShop):
    days = days_between(DAY - timedelta(days=2), DAY)
    for number, sku in enumerate("abcde"):
        checked.insert("daily_sales", **DAILY | {"sku": sku, "series_id": number}, sale_date=days, units_sold=1)
        checked.insert("features", **FEATURES, sale_date=days, series_id=number)
    checked.log("features", *days)
    assert checked.look(calendar_complete, days[0], DAY).passed

    checked.execute(f"delete from features where sale_date = '{days[1]}' and series_id < 4")
    checked.execute(f"delete from daily_sales where sale_date = '{DAY}' and sku = 'b'")
    found = checked.look(calendar_complete, days[0], DAY)
    assert found.description == (
        f"{days[1]}: no features of 4 active series (a at x, b at x, c at x and 1 more);"
        f" {DAY}: features of 1 series that are not active (series 1)"
    )
    checked.execute(f"delete from partition_log where day = '{days[1]}'")
    assert f"no partition after {days[0]}" in str(checked.look(calendar_complete, days[0], DAY).description)


def test_every_asset_has_the_newest_closed_day_some_hours_after_it_closed(checked: CheckedShop):
    from forecast_platform.assets.checks.freshness import due_assets

    for asset in due_assets(checked.scope):
        checked.log(asset, DAY)
    checked.settings = {"timezone": "UTC", "monitoring": {"stale_after_hours": 12}}
    assert checked.look(newest_day_present).passed
    checked.execute(f"update partition_log set day = '{WEEKS[1]}' where asset in ('champions', 'publications')")
    checked.execute("delete from partition_log where asset = 'error_sums'")
    found = checked.look(newest_day_present)
    assert found.description == (
        f"error_sums: nothing on record, {DAY} is due; champions, publications: newest day {WEEKS[1]}, {DAY} is due"
    )
    checked.settings = {"timezone": "UTC", "monitoring": {"stale_after_hours": 13}}
    checked.execute(f"update partition_log set day = '{DAY - timedelta(days=1)}'")
    checked.log("error_sums", DAY - timedelta(days=1))
    assert checked.look(newest_day_present).passed, "the day closed twelve hours ago and has one more"
