"""Which months of a tenant's ledgers may move to the archive, and moving them: named maintenance operations.

What belongs here is the rule: whole months, of origins that nothing reads in its daily course. How a month is moved is
in ``io_managers.archive``. A scheduled job may call ``archive_before`` as the command line does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from forecast_platform.days import month_of, next_month
from forecast_platform.io_managers.archive import Move, archive_month, archived, held_months, restore_month
from forecast_platform.reporting.figures import WINDOWS
from forecast_platform.tables import BY_MONTH

if TYPE_CHECKING:
    from forecast_platform.assets.scope import TenantScope


class NotArchived(ValueError):
    """What was asked for may not move, or is not in the archive. The message names the limit and the way out."""


@dataclass(frozen=True)
class Reach:
    """How many days back, counted from the open day, something reads origins; ``why`` adds up to ``days``."""

    days: int
    why: str


def reaches(scope: TenantScope) -> list[Reach]:
    """What reads origins of the ledgers in its daily course, the farthest first.

    Errors of a target day come from origins up to a horizon before it; facts of the last ``rerun_days`` are made again
    every week, and their errors with them.
    """
    tenant = scope.tenant
    windows = {
        "calibration_window": tenant.calibration_window,
        "champion_window": tenant.champion_window,
        "monitoring.reference_days": tenant.monitoring.reference_days,
        "the daily report's longest window": max(WINDOWS),
        "the day that is scored": 1,
    }
    again = tenant.automation.rerun_days
    found = [
        Reach(
            days + tenant.horizon + again,
            f"{name} ({days}) + horizon ({tenant.horizon}) + automation.rerun_days ({again})",
        )
        for name, days in windows.items()
    ]
    return sorted(found, key=lambda reach: reach.days, reverse=True)


def newest_limit(scope: TenantScope) -> date:
    """The first month that may not move: the one of the oldest origin that something reads."""
    return month_of(scope.today() - timedelta(days=reaches(scope)[0].days))


def require_old(scope: TenantScope, before: date) -> None:
    """Refuse to move months that are still read.

    Raises:
        NotArchived: naming what reads them, the limit, and what to ask for instead.
    """
    limit, farthest = newest_limit(scope), reaches(scope)[0]
    if before > limit:
        raise NotArchived(
            f"months before {before:%Y-%m} cannot be archived: origins from"
            f" {scope.today() - timedelta(days=farthest.days)} on are still read, {farthest.days} days back for"
            f" {farthest.why}. Ask for --before {limit:%Y-%m} or earlier, or shorten that window in the tenant's"
            " settings"
        )


@dataclass(frozen=True)
class Waiting:
    """A month of a ledger that may move, and how many rows of it the ledger's table holds."""

    asset: str
    month: date
    rows: int


def waiting(scope: TenantScope, before: date) -> list[Waiting]:
    """The months that ``archive_before`` would move, oldest first."""
    require_old(scope, before)
    found = []
    with scope.warehouse.reading() as session:
        for table in BY_MONTH:
            partition = table.info["partition"]
            for month in held_months(session, table, before):
                rows = session.scalar(
                    f"select count(*) from {session.held(table)} where {partition} >= :first and {partition} < :end",
                    {"first": month, "end": next_month(month)},
                )
                found.append(Waiting(table.name, month, rows))
    return sorted(found, key=lambda each: (each.month, each.asset))


def archive_before(
    scope: TenantScope, before: date, *, progress: Callable[[str], None] = lambda text: None
) -> list[Move]:
    """Move every month before ``before`` (the first day of a month) to the archive, one transaction a month.

    What was moved before it failed or was killed stays moved; asked again, it goes on with the rest.

    Raises:
        NotArchived: something still reads those months.
        ArchiveError: a month could not be moved; it is where it was.
    """
    tables = {table.name: table for table in BY_MONTH}
    moved = []
    for each in waiting(scope, before):
        move = archive_month(scope.warehouse, tables[each.asset], each.month, progress=progress)
        progress(f"{each.asset} {each.month:%Y-%m}: {move.rows} rows, {move.bytes} bytes, in {move.location}")
        moved.append(move)
    return moved


def restore(scope: TenantScope, month: date, *, progress: Callable[[str], None] = lambda text: None) -> int:
    """Put an archived month of every ledger back into the warehouse; rows that came back.

    Raises:
        NotArchived: nothing of that month is in the archive.
        ArchiveError: a file is not what was written.
    """
    with scope.warehouse.reading() as session:
        there = archived(session)
    months = sorted({move.month for move in there})
    if month not in months:
        named = ", ".join(f"{each:%Y-%m}" for each in months) or "none"
        raise NotArchived(f"{scope.name}: {month:%Y-%m} is not in the archive; archived months are {named}")
    return sum(
        restore_month(scope.warehouse, table, month, progress=progress)
        for table in BY_MONTH
        if any((move.asset, move.month) == (table.name, month) for move in there)
    )
