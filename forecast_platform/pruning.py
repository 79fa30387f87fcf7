"""Taking away what a tenant's ``retention`` no longer keeps: a named maintenance operation, with its record.

A pruned day leaves ``partition_log`` in the transaction that deletes its rows, and is in ``pruned_days`` from then on:
what needs it names it as missing, and makes nothing from a shorter history. Making the partition again brings it back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from forecast_platform.io_managers.columns import partition_column
from forecast_platform.retention import Prunable
from forecast_platform.tables import metadata

if TYPE_CHECKING:
    from forecast_platform.assets.scope import TenantScope
    from forecast_platform.io_managers.warehouse import Session

DAYS_AT_ONCE = 31
"""Days that one transaction takes away: a month of a retailer's errors is 150 million rows in DuckDB's and PostgreSQL's
logs, and whoever waits for the table waits for no longer than that."""

PARTITIONS = dict.fromkeys(("error_sums", "forecast_errors", "interval_scores", "published_sums"), "target_date")
"""Partition columns of tables that only dbt declares."""


@dataclass(frozen=True)
class Old:
    """The days of a table that its retention no longer keeps, and the rows that the log counts in them."""

    table: Prunable
    days: tuple[date, ...]
    rows: int


def old_days(scope: TenantScope) -> list[Old]:
    """What ``prune`` would take away."""
    found = []
    with scope.warehouse.reading() as session:
        for table, kept in sorted(scope.tenant.retention.items()):
            before = scope.today() - timedelta(days=kept)
            logged = session.logged(table, date.min, before - timedelta(days=1))
            if logged:
                rows = sum(state.rows for state in logged.values())
                found.append(Old(table, tuple(sorted(logged)), rows))
    return found


def prune(scope: TenantScope, *, progress: Callable[[str], None] = lambda text: None) -> int:
    """Take away the days that the tenant's ``retention`` no longer keeps; how many partitions those were.

    Killed between two transactions it has done a part, and asked again it does the rest.
    """
    pruned = 0
    for old in old_days(scope):
        for begin in range(0, len(old.days), DAYS_AT_ONCE):
            days = old.days[begin : begin + DAYS_AT_ONCE]
            with scope.warehouse.transaction() as session:
                session.lock(old.table)
                _take_away(session, old.table, days)
            pruned += len(days)
            progress(f"{old.table}: {len(days)} days, {days[0]} to {days[-1]}")
    return pruned


def _take_away(session: Session, table: Prunable, days: tuple[date, ...]) -> None:
    partition = PARTITIONS.get(table) or partition_column(metadata.tables[table])
    for day in days:
        session.execute(f"delete from {table} where {partition} = :day", {"day": day})
        session.execute(
            "insert into pruned_days (asset, day, rows, pruned_at)"
            " select asset, day, rows, current_timestamp from partition_log where asset = :asset and day = :day"
            " on conflict (asset, day) do update set rows = excluded.rows, pruned_at = excluded.pruned_at",
            {"asset": table, "day": day},
        )
        session.execute("delete from partition_log where asset = :asset and day = :day", {"asset": table, "day": day})
