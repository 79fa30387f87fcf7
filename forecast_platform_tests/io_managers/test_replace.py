"""Replacing days: checked first, one transaction, logged with it; an empty day is a result."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
import sqlalchemy as sa

from forecast_platform.digest import EMPTY
from forecast_platform.io_managers.columns import FrameRefused
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.tables import features, metadata, partition_log, raw_sales, series
from forecast_platform_tests.faults.invariants import assert_sound, contents
from forecast_platform_tests.sales_frames import days, sales

FIRST, SECOND, THIRD = days(3)


def replace(warehouse: Warehouse, frame: pd.DataFrame, first: date, last: date, *, table=raw_sales, run_id="run"):
    with warehouse.transaction() as session:
        return session.replace_days(table, frame, first, last, asset=table.name, run_id=run_id)


def feature_rows(warehouse: Warehouse, on: list[date]) -> pd.DataFrame:
    """A row of features for each known series and day."""
    known = warehouse.read(sa.select(series).order_by(series.c.sku))
    frame = known[["series_id"]].merge(pd.DataFrame({"sale_date": pd.to_datetime(on)}), how="cross")
    for column in features.columns:
        if column.name not in frame:
            frame[column.name] = False if isinstance(column.type, sa.Boolean) else 1
    return frame.assign(units=range(len(frame)))


def test_exactly_the_asked_days_are_replaced(warehouse: Warehouse):
    replace(warehouse, sales(days(3)), FIRST, THIRD)
    replace(warehouse, sales(SECOND, rows=1, tag="new"), SECOND, SECOND)
    per_day = warehouse.read("select sale_date, count(*) as n from raw_sales group by 1 order by 1")["n"].tolist()
    assert per_day == [3, 1, 3]
    assert_sound(warehouse)


def test_the_same_frame_twice_leaves_what_once_left(warehouse: Warehouse):
    first = replace(warehouse, sales(days(3)), FIRST, THIRD)
    before = contents(warehouse)
    again = replace(warehouse, sales(days(3)).sample(frac=1, random_state=1), FIRST, THIRD)
    assert again == first and contents(warehouse) == before


def test_a_range_logs_what_single_days_log(warehouse: Warehouse):
    at_once = replace(warehouse, sales(days(3)), FIRST, THIRD)
    one_by_one = {day: replace(warehouse, sales(day), day, day)[day] for day in reversed(days(3))}
    assert at_once == one_by_one


def test_the_log_has_rows_digest_run_and_the_databases_time(warehouse: Warehouse):
    states = replace(warehouse, sales(FIRST), FIRST, SECOND, run_id="run 7")
    assert warehouse.logged("raw_sales", FIRST, THIRD) == states
    assert (states[FIRST].rows, states[SECOND].rows, states[SECOND].digest) == (3, 0, EMPTY)
    log = warehouse.read(sa.select(partition_log))
    assert set(log["run_id"]) == {"run 7"}
    assert abs(log["written_at"].max() - pd.Timestamp.now(tz="UTC")) < pd.Timedelta(minutes=1)
    assert (warehouse.first_day("raw_sales"), warehouse.last_day("raw_sales")) == (FIRST, SECOND)
    assert warehouse.first_day("features") is None


def test_an_empty_day_takes_the_old_rows_away_and_is_on_record(warehouse: Warehouse):
    replace(warehouse, sales(days(2)), FIRST, SECOND)
    states = replace(warehouse, sales([]), FIRST, FIRST)
    assert states[FIRST].rows == 0
    assert warehouse.read("select distinct sale_date from raw_sales")["sale_date"].tolist() == [pd.Timestamp(SECOND)]
    assert_sound(warehouse)


def test_every_table_takes_an_empty_first_partition(warehouse: Warehouse):
    for table in metadata.tables.values():
        if table.info["write"] == "replace" and table.info["owner"] == "python":
            empty = pd.DataFrame(columns=[column.name for column in table.columns])
            replace(warehouse, empty, FIRST, FIRST, table=table)
            assert warehouse.read(sa.select(table)).empty


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.drop(columns=["quantity"]),
        lambda frame: frame.assign(colour="red"),
        lambda frame: frame.assign(quantity=frame["quantity"].astype("float64") + 0.1),
        lambda frame: frame.assign(sku=[1, 2, 3]),
        lambda frame: frame.assign(sku=[None, "a", "b"]),
        lambda frame: frame.assign(sale_date=pd.Timestamp(SECOND)),
        lambda frame: frame.assign(event_id="same"),
        lambda frame: frame.assign(sold_at=frame["sold_at"].dt.tz_localize(None)),
    ],
    ids=["missing", "extra", "inexact", "other type", "null", "other day", "same key", "no zone"],
)
def test_a_frame_that_does_not_fit_is_refused_with_the_old_rows_intact(warehouse: Warehouse, spoil):
    replace(warehouse, sales(FIRST), FIRST, FIRST)
    before = contents(warehouse)
    with pytest.raises(FrameRefused, match="raw_sales"):
        replace(warehouse, spoil(sales(FIRST, tag="new")), FIRST, FIRST)
    assert contents(warehouse) == before


def test_reordered_columns_go_where_their_names_say(warehouse: Warehouse):
    states = replace(warehouse, sales(FIRST), FIRST, FIRST)
    frame = sales(FIRST)
    assert replace(warehouse, frame[sorted(frame.columns)], FIRST, FIRST) == states


def test_a_table_that_only_grows_is_not_replaced(warehouse: Warehouse):
    with pytest.raises(ValueError, match="forecasts is not replaced by day"):
        replace(warehouse, pd.DataFrame(), FIRST, FIRST, table=metadata.tables["forecasts"])
    with pytest.raises(ValueError, match="daily_sales is not replaced by day from Python"):
        replace(warehouse, pd.DataFrame(), FIRST, FIRST, table=metadata.tables["daily_sales"])


def test_new_series_are_numbered_by_first_day_sku_and_location(warehouse: Warehouse):
    frame = sales(days(2), rows=3)
    frame.loc[frame["sale_date"] == pd.Timestamp(FIRST), "sku"] = ["z", "é", "Z"]
    frame.loc[frame["sale_date"] == pd.Timestamp(SECOND), "sku"] = ["a", "z", "Z"]
    frame.loc[5, "location"] = "x"
    replace(warehouse, frame.sample(frac=1, random_state=2), FIRST, SECOND)
    known = warehouse.read(sa.select(series).order_by(series.c.series_id))
    names = list(zip(known["sku"], known["location"], strict=True))
    assert names == [("Z", "all"), ("z", "all"), ("é", "all"), ("Z", "x"), ("a", "all")]
    assert known["series_id"].tolist() == [1, 2, 3, 4, 5]
    assert known["first_seen"].dt.date.tolist() == [FIRST] * 3 + [SECOND] * 2


def test_known_series_keep_their_numbers_when_others_come_or_go(warehouse: Warehouse):
    replace(warehouse, sales(FIRST, rows=2), FIRST, FIRST)
    before = warehouse.read(sa.select(series))
    replace(warehouse, sales(FIRST, rows=4), FIRST, FIRST)
    replace(warehouse, sales([], rows=0), FIRST, FIRST)
    after = warehouse.read(sa.select(series).order_by(series.c.series_id))
    assert len(after) == 4
    pd.testing.assert_frame_equal(after.head(2), before)


def test_a_digest_does_not_depend_on_the_ids_of_series(duckdb_warehouse: Warehouse, postgres_warehouse: Warehouse):
    digests = []
    for warehouse, order in ((duckdb_warehouse, [FIRST, SECOND]), (postgres_warehouse, [SECOND, FIRST])):
        for day in order:
            frame = sales(day, rows=2)
            frame["sku"] = ["b", "c"] if day == FIRST else ["a", "b"]
            replace(warehouse, frame, day, day)
        rows = feature_rows(warehouse, [FIRST]).assign(units=[10.0, 20.0, 30.0])
        digests.append(replace(warehouse, rows, FIRST, FIRST, table=features)[FIRST].digest)
    ids = [
        w.read(sa.select(series).order_by("sku"))["series_id"].tolist() for w in (duckdb_warehouse, postgres_warehouse)
    ]
    assert ids == [[3, 1, 2], [1, 2, 3]]
    assert digests[0] == digests[1]


def test_a_digest_shows_when_two_series_swap_their_rows(warehouse: Warehouse):
    replace(warehouse, sales(FIRST, rows=2), FIRST, FIRST)
    rows = feature_rows(warehouse, [FIRST])
    plain = replace(warehouse, rows, FIRST, FIRST, table=features)
    swapped = rows.assign(series_id=rows["series_id"].to_numpy()[::-1])
    assert replace(warehouse, swapped, FIRST, FIRST, table=features)[FIRST].digest != plain[FIRST].digest


def test_rows_of_an_unknown_series_are_refused(warehouse: Warehouse):
    replace(warehouse, sales(FIRST, rows=2), FIRST, FIRST)
    rows = feature_rows(warehouse, [FIRST])
    for unknown in (0, 3, 99):
        with pytest.raises(FrameRefused, match=f"series_id {unknown} is not in series"):
            replace(warehouse, rows.assign(series_id=[1, unknown]), FIRST, FIRST, table=features)
