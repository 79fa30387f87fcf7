"""When Dagster's declarative automation asks for something: tick by tick, over assets as they are declared."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg
from dagster._core.test_utils import freeze_time

from forecast_platform.assets.daily_report import newest_follows
from forecast_platform.partitions import DayWindow, daily_partitions
from forecast_platform_tests.automation.conftest import clock

DAYS = daily_partitions(date(2026, 1, 1), "UTC")
CLOSED = date(2026, 1, 20)


@dg.asset(partitions_def=DAYS)
def publications() -> None: ...


@dg.asset(
    partitions_def=DAYS,
    deps=[dg.AssetDep("publications", partition_mapping=DayWindow(-5, 0))],
    automation_condition=newest_follows(),
)
def daily_report() -> None: ...


DEFINITIONS = dg.Definitions(assets=[publications, daily_report])


def make(instance: dg.DagsterInstance, assets: list, day: date) -> None:
    assert dg.materialize(assets, instance=instance, partition_key=day.isoformat()).success


def ticks(instance: dg.DagsterInstance, cursor: object = None, rounds: int = 3) -> tuple[set[str], object]:
    """Days of the report that some rounds ask for."""
    asked: set[str] = set()
    for _ in range(rounds):
        result = dg.evaluate_automation_conditions(DEFINITIONS, instance, cursor=cursor)
        subset = result.get_requested_partitions(dg.AssetKey("daily_report"))
        asked, cursor = asked | {each for each in subset if each}, result.cursor
    return asked, cursor


def test_the_newest_report_is_asked_for_once_when_what_it_says_was_made_again():
    with freeze_time(clock(CLOSED + timedelta(days=1))), dg.instance_for_test() as instance:
        for offset in (3, 0):
            make(instance, [publications, daily_report], CLOSED - timedelta(days=offset))
        asked, cursor = ticks(instance)
        assert asked == set(), "the close made both together"
        make(instance, [publications], CLOSED)
        asked, cursor = ticks(instance, cursor)
        assert asked == {CLOSED.isoformat()}
        make(instance, [daily_report], CLOSED)
        asked, cursor = ticks(instance, cursor)
        assert asked == set()
        make(instance, [publications], CLOSED - timedelta(days=3))
        asked, cursor = ticks(instance, cursor)
        assert asked == set(), "earlier reports stay as they were read"


def test_a_day_that_never_had_a_report_gets_none_by_itself():
    with freeze_time(clock(CLOSED + timedelta(days=1))), dg.instance_for_test() as instance:
        _, cursor = ticks(instance, rounds=1)
        make(instance, [publications], CLOSED)
        assert ticks(instance, cursor)[0] == set()
