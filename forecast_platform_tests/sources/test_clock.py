"""Days and instants: each event has exactly one business day, in any zone, on days of 23 and 25 hours."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from forecast_platform.sources.clock import Clock
from forecast_platform.sources.parsing import texts_of

ZONES = ["UTC", "America/New_York", "Asia/Tokyo", "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12"]


def clock(zone: str = "UTC", **options: object) -> Clock:
    given = {
        "zone": zone,
        "source_zone": zone,
        "ambiguous": "first",
        "nonexistent": "reject",
        "weeks": 0,
        "earliest": date(1990, 1, 1),
        "received_at": datetime(2030, 1, 1, tzinfo=UTC),
    }
    return Clock(**(given | options))


def instants(texts: list[str | None], *, form: str = "iso", **options: object):
    moments, days = clock(**options).instants(texts_of(pa.chunked_array([texts], pa.string()), ("",)), form, "sold_at")
    return moments.values.to_pylist(), days.values.to_pylist(), moments.problems.to_pylist()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1), date(2028, 2, 29), date(2026, 12, 31)])
def test_every_hour_has_one_business_day_and_the_days_hold_all_hours(zone, day):
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=2)
    hours = [start + timedelta(hours=h) for h in range(120)]
    found, days, problems = instants([h.isoformat() for h in hours], zone=zone)
    assert problems == [None] * 120
    assert found == hours
    assert days == [h.astimezone(ZoneInfo(zone)).date() for h in hours]
    length = {(date(2026, 3, 8), "America/New_York"): 23, (date(2026, 11, 1), "America/New_York"): 25}
    assert Counter(days)[day] == length.get((day, zone), 24)


@pytest.mark.parametrize(("rule", "utc_hour"), [("first", 5), ("second", 6)])
def test_a_local_time_that_comes_twice_is_resolved_by_the_rule(rule, utc_hour):
    found, days, _ = instants(["2026-11-01 01:30"], zone="America/New_York", ambiguous=rule)
    assert found == [datetime(2026, 11, 1, utc_hour, 30, tzinfo=UTC)]
    assert days == [date(2026, 11, 1)]


def test_a_local_time_that_comes_twice_or_not_at_all_is_refused_where_the_rule_says_so():
    found, _, problems = instants(
        ["2026-11-01 01:30", "2026-03-08 02:30", "2026-03-08 03:30"], zone="America/New_York", ambiguous="reject"
    )
    assert found[:2] == [None, None] and found[2] is not None
    assert all("'2026-" in p and "America/New_York" in p for p in problems[:2])


def test_a_skipped_local_time_may_be_shifted_forward():
    found, _, _ = instants(["2026-03-08 02:30"], zone="America/New_York", nonexistent="shift_forward")
    assert found == [datetime(2026, 3, 8, 7, 0, tzinfo=UTC)]


def test_a_time_of_the_sources_zone_counts_on_the_tenants_day():
    _, days, _ = instants(["2026-06-01 23:30"], zone="Asia/Tokyo", source_zone="Europe/London")
    assert days == [date(2026, 6, 2)]


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05Z", "2026-01-02 03:04:05+00:00", "2026-01-02T05:04:05.000+02", "2026-01-02 03:04:05 UTC"],
)
def test_times_with_an_offset_are_instants(text):
    assert instants([text], zone="Asia/Tokyo")[0] == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]


@pytest.mark.parametrize(
    "text", ["2026-13-01", "2026-02-30 10:00", "02/01/2026", "tomorrow", "20260102", "2026-01-02T25:00", "٢٠٢٦-01-01"]
)
def test_what_is_no_iso_date_is_refused_with_its_value(text):
    found, days, problems = instants([text])
    assert (found, days) == ([None], [None])
    assert repr(text) in problems[0]


def test_a_format_reads_other_dates_and_only_those():
    found, _, problems = instants(["31/12/2025 08:26", "12/31/2025 08:26"], form="%d/%m/%Y %H:%M")
    assert found == [datetime(2025, 12, 31, 8, 26, tzinfo=UTC), None]
    assert "%d/%m/%Y %H:%M" in problems[1]


def test_a_sale_more_than_24_hours_after_its_arrival_is_refused_and_one_before_is_not():
    arrived = datetime(2026, 6, 1, 12, tzinfo=UTC)
    found, _, problems = instants(["2026-06-02T12:00:00Z", "2026-06-02T12:00:01Z"], received_at=arrived)
    assert found[0] is not None and problems[0] is None
    assert found[1] is None and "in the future" in problems[1]


def test_dates_beyond_all_sense_are_refused():
    _, _, problems = instants(["0202-01-05", "9999-12-31", "0001-01-01T00:00:00+14:00"])
    assert "limits.earliest" in problems[0] and "2199" in problems[1] and problems[2] is not None


@pytest.mark.parametrize("zone", ZONES)
def test_a_shift_by_weeks_keeps_weekday_and_local_time_across_a_clock_change(zone):
    texts = [f"2025-{month:02d}-09 01:30" for month in range(1, 13)]
    plain, days, _ = instants(texts, zone=zone)
    moved, moved_days, problems = instants(texts, zone=zone, weeks=17)
    local = ZoneInfo(zone)
    assert problems == [None] * 12
    assert [d + timedelta(weeks=17) for d in days] == moved_days
    assert [m.astimezone(local).time() for m in moved] == [p.astimezone(local).time() for p in plain]


def test_an_hour_that_is_skipped_on_the_new_day_becomes_the_next():
    moved, _, problems = instants(["2026-03-01 02:30"], zone="America/New_York", weeks=1)
    assert (moved, problems) == ([datetime(2026, 3, 8, 7, tzinfo=UTC)], [None])


def test_typed_timestamps_are_read_whatever_the_format_for_texts():
    column = pa.chunked_array([pa.array([datetime(2026, 1, 2, 3, 4, 5, 678901)], pa.timestamp("us"))])
    moments, _ = clock("Asia/Tokyo").instants(texts_of(column, ()), "%d/%m/%Y", "sold_at")
    assert moments.values.to_pylist() == [datetime(2026, 1, 1, 18, 4, 5, 678901, tzinfo=UTC)]
