"""What planners expect, as it is on record: the ledger, what of it holds at a moment, and how good it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from forecast_platform.api.paging import Key, Page
from forecast_platform.api.reading.base import records
from forecast_platform.io_managers.warehouse import Session

LEDGER = """
    select o.entry, o.received_at, o.target_date, o.sku, o.location, o.units, o.author, o.reason, o.expires_at,
      w.received_at as withdrawn_at
    from planner_overrides o
    left join (
      select withdraws, min(received_at) as received_at from planner_overrides where withdraws is not null group by 1
    ) w on w.withdraws = o.entry
    where o.units is not null
"""
KEYS = (Key("o.entry", str, descending=True),)

SERVED_FROM = "select min(origin_date) from served_forecasts"
ACCURACY = "select * from override_accuracy where scope = :scope order by n desc, name limit :most"


@dataclass(frozen=True)
class Standing:
    """An override that nobody has withdrawn; it holds until ``expires_at``."""

    location: str
    entry: str
    target_date: date
    units: float
    author: str
    reason: str
    received_at: datetime
    expires_at: datetime | None


def listed(session: Session, page: Page, *, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """A page of the ledger, the newest first, each with when it was withdrawn.

    Args:
        asked: ``sku``, ``location``, ``author``, ``first`` and ``last`` target date; None: whatever.
    """
    ways = {"sku": "o.sku = :sku", "location": "o.location = :location", "author": "o.author = :author"}
    ways |= {"first": "o.target_date >= :first", "last": "o.target_date <= :last"}
    given = {name: value for name, value in asked.items() if value is not None}
    conditions = "".join(f" and {ways[name]}" for name in given)
    query = f"{LEDGER}{conditions} and {page.condition} order by {page.order} limit :limit"
    return records(session, query, given | page.parameters)


def found(session: Session, entry: str) -> dict[str, Any] | None:
    """An override by its entry, with when it was withdrawn."""
    return next(iter(records(session, f"{LEDGER} and o.entry = :entry", {"entry": entry})), None)


def standing_by_sku(session: Session) -> dict[str, tuple[Standing, ...]]:
    """What nobody has withdrawn, of days after the oldest origin that is served, by SKU and in order of entry.

    Nothing where the ledger is not served yet, as after an upgrade until the next run.
    """
    if not _is_served(session):
        return {}
    since = session.scalar(SERVED_FROM)
    query = f"{LEDGER} and w.received_at is null and o.target_date > :since order by o.entry"
    rows = [] if since is None else records(session, query, {"since": since})
    by_sku: dict[str, list[Standing]] = {}
    for row in rows:
        by_sku.setdefault(row["sku"], []).append(_standing(row))
    return {sku: tuple(each) for sku, each in by_sku.items()}


def standing_at(session: Session, sku: str, moment: datetime) -> list[Standing]:
    """What stood at a moment, of a SKU; nothing where the ledger is not served yet."""
    if not _is_served(session):
        return []
    query = (
        f"{LEDGER} and o.sku = :sku and o.received_at <= :moment and (w.received_at is null or w.received_at > :moment)"
    )
    return [_standing(row) for row in records(session, query, {"sku": sku, "moment": moment})]


def holding(
    standing: Iterable[Standing], *, location: str, after: date, last: date | None, now: datetime
) -> list[Standing]:
    """Of each day after ``after`` (up to ``last``) the newest override of a location that has not expired, by day."""
    newest: dict[date, Standing] = {}
    for each in standing:
        if each.location != location or each.target_date <= after or (last is not None and each.target_date > last):
            continue
        if each.expires_at is not None and each.expires_at <= now:
            continue
        if each.target_date not in newest or newest[each.target_date].entry < each.entry:
            newest[each.target_date] = each
    return [newest[day] for day in sorted(newest)]


def accuracy(session: Session, scope: str, *, most: int) -> Sequence[dict[str, Any]]:
    """The figures of ``override_accuracy``: of all overrides, or by author, SKU or reason."""
    return records(session, ACCURACY, {"scope": scope, "most": most})


def _is_served(session: Session) -> bool:
    return "planner_overrides" in session.relations()


def _standing(row: dict[str, Any]) -> Standing:
    moments = {name: None if row[name] is None else row[name].astimezone(UTC) for name in ("received_at", "expires_at")}
    names = ("location", "entry", "target_date", "author", "reason")
    return Standing(units=float(row["units"]), **{name: row[name] for name in names}, **moments)
