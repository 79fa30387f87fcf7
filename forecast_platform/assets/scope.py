"""What every asset of a tenant is built from: its settings, keys, days and warehouse. No asset is defined here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    BACKFILL_ID_TAG,
    PARENT_RUN_ID_TAG,
    PARTITION_NAME_TAG,
    RETRY_NUMBER_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
    USER_TAG,
)

from forecast_platform.changes import ChangedDays
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform.logs import CORRELATION_TAG
from forecast_platform.partitions import BACKFILL_POLICY, DayWindow, Windows, daily_partitions, open_day
from forecast_platform.settings import Settings
from forecast_platform.sources.batches import Landing
from forecast_platform.sources.inbox import closed_by_mark
from forecast_platform.state import State
from forecast_platform.tenant import FACTS, Tenant

REQUESTED_BY_TAG = "forecast_platform/requested_by"
REASON_TAG = "forecast_platform/reason"
ALERT = "forecast_platform/alert"
"""Metadata of a check, or of its evaluation, that says which kind of alert a failure is, whatever its severity:
``drift``, ``coverage``, ``stale`` or ``quality``; ``none`` for no alert. Without it the first word of the check's name
may say so (``drift_psi``); any other check alerts where it is blocking or fails as an error."""

TOLD_OF = "forecast_platform/told_of"
"""Metadata of a check's evaluation: the days that are wrong and stay so. People are told of each once."""

TENANT_TAG = "forecast_platform/tenant"
"""Tags of a run that say who asked for it and why; ``forecast_runs`` keeps them."""

ASKING_TAGS = {SCHEDULE_NAME_TAG: "schedule", SENSOR_NAME_TAG: "sensor", USER_TAG: "user"}
"""What asked for a run, by the tag that names it."""

JOB_TAG = "forecast_platform/job"
"""Tag of a run that makes days of a job (``jobs``), with its id: the run makes what the job asks for and no more."""

RUN_ID_DIGITS = 8
"""Of a run's id, as the UI shows it."""


class DayIsOpen(dg.Failure):
    """A day that has not closed yet was asked for as an origin, or to be scored."""


@dataclass(frozen=True)
class TenantScope:
    """A tenant as the assets see it. Building one opens nothing and reads nothing.

    Attributes:
        pooled: whether steps take a slot of the tenant's pool. Only the daemon frees the slot of a run that was
            killed; where there may be none, a slot once lost would be waited for without end.
    """

    name: str
    tenant: Tenant
    settings: Settings
    pooled: bool = True

    @cached_property
    def partitions(self) -> dg.DailyPartitionsDefinition:
        return daily_partitions(self.tenant.start, self.tenant.timezone)

    @cached_property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings.warehouse, self.name, archive=self.settings.archive_url)

    @cached_property
    def state(self) -> State:
        return State(self.settings.state_url)

    @property
    def landing(self) -> Landing:
        """Where what arrives for this tenant is kept."""
        return Landing(self.settings.landing, self.name, self.tenant.timezone)

    @property
    def changes(self) -> ChangedDays:
        """The days whose facts changed and whose followers wait."""
        return ChangedDays(self.state, self.name)

    @property
    def windows(self) -> Windows:
        return Windows(
            horizon=self.tenant.horizon,
            training_window=self.tenant.training_window,
            inactive_after_days=self.tenant.inactive_after_days,
            champion_window=self.tenant.champion_window,
        )

    @property
    def pool(self) -> str | None:
        """One pool a tenant: with a limit of 1 the writers of a DuckDB file queue instead of waiting on its lock."""
        return f"warehouse_{self.name}" if self.pooled else None

    @property
    def replace_key(self) -> str:
        """Resource key of the IO manager that replaces partitions."""
        return f"{self.name}__replace"

    @property
    def ledger_key(self) -> str:
        """Resource key of the IO manager that appends versions of forecasts."""
        return f"{self.name}__ledger"

    @property
    def batches_key(self) -> str:
        """Resource key of the IO manager that appends what is made from forecasts."""
        return f"{self.name}__batches"

    def source(self, asset: str) -> Any:
        """The settings of the source that fills ``asset``, sales or another fact; ``None`` where nothing does."""
        return self.tenant.source if asset in ("raw_sales", "sales_rejects") else self.tenant.fact_source(asset)

    def unfed_facts(self) -> set[str]:
        """Fact tables that no source feeds: they stay empty and are no assets."""
        return {name for name in FACTS if self.tenant.fact_source(name) is None}

    @property
    def plans_stock(self) -> bool:
        """Whether stock is planned: where somebody says what there is of it."""
        return "inventory_levels" not in self.unfed_facts()

    def source_assets(self) -> set[str]:
        """Assets written from Python, which dbt reads as sources."""
        written = {"raw_sales", "sales_rejects", "features", "demand_classes", "forecasts", "forecast_intervals"}
        written |= {"champions", "publications", "weekly_forecasts", "hierarchy_forecasts", "forecast_explanations"}
        written |= {"inventory_plan"} if self.plans_stock else set()
        return (written | set(FACTS)) - self.unfed_facts()

    def fed_assets(self) -> list[str]:
        """Assets that arrive from a source, in the order in which they are landed."""
        return [*(name for name in FACTS if name not in self.unfed_facts()), "raw_sales"]

    @property
    def schedule_status(self) -> dg.DefaultScheduleStatus:
        running = self.tenant.automation.running
        return dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED

    @property
    def sensor_status(self) -> dg.DefaultSensorStatus:
        running = self.tenant.automation.running
        return dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED

    def key(self, asset: str) -> dg.AssetKey:
        return dg.AssetKey([self.name, asset])

    def window(self, asset: str, first: int, last: int = 0, *, columns: Sequence[str] = ()) -> dg.AssetIn:
        """An input of days D + ``first`` .. D + ``last`` of ``asset``, in any order: some ``columns``, or all."""
        return dg.AssetIn(
            key=self.key(asset),
            partition_mapping=DayWindow(first, last),
            input_manager_key=self.replace_key,
            metadata={"any_order": True} | ({"columns": list(columns)} if columns else {}),
        )

    def partitioned(self) -> dict[str, Any]:
        """What all partitioned assets of a tenant share; only so do they share a backfill's runs."""
        return {"partitions_def": self.partitions, "backfill_policy": BACKFILL_POLICY, "pool": self.pool}

    def today(self) -> date:
        """The open day: by the clock, or the day after one that the source said has ended."""
        marked, clock = self.marked_day(), self.clock_day()
        return clock if marked is None else max(clock, marked + timedelta(days=1))

    def clock_day(self) -> date:
        """The business day by the clock that Dagster uses (tests can set it)."""
        from dagster._time import get_current_datetime

        return open_day(get_current_datetime(), self.tenant.timezone)

    def marked_day(self) -> date | None:
        """The newest day of which the source said that it has ended; None where it never did."""
        return closed_by_mark(self.landing) if self.tenant.source.kind == "events" else None

    def close_time(self, today: date) -> datetime:
        """When the day before ``today`` is made: aware, in the tenant's zone."""
        hour, minute = map(int, self.tenant.automation.close_at.split(":"))
        return datetime.combine(today, time(hour, minute), tzinfo=ZoneInfo(self.tenant.timezone))

    def require_closed(self, asset: str, last: date) -> None:
        """Refuse a day that is still open.

        Raises:
            DayIsOpen: ``last`` has not closed in the tenant's time zone.
        """
        today = self.today()
        if last >= today:
            raise DayIsOpen(
                f"{self.name}/{asset} was asked for {last}, which is open until midnight {self.tenant.timezone}:"
                f" an open day is no origin and is not scored. Ask for days up to {today - timedelta(days=1)}.",
                allow_retries=False,
            )


def day_range(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """First and last day of the partitions this step is to make."""
    reads_of(context)  # the step's time is counted from here
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)


def days_of_run(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """First and last day that a run with these tags was to make; ``None`` where it is of no days."""
    one = tags.get(PARTITION_NAME_TAG)
    try:
        return (
            date.fromisoformat(tags.get(ASSET_PARTITION_RANGE_START_TAG) or one or ""),
            date.fromisoformat(tags.get(ASSET_PARTITION_RANGE_END_TAG) or one or ""),
        )
    except ValueError:
        return None


def asked_by(tags: Mapping[str, str]) -> str:
    """Who or what asked for a run, from its tags: what it was told, else what Dagster knows, and whose repeat it is.

    ``cli``, ``schedule NAME``, ``sensor NAME``, ``user NAME``, ``UI`` or ``dagster`` (an API or a script); with
    ``, backfill ID`` for a run of one, and ``, retry N of run ID`` or ``, again after run ID`` for a repeat.
    """
    told = tags.get(REQUESTED_BY_TAG)
    named = ((kind, tags[tag]) for tag, kind in ASKING_TAGS.items() if tag in tags)
    parts = [told or next((f"{kind} {name}" for kind, name in named), "")]
    if tags.get("dagster/from_automation_condition") == "true":
        parts.append("automation condition")
    if not parts[0]:
        parts[0] = "UI" if tags.get("dagster/from_ui") == "true" else "dagster"
    if BACKFILL_ID_TAG in tags:
        parts.append(f"backfill {tags[BACKFILL_ID_TAG]}")
    before = tags.get(PARENT_RUN_ID_TAG, "")[:RUN_ID_DIGITS]
    if before:
        number = tags.get(RETRY_NUMBER_TAG)
        parts.append(f"retry {number} of run {before}" if number else f"again after run {before}")
    return ", ".join(parts)


def passed_on(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that a run gives to the runs it starts in turn: who asked, why, and the id of the event it came from."""
    kept = {tag: tags[tag] for tag in (REASON_TAG, CORRELATION_TAG) if tag in tags}
    return {REQUESTED_BY_TAG: asked_by(tags)} | kept
