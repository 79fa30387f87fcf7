"""A day is made when it has closed; days that were missed are made with it, whatever was in the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from dagster import DagsterRunStatus
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from forecast_platform.days import days_between
from forecast_platform_tests.automation.conftest import clock
from forecast_platform_tests.automation.simulated_daemon import SimulatedDaemon
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

LOADED = 34


def loaded(new_shop: Callable[..., Shop], daemon_of: Callable, **settings) -> tuple[Shop, SimulatedDaemon]:
    """A shop whose days up to ``LOADED`` are made, at noon of the day after."""
    shop = new_shop("duckdb", models={"moving_average_7": "MovingAverage(window=7)"}, **settings)
    daemon = daemon_of(shop, clock(day(LOADED + 1)))
    send(shop, 0, LOADED)
    shop.run_facts(day(0), day(LOADED))
    shop.run(["forecasts", *shop.chain.accuracy], day(LOADED - 2), day(LOADED))
    return shop, daemon


def send(shop: Shop, first: int, last: int) -> None:
    """Drop the files of some days."""
    for each in days_between(day(first), day(last)):
        shop.put(f"{each}.csv", sales_lines(each, each))


def ranges_of(daemon: SimulatedDaemon, shop: Shop) -> list[tuple[str, str, DagsterRunStatus]]:
    runs = daemon.runs(f"{shop.name}__day")
    return [
        (run.tags[ASSET_PARTITION_RANGE_START_TAG], run.tags[ASSET_PARTITION_RANGE_END_TAG], run.status) for run in runs
    ]


def ok(first: date, last: date) -> tuple[str, str, DagsterRunStatus]:
    return first.isoformat(), last.isoformat(), DagsterRunStatus.SUCCESS


def test_each_day_is_made_once_after_it_closed_and_missed_days_come_together(
    new_shop: Callable[..., Shop], daemon_of: Callable
):
    shop, daemon = loaded(new_shop, daemon_of)
    # The daemon was first started at noon: nothing is due, and nothing is asked for.
    daemon.tick(clock(day(LOADED + 1), 12, 1))
    assert ranges_of(daemon, shop) == []
    daemon.tick(clock(day(LOADED + 1), 23, 59))
    daemon.tick(clock(day(LOADED + 2), 0, 5))
    assert ranges_of(daemon, shop) == []
    send(shop, LOADED + 1, LOADED + 1)
    daemon.until(clock(day(LOADED + 2), 3), every=timedelta(minutes=20))
    assert ranges_of(daemon, shop) == [ok(day(LOADED + 1), day(LOADED + 1))]
    # Three days without a daemon.
    send(shop, LOADED + 2, LOADED + 4)
    daemon.away_until(clock(day(LOADED + 5), 9))
    daemon.until(clock(day(LOADED + 5), 10), every=timedelta(minutes=10))
    assert ranges_of(daemon, shop)[1:] == [ok(day(LOADED + 2), day(LOADED + 4))]
    origins = shop.warehouse.read("select distinct origin_date from forecasts order by 1")
    assert [each.date() for each in origins["origin_date"]] == days_between(day(LOADED - 2), day(LOADED + 4))
    assert daemon.errors == []


def test_a_source_that_is_away_is_asked_again_until_it_is_back(new_shop: Callable[..., Shop], daemon_of: Callable):
    shop, daemon = loaded(new_shop, daemon_of)
    send(shop, LOADED + 1, LOADED + 1)
    away = shop.drop.with_name("away")
    shop.drop.rename(away)
    daemon.until(clock(day(LOADED + 2), 0), every=timedelta(hours=4))
    assert ranges_of(daemon, shop) == []
    daemon.until(clock(day(LOADED + 2), 2, 20), every=timedelta(minutes=10))
    asked = ranges_of(daemon, shop)
    assert 2 <= len(asked) <= 6 and {status for *_, status in asked} == {DagsterRunStatus.FAILURE}
    shop.drop.rmdir()
    away.rename(shop.drop)
    daemon.until(clock(day(LOADED + 2), 4), every=timedelta(minutes=10))
    assert ranges_of(daemon, shop)[len(asked) :] == [ok(day(LOADED + 1), day(LOADED + 1))]


def test_a_tenant_that_was_never_loaded_is_left_alone(new_shop: Callable[..., Shop], daemon_of: Callable):
    shop = new_shop("duckdb")
    daemon = daemon_of(shop, clock(day(10)))
    daemon.until(clock(day(11)), every=timedelta(hours=3))
    assert daemon.runs() == []
    state = next(each for each in daemon.instance.all_instigator_state() if each.name.endswith("__due"))
    ticks = daemon.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    assert "forecast-platform run --tenant" in ticks[0].skip_reason


@pytest.mark.parametrize(
    ("zone", "before", "closes"),
    [
        # Clocks go forward at 2:00 on March 8 and back at 2:00 on November 1; midnight is an hour after UTC+14's noon.
        ("America/New_York", date(2026, 3, 8), datetime(2026, 3, 9, 4, 15, tzinfo=UTC)),
        ("America/New_York", date(2026, 11, 1), datetime(2026, 11, 2, 5, 15, tzinfo=UTC)),
        # Midnight does not exist: clocks go from 0:00 to 1:00.
        ("America/Santiago", date(2026, 9, 5), datetime(2026, 9, 6, 4, 15, tzinfo=UTC)),
        ("Pacific/Kiritimati", date(2028, 2, 29), datetime(2028, 2, 29, 10, 15, tzinfo=UTC)),
        ("Asia/Kathmandu", date(2028, 2, 29), datetime(2028, 2, 29, 18, 30, tzinfo=UTC)),
    ],
)
def test_a_day_closes_a_quarter_past_midnight_in_the_tenants_zone(zone: str, before: date, closes: datetime):
    from dagster._utils.schedules import schedule_execution_time_iterator

    times = schedule_execution_time_iterator(
        (closes - timedelta(hours=20)).timestamp(), "15 0 * * *", zone, ascending=True
    )
    ran = next(times)
    assert ran.astimezone(UTC) == closes
    assert (ran - timedelta(days=1)).date() == before
