"""A small shop in a real warehouse, and dbt run on it.

The calendar and the windows are short, so that membership, scales and errors all begin, overlap and end inside it.
What the models should hold is in ``recomputation``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from forecast_platform import tables
from forecast_platform.dbt_child import placeless
from forecast_platform.io_managers.warehouse import PartitionState, Warehouse
from forecast_platform.settings import child_environment

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
START = date(2024, 2, 25)
LAST = START + timedelta(days=15)
INACTIVE_AFTER, TRAINING, HORIZON = 4, 6, 3
SERIES = {1: ("apple", "north"), 2: ("apple", "south"), 3: ("b'; drop--", "north"), 4: ("čaj ☕", "all")}
MODELS = ("daily_sales", "series_scales", "forecast_errors", "error_sums")


def day(number: int) -> date:
    """The day ``number`` days after the shop's first."""
    return START + timedelta(days=number)


@dataclass(frozen=True)
class Event:
    """One row of ``raw_sales``."""

    event_id: str
    day: date
    series_id: int
    quantity: Decimal
    unit_price: Decimal | None = None
    on_promotion: bool | None = None
    order_id: str | None = None

    def moved_to(self, number: int) -> Event:
        return replace(self, day=day(number))


@dataclass(frozen=True, eq=False)
class Version:
    """One row of ``forecast_versions`` with its forecasts, as (series, horizon) -> mean."""

    version_id: int
    origin: date
    model: str
    means: Mapping[tuple[int, int], float]


def open_shop(warehouse: Warehouse, *, versions: Iterable[Version] = (), raw_days: int = 16) -> None:
    """Number the series, append the versions and log the first ``raw_days`` days of ``raw_sales`` as materialized."""
    with warehouse.transaction() as session:
        for series_id, (sku, location) in SERIES.items():
            session.execute(
                "insert into series (series_id, sku, location, first_seen) values (:id, :sku, :location, :day)",
                {"id": series_id, "sku": sku, "location": location, "day": START},
            )
        for version in versions:
            append_version(session, version)
        log = {day(number): PartitionState(0, "facts of a test", "test") for number in range(raw_days)}
        session.log_days("raw_sales", log)


def append_version(session: Any, version: Version) -> None:
    session.execute(
        "insert into forecast_versions (version_id, digest, origin_date, model, model_spec, code_version, horizon,"
        " inputs, series, live) values (:id, :digest, :origin, :model, 'spec', '1', :horizon, '{}', 1, true)",
        {
            "id": version.version_id,
            "digest": f"{version.origin} {version.model} {version.version_id}",
            "origin": version.origin,
            "model": version.model,
            "horizon": HORIZON,
        },
    )
    session.months(tables.forecasts, [version.origin])
    for (series_id, horizon), mean in version.means.items():
        session.execute(
            "insert into forecasts (origin_date, version_id, series_id, horizon, mean, status)"
            " values (:origin, :id, :series_id, :horizon, :mean, 'model')",
            {
                "origin": version.origin,
                "id": version.version_id,
                "series_id": series_id,
                "horizon": horizon,
                "mean": mean,
            },
        )


def put_events(warehouse: Warehouse, events: Iterable[Event]) -> None:
    """Make ``raw_sales`` hold exactly ``events``."""
    with warehouse.transaction() as session:
        session.execute("delete from raw_sales")
        for event in events:
            sku, location = SERIES.get(event.series_id, (f"sku {event.series_id}", "north"))
            session.execute(
                "insert into raw_sales (sale_date, event_id, sku, location, quantity, unit_price, on_promotion,"
                " order_id, source) values (:day, :event_id, :sku, :location, :quantity, :price, :promotion,"
                " :order_id, 'test')",
                {
                    "day": event.day,
                    "event_id": event.event_id,
                    "sku": sku,
                    "location": location,
                    "quantity": event.quantity,
                    "price": event.unit_price,
                    "promotion": event.on_promotion,
                    "order_id": event.order_id,
                },
            )


def put_stock(warehouse: Warehouse, levels: Mapping[tuple[date, int], Decimal]) -> None:
    """Make ``inventory_levels`` hold exactly ``levels``: (day, series) -> units on hand."""
    with warehouse.transaction() as session:
        session.execute("delete from inventory_levels")
        for (snapshot, series_id), on_hand in levels.items():
            sku, location = SERIES[series_id]
            session.execute(
                "insert into inventory_levels (snapshot_date, sku, location, on_hand)"
                " values (:day, :sku, :location, :units)",
                {"day": snapshot, "sku": sku, "location": location, "units": on_hand},
            )


def environment(warehouse: Warehouse, **more: str) -> dict[str, str]:
    """What dbt is told, besides the days."""
    return {
        **warehouse.dbt_environment(),
        "PIPELINE_RUN_ID": "a run",
        "PIPELINE_START": START.isoformat(),
        "PIPELINE_HORIZON": str(HORIZON),
        "PIPELINE_TRAINING_WINDOW": str(TRAINING),
        "PIPELINE_INACTIVE_AFTER_DAYS": str(INACTIVE_AFTER),
        "DBT_PROJECT_DIR": str(PROJECT),
        "DBT_PROFILES_DIR": str(PROJECT),
        **more,
    }


def days_of(first: int, last: int) -> list[str]:
    """dbt's arguments for the days numbered ``first`` to ``last``, both included."""
    return ["--event-time-start", day(first).isoformat(), "--event-time-end", day(last + 1).isoformat()]


class DbtError(AssertionError):
    """dbt failed; the message is what its nodes said."""


class Dbt:
    """dbt on one warehouse, in this process: one start of dbt, and one parse for each database, serve all tests."""

    manifests: ClassVar[dict[tuple[str, str], Any]] = {}
    parses: ClassVar[Path]
    """Folder of dbt's own files of these parses, which serve every warehouse of a kind as the pipeline's do."""

    def __init__(self, warehouse: Warehouse, target_path: Path, **environment: str) -> None:
        self.warehouse = warehouse
        self.target_path = target_path
        self.more = environment

    @property
    def _parsed_for(self) -> tuple[str, str]:
        return self.warehouse.backend, self.warehouse.tenant

    @property
    def manifest(self) -> Any:
        """The parsed project, once something was built; the names of tables in it are this tenant's."""
        return self.manifests.get(self._parsed_for)

    @property
    def parsed(self) -> Path:
        """The file of the parsed project, once something was built, here or by another worker of pytest-xdist."""
        return self.parses / f"{'-'.join(self._parsed_for)}.msgpack"

    def __call__(self, *arguments: str, **environment: str) -> Any:
        """Run dbt; returns its results. Raises ``DbtError`` with the messages of what failed."""
        from dbt.cli.main import dbtRunner

        with self._environment(**environment):
            outcome = dbtRunner(manifest=self.manifest).invoke([*arguments, "--quiet", "--no-write-json"])
        if outcome.exception:
            raise outcome.exception
        if not outcome.success:
            raise DbtError("\n".join(str(result.message) for result in outcome.result if result.message))
        return outcome.result

    def build(self, first: int, last: int, *select: str) -> Any:
        """Build models (all by default) for days by number, without tests: those of the data take as long again."""
        if self.manifest is None:
            self._parse()
        chosen = ["--select", *select] if select else []
        return self("run", *chosen, *days_of(first, last))

    def _parse(self) -> None:
        there = self.parsed.exists()
        before = {"DBT_PARTIAL_PARSE_FILE_PATH": str(self.parsed)} if there else {}
        self.manifests[self._parsed_for] = self("parse", **placeless(self._variables()), **before)
        if there:
            return  # where nothing has changed dbt need not write it again
        self.parses.mkdir(exist_ok=True)
        made = self.parses / f"{uuid.uuid4()}"
        shutil.copyfile(self.target_path / "partial_parse.msgpack", made)
        made.replace(self.parsed)

    def child(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start dbt on the project parsed before, in a process of its own."""
        variables = self._variables(DBT_PARTIAL_PARSE_FILE_PATH=str(self.parsed), **environment)
        return subprocess.Popen(
            [sys.executable, "-m", "forecast_platform.dbt_child", *arguments],
            cwd=PROJECT.parent,
            env=child_environment(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _variables(self, **more: str) -> dict[str, str]:
        paths = {"DBT_TARGET_PATH": str(self.target_path), "DBT_LOG_PATH": str(self.target_path)}
        return environment(self.warehouse, **(paths | self.more | more))

    @contextmanager
    def _environment(self, **more: str) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self._variables(**more))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def rows(warehouse: Warehouse, query: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """The rows of a query, sorted."""
    with warehouse.reading() as session:
        return sorted(session.execute(query, dict(parameters or {})), key=repr)


def contents(warehouse: Warehouse, models: Sequence[str] = MODELS) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the dbt tables, and what the log says of them, run and clock apart."""
    held = {model: rows(warehouse, f"select * from {model}") for model in models}
    held["log"] = rows(warehouse, "select asset, day, rows, digest from partition_log where asset <> 'raw_sales'")
    return held
