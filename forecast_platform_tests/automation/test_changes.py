"""What arrives between closes moves what it touches, once per debounce window, wherever something was killed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pandas as pd
import pytest
from dagster import DagsterRunStatus

from forecast_platform.sources.overrides import keep, waiting
from forecast_platform_tests.api.planners import requests
from forecast_platform_tests.automation.conftest import clock
from forecast_platform_tests.automation.simulated_daemon import SimulatedDaemon
from forecast_platform_tests.automation.test_closing import LOADED, loaded, send
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

LATE = [f"late-{n},{day(LOADED - 4)},sku 1,north,{n},3.25,o{n}" for n in (3, 4)]
FACTS = {"raw_sales", "daily_sales", "features", "series_scales"}


def made(shop: Shop) -> pd.DataFrame:
    """Run and digest of every partition of every asset."""
    log = shop.warehouse.read("select asset, day, run_id, digest from partition_log")
    return log.assign(day=pd.to_datetime(log["day"]).dt.date).set_index(["asset", "day"]).sort_index()


def updates(daemon: SimulatedDaemon, shop: Shop) -> list[DagsterRunStatus]:
    return [run.status for run in daemon.runs(f"{shop.name}__update")]


def settled(shop: Shop, daemon: SimulatedDaemon) -> None:
    """The first look at the sources lands what the shop's own runs have not."""
    daemon.until(daemon.now + timedelta(minutes=5), every=timedelta(minutes=1))
    assert shop.scope.changes.waiting() == []


def assert_facts_are_those_of_a_clean_backfill(shop: Shop, clean: Shop, last: date) -> None:
    for name in shop.drop.iterdir():
        (clean.drop / name.name).write_bytes(name.read_bytes())
    clean.run_facts(day(0), last)
    assert_same(contents(clean.warehouse, only=FACTS), contents(shop.warehouse, only=FACTS))


def test_a_late_file_moves_facts_errors_and_the_newest_forecast_in_one_run(
    new_shop: Callable[..., Shop], daemon_of: Callable, at: Callable
):
    shop, daemon = loaded(new_shop, daemon_of)
    settled(shop, daemon)
    before, runs = made(shop), len(updates(daemon, shop))
    shop.put("late-a.csv", LATE[:1])
    daemon.tick(daemon.now + timedelta(seconds=30))
    shop.put("late-b.csv", LATE[1:])
    daemon.tick(daemon.now + timedelta(seconds=30))
    assert len(updates(daemon, shop)) == runs, "the first file waits for more"
    daemon.until(daemon.now + timedelta(minutes=10), every=timedelta(seconds=30))
    assert updates(daemon, shop)[runs:] == [DagsterRunStatus.SUCCESS]
    assert daemon.errors == [] and shop.scope.changes.waiting() == []
    after = made(shop)
    again = set(before.index[before["run_id"] != after.loc[before.index, "run_id"]])
    assert {each for asset, each in again if asset == "raw_sales"} == {day(LOADED - 4)}
    assert {each for asset, each in again if asset == "features"} == {day(LOADED - 4 + ahead) for ahead in range(5)} | {
        each for asset, each in again if asset == "features" and each == day(LOADED + 1)
    }
    assert {each for asset, each in again if asset == "forecasts"} == {day(LOADED)}
    with at(day(LOADED + 1)):
        assert_facts_are_those_of_a_clean_backfill(
            shop, new_shop("duckdb", models=shop.settings["models"]), day(LOADED)
        )


def test_a_byte_equal_file_and_a_touched_one_change_nothing(new_shop: Callable[..., Shop], daemon_of: Callable):
    shop, daemon = loaded(new_shop, daemon_of)
    settled(shop, daemon)
    before = made(shop)
    known = shop.drop / f"{day(LOADED)}.csv"
    (shop.drop / "copy.csv").write_bytes(known.read_bytes())
    known.touch()
    daemon.until(daemon.now + timedelta(minutes=5), every=timedelta(minutes=1))
    assert made(shop).equals(before)


def test_a_sale_of_today_moves_the_open_day_at_once_and_the_forecast_when_it_closes(
    new_shop: Callable[..., Shop], daemon_of: Callable
):
    shop, daemon = loaded(new_shop, daemon_of)
    settled(shop, daemon)
    today = day(LOADED + 1)
    shop.put("till.csv", [f"live-1,{today},sku 1,north,40,3.25,o"])
    daemon.until(daemon.now + timedelta(minutes=5), every=timedelta(minutes=1))
    sold = "select sum(units) from daily_sales where sale_date = :day"
    with shop.warehouse.reading() as session:
        assert session.scalar(sold, {"day": today}) >= 40
        assert session.scalar("select max(origin_date) from forecasts") == day(LOADED)
    daemon.until(clock(today + timedelta(days=1), 0), every=timedelta(hours=4))
    daemon.until(clock(today + timedelta(days=1), 1), every=timedelta(minutes=30))
    with shop.warehouse.reading() as session:
        assert session.scalar("select max(origin_date) from forecasts") == today


@pytest.mark.parametrize(
    "kill_at", [None, *(pytest.param(name, marks=pytest.mark.slow) for name in ("before_commit", "after_commit"))]
)
def test_what_planners_send_is_taken_in_once_by_a_run_that_makes_nothing_else(
    new_shop: Callable[..., Shop], daemon_of: Callable, kill_at: str | None
):
    shop, daemon = loaded(new_shop, daemon_of)
    settled(shop, daemon)
    before, runs, landing = made(shop), len(updates(daemon, shop)), shop.scope.landing
    sent = next(requests(day(LOADED), day(LOADED), count=1))
    keep(landing, sent)
    daemon.kill_at = kill_at
    daemon.until(daemon.now + timedelta(minutes=40), every=timedelta(minutes=1))
    rows = shop.warehouse.read("select entry from planner_overrides order by entry")
    assert list(rows["entry"]) == [each.entry for each in sent] and waiting(landing) == []
    assert updates(daemon, shop)[-1] == DagsterRunStatus.SUCCESS
    assert len(updates(daemon, shop)) == runs + (1 if kill_at is None else 2)
    after = made(shop)
    assert {asset for asset, _ in before.index[before["run_id"] != after.loc[before.index, "run_id"]]} == {"serving"}


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", ["before_commit", "after_commit", "after_delete", "after_changes_noted"])
def test_an_update_that_is_killed_anywhere_is_completed_by_the_next(
    new_shop: Callable[..., Shop], daemon_of: Callable, at: Callable, kill_at: str
):
    shop, daemon = loaded(new_shop, daemon_of)
    settled(shop, daemon)
    shop.put("late.csv", LATE)
    daemon.kill_at = kill_at
    daemon.until(daemon.now + timedelta(minutes=40), every=timedelta(minutes=1))
    assert daemon.kill_at is None, "it was killed"
    assert DagsterRunStatus.FAILURE in updates(daemon, shop) and updates(daemon, shop)[-1] is DagsterRunStatus.SUCCESS
    assert shop.scope.changes.waiting() == []
    with at(day(LOADED + 1)):
        assert_facts_are_those_of_a_clean_backfill(
            shop, new_shop("duckdb", models=shop.settings["models"]), day(LOADED)
        )


def test_the_weekly_run_finds_rows_that_no_sensor_saw(new_shop: Callable[..., Shop], daemon_of: Callable):
    """A fact that was changed behind the landing's back is put right, and what was made from it."""
    shop, daemon = loaded(new_shop, daemon_of, automation={"rerun_cron": "0 4 * * *", "rerun_days": 3})
    send(shop, LOADED + 1, LOADED + 1)
    settled(shop, daemon)
    whole = made(shop)
    with shop.warehouse.transaction() as session:
        session.execute("delete from raw_sales where sale_date = :day", {"day": day(LOADED)})
    daemon.until(clock(day(LOADED + 2), 0), every=timedelta(hours=4))
    daemon.until(clock(day(LOADED + 2), 5), every=timedelta(hours=1))
    with shop.warehouse.reading() as session:
        assert session.scalar("select count(*) from raw_sales where sale_date = :day", {"day": day(LOADED)}) == len(
            [line for line in sales_lines(day(LOADED), day(LOADED))]
        )
    after = made(shop)
    for asset in ("raw_sales", "forecast_errors"):
        last_three = [day(LOADED + offset) for offset in (-1, 0)]
        for each in last_three:
            assert after.loc[(asset, each), "run_id"] != whole.loc[(asset, each), "run_id"]
            assert after.loc[(asset, each), "digest"] == whole.loc[(asset, each), "digest"]
