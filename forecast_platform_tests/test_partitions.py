"""Days: the window mapping, what is open, and what a changed day touches."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.days import days_between, ranges
from forecast_platform.partitions import DayWindow, Windows, affected, daily_partitions, membership_moved, open_day

START = date(2026, 1, 1)
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def subset(definition: dg.DailyPartitionsDefinition, first: date, last: date):
    return definition.subset_with_partition_keys([day.isoformat() for day in days_between(first, last)])


def test_a_window_reads_the_days_before_and_none_after():
    definition = daily_partitions(START, "Europe/London")
    result = DayWindow(-28, 0).get_upstream_mapped_partitions_result_for_partitions(
        subset(definition, date(2026, 2, 10), date(2026, 2, 11)), definition, definition, current_time=NOW
    )
    keys = sorted(result.partitions_subset.get_partition_keys())
    assert (keys[0], keys[-1], len(keys)) == ("2026-01-13", "2026-02-11", 30)


def test_a_window_is_cut_at_the_tenants_start():
    definition = daily_partitions(START, "UTC")
    result = DayWindow(-28, -1).get_upstream_mapped_partitions_result_for_partitions(
        subset(definition, START, date(2026, 1, 3)), definition, definition, current_time=NOW
    )
    assert sorted(result.partitions_subset.get_partition_keys()) == ["2026-01-01", "2026-01-02"]
    assert not result.required_but_nonexistent_partition_keys


def test_downstream_of_a_day_is_the_same_day_only():
    definition = daily_partitions(START, "UTC")
    days = subset(definition, date(2026, 2, 1), date(2026, 2, 14))
    result = DayWindow(-28, 0).get_downstream_partitions_for_partitions(days, definition, definition, current_time=NOW)
    assert set(result.get_partition_keys()) == set(days.get_partition_keys())


def test_partitions_reach_to_todays_open_day_in_the_tenants_zone():
    late_evening = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)
    assert daily_partitions(START, "Asia/Tokyo").get_partition_keys(current_time=late_evening)[-1] == "2026-03-11"
    assert daily_partitions(START, "UTC").get_partition_keys(current_time=late_evening)[-1] == "2026-03-10"


@pytest.mark.parametrize(
    ("zone", "day"),
    [("UTC", date(2026, 3, 10)), ("Pacific/Kiritimati", date(2026, 3, 11)), ("Etc/GMT+12", date(2026, 3, 10))],
)
def test_the_open_day_is_the_tenants_own(zone: str, day: date):
    assert open_day(NOW, zone) == day


def test_a_lone_sale_keeps_its_series_in_for_the_whole_reach():
    moved = membership_moved(START, None, None, inactive_after_days=365)
    assert (moved[0], moved[-1], len(moved)) == (START, date(2026, 12, 31), 365)


def test_a_sale_between_two_near_ones_moves_no_membership():
    day = date(2026, 3, 1)
    moved = membership_moved(day, day - timedelta(days=1), day + timedelta(days=1), inactive_after_days=365)
    assert moved == []


@given(
    sales=st.sets(st.integers(0, 60), max_size=6),
    day=st.integers(0, 60),
    reach=st.integers(1, 20),
)
def test_membership_moves_exactly_where_the_days_of_membership_differ(sales: set[int], day: int, reach: int):
    def members(days: set[int]) -> set[int]:
        return {each + offset for each in days for offset in range(reach)}

    others = sales - {day}
    before, after = ([each for each in others if each < day], [each for each in others if each > day])
    expected = members(others | {day}) - members(others)
    moved = membership_moved(
        START + timedelta(days=day),
        START + timedelta(days=max(before)) if before else None,
        START + timedelta(days=min(after)) if after else None,
        inactive_after_days=reach,
    )
    assert {(each - START).days for each in moved} == expected


WINDOWS = Windows(horizon=3, training_window=10, inactive_after_days=20)
CLOSED = date(2026, 3, 9)


def test_a_changed_day_touches_itself_what_looks_back_on_it_and_the_newest_origin():
    day = date(2026, 3, 5)
    touched = {
        asset: affected(asset, day, closed=CLOSED, windows=WINDOWS)
        for asset in ("raw_sales", "daily_sales", "features", "series_scales", "forecasts", "forecast_errors")
    }
    assert touched["raw_sales"] == touched["daily_sales"] == touched["forecast_errors"] == [day]
    assert touched["features"] == days_between(day, date(2026, 3, 10))
    assert touched["series_scales"] == days_between(day, CLOSED)
    assert touched["forecasts"] == [CLOSED]


def test_sums_are_touched_where_the_scale_of_their_origin_moved():
    day = date(2026, 2, 1)
    sums = affected("error_sums", day, closed=CLOSED, windows=WINDOWS)
    # Scales of 1 to 10 February moved; they are origins of targets up to 13 February.
    assert sums == days_between(day, date(2026, 2, 13))
    # So did the classes by which intervals are scored.
    assert affected("interval_scores", day, closed=CLOSED, windows=WINDOWS) == sums
    assert affected("published_sums", day, closed=CLOSED, windows=WINDOWS) == sums


def test_a_day_out_of_reach_leaves_the_newest_forecast_alone():
    assert affected("forecasts", CLOSED - timedelta(days=38), closed=CLOSED, windows=WINDOWS) == []
    assert affected("forecasts", CLOSED - timedelta(days=37), closed=CLOSED, windows=WINDOWS) == [CLOSED]


def test_the_newest_report_is_made_again_and_those_that_people_have_read_stay():
    assert affected("daily_report", date(2026, 3, 1), closed=CLOSED, windows=WINDOWS) == [CLOSED]
    today = CLOSED + timedelta(days=1)
    assert affected("serving", date(2026, 3, 1), closed=CLOSED, windows=WINDOWS) == [CLOSED, today]


def test_moved_membership_travels_with_the_changed_day():
    day, moved = date(2026, 3, 1), (date(2026, 3, 4),)
    assert affected("daily_sales", day, closed=CLOSED, windows=WINDOWS, moved=moved) == [day, *moved]
    assert affected("raw_sales", day, closed=CLOSED, windows=WINDOWS, moved=moved) == [day]


def test_an_asset_without_a_rule_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="'purchase_plan'"):
        affected("purchase_plan", CLOSED, closed=CLOSED, windows=WINDOWS)


def test_consecutive_days_are_one_range():
    days = [date(2026, 1, 3), date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 5)]
    assert ranges(days) == [(date(2026, 1, 1), date(2026, 1, 3)), (date(2026, 1, 5), date(2026, 1, 5))]
