"""``planner_overrides``: what planners have sent comes into the ledger with whatever serves next.

It is no asset: nothing is made from it but views, and who made which row is its author. It is taken in where readers
are brought up to date (``serving``), so that it is on record when it is shown.
"""

from __future__ import annotations

from forecast_platform import tables
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.sources import overrides
from forecast_platform.sources.batches import Landing

HELD = "select entry from planner_overrides where entry >= :first"
ANY = "select count(*) from planner_overrides"


def take_in(session: Session, landing: Landing) -> list[str]:
    """Append what waits and is not on record; part of the caller's transaction, which holds a lock.

    Into a ledger without a row comes everything that was ever sent: the warehouse is new.

    Returns:
        What may be told to ``overrides.settle`` once the transaction is committed.
    """
    names = overrides.waiting(landing)
    rows = overrides.read(landing, overrides.INBOX, names)
    earlier = overrides.kept(landing)
    if earlier and not session.scalar(ANY):
        rows = [*overrides.read(landing, overrides.KEPT, earlier), *rows]
    if rows:
        held = {entry for (entry,) in session.execute(HELD, {"first": min(row.entry for row in rows)})}
        fresh = {row.entry: row for row in rows if row.entry not in held}
        if fresh:
            session.append(tables.planner_overrides, overrides.override_frame([fresh[name] for name in sorted(fresh)]))
    return names
