"""Which landed rows count: overlaps, corrections, moved events, in any order of arrival."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast_platform_tests.sources.conftest import COLUMNS, HEADER

EVENTS = {**COLUMNS, "event_id": "id", "updated_at": "changed"}
EVENT_HEADER = f"{HEADER},id,changed"
ONE, TWO, THREE = date(2026, 5, 1), date(2026, 5, 2), date(2026, 5, 3)
_folders = itertools.count()


def content(frame: pd.DataFrame) -> list[tuple]:
    """The rows of a frame, nulls as None."""
    return [tuple(None if pd.isna(v) else v for v in row) for row in frame.itertuples(index=False)]


def test_equal_lines_of_one_file_are_kept_each_with_an_id_of_its_own(drop):
    shop = drop()
    shop.write("a.csv", f"{HEADER}\n" + "2026-05-01,A,n,1,1\n" * 3 + "2026-05-01,A,n,1.0,1\n")
    shop.land()
    rows, _ = shop.facts()
    assert len(rows) == rows["event_id"].nunique() == 4


LINE = st.sampled_from([f"2026-05-0{d},{sku},n,{q},1" for d in (1, 2) for sku in "AB" for q in (1, 2)])


@given(files=st.lists(st.lists(LINE, max_size=6), min_size=1, max_size=4), seed=st.randoms())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_overlapping_files_count_a_row_as_often_as_the_file_that_has_it_most_in_any_order(drop, files, seed):
    wanted = Counter()
    for lines in files:
        wanted |= Counter(lines)
    tables = []
    for order in (files, seed.sample(files, len(files))):
        shop = drop(name=f"run{next(_folders)}")
        for at, lines in enumerate(order):
            shop.write(f"{at}.csv", "\n".join([HEADER, *lines, ""]))
            shop.land()
        rows, _ = shop.facts([ONE, TWO])
        found = Counter(
            f"{r.sale_date:%Y-%m-%d},{r.sku},{r.location},{r.quantity:.0f},{r.unit_price:.0f}"
            for r in rows.itertuples()
        )
        assert found == wanted
        tables.append(content(rows))
    assert tables[0] == tables[1]


STATE = st.tuples(st.sampled_from("xyz"), st.sampled_from("123"), st.integers(1, 5))


@given(files=st.lists(st.lists(STATE, min_size=1, max_size=4), min_size=1, max_size=4), data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_newest_state_of_an_event_wins_on_whatever_day_in_any_order_and_split_of_calls(drop, files, data):
    stamps = iter(data.draw(st.permutations(range(20))))
    texts, newest = [], {}
    for states in files:
        lines = []
        for event, day, units in states:
            stamp = next(stamps)
            lines.append(f"2026-05-0{day},A,n,{units},1,{event},2026-05-20T00:00:{stamp:02d}Z")
            newest[event] = max(newest.get(event, (-1,)), (stamp, f"2026-05-0{day}", units))
        texts.append("\n".join([EVENT_HEADER, *lines, ""]))
    wanted = sorted((day, event, units) for event, (_, day, units) in newest.items())
    for order in (texts, data.draw(st.permutations(texts))):
        shop = drop(name=f"run{next(_folders)}", columns=EVENTS)
        for at, text in enumerate(order):
            shop.write(f"{at}.csv", text, age=3600 - at)
            if data.draw(st.booleans()):
                shop.land()
        shop.land()
        rows, _ = shop.facts([ONE, TWO, THREE])
        assert sorted((f"{r.sale_date:%Y-%m-%d}", r.event_id, int(r.quantity)) for r in rows.itertuples()) == wanted
        singly = [row for day in (ONE, TWO, THREE) for row in content(shop.facts([day])[0])]
        assert singly == content(rows)


def test_a_batch_names_the_days_its_events_moved_away_from_so_that_they_are_made_again(drop):
    shop = drop(columns=EVENTS)
    shop.write("a.csv", f"{EVENT_HEADER}\n2026-05-01,A,n,1,1,e1,2026-05-20\n2026-05-02,A,n,1,1,e2,2026-05-20\n")
    assert shop.land()[0].days == (ONE, TWO)
    shop.write("b.csv", f"{EVENT_HEADER}\n2026-05-03,A,n,1,1,e1,2026-05-21\n")
    assert shop.land()[0].days == (ONE, THREE)
    assert list(shop.facts([ONE])[0]["event_id"]) == []
    assert list(shop.facts([THREE])[0]["event_id"]) == ["e1"]
    shop.write("older.csv", f"{EVENT_HEADER}\n2026-05-02,A,n,9,1,e1,2026-05-19\n")
    assert shop.land()[0].days == (ONE, TWO, THREE)
    assert [len(shop.facts([day])[0]) for day in (ONE, TWO, THREE)] == [0, 1, 1]


def test_moves_are_seen_under_changed_settings_too(drop):
    shop = drop(columns=EVENTS)
    shop.write("a.csv", f"{EVENT_HEADER}\n2026-05-01,A,n,1,1,e1,2026-05-20\n")
    shop.land()
    shop.write("b.csv", f"{EVENT_HEADER}\n2026-05-03,A,n,1,1,e1,2026-05-21\n")
    shop.land()
    shop.use(ignore=[{"column": "sku", "values": ["Z"]}])
    assert [len(shop.facts([day])[0]) for day in (ONE, TWO, THREE)] == [0, 0, 1]


def test_an_older_state_in_the_same_file_is_a_reject_that_is_not_bad(drop):
    shop = drop(columns=EVENTS)
    lines = ["2026-05-01,A,n,1,1,e1,2026-05-21", "2026-05-02,A,n,2,1,e1,2026-05-20", "2026-05-01,A,n,3,1,e1,2026-05-21"]
    shop.write("a.csv", "\n".join([EVENT_HEADER, *lines, ""]))
    shop.land()
    rows, rejects = shop.facts()
    assert list(rows["quantity"]) == [3]
    assert [(r.row_number, r.sale_date.date()) for r in rejects.itertuples()] == [(1, ONE), (2, TWO)]
    assert rejects["reason"].str.startswith("ignored").all()
    assert json.loads(rejects["payload"].iloc[0])["event_id"] == "e1"


def test_an_event_without_a_name_is_a_reject_where_events_have_names(drop):
    shop = drop(columns=EVENTS)
    shop.write("a.csv", f"{EVENT_HEADER}\n2026-05-01,A,n,1,1,,2026-05-21\n")
    shop.land()
    assert list(shop.facts()[1]["reason"]) == ["event_id is empty"]


def test_a_day_that_is_part_of_the_name_keeps_events_on_their_day(drop):
    shop = drop(columns=COLUMNS | {"event_id": ["day", "sku", "location"]})
    shop.write("a.csv", f"{HEADER}\n2026-05-01,A,n,1,1\n2026-05-02,A,n,1,1\n2026-05-02,A,n,4,1\n")
    shop.land()
    shop.write("b.csv", f"{HEADER}\n2026-05-02,A,n,7,1\n")
    assert shop.land()[0].days == (TWO,)
    rows, rejects = shop.facts()
    assert [int(q) for q in rows["quantity"]] == [1, 7]
    assert list(rejects["row_number"]) == [2]


def test_every_line_of_files_that_do_not_overlap_is_a_fact_or_a_reject_once(drop):
    shop = drop()
    lines = [
        [f"2026-05-{1 + (i * 7 + f) % 28:02d},S{i % 5},n,{'x' if i % 11 == 0 else i},{f}" for i in range(200)]
        for f in range(3)
    ]
    for f, part in enumerate(lines):
        shop.write(f"{f}.csv", "\n".join([HEADER, *part, ""]))
    batches = shop.land()
    rows, rejects = shop.facts()
    assert sum(b.rows for b in batches) == 600 == len(rows) + len(rejects)
    assert not rejects.duplicated(["sale_date", "source", "row_number"]).any()
    assert not rows.duplicated(["sale_date", "event_id"]).any()


def test_rows_come_sorted_by_their_key_in_binary_order(drop):
    shop = drop(asset="items", columns={"sku": "a", "valid_from": "d"})
    shop.write("a.csv", "a,d\nb,2026-05-01\nB,2026-05-01\né,2026-05-01\na,2026-05-02\n")
    shop.land()
    rows, _ = shop.facts()
    assert list(rows["sku"]) == ["B", "b", "é", "a"]


def test_dated_facts_take_the_row_landed_last_and_equal_rows_of_a_file_the_last(drop):
    shop = drop(asset="inventory_levels", columns={"sku": "a", "on_hand": "b", "snapshot_date": "d"})
    shop.write("one.csv", "a,b,d\nA,1,2026-05-01\nA,2,2026-05-01\nB,5,2026-05-01\n")
    shop.land()
    shop.write("two.csv", "a,b,d\nB,6,2026-05-01\nB,9,2026-05-02\n")
    shop.land()
    rows, rejects = shop.facts()
    found = [(f"{r.snapshot_date:%d}", r.sku, int(r.on_hand)) for r in rows.itertuples()]
    assert found == [("01", "A", 2), ("01", "B", 6), ("02", "B", 9)]
    assert list(rejects["reason"]) == ["ignored: a later row of the same file holds a newer state"]


def test_a_day_of_a_year_is_read_from_few_row_groups(drop):
    shop = drop()
    days = [date(2025, 5, 1) + timedelta(days=i) for i in range(365)]
    lines = [f"{day},S{i},n,{i},1" for day in days for i in range(300)]
    shop.write("year.csv", "\n".join([HEADER, *lines, ""]))
    shop.land()
    import pyarrow.parquet as pq

    folder = Path(shop.landing.url.removeprefix("file://"))
    (reading,) = folder.glob("tenant/raw_sales/readings/*")
    file = pq.ParquetFile(reading)
    groups = [file.metadata.row_group(g) for g in range(file.num_row_groups)]
    held = [g for g in groups if g.column(0).statistics.min <= days[100] <= g.column(0).statistics.max]
    assert len(groups) >= 5 and len(held) <= 2
    assert len(shop.facts([days[100]])[0]) == 300


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_hourly_sales_over_a_clock_change_have_one_day_each_and_sum_right(drop, zone):
    shop = drop(zone=zone, columns={"sold_at": "t", "sku": "s", "quantity": "q"})
    hours = pd.date_range("2026-03-07T00:00Z", periods=96, freq="h")
    shop.write("a.csv", "t,s,q\n" + "".join(f"{h.isoformat()},A,1\n" for h in hours))
    shop.land()
    rows, rejects = shop.facts()
    assert len(rejects) == 0
    assert sum(rows["quantity"]) == 96
    expected = Counter(hours.tz_convert(zone).tz_localize(None).normalize())
    assert Counter(rows["sale_date"]) == expected
    parts = [len(shop.facts([day.date()])[0]) for day in expected]
    assert parts == list(expected.values())
