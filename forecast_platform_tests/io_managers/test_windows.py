"""Which days an input needs, and what is said when some are missing."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from forecast_platform.days import days_between, in_words
from forecast_platform.io_managers.warehouse import PartitionState, Warehouse
from forecast_platform.io_managers.windows import WindowIncomplete, materialized, missing_days, require_materialized
from forecast_platform_tests.sales_frames import days

START = date(2026, 1, 1)


def log(warehouse: Warehouse, asset: str, on: list[date]) -> None:
    with warehouse.transaction() as session:
        session.log_days(asset, {day: PartitionState(0, "d", "run") for day in on})


def test_days_are_written_as_a_person_would():
    ragged = [*days(3, date(2026, 1, 3)), date(2026, 1, 9), date(2026, 2, 28), date(2026, 3, 1)]
    assert in_words(reversed(ragged)) == "2026-01-03 to 2026-01-05, 2026-01-09, 2026-02-28 to 2026-03-01"
    assert in_words([]) == ""


def test_missing_days_begin_at_the_tenants_start():
    needed = days_between(date(2025, 12, 30), date(2026, 1, 4))
    assert missing_days(needed, [date(2026, 1, 2)], start=START) == [START, date(2026, 1, 3), date(2026, 1, 4)]


def test_a_gap_in_the_window_is_named_with_the_way_out(warehouse: Warehouse):
    log(warehouse, "features", [*days(2, START), date(2026, 1, 6)])
    with pytest.raises(WindowIncomplete) as failure:
        require_materialized(
            warehouse,
            "features",
            first=date(2026, 1, 6),
            last=date(2026, 1, 6),
            back=9,
            start=START,
            wanted_by="forecasts",
        )
    assert "forecasts looks back on" in str(failure.value)
    assert f"{warehouse.tenant}/features, which is not materialized for 2026-01-03 to 2026-01-05" in str(failure.value)


def test_a_day_without_sales_is_no_gap(warehouse: Warehouse):
    log(warehouse, "raw_sales", days(4, START))
    found = require_materialized(
        warehouse, "raw_sales", first=date(2026, 1, 4), last=date(2026, 1, 4), back=3, start=START
    )
    assert sorted(found) == days(4, START)


def test_days_that_the_step_itself_makes_are_not_asked_for(warehouse: Warehouse):
    log(warehouse, "daily_sales", days(2, START))
    third, fourth = date(2026, 1, 3), date(2026, 1, 4)
    asked = {"first": third, "last": fourth, "back": 2, "start": START}
    require_materialized(warehouse, "daily_sales", **asked, made_here=(third, fourth))
    with pytest.raises(WindowIncomplete, match="2026-01-03 to 2026-01-04"):
        require_materialized(warehouse, "daily_sales", **asked)


def test_a_young_ledger_is_asked_only_from_its_own_first_day(warehouse: Warehouse):
    day = date(2026, 1, 9)
    asked = {"first": day, "last": day, "back": 5, "end": 1, "start": START}
    assert require_materialized(warehouse, "forecasts", **asked, young=True) == {}
    log(warehouse, "forecasts", [date(2026, 1, 6), date(2026, 1, 8)])
    with pytest.raises(WindowIncomplete, match=r"for 2026-01-07 \("):
        require_materialized(warehouse, "forecasts", **asked, young=True)
    log(warehouse, "forecasts", [date(2026, 1, 7)])
    assert len(require_materialized(warehouse, "forecasts", **asked, young=True)) == 3


def test_no_days_need_nothing(warehouse: Warehouse):
    with warehouse.reading() as session:
        assert materialized(session, "features", [], start=START) == {}


def test_the_log_is_asked_by_asset_and_tenant(warehouse: Warehouse):
    log(warehouse, "features", days(2, START))
    with pytest.raises(WindowIncomplete):
        require_materialized(warehouse, "raw_sales", first=START, last=START, start=START)
    assert pd.Timestamp(warehouse.last_day("features")) == pd.Timestamp(2026, 1, 2)
