"""Alerts of a tenant as people get them: real runs on a real Dagster instance, ticks of the sensor, a real webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from forecast_platform.alerts.record import AlertRecord
from forecast_platform.alerts.sensor import build_alerts_sensor
from forecast_platform.assets.scope import ALERT, TOLD_OF
from forecast_platform.runs import RunFailed, progress_logger
from forecast_platform_tests.alerts.servers import Webhook
from forecast_platform_tests.pipeline.shop import START, Till, day, sales_lines

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)


@dataclass
class WatchedTill(Till):
    """A till with a check that passes or fails as told, and its alerts' sensor, under a clock that is moved by hand.

    Unless it is ``real``, its sales are assets that only look whether the drop folder is there: an eighth of the time.
    """

    real: bool = False
    passes: bool = True
    blocking: bool = True
    check_name: str = "as_told"
    kind: str | None = None
    said: str = "3 of 14 days are missing"
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    told_of: tuple[str, ...] = ()
    now: datetime = NOON
    cursor: str | None = None
    extra: list = field(default_factory=list)

    @cached_property
    def definitions(self) -> dg.Definitions:
        @dg.asset_check(
            asset=self.scope.key("raw_sales"),
            name=self.check_name,
            blocking=self.blocking,
            metadata={ALERT: self.kind} if self.kind else None,
        )
        def as_told() -> dg.AssetCheckResult:
            days = {TOLD_OF: dg.MetadataValue.json(list(self.told_of))} if self.told_of else {}
            return dg.AssetCheckResult(passed=self.passes, description=self.said, severity=self.severity, metadata=days)

        sales = super().definitions if self.real else self._plain_sales()
        return dg.Definitions.merge(sales, dg.Definitions(asset_checks=[as_told], assets=self.extra))

    def _plain_sales(self) -> dg.Definitions:
        drop = self.drop

        @dg.multi_asset(
            name="till__raw_sales",
            specs=[dg.AssetSpec(self.scope.key(name)) for name in ("raw_sales", "sales_rejects")],
            **{name: self.scope.partitioned()[name] for name in ("partitions_def", "backfill_policy")},
        )
        def sales(context):
            if not drop.exists():
                raise dg.Failure(f"{drop} is not there", allow_retries=False)
            for key in context.selected_asset_keys:
                yield dg.MaterializeResult(key)

        return dg.Definitions(assets=[sales], loggers={"progress": progress_logger(self.told.append)})

    @cached_property
    def sensor(self) -> dg.SensorDefinition:
        return build_alerts_sensor(self.scope)

    @contextmanager
    def clock(self) -> Iterator[None]:
        with freeze_time(self.now):
            yield

    def sell(self, first: int = 0, last: int = 0, *, minutes: int = 1) -> bool:
        """Run the sales of some days a little later; whether the run succeeded."""
        self.now += timedelta(minutes=minutes)
        with self.clock(), suppress(RunFailed):
            return self.run(["raw_sales", "sales_rejects"], day(first), day(last)).success
        return False

    def tick(self, *, minutes: float = 0.5) -> str | None:
        """Evaluate the sensor as the daemon does, a little later."""
        self.now += timedelta(minutes=minutes)
        with self.clock():
            context = dg.build_sensor_context(
                instance=self.instance, cursor=self.cursor, definitions=self.definitions, sensor_name=self.sensor.name
            )
            result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor
        return result.skip_message

    @contextmanager
    def source_away(self) -> Iterator[None]:
        there = self.drop
        away = there.rename(there.with_name("away"))
        try:
            yield
        finally:
            away.rename(there)


@pytest.fixture
def till(tmp_path: Path, webhook: Webhook) -> Callable[..., WatchedTill]:
    def make(alerts: dict | None = None, **how) -> WatchedTill:
        settings = {"alerts": {"channels": [{"kind": "webhook", "url": webhook.url}], **(alerts or {})}}
        made = WatchedTill(tmp_path / "till", f"duckdb:///{tmp_path / 'w'}", name="till", settings=settings, **how)
        assert made.definitions  # they look at the drop folder once
        made.put("sales.csv", sales_lines(START, day(13)))
        return made

    return make


def test_a_failed_run_is_told_with_its_link_and_again_when_it_was_put_right(till, webhook: Webhook):
    shop = till(real=True)
    with shop.source_away():
        assert not shop.sell(0, 3)
    shop.tick()
    for _ in range(5):
        shop.tick()
    (opened,) = webhook.posted
    run = shop.instance.get_runs()[0].run_id
    assert opened["text"] == "🔴 [till] Run failed: raw_sales, sales_rejects"
    text = str(opened["blocks"])
    assert f"<http://localhost:3000/runs/{run}|Open in Dagster>" in text
    assert "raw_sales, sales_rejects of 2026-01-01 to 2026-01-04" in text
    assert "2026-01-20 12:01 UTC" in text
    # A part of what failed is no end of it.
    assert shop.sell(0, 1)
    shop.tick(minutes=60)
    assert len(webhook.posted) == 1
    assert shop.sell(2, 3)
    shop.tick()
    assert len(webhook.posted) == 1, "it has not held yet"
    shop.tick(minutes=31)
    for _ in range(5):
        shop.tick()
    assert webhook.titles[1:] == ["🟢 [till] Ended: Run failed: raw_sales, sales_rejects"]


def test_a_run_that_fails_again_and_again_is_one_incident(till, webhook: Webhook):
    shop = till()
    for last in (3, 3, 4, 5):
        with shop.source_away():
            assert not shop.sell(0, last)
        shop.tick()
    assert len(webhook.posted) == 1
    assert shop.sell(0, 3)
    shop.tick(minutes=40)
    assert len(webhook.posted) == 1, "days 4 and 5 are still missing"
    assert shop.sell(0, 5)
    shop.tick()
    shop.tick(minutes=31)
    assert len(webhook.posted) == 2


def test_a_run_that_was_put_right_between_two_ticks_is_not_told(till, webhook: Webhook):
    shop = till()
    with shop.source_away():
        assert not shop.sell(0, 3)
    assert shop.sell(0, 3)
    shop.tick()
    assert webhook.posted == []
    assert AlertRecord(shop.scope.state, "till").open_incidents() == []


@pytest.mark.parametrize("minutes", [5, 24 * 60])
def test_a_flapping_check_gives_one_incident(till, webhook: Webhook, minutes: int):
    shop = till()
    for number in range(8):
        shop.passes = number % 2 == 1
        shop.sell(0, 0, minutes=minutes)
        shop.tick()
        shop.tick()
    assert webhook.titles == ["🔴 [till] Blocking check failed: raw_sales/as_told"]
    shop.sell(0, 0, minutes=minutes)
    shop.tick()
    shop.tick(minutes=31)
    assert webhook.titles[1:] == ["🟢 [till] Ended: Blocking check failed: raw_sales/as_told"]


def test_a_day_that_was_told_of_is_not_told_again_when_it_is_made_again(till, webhook: Webhook):
    shop = till(blocking=False, told_of=("2026-01-01",), passes=False)
    for passes in (False, True, True):
        shop.passes = passes
        shop.sell()
        shop.tick(minutes=40)
    assert [title[0] for title in webhook.titles] == ["🔴", "🟢"]
    shop.passes = False
    shop.sell()
    shop.tick()
    assert len(webhook.posted) == 2
    shop.told_of += ("2026-01-02",)
    shop.sell()
    shop.tick()
    assert [title[0] for title in webhook.titles] == ["🔴", "🟢", "🔴"]


def test_a_run_that_a_blocking_check_stopped_is_told_once_as_that_check(till, webhook: Webhook):
    shop = till(passes=False, real=True)
    assert not shop.sell(0, 2)
    shop.tick()
    assert webhook.titles == ["🔴 [till] Blocking check failed: raw_sales/as_told"]
    text = str(webhook.posted[0]["blocks"])
    assert "3 of 14 days are missing" in text
    assert "run of 2026-01-01 to 2026-01-03" in text
    assert shop.instance.get_runs()[0].run_id in text


def test_a_warning_is_no_alert_unless_the_check_names_a_kind(till, webhook: Webhook):
    warning = {"passes": False, "blocking": False, "severity": dg.AssetCheckSeverity.WARN}
    quiet = till(**warning)
    quiet.sell()
    quiet.tick()
    assert webhook.posted == []


@pytest.mark.parametrize(
    ("how", "title"),
    [
        ({"kind": "drift"}, "Drift: raw_sales/as_told"),
        ({"kind": "coverage"}, "Coverage: raw_sales/as_told"),
        ({"kind": "quality"}, "Quality: raw_sales/as_told"),
        ({"kind": "drfit"}, "Quality: raw_sales/as_told"),
        ({"check_name": "drift_psi"}, "Drift: raw_sales/drift_psi"),
        ({"kind": "none", "blocking": True}, None),
    ],
)
def test_a_checks_kind_is_what_it_says_of_itself(till, webhook: Webhook, how: dict, title: str | None):
    shop = till(**{"passes": False, "blocking": False, "severity": dg.AssetCheckSeverity.WARN} | how)
    shop.sell()
    shop.tick()
    told = [each for each in webhook.titles if "Run failed" not in each]
    assert told == ([f"🔴 [till] {title}"] if title else [])


def test_a_run_that_dagster_retries_is_told_only_if_the_retry_fails_too(till, webhook: Webhook):
    shop = till()
    with shop.source_away():
        shop.sell(0, 0)
        first = shop.instance.get_runs()[0].run_id
        with shop.clock():
            shop.instance.add_run_tags(first, {"dagster/will_retry": "true"})
        shop.tick()
        assert webhook.posted == []
        shop.sell(0, 0)
        shop.tick()
    assert webhook.titles == ["🔴 [till] Run failed: raw_sales, sales_rejects"]


def test_a_retry_that_succeeds_is_told_to_nobody(till, webhook: Webhook):
    shop = till()
    with shop.source_away():
        shop.sell(0, 0)
        with shop.clock():
            shop.instance.add_run_tags(shop.instance.get_runs()[0].run_id, {"dagster/will_retry": "true"})
        shop.tick()
    shop.sell(0, 0)
    shop.tick()
    shop.tick(minutes=120)
    assert webhook.posted == []
    assert AlertRecord(shop.scope.state, "till").open_incidents() == []


def test_a_retry_that_never_comes_is_told_after_a_while(till, webhook: Webhook):
    shop = till()
    with shop.source_away():
        shop.sell(0, 0)
    with shop.clock():
        shop.instance.add_run_tags(shop.instance.get_runs()[0].run_id, {"dagster/will_retry": "true"})
    shop.tick()
    shop.tick(minutes=10)
    assert webhook.posted == []
    shop.tick(minutes=10)
    assert len(webhook.posted) == 1


def test_failed_runs_of_another_tenant_are_not_told(till, webhook: Webhook):
    shop = till()

    @dg.asset(key=["till_b", "raw_sales"])
    def other() -> None:
        raise RuntimeError("not ours")

    with shop.clock():
        dg.materialize([other], instance=shop.instance, raise_on_error=False)
    shop.tick()
    assert webhook.posted == []


def test_a_job_without_assets_is_put_right_by_its_next_success(till, webhook: Webhook):
    shop = till()
    works = [False]

    @dg.op
    def update_once() -> None:
        if not works[0]:
            raise RuntimeError("postgresql://erp:hunter2@db/sales is away")

    @dg.job(name="till__update")
    def update() -> None:
        update_once()

    def run(minutes: int) -> None:
        shop.now += timedelta(minutes=minutes)
        with shop.clock():
            update.execute_in_process(instance=shop.instance, raise_on_error=False)

    for _ in range(4):
        run(5)
        shop.tick()
    assert webhook.titles == ["🔴 [till] Run failed: till__update"]
    assert "postgresql://***@db/sales is away" in str(webhook.posted[0])
    works[0] = True
    run(5)
    shop.tick()
    shop.tick(minutes=31)
    assert len(webhook.posted) == 2


def test_data_is_stale_when_the_closed_day_is_overdue(till, webhook: Webhook):
    @dg.asset(key=["till", "publications"], partitions_def=dg.DailyPartitionsDefinition(START.isoformat()))
    def publications() -> None: ...

    shop = till(alerts={"stale_after_minutes": 120}, extra=[publications])

    def publish(offset: int) -> None:
        with shop.clock():
            made = dg.AssetMaterialization(["till", "publications"], partition=day(offset).isoformat())
            shop.instance.report_runless_asset_event(made)

    shop.tick()
    assert webhook.posted == [], "a tenant that has never published is being set up"
    publish(17)  # of 18 January; the 19th is the closed day
    shop.now = datetime(2026, 1, 20, 1, 58, tzinfo=UTC)
    shop.tick()
    assert webhook.posted == []
    shop.now = datetime(2026, 1, 20, 2, 0, tzinfo=UTC)
    for _ in range(4):
        shop.tick()
    assert webhook.titles == ["🔴 [till] Data is stale: nothing is published for 2026-01-19"]
    assert "/assets/till/publications" in str(webhook.posted[0])
    # The next day closes and is not due yet, then it is: the same incident.
    for _ in range(24):
        shop.tick(minutes=60)
    assert len(webhook.posted) == 1
    publish(18)
    publish(19)
    shop.tick()
    shop.tick(minutes=31)
    assert len(webhook.posted) == 2
    assert "🟢" in webhook.titles[1]


def test_a_webhook_that_was_down_gets_each_message_once_when_it_is_up(till, webhook: Webhook):
    shop = till(passes=False)
    webhook.stop()
    shop.sell(0, 0)
    shop.tick()
    shop.passes = True
    for _ in range(2):
        shop.sell(0, 0)
        shop.tick()
    shop.tick(minutes=31)
    assert AlertRecord(shop.scope.state, "till").open_incidents() == []
    webhook.start()
    for _ in range(8):
        shop.tick(minutes=61)
    name = "Blocking check failed: raw_sales/as_told"
    assert webhook.titles == [f"🔴 [till] {name}", f"🟢 [till] Ended: {name}"]


def test_a_tick_that_fails_to_look_still_sends_and_loses_nothing(till, webhook: Webhook, monkeypatch):
    shop = till(passes=False)
    webhook.stop()
    shop.sell(0, 0)
    shop.tick()
    webhook.start()
    # The event log is away: a storage that cannot be reached raises so.
    with monkeypatch.context() as patched:
        patched.setattr(type(shop.instance), "get_run_records", _unreachable)
        with pytest.raises(Exception, match="cannot be reached"):
            shop.tick(minutes=5)
        assert len(webhook.posted) == 1, "what was recorded is sent all the same"
    with shop.source_away():
        shop.sell(0, 1)
    with monkeypatch.context() as patched:
        patched.setattr(type(shop.instance), "get_run_records", _unreachable)
        with pytest.raises(Exception, match="cannot be reached"):
            shop.tick(minutes=60)
    shop.tick(minutes=60)
    assert webhook.titles[1:] == ["🔴 [till] Run failed: raw_sales, sales_rejects"]


def _unreachable(*_arguments, **_options):
    raise RuntimeError("the storage cannot be reached")


def test_a_process_that_begins_anew_and_has_lost_its_cursor_tells_nothing_twice(till, webhook: Webhook):
    shop = till(alerts={"hold_minutes": 0})

    def begin_anew() -> None:
        shop.cursor = None
        del shop.sensor

    with shop.source_away():
        shop.sell(0, 3)
    shop.tick()
    begin_anew()
    shop.tick()
    assert len(webhook.posted) == 1
    shop.sell(0, 3)
    shop.tick()
    begin_anew()
    shop.tick()
    assert len(webhook.posted) == 2
