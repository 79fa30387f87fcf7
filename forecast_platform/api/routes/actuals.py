"""``/actuals``: a day's total of a series that somebody gives by hand, and that counts instead of its events.

An entry is added and never changed: a later one of the series and day replaces it, one without units withdraws it.
It is kept in the landing as posted events are; that its day, the errors and what else follows from it is made again is
the doing of the run that the sensor starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from starlette.responses import Response

from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.answers import answer
from forecast_platform.api.idempotency import IdempotencyKey
from forecast_platform.api.keys import Scope
from forecast_platform.api.parameters import LONGEST_NAME, TEXT, Location, Sku
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.reading.actuals import entries, has_day, is_known
from forecast_platform.api.routing import api_router
from forecast_platform.api.sending import REFUSALS, RawBody, done_once
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.posting import NoInbox, post_totals, shape_of_totals
from forecast_platform.sources.overrides import entries as names_of_entries
from forecast_platform.sources.shapes import EVERYWHERE, EventsActuals

router = api_router(Scope.WRITE, tags=["sending"])
reading = api_router(Scope.READ, tags=["sending"])

MOST_TOTALS, MOST_ENTRIES = 200, 500
MOST_UNITS = 1_000_000
LONGEST_REASON = 500
ENTRY = r"^[0-9a-f]{24}$"
ORIGIN_OF_TIME, END_OF_TIME = date(1990, 1, 1), date(2200, 1, 1)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME, pattern=TEXT)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_REASON, pattern=TEXT)]
Units = Annotated[
    Decimal,
    Field(ge=0, le=MOST_UNITS, decimal_places=4, allow_inf_nan=False),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": MOST_UNITS}),
]
"""Units that somebody gives, exactly as written; up to 4 digits after the point."""

FIELDS = {name: name for name in ("entry", "sku", "location", "units", "author")} | {
    "sale_date": "day",
    "because": "reason",
}
"""Fields of what is kept, and those of an entry."""

ENTRY_EXAMPLE = {
    "entry": "0649a1c2b3d4e50000a1b2c3",
    "sku": "sku 1",
    "location": "north",
    "day": "2026-01-31",
    "units": 14.0,
    "author": "key 8k2m4n6p0q",
    "reason": "the till was down after noon",
}


class Total(BaseModel):
    """A day's total of a series."""

    model_config = ConfigDict(extra="forbid")

    sku: Name
    location: Name = EVERYWHERE
    day: date
    units: Units = Field(description="Net units of the whole day.")


class Totals(BaseModel):
    """Totals that one person gives for one reason."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "items": [{"sku": "sku 1", "location": "north", "day": "2026-01-31", "units": 14}],
                "reason": "the till was down after noon",
            }
        },
    )

    items: list[Total] = Field(min_length=1, max_length=MOST_TOTALS)
    reason: Reason
    author: Name | None = Field(None, description="Who says so; by default whose credential it is.")


class Entry(BaseModel):
    """What somebody has said of a day of a series."""

    entry: str = Field(description="Its name: of two of the same series and day the greater one holds.")
    sku: str
    location: str
    day: date
    units: float | None = Field(description="The day's total; null withdraws what was said before.")
    author: str
    reason: str


class Entries(BaseModel):
    """Entries."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [ENTRY_EXAMPLE], "next_cursor": None}})

    items: list[Entry]
    next_cursor: str | None = Field(None, description="Given as `cursor`, it asks for those that are older.")


WRITES = {"status_code": 202, "response_model": Entries}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {**RESPONSES[401], "description": "There is no such series."}}


@router.post(
    "/actuals",
    operation_id="post_actuals",
    summary="Give the total of a day",
    responses={**UNKNOWN, **REFUSALS},
    **WRITES,
)
def post_actuals(at: Here, body: RawBody, totals: Totals, idempotency_key: IdempotencyKey = None) -> Response:
    """Say what a series really sold on closed days: it counts instead of their events until it is withdrawn.

    The day, its errors and all that rests on them are made again by the next run, which starts by itself. Only series
    that were in the assortment on the day have a total. For tenants whose settings say `facts: {actual_overrides:
    {kind: events}}`.
    """
    most = _require_taken(at).limits.max_quantity

    def added() -> tuple[int, Any]:
        _require_days(at, totals.items, most=most)
        given = [(each.sku, each.location, each.day, each.units) for each in totals.items]
        return _added(at, given, totals.author or at.principal.subject, totals.reason)

    return done_once(at, "actuals", idempotency_key, body, added)


@router.delete(
    "/actuals/{sku}/{day}",
    operation_id="withdraw_actual",
    summary="Withdraw the total of a day",
    responses={**UNKNOWN, **REFUSALS},
    **WRITES,
)
def withdraw_actual(
    at: Here,
    sku: Sku,
    day: Annotated[date, Path(description="The day.", examples=["2026-01-31"])],
    reason: Annotated[Reason, Query(description="Why.", examples=["the till was read"])],
    location: Annotated[Name, Query(description="Where.", examples=["north"])] = EVERYWHERE,
    author: Annotated[
        Name | None, Query(description="Who says so; by default whose credential it is.", examples=["Ada"])
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Let the events of a day count again. The withdrawal is an entry of its own; where there is nothing to withdraw it
    changes nothing."""
    earliest, today = _require_taken(at).limits.earliest, at.tenant.today()
    if not earliest <= day < today:
        raise Problem(422, "no-such-day", f"nothing was said of this day: days are {earliest} to before {today}")
    with at.reading.session() as session:
        require_known(session, [(sku, location)])
    given, author = [(sku, location, day, None)], author or at.principal.subject
    named = f"{sku}\0{location}\0{day}\0{author}\0{reason}".encode()
    return done_once(at, "actuals", idempotency_key, named, lambda: _added(at, given, author, reason))


@reading.get(
    "/actuals/{sku}",
    operation_id="list_actuals",
    summary="What was said of the days of a SKU",
    response_model=Entries,
    responses=UNKNOWN,
)
def list_actuals(
    request: Request,
    at: Here,
    sku: Sku,
    location: Location = None,
    first: Annotated[date, Query(alias="from", description="From this day.", examples=["2026-01-01"])] = ORIGIN_OF_TIME,
    last: Annotated[date, Query(alias="to", description="Up to this day.", examples=["2026-01-31"])] = END_OF_TIME,
    cursor: Annotated[
        str | None,
        Query(pattern=ENTRY, max_length=24, description="As `next_cursor` had it.", examples=[ENTRY_EXAMPLE["entry"]]),
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=MOST_ENTRIES, description="The most entries of one answer.", examples=[100])
    ] = 100,
) -> Response:
    """All entries on record, the newest first, withdrawals and what was replaced among them. An entry is on record once
    the run has taken it in."""
    _require_taken(at)
    with at.reading.session() as session:
        found = entries(session, sku, location=location, first=first, last=last, before=cursor, most=limit + 1)
    items = found[:limit]
    return answer(request, {"items": items, "next_cursor": items[-1]["entry"] if len(found) > limit else None})


def _require_taken(at: TenantAccess) -> EventsActuals:
    try:
        return shape_of_totals(at.tenant)
    except NoInbox as error:
        raise Problem(409, "source-takes-none", str(error)) from error


def _require_days(at: TenantAccess, totals: Sequence[Total], *, most: Decimal) -> None:
    """Refuse totals that would count for nothing."""
    today = at.tenant.today()
    wrong = []
    with at.reading.session() as session:
        require_known(session, ((each.sku, each.location) for each in totals))
        for number, each in enumerate(totals):
            if each.units > most:
                wrong.append((number, f"the most units are {most}"))
            elif each.day >= today:
                wrong.append((number, f"the day is not over: give days before {today}"))
            elif not has_day(session, each.sku, each.location, each.day):
                wrong.append((number, "the series was not in the assortment on this day, or it was never made"))
    if wrong:
        errors = [{"where": f"body.items.{number}", "message": message} for number, message in wrong]
        raise Problem(422, "no-such-day", f"{len(wrong)} totals were refused", extra={"errors": errors[:50]})


def require_known(session: Session, asked: Iterable[tuple[str, str]]) -> None:
    """Refuse a series that there is not; each SKU and location is looked up once."""
    for sku, location in set(asked):
        if not is_known(session, sku, location):
            raise Problem(404, "unknown-series", "there is no such SKU at this location; its sales come first")


def _added(
    at: TenantAccess, given: Sequence[tuple[str, str, date, Decimal | None]], author: str, reason: str
) -> tuple[int, Any]:
    from dagster._time import get_current_datetime

    names = names_of_entries(get_current_datetime(), len(given))
    items = [
        {
            "entry": name,
            "sku": sku,
            "location": location,
            "day": day.isoformat(),
            "units": units,
            "author": author,
            "reason": reason,
        }
        for name, (sku, location, day, units) in zip(names, given, strict=True)
    ]
    receipt = post_totals(at.tenant, [{name: each[of] for name, of in FIELDS.items()} for each in items])
    if receipt.rejected:
        raise AssertionError(f"a total that was looked at was refused: {receipt.rejected[0].reason}")
    return 202, {"items": items, "next_cursor": None}
