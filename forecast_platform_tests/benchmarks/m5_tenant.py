"""A tenant whose sales are those of ``m5_shape``, in a folder of its own, with what a benchmark needs on record."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from forecast_platform import settings
from forecast_platform.dbt_process import PROCESSES
from forecast_platform.pipeline import PROJECT, build_tenant, load_tenant
from forecast_platform.runs import chain_of
from forecast_platform_tests.benchmarks.m5_shape import Market
from forecast_platform_tests.benchmarks.measuring import Measured, environment_of, in_turn, measure

NAME = "m5"
HISTORY = 475
"""Days of facts before the measured one, 447 and those of 28 origins: 14.5 million daily rows at M5's size."""


@dataclass(frozen=True)
class M5Tenant:
    """The tenant under ``folder``: its drop folder, warehouse, landing, state and Dagster's home.

    ``warehouse`` is the URL of another warehouse than the embedded one under ``folder``.
    """

    folder: Path
    market: Market
    warehouse: str | None = None

    @property
    def drop(self) -> Path:
        return self.folder / "drop"

    @property
    def environment(self) -> dict[str, str]:
        elsewhere = {} if self.warehouse is None else {"FORECAST_WAREHOUSE": self.warehouse}
        return environment_of(self.folder) | {"FORECAST_TENANTS": str(self.folder / "tenants")} | elsewhere

    def create(self, **attributes) -> None:
        """Its folders and its ``defs.yaml``, with ``attributes`` beside those of the benchmark."""
        for name in ("drop", "dagster", f"tenants/{NAME}"):
            (self.folder / name).mkdir(parents=True)
        shutil.copy(PROJECT / "dagster.yaml", self.folder / "dagster")
        files = {"kind": "files", "url": str(self.drop), "format": "csv", "settle_seconds": 0}
        columns = {
            "sale_date": "date",
            "sku": "item_id",
            "location": "store_id",
            "quantity": "units",
            "unit_price": "sell_price",
            "event_id": ["item_id", "store_id", "date"],
        }
        items = {"sku": "item_id", "category": "dept_id"}
        valid = {"location": "all", "valid_from": self.market.start.isoformat()}
        given = {
            "start": self.market.start.isoformat(),
            "country": "US",
            "source": files | {"pattern": "sales-*.csv", "columns": columns},
            "facts": {"items": files | {"pattern": "items.csv", "columns": items, "constants": valid}},
            **attributes,
        }
        text = yaml.safe_dump({"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": given})
        (self.folder / "tenants" / NAME / "defs.yaml").write_text(text)
        self.market.write_items(self.drop / "items.csv")

    def deliver(self, numbers: range) -> int:
        """Put one file with the sales of these days into the drop folder; its rows."""
        first, last = self.market.day_of(numbers[0]), self.market.day_of(numbers[-1])
        return self.market.write_sales(self.drop / f"sales-{first}-{last}.csv", numbers)

    def load(
        self, origins: int, *, history: int = HISTORY, at_once: int = HISTORY, **attributes
    ) -> dict[str, list[Measured]]:
        """The tenant with its history, and so many origins up to its last day; what either cost.

        Args:
            history: days of facts, from the tenant's first day on.
            at_once: days of one file and one run.
        """
        self.create(**attributes)
        loads = []
        for first in range(0, history, at_once):
            days = range(first, min(first + at_once, history))
            self.deliver(days)
            loads.append(self.run(days[0], days[-1], self.facts))
        cost = {"first history load": [in_turn(loads)]}
        if origins:
            cost[f"{origins} origins"] = [self.run(history - origins, history - 1)]
        return cost

    @property
    def facts(self) -> tuple[str, ...]:
        """The assets that are made of facts alone."""
        scope = load_tenant(NAME, settings.load(self.environment))
        found = chain_of(build_tenant(scope), scope).facts
        PROCESSES.end()
        return found

    def run(
        self, first: int, last: int, select: Sequence[str] = (), *, steps: dict[str, Measured] | None = None
    ) -> Measured:
        """``forecast-platform run`` of days by number, in a process of its own, and what it and its ``steps`` cost."""
        command = [*self.program, "run", "--tenant", NAME, *self._days(first, last), *_selected(select)]
        return measure(command, self.environment, steps=steps)

    @property
    def program(self) -> list[str]:
        return [sys.executable, "-m", "forecast_platform.cli"]

    def _days(self, first: int, last: int) -> list[str]:
        days: tuple[date, date] = self.market.day_of(first), self.market.day_of(last)
        return ["--from", f"{days[0]}", "--to", f"{days[1]}"]


def _selected(names: Sequence[str]) -> list[str]:
    return [part for name in names for part in ("--select", name)]
