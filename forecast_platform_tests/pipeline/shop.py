"""A small shop whose sales are files in a drop folder, and the means to run its pipeline."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from forecast_platform.assets.checks import build_checks
from forecast_platform.assets.raw_sales import build_raw_sales_asset
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between
from forecast_platform.io_managers import build_io_managers
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.pipeline import build_tenant
from forecast_platform.runs import Chain, Progress, Step, chain_of, progress_logger, run_step
from forecast_platform.settings import load
from forecast_platform.tenant import Tenant

START = date(2026, 1, 1)
HEADER = "id,day,sku,shop,quantity,price,order\n"


@dataclass
class Shop:
    """A tenant over a drop folder. Windows are short, so that a chain is a matter of seconds."""

    folder: Path
    warehouse_url: str
    name: str = "shop"
    settings: dict[str, Any] = field(default_factory=dict)
    told: list[Progress] = field(default_factory=list)

    @property
    def drop(self) -> Path:
        path = self.folder / "drop"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def attributes(self) -> dict[str, Any]:
        """The tenant's settings as its ``defs.yaml`` would have them."""
        columns = {
            "sale_date": "day",
            "sku": "sku",
            "location": "shop",
            "quantity": "quantity",
            "unit_price": "price",
            "order_id": "order",
            "event_id": "id",
        }
        source = {"kind": "files", "url": str(self.drop), "pattern": "*.csv", "settle_seconds": 0, "columns": columns}
        windows = {"horizon": 7, "training_window": 28, "inactive_after_days": 40}
        return {"start": START.isoformat(), **windows, "source": source} | self.settings

    @cached_property
    def tenant(self) -> Tenant:
        return Tenant.model_validate(self.attributes)

    @property
    def environment(self) -> dict[str, str]:
        """The ``FORECAST_`` settings under which another process sees this warehouse and landing."""
        return {
            "FORECAST_HOME": str(self.folder / "home"),
            "FORECAST_WAREHOUSE": self.warehouse_url,
            "FORECAST_LANDING": (self.folder / "landing").as_uri(),
        }

    @cached_property
    def scope(self) -> TenantScope:
        return TenantScope(self.name, self.tenant, load(self.environment))

    @cached_property
    def definitions(self) -> dg.Definitions:
        loggers = dg.Definitions(loggers={"progress": progress_logger(self.told.append)})
        return dg.Definitions.merge(build_tenant(self.scope), loggers)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.ephemeral()

    @property
    def warehouse(self) -> Warehouse:
        return self.scope.warehouse

    def put(self, name: str, lines: Iterable[str]) -> Path:
        """Drop a file of sales lines (without the header)."""
        path = self.drop / name
        path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
        return path

    @cached_property
    def chain(self) -> Chain:
        return chain_of(self.definitions, self.scope)

    def run(self, assets: Sequence[str], first: date, last: date) -> dg.ExecuteInProcessResult:
        step = Step(tuple(assets), first, last)
        return run_step(self.definitions, self.scope, step, instance=self.instance, reason="test")

    def run_chain(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        """All assets for a range of days, in one run."""
        return self.run(self.chain.all, first, last)

    def run_facts(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        return self.run(self.chain.facts, first, last)

    def run_accuracy(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        return self.run(self.chain.accuracy, first, last)


class Till(Shop):
    """A shop of which only the sales are made: no dbt project has to be parsed."""

    @cached_property
    def definitions(self) -> dg.Definitions:
        sales = build_raw_sales_asset(self.scope)
        managers = build_io_managers(self.scope.warehouse, start=self.tenant.start)
        checks = [each for each in build_checks(self.scope) if {key.asset_key for key in each.check_keys} <= sales.keys]
        return dg.Definitions(
            assets=[sales],
            asset_checks=checks,
            resources={self.scope.replace_key: managers["replace"]},
            loggers={"progress": progress_logger(self.told.append)},
        )


def sales_lines(first: date, last: date, *, skus: int = 4, shops: Sequence[str] = ("north", "south")) -> list[str]:
    """Sales of a few SKUs, deterministic by day: a weekday shape, zeros, a return now and then."""
    lines = []
    for day in days_between(first, last):
        draw = random.Random(day.isoformat())
        for shop in shops:
            for number in range(skus):
                level = (1 + number) * (2 if day.weekday() >= 4 else 1)
                quantity = draw.randint(0, level)
                if quantity:
                    key = f"{day}-{shop}-{number}"
                    lines.append(f"{key},{day},sku {number},{shop},{quantity},{2 + number}.25,o-{day}-{shop}")
                    if draw.random() < 0.05:
                        lines.append(f"{key}-r,{day},sku {number},{shop},-1,{2 + number}.25,o-{day}-{shop}")
    return lines


def day(offset: int) -> date:
    """The day ``offset`` days after the shop's start."""
    return START + timedelta(days=offset)
