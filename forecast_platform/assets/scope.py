"""What every asset of a tenant is built from: its settings, keys, days and warehouse. No asset is defined here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import dagster as dg

from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform.partitions import BACKFILL_POLICY, DayWindow, Windows, daily_partitions, open_day
from forecast_platform.settings import Settings
from forecast_platform.sources.batches import Landing
from forecast_platform.state import State
from forecast_platform.tenant import FACTS, Tenant

REQUESTED_BY_TAG = "forecast_platform/requested_by"
REASON_TAG = "forecast_platform/reason"
"""Tags of a run that say who asked for it and why; ``forecast_runs`` keeps them."""


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
        return open_warehouse(self.settings.warehouse, self.name)

    @cached_property
    def state(self) -> State:
        return State(self.settings.state_url)

    @property
    def landing(self) -> Landing:
        """Where what arrives for this tenant is kept."""
        return Landing(self.settings.landing, self.name, self.tenant.timezone)

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

    def unfed_facts(self) -> set[str]:
        """Fact tables that no source feeds: they stay empty and are no assets."""
        return {name for name in FACTS if self.tenant.fact_source(name) is None}

    def source_assets(self) -> set[str]:
        """Assets written from Python, which dbt reads as sources."""
        written = {"raw_sales", "sales_rejects", "features", "demand_classes", "forecasts", "forecast_intervals"}
        written |= {"weekly_forecasts", "hierarchy_forecasts", "forecast_explanations"}
        return (written | set(FACTS)) - self.unfed_facts()

    def key(self, asset: str) -> dg.AssetKey:
        return dg.AssetKey([self.name, asset])

    def window(self, asset: str, first: int, last: int = 0, *, columns: Sequence[str] = ()) -> dg.AssetIn:
        """An input that holds days D + ``first`` .. D + ``last`` of ``asset``: some ``columns`` of it, or all."""
        return dg.AssetIn(
            key=self.key(asset),
            partition_mapping=DayWindow(first, last),
            input_manager_key=self.replace_key,
            metadata={"columns": list(columns)} if columns else None,
        )

    def partitioned(self) -> dict[str, Any]:
        """What all partitioned assets of a tenant share; only so do they share a backfill's runs."""
        return {"partitions_def": self.partitions, "backfill_policy": BACKFILL_POLICY, "pool": self.pool}

    def today(self) -> date:
        """The open day, by the clock that Dagster uses (tests can set it)."""
        from dagster._time import get_current_datetime

        return open_day(get_current_datetime(), self.tenant.timezone)

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
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)
