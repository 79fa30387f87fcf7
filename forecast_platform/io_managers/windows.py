"""Days: which ones an input needs, and whether all are materialized. The partition log is asked, never a table."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING

from forecast_platform.days import days_between, in_words
from forecast_platform.io_managers.retries import retrying

if TYPE_CHECKING:
    from forecast_platform.io_managers.warehouse import PartitionState, Session, Warehouse


BEGAN = """
    select min(day) from (
      select day from partition_log where asset = :asset union all select day from pruned_days where asset = :asset
    ) as known
"""
"""An asset's first day on record, whether it is still there or was pruned: a pruned history is not a short one."""

PRUNED = "select day from pruned_days where asset = :asset and day between :first and :last"


class WindowIncomplete(RuntimeError):
    """Days that an asset must look back on are not materialized. (A day without sales is materialized, and empty.)"""


def missing_days(needed: Collection[date], on_record: Collection[date], *, start: date) -> list[date]:
    """The days of ``needed`` from ``start`` on that are not ``on_record``, in order."""
    return sorted(day for day in set(needed).difference(on_record) if day >= start)


@retrying()
def require_materialized(
    warehouse: Warehouse,
    asset: str,
    *,
    first: date,
    last: date,
    back: int = 0,
    end: int = 0,
    start: date,
    made_here: tuple[date, date] | None = None,
    young: bool = False,
    wanted_by: str | None = None,
) -> dict[date, PartitionState]:
    """Check that days D - ``back`` .. D - ``end`` of ``asset`` are on record for every D of ``first`` .. ``last``.

    Args:
        made_here: first and last of the days that this very step makes of ``asset`` before it reads them.

    See ``materialized`` for the other arguments, the result and what is raised; ``RetryRequested`` where the warehouse
    is not to be had just now.
    """
    needed = set(days_between(first - timedelta(days=back), last - timedelta(days=end)))
    if made_here is not None:
        needed.difference_update(days_between(*made_here))
    with warehouse.reading() as session:
        return materialized(session, asset, sorted(needed), start=start, young=young, wanted_by=wanted_by)


def materialized(
    session: Session,
    asset: str,
    days: Collection[date],
    *,
    start: date,
    young: bool = False,
    wanted_by: str | None = None,
) -> dict[date, PartitionState]:
    """The log's record of the days of ``asset`` that an input needs; none of them may be missing.

    Args:
        asset: the upstream asset's name, without the tenant.
        days: the days that the input needs.
        start: the tenant's first day; nothing is asked of days before it.
        young: also exempt the days before the asset's own first materialized day, as a ledger has that began later
            than the facts. With nothing materialized at all, every day is exempt.
        wanted_by: the asset that needs them, for the message.

    Raises:
        WindowIncomplete: naming the missing days and how to get them.
    """
    if not days:
        return {}
    on_record = session.logged(asset, min(days), max(days))
    if young:
        began = session.scalar(BEGAN, {"asset": asset})
        start = max(start, began) if began is not None else date.max
    missing = missing_days(days, on_record, start=start)
    if missing:
        gone = {day for (day,) in session.execute(PRUNED, {"asset": asset, "first": missing[0], "last": missing[-1]})}
        pruned = [day for day in missing if day in gone]
        upstream = f"{session.warehouse.tenant}/{asset}"
        raise WindowIncomplete(
            f"{wanted_by or 'this asset'} looks back on {upstream}, which is not materialized for {in_words(missing)}"
            f" ({len(missing)} of {len(set(days))} days). Materialize those partitions of {upstream} first;"
            " nothing is computed from a shorter history"
            + (f". {in_words(pruned)} were pruned for their age (the tenant's retention.{asset})" if pruned else "")
        )
    return {day: state for day, state in on_record.items() if day in set(days)}
