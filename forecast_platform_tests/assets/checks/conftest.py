"""A tenant's empty warehouse with the tables that checks read, and a check run on it as Dagster's step would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from dagster._core.test_utils import freeze_time
from sqlalchemy.schema import CreateTable

from forecast_platform import tables
from forecast_platform.assets.checks.suite import Finding, Look
from forecast_platform.assets.scope import TenantScope
from forecast_platform.io_managers.warehouse import PartitionState, Warehouse
from forecast_platform.settings import load
from forecast_platform.tenant import Tenant

DAY = date(2026, 3, 2)
"""The last day that the rows of these tests are of, a Monday."""

DBT_TABLES = """
    create table forecast_errors (target_date date, version_id integer, series_id integer, origin_date date,
      horizon integer, forecast double precision, actual double precision, in_stock boolean);
    create table error_sums (target_date date, series_id integer, model text, horizon_bucket text, n integer,
      sum_error double precision, sum_abs_error double precision, sum_actual double precision);
    create table interval_scores (target_date date, model text, n integer, n_below_q025 integer, n_upto_q025 integer,
      n_below_q10 integer, n_upto_q10 integer, n_below_q90 integer, n_upto_q90 integer, n_below_q975 integer,
      n_upto_q975 integer)
"""
"""What of dbt's tables the checks read."""


class CheckedShop:
    """A tenant whose warehouse a test fills row by row."""

    def __init__(self, folder: Path, url: str, warehouse: Warehouse, owner: str | None) -> None:
        self.warehouse, self.owner = warehouse, owner
        self.settings: dict[str, Any] = {}
        self._environment = {"FORECAST_HOME": str(folder / "home"), "FORECAST_WAREHOUSE": url}
        with warehouse.transaction() as session:
            session.execute(str(CreateTable(tables.daily_sales).compile(dialect=session.dialect)))
            for statement in DBT_TABLES.split(";"):
                session.execute(statement)

    @property
    def scope(self) -> TenantScope:
        source = {"kind": "demo"}
        given = {"start": "2025-01-01", "source": source, "horizon": 7, "models": None} | self.settings
        return TenantScope(self.warehouse.tenant, Tenant.model_validate(given), load(self._environment))

    def insert(self, table: str, **columns: Any) -> None:
        """Insert one row for each place of the lists among ``columns``; other values are the same in all rows."""
        length = max((len(value) for value in columns.values() if isinstance(value, list)), default=1)
        names = list(columns)
        with self.warehouse.transaction() as session:
            if table in {each.name for each in tables.BY_MONTH}:
                days = columns["origin_date"]
                session.months(tables.metadata.tables[table], days if isinstance(days, list) else [days])
            for begin in range(0, length, 500):
                places = range(begin, min(begin + 500, length))
                given = {
                    f"{name}_{place}": value[place] if isinstance(value, list) else value
                    for name, value in columns.items()
                    for place in places
                }
                rows = ", ".join("(" + ", ".join(f":{name}_{place}" for name in names) + ")" for place in places)
                session.execute(f"insert into {table} ({', '.join(names)}) values {rows}", given)

    def log(self, asset: str, *days: date, rows: int = 1) -> None:
        with self.warehouse.transaction() as session:
            session.log_days(asset, {day: PartitionState(rows, "digest", "run") for day in days})

    def execute(self, statement: str) -> None:
        with self.warehouse.transaction() as session:
            session.execute(statement)

    def behind_the_back(self, table: str, change: str) -> None:
        """Change an append-only table as nobody may: without its triggers and its conditions."""
        if self.owner is None:
            with self.warehouse.transaction() as session:
                session.execute(f"create table copied as select * from {table}")
                session.execute(f"drop table {table}")
                session.execute(f"alter table copied rename to {table}")
                session.execute(change)
            return
        with closing(psycopg2.connect(self.owner)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{self.warehouse.schema}"')
            cursor.execute(f"alter table {table} disable trigger all")
            for (name,) in self._conditions(cursor, table):
                cursor.execute(f'alter table {table} drop constraint "{name}"')
            cursor.execute(change)

    @staticmethod
    def _conditions(cursor: Any, table: str) -> list[tuple[str]]:
        cursor.execute("select conname from pg_constraint where conrelid = %s::regclass and contype = 'c'", [table])
        return cursor.fetchall()

    def look(self, check: Callable[[Look], Finding], first: date = DAY, last: date = DAY) -> Finding:
        with self.warehouse.reading() as session:
            return check(Look(self.scope, session, first, last))


@pytest.fixture
def checked(tmp_path: Path, warehouse_url: str, warehouse: Warehouse, at: Callable) -> Iterator[CheckedShop]:
    owner = warehouse_url if warehouse.backend == "postgresql" else None
    with at(DAY + timedelta(days=1)):
        yield CheckedShop(tmp_path, warehouse_url, warehouse, owner)


@pytest.fixture
def at() -> Callable[[date], object]:
    """Set Dagster's clock to noon of a day."""
    return lambda open_day: freeze_time(datetime.combine(open_day, time(12), tzinfo=UTC))
