"""``/overrides``: what planners expect of days to come instead of the published forecast, and how good that was.

An override is added to a ledger of its own and never changed: a later one of the series and day replaces it, a
withdrawal is an entry too. It is kept in the landing, and on record with the run that the sensor starts. The published
forecast stays as it is; both are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from dagster._time import get_current_datetime
from fastapi import Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.answers import answer
from forecast_platform.api.idempotency import IdempotencyKey
from forecast_platform.api.keys import Scope
from forecast_platform.api.paging import Cursor, Limit, page_of
from forecast_platform.api.parameters import LONGEST_NAME, MOST_DAYS, TEXT, Location
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.reading import overrides as reading
from forecast_platform.api.routes.actuals import (
    ENTRY,
    EVERYWHERE,
    MOST_TOTALS,
    UNKNOWN,
    Name,
    Reason,
    Units,
    require_known,
)
from forecast_platform.api.routing import api_router
from forecast_platform.api.sending import REFUSALS, RawBody, done_once
from forecast_platform.posting import post_overrides
from forecast_platform.sources.overrides import Override, entries, holds_through, sent

router = api_router(Scope.WRITE, tags=["overrides"])
reads = api_router(Scope.READ, tags=["overrides"])

MOST_GROUPS = 1_000

EntryId = Annotated[
    str,
    Path(pattern=ENTRY, description="An override, by its `entry`.", examples=["0649a1c2b3d4e50000a1b2c3"]),
]
EXAMPLE = {
    **{"entry": "0649a1c2b3d4e50000a1b2c3", "received_at": "2026-02-01T09:12:00.000000Z"},
    **{"target_date": "2026-02-02", "sku": "sku 1", "location": "north", "units": 25.0, "author": "key 8k2m4n6p0q"},
    **{"reason": "a school trip", "expires_at": None, "withdrawn_at": None},
}
ACCURACY_EXAMPLE = {
    **{"name": "key 8k2m4n6p0q", "n": 41, "n_published": 40, "n_naive": 40, "n_out_of_stock": 1, "mae": 2.1},
    **{"wape": 0.22, "bias": 0.03, "fva_mae_published": 0.4, "fva_wape_published": 0.05, "fva_mae_naive": 0.9},
    "fva_wape_naive": 0.11,
}
NONE: dict[int | str, dict[str, Any]] = {404: {**RESPONSES[401], "description": "There is no such override."}}
SENT: dict[int | str, dict[str, Any]] = {
    202: {
        "links": {
            "withdraw_override": {
                "operationId": "withdraw_override",
                "parameters": {"entry": "$response.body#/items/0/entry"},
            }
        }
    }
}


class Expected(BaseModel):
    """What is expected of a series on a day."""

    model_config = ConfigDict(extra="forbid")

    sku: Name
    location: Name = EVERYWHERE
    target_date: date = Field(description="Today or a day to come.")
    units: Units = Field(description="Net units of the whole day.")


class OverrideRequest(BaseModel):
    """What one planner expects for one reason."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "items": [{"sku": "sku 1", "location": "north", "target_date": "2026-02-02", "units": 25}],
                "reason": "a school trip",
            }
        },
    )

    items: list[Expected] = Field(min_length=1, max_length=MOST_TOTALS)
    reason: Reason
    expires_at: AwareDatetime | None = Field(None, description="They hold until then (ISO 8601, with a zone).")


class Withdrawal(BaseModel):
    """Why an override is withdrawn."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"reason": "the trip is called off"}})

    reason: Reason


class OverrideAnswer(BaseModel):
    """What a planner expects of a series on a day."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    entry: str = Field(description="Its name: of two of a series and day the greater one holds.")
    received_at: datetime
    target_date: date
    sku: str
    location: str
    units: float
    author: str = Field(description="Whose credential it was.")
    reason: str
    expires_at: datetime | None = Field(description="It holds until then; null: for good.")
    withdrawn_at: datetime | None = Field(description="Since when it holds no longer; null: nobody has withdrawn it.")


class OverridePage(BaseModel):
    """Overrides, the newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [EXAMPLE], "next_cursor": None}})

    items: list[OverrideAnswer]
    next_cursor: str | None = Field(None, description="Asks for the next page; null: this is the last one.")


class OverrideFigures(BaseModel):
    """How good the overrides of one scope were; null: undefined."""

    name: str = Field(description="Which author, SKU or reason; `all`.")
    n: int = Field(description="Overrides that have met their actual.")
    n_published: int = Field(description="Those that have a published forecast to be compared with.")
    n_naive: int = Field(description="Those that have one of `seasonal_naive_7`.")
    n_out_of_stock: int = Field(description="Those of days on which the shelf was empty.")
    mae: float
    wape: float | None
    bias: float | None = Field(description="Above 0: too much was expected.")
    fva_mae_published: float | None = Field(
        description="MAE of the published forecast minus theirs: above 0 they were better."
    )
    fva_wape_published: float | None
    fva_mae_naive: float | None = Field(description="MAE of `seasonal_naive_7` minus theirs.")
    fva_wape_naive: float | None


class OverrideAccuracy(BaseModel):
    """How good overrides were."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"by": "author", "items": [ACCURACY_EXAMPLE], "next_cursor": None}}
    )

    by: str
    items: list[OverrideFigures]
    next_cursor: None = Field(description="All is on one page.")


@router.post(
    "/overrides",
    operation_id="create_overrides",
    summary="Expect something else than the forecast",
    status_code=202,
    response_model=OverridePage,
    responses={**UNKNOWN, **REFUSALS, **SENT},
)
def create_overrides(
    at: Here, body: RawBody, wanted: OverrideRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """Put what you expect of days to come beside their published forecast, with a reason and until when it holds.

    Nothing is changed: the forecast that is published stays, and both are scored. An override is scored if it was made
    before its day began and held when it did; the newest of a series and day counts. Its author is whose credential
    this is. It is durable before the answer, and shown with the next run, which starts by itself.
    """
    return done_once(at, "overrides", idempotency_key, body, lambda: _added(at, wanted, get_current_datetime()))


@reads.get(
    "/overrides",
    operation_id="list_overrides",
    summary="What planners expect",
    response_model=OverridePage,
)
def list_overrides(
    request: Request,
    at: Here,
    sku: Annotated[
        str | None,
        Query(max_length=LONGEST_NAME, pattern=TEXT, description="Only of this SKU.", examples=["sku 1"]),
    ] = None,
    location: Location = None,
    author: Annotated[
        str | None,
        Query(max_length=LONGEST_NAME, pattern=TEXT, description="Only of this author.", examples=["key 8k2m4n6p0q"]),
    ] = None,
    first: Annotated[
        date | None, Query(alias="from", description="Only of this day and later ones.", examples=["2026-02-01"])
    ] = None,
    last: Annotated[
        date | None, Query(alias="to", description="Only of this day and earlier ones.", examples=["2026-02-28"])
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """All overrides on record, the newest first: those that were replaced, withdrawn or have expired among them. One is
    on record once the run has taken it in."""
    asked = {"sku": sku, "location": location, "author": author, "first": first, "last": last}
    page = page_of(limit=limit, cursor=cursor, keys=reading.KEYS, asked={"list": "overrides", **asked})
    with at.reading.session() as session:
        rows = reading.listed(session, page, asked=asked)
    kept, following = page.cut(rows, lambda row: (row["entry"],))
    return answer(request, {"items": kept, "next_cursor": following})


@reads.get(
    "/overrides/accuracy",
    operation_id="get_override_accuracy",
    summary="How good overrides were",
    response_model=OverrideAccuracy,
)
def override_accuracy(
    request: Request,
    at: Here,
    by: Annotated[
        Literal["all", "author", "sku", "reason"],
        Query(description="All of them together, or each author, SKU or reason.", examples=["author"]),
    ] = "all",
    limit: Annotated[int, Query(ge=1, le=MOST_GROUPS, description="Groups at most.", examples=[100])] = 100,
) -> Response:
    """Errors of all overrides that have met their actual, and the value they added: over what was published, and over
    `seasonal_naive_7`, from the last origin before each was made. Those with the most overrides come first."""
    with at.reading.session() as session:
        rows = reading.accuracy(session, by, most=limit)
    items = [{name: row[name] for name in OverrideFigures.model_fields} for row in rows]
    return answer(request, {"by": by, "items": items, "next_cursor": None})


@router.post(
    "/overrides/{entry}/withdraw",
    operation_id="withdraw_override",
    summary="Withdraw an override",
    status_code=202,
    response_model=OverrideAnswer,
    responses={**NONE, **REFUSALS},
)
def withdraw_override(
    at: Here, body: RawBody, entry: EntryId, withdrawal: Withdrawal, idempotency_key: IdempotencyKey = None
) -> Response:
    """Let the override before it, or else the published forecast, hold again. It stays on record, and is scored if its
    day had begun by then."""
    named = entry.encode() + b"\0" + body
    return done_once(at, "overrides", idempotency_key, named, lambda: _withdrawn(at, entry, withdrawal.reason))


def _require_possible(at: TenantAccess, wanted: OverrideRequest, now: datetime) -> None:
    """Refuse what could hold for nothing."""
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise Problem(422, "invalid-request", "expires_at has passed")
    today = at.tenant.today()
    wrong, last = [], today + timedelta(days=MOST_DAYS)
    with at.reading.session() as session:
        require_known(session, ((each.sku, each.location) for each in wanted.items))
        for number, each in enumerate(wanted.items):
            if each.target_date < today:
                wrong.append((number, f"this day is over, and what it sold is known: give days from {today} on"))
            elif each.target_date > last:
                wrong.append((number, f"give days up to {last}"))
    if wrong:
        errors = [{"where": f"body.items.{number}.target_date", "message": message} for number, message in wrong]
        raise Problem(422, "no-such-day", f"{len(wrong)} overrides were refused", extra={"errors": errors[:50]})


def _added(at: TenantAccess, wanted: OverrideRequest, now: datetime) -> tuple[int, Any]:
    _require_possible(at, wanted, now)
    added = [
        Override(
            entry=entry,
            received_at=now,
            received_on=at.tenant.today(),
            target_date=each.target_date,
            sku=each.sku,
            location=each.location,
            units=each.units,
            author=at.principal.subject,
            reason=wanted.reason,
            expires_at=wanted.expires_at,
            holds_through=holds_through(wanted.expires_at, at.tenant.tenant.timezone),
        )
        for each, entry in zip(wanted.items, entries(now, len(wanted.items)), strict=True)
    ]
    post_overrides(at.tenant, added)
    return 202, {"items": _shown(added), "next_cursor": None}


def _withdrawn(at: TenantAccess, entry: str, reason: str) -> tuple[int, Any]:
    override = sent(at.tenant.landing, entry)
    if override is None or override.units is None:
        raise Problem(404, "unknown-override", "there is no such override; GET /api/v1/overrides lists those there are")
    with at.reading.session() as session:
        on_record = reading.found(session, entry)
    if on_record is not None and on_record["withdrawn_at"] is not None:
        raise Problem(409, "override-withdrawn", "this override is withdrawn already")
    now = get_current_datetime()
    (name,) = entries(now, 1)
    row = Override(
        entry=name,
        received_at=now,
        received_on=at.tenant.today(),
        target_date=override.target_date,
        sku=override.sku,
        location=override.location,
        withdraws=entry,
        author=at.principal.subject,
        reason=reason,
    )
    post_overrides(at.tenant, [row])
    return 202, {**_shown([override])[0], "withdrawn_at": now}


def _shown(overrides: Sequence[Override]) -> list[dict[str, Any]]:
    names = [name for name in OverrideAnswer.model_fields if name != "withdrawn_at"]
    return [{name: getattr(each, name) for name in names} | {"withdrawn_at": None} for each in overrides]
