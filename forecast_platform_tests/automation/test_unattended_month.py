"""A month nobody touches: 31 closes by Dagster's own schedules, sensors and retries, with all that goes wrong in one.

At its end the warehouse holds what a clean backfill of the same facts would, every origin has its forecasts, and people
were told what they should be told, once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time

from forecast_platform.assets.scope import REASON_TAG, days_of_run
from forecast_platform.days import days_between
from forecast_platform.io_managers.fence import PARENT_RUN_TAG
from forecast_platform.sources.demo_sales import sales_batches
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform.sources.demo_shop import number, shop_of
from forecast_platform_tests.alerts.conftest import webhook  # noqa: F401
from forecast_platform_tests.alerts.servers import Webhook
from forecast_platform_tests.automation.simulated_daemon import SimulatedDaemon
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop

ZONE = ZoneInfo("America/New_York")
OPENS = date(2026, 8, 20)
FIRST = date(2026, 10, 8)
"""The first of the days that close unattended; clocks go back on November 1."""
DEMO = {"kind": "demo", "seed": 7, "n_skus": 12, "opens": OPENS.isoformat()}
NAMES = ("event_id", "order_id", "sold_at", "sku", "location", "quantity", "unit_price", "on_promotion", "updated_at")
SETTINGS = {
    "start": OPENS.isoformat(),
    "timezone": str(ZONE),
    **{"horizon": 7, "training_window": 28, "inactive_after_days": 42},
    **{"calibration_window": 14, "champion_window": 14},
    "publication": {"rolling_days": 7, "for_days": 2, "min_errors": 20},
    "facts": {name: DEMO for name in ("items", "plan", "inventory_levels")},
}

LATE_FILE, SAME_FILE_AGAIN, BAD_FILE, NO_SALES, KILLED, OUTAGE = 3, 5, 7, 9, 12, 15
DAYS_WITHOUT_A_DAEMON = range(18, 23)
"""When something goes wrong, in days after ``FIRST``."""

OPENED, ENDED = "🔴 ", "🟢 Ended: "
EXPECTED = [
    (date(2026, 10, 16), OPENED + "Quality: raw_sales/arrivals_readable"),
    (date(2026, 10, 18), OPENED + "Quality: daily_sales/volume"),
    (date(2026, 10, 19), ENDED + "Quality: raw_sales/arrivals_readable"),
    (date(2026, 10, 21), OPENED + "Run failed: update"),
    (date(2026, 10, 21), ENDED + "Quality: daily_sales/volume"),
    (date(2026, 10, 21), ENDED + "Run failed: update"),
    (date(2026, 10, 24), OPENED + "Run failed: day"),
    (date(2026, 10, 24), OPENED + "Data is stale: nothing is published for 2026-10-23"),
    (date(2026, 10, 24), ENDED + "Run failed: day"),
    (date(2026, 10, 24), ENDED + "Data is stale: nothing is published for 2026-10-23"),
]


@dataclass
class Erp:
    """Drops the generator's sales of a day into the folder, a few minutes after the day has ended."""

    drop: Path

    @cached_property
    def batches(self) -> Mapping[int, bytes]:
        shop = shop_of(DemoSource(**DEMO))
        return sales_batches(shop, number(OPENS), number(FIRST) + 40, zone=ZONE)

    def send(self, day: date) -> None:
        self.write(f"sales-{day}.csv", self.batches[number(day)])

    def write(self, name: str, content: bytes) -> None:
        part = self.drop / f"{name}.part"
        part.write_bytes(content)
        part.rename(self.drop / name)

    def late(self, day: date, *, pieces: int) -> bytes:
        """One more sale of ``day`` that nobody sent at the time."""
        header, line = self.batches[number(day)].decode().splitlines()[:2]
        values = dict(zip(header.split(","), line.split(","), strict=True))
        values |= {"event_id": f"late-{day}", "order_id": f"late-{day}", "quantity": str(pieces)}
        return f"{header}\n{','.join(values.values())}\n".encode()

    def nothing(self, day: date) -> bytes:
        """The file of a day without a sale."""
        return self.batches[number(day)].splitlines(keepends=True)[0]


def local(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), tzinfo=ZONE)


@dataclass
class Month:
    """The shop, its daemon and what people were told; ``pytest -s -n0`` shows the log as it grows."""

    shop: Shop
    daemon: SimulatedDaemon
    erp: Erp
    closed: list[date]
    webhook: Webhook
    told: list[tuple[date, str]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def night(self, day: date, *, file: bytes | None = None, since: tuple[int, int] = (0, 0)) -> None:
        """``day`` ends, its file comes, it closes; the rounds up to ``since`` have been."""
        if file is None:
            self.erp.send(day)
        else:
            self.erp.write(f"sales-{day}.csv", file)
        self.ticks(day + timedelta(days=1), since=since)
        self.closed.append(day)

    def ticks(self, today: date, *, since: tuple[int, int] = (0, 0)) -> None:
        """The daemon's rounds of a day: close together while something comes, then far apart."""
        rounds = ((0, 6), (0, 8), (0, 16), (0, 20), (0, 30), (6, 0), (12, 0), (12, 3), (18, 0), (18, 3))
        for hour, minute in rounds:
            if (hour, minute) > since:
                self.tick(local(today, hour, minute))

    def tick(self, now: datetime) -> None:
        self.daemon.tick(now)
        for run in self.daemon.runs():
            if run.run_id not in self.seen and PARENT_RUN_TAG not in run.tags:
                self.seen.add(run.run_id)
                days = days_of_run(run.tags)
                made = f" of {days[0]} to {days[1]}" if days else f": {run.tags.get(REASON_TAG)}"
                print(f"{now:%Y-%m-%d %H:%M %Z}  {run.status.value:<8} {run.job_name}{made}")
        for post in self.webhook.posted[len(self.told) :]:
            headline = (
                post["text"].splitlines()[0].replace(f"[{self.shop.name}] ", "").replace(f"{self.shop.name}__", "")
            )
            self.told.append((now.date(), headline))
            lines = [block["text"]["text"] for block in post["blocks"] if block["type"] == "section"]
            print(f"{now:%Y-%m-%d %H:%M %Z}  {headline}\n" + "".join(f"    {line}\n" for line in lines), end="")


@pytest.fixture
def month(new_shop: Callable[..., Shop], daemon_of: Callable, webhook: Webhook) -> Month:  # noqa: F811
    shop = new_shop("duckdb")
    columns = {name: name for name in NAMES}
    source = {"kind": "files", "url": str(shop.drop), "pattern": "*.csv", "settle_seconds": 0, "columns": columns}
    alerts = {"channels": [{"kind": "webhook", "url": webhook.url}], "stale_after_minutes": 120}
    # A bad row is a large share of a small shop's day.
    shop.settings["max_reject_share"] = 0.3
    shop.settings.update(SETTINGS, source=source, alerts=alerts)
    erp = Erp(shop.drop)
    before = FIRST - timedelta(days=1)
    daemon = daemon_of(shop, local(FIRST, 12))
    for day in days_between(OPENS, before):
        erp.send(day)
    shop.run_facts(OPENS, before)
    shop.run(["forecasts", *shop.chain.accuracy], before - timedelta(days=3), before)
    return Month(shop, daemon, erp, [before], webhook)


def assert_as_a_clean_backfill(month: Month, clean: Shop) -> None:
    """Facts and features equal, newest versions equal, errors what the ledger and the facts give."""
    shop, last = month.shop, month.closed[-1]
    clean.settings.update(shop.settings)
    clean.settings["source"] = {**shop.settings["source"], "url": str(clean.drop)}
    shutil.copytree(shop.drop, clean.drop, dirs_exist_ok=True)
    with freeze_time(month.daemon.now):
        clean.run_facts(OPENS, last)
        clean.run(["forecasts"], last, last)
    facts = {"raw_sales", "daily_sales", "weekly_sales", "features", "series_scales", "demand_classes", "items", "plan"}
    assert_same(contents(clean.warehouse, only=facts), contents(shop.warehouse, only=facts))
    pd.testing.assert_frame_equal(newest_forecasts(shop, last), newest_forecasts(clean, last), check_exact=True)
    ledger = {"forecast_errors", "error_sums", "published_sums", "interval_scores"}
    scored = contents(shop.warehouse, only=ledger)
    with freeze_time(month.daemon.now):
        shop.run(sorted(ledger), FIRST - timedelta(days=3), last)
    assert_same(scored, contents(shop.warehouse, only=ledger))


def newest_forecasts(shop: Shop, origin: date) -> pd.DataFrame:
    rows = shop.warehouse.read(
        "select v.version_id, v.model, s.sku, s.location, f.horizon, f.mean, f.status from forecasts f"
        " join forecast_versions v on v.version_id = f.version_id join series s on s.series_id = f.series_id"
        " where f.origin_date = :origin",
        {"origin": origin},
    )
    key = ["model", "sku", "location", "horizon"]
    newest = rows.sort_values([*key, "version_id"]).drop_duplicates(key, keep="last")
    return newest.drop(columns="version_id").reset_index(drop=True)


def assert_every_origin_has_its_forecasts(month: Month) -> None:
    first, last = FIRST - timedelta(days=4), month.closed[-1]
    for table in ("forecasts", "forecast_intervals", "publications"):
        found = month.shop.warehouse.read(f"select distinct origin_date from {table} order by 1")
        assert [each.date() for each in found["origin_date"]] == days_between(first, last), table


@pytest.mark.slow
def test_a_week_with_a_late_file_a_killed_run_and_a_clock_that_goes_back(month: Month, new_shop: Callable[..., Shop]):
    """The month in short."""
    for offset in range(5):
        day = FIRST + timedelta(days=offset)
        if offset == 1:
            month.erp.write("late.csv", month.erp.late(day - timedelta(days=5), pieces=30))
        if offset == 2:
            month.daemon.kill_at = "before_commit"
        month.night(day)
    assert month.daemon.kill_at is None and month.daemon.errors == []
    assert_every_origin_has_its_forecasts(month)
    assert_as_a_clean_backfill(month, new_shop("duckdb"))
    # The run that was killed, and its repeat.
    assert [each for _, each in month.told] == ["🔴 Run failed: update", "🟢 Ended: Run failed: update"]


@pytest.mark.slow
@pytest.mark.month
def test_an_unattended_month_ends_as_a_clean_backfill_would(month: Month, new_shop: Callable[..., Shop]):
    erp, daemon = month.erp, month.daemon
    for offset in range(31):
        day = FIRST + timedelta(days=offset)
        following = day + timedelta(days=1)
        if offset in DAYS_WITHOUT_A_DAEMON:
            erp.send(day)
            month.closed.append(day)
            if offset == max(DAYS_WITHOUT_A_DAEMON):
                daemon.away_until(local(following, 9))
                month.ticks(following, since=(9, 0))
            continue
        if offset == LATE_FILE:
            erp.write("late.csv", erp.late(day - timedelta(days=6), pieces=30))
        if offset == SAME_FILE_AGAIN:
            erp.write("again.csv", erp.batches[number(day - timedelta(days=1))])
        if offset == BAD_FILE:
            erp.write("bad.csv", b"\x00\xff\xfe no table at all \x00\n" * 50)
        if offset == KILLED:
            daemon.kill_at = "before_commit"
        if offset == OUTAGE:  # the share is away for two hours around the close
            away = erp.drop.with_name("away")
            erp.drop.rename(away)
            for minute in range(0, 130, 10):
                month.tick(local(following, 0) + timedelta(minutes=minute))
            away.rename(erp.drop)
            month.night(day, since=(2, 0))
            continue
        month.night(day, file=erp.nothing(day) if offset == NO_SALES else None)
    assert daemon.kill_at is None
    assert month.closed == days_between(FIRST - timedelta(days=1), FIRST + timedelta(days=30))
    assert month.shop.scope.changes.waiting() == []
    assert_every_origin_has_its_forecasts(month)
    assert_as_a_clean_backfill(month, new_shop("duckdb"))
    assert month.told == EXPECTED
