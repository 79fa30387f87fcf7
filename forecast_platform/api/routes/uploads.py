"""``POST /uploads``: a CSV file, looked through by the code that reads the source's files, and kept as one of them."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.api.access import Here
from forecast_platform.api.idempotency import IdempotencyKey
from forecast_platform.api.keys import Scope
from forecast_platform.api.parameters import TEXT
from forecast_platform.api.problems import MOST_ERRORS, Problem
from forecast_platform.api.routing import api_router
from forecast_platform.api.sending import REFUSALS, RawBody, done_once
from forecast_platform.assets.arrivals import source_of
from forecast_platform.assets.scope import TenantScope
from forecast_platform.sources.base import Refused
from forecast_platform.sources.checking import FileReport, as_delimited, check_file
from forecast_platform.sources.shapes import Rows
from forecast_platform.sources.shift import remembered_weeks
from forecast_platform.sources.uploads import keep

router = api_router(Scope.WRITE, tags=["sending"])

Kind = Literal["sales", "items", "stock", "plan"]
ASSETS: dict[Kind, str] = {"sales": "raw_sales", "items": "items", "stock": "inventory_levels", "plan": "plan"}
CSV_KINDS = ("text/csv", "application/csv", "application/vnd.ms-excel", "application/octet-stream", "text/plain")
SHOWN_DAYS = 400


class ReasonFound(BaseModel):
    """Rows with the same thing wrong."""

    reason: str
    rows: int
    numbers: list[int] = Field(description="Of the first of them, from 1 and without the header.")
    example: Any = Field(description="The first of them as it came.")


class UploadReport(BaseModel):
    """What a file is read as."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "kind": "sales",
                "dry_run": True,
                "kept": False,
                "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "rows": 120,
                "good": 118,
                "bad": 2,
                "ignored": 0,
                "reasons": [
                    {
                        "reason": "quantity 'two' is not a number",
                        "rows": 2,
                        "numbers": [7, 31],
                        "example": {"qty": "two"},
                    }
                ],
                "days": ["2026-02-01"],
                "days_touched": 1,
            }
        }
    )

    kind: Kind
    dry_run: bool
    kept: bool = Field(description="Whether it is on disk and will be landed; false of a dry run.")
    digest: str = Field(description="SHA-256 of the file as it is kept: equal files are one.")
    rows: int
    good: int
    bad: int
    ignored: int = Field(description="Rows that the tenant's settings leave out.")
    reasons: list[ReasonFound] = Field(description="What is wrong with the bad rows, the most frequent first.")
    days: list[date] = Field(description=f"The first {SHOWN_DAYS} days of the good rows.")
    days_touched: int


@router.post(
    "/uploads",
    operation_id="post_upload",
    summary="Send a CSV file of sales, items, stock or plan",
    status_code=202,
    response_model=UploadReport,
    responses={200: {"model": UploadReport, "description": "What a dry run found; nothing was kept."}, **REFUSALS},
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The file, with a header of the columns that the tenant's settings name, in UTF-8 (a byte"
            " order mark is dropped), fields apart by comma or semicolon; decimal commas only where the settings say"
            " so.",
            "content": {
                "text/csv": {
                    "schema": {"type": "string", "minLength": 1},
                    "example": "id,day,sku,shop,quantity\na1,2026-02-01,sku 1,north,2\n",
                }
            },
        }
    },
)
def post_upload(
    request: Request,
    at: Here,
    body: RawBody,
    kind: Annotated[Kind, Query(description="What the file holds.", examples=["sales"])],
    dry_run: Annotated[bool, Query(description="Only say what it would be read as.", examples=[True])] = False,
    name: Annotated[
        str,
        Query(min_length=1, max_length=200, pattern=TEXT, description="Its name, for people.", examples=["may.csv"]),
    ] = "upload.csv",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Look a file through and, unless it is a dry run, keep it as one of the source's files: landed with the next run.

    Bad rows stop no others: they stand among the rejects once it is landed. A file without a good row is refused whole.
    A file that comes twice is one.
    """
    rows = _shape(at.tenant, kind)
    content = _content(request, body, rows)
    received_at = _now()
    report = _report(at.tenant, kind, content, rows, received_at)

    def work() -> tuple[int, Any]:
        if not dry_run:
            keep(at.tenant.landing, ASSETS[kind], content, name, received_at)
        return (200 if dry_run else 202), _told(report, kind, content, dry_run)

    named = f"{kind} {dry_run} {name}\n".encode() + body
    return done_once(at, "uploads", idempotency_key, named, work)


def _shape(tenant: TenantScope, kind: Kind) -> Rows:
    source = tenant.source(ASSETS[kind])
    if source is None or source.kind != "files":
        found = "there is none" if source is None else f"it is of kind {source.kind!r}"
        raise Problem(
            409,
            "source-takes-none",
            f"files of {kind} are taken where their source is of kind 'files', and {found}; posted events go to"
            " /sales and /inventory",
        )
    if source.format != "csv" or source.joins:
        raise Problem(
            409,
            "source-takes-none",
            f"the source of {kind} reads {'Parquet' if source.format != 'csv' else 'side files beside its own'}: drop"
            " the file into its folder",
        )
    return source


def _content(request: Request, body: bytes, rows: Rows) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in CSV_KINDS:
        raise Problem(415, "unknown-kind", f"send the file itself as {CSV_KINDS[0]}")
    if body.startswith(b"\x1f\x8b"):
        raise Problem(415, "compressed-body", "send the file uncompressed")
    try:
        return as_delimited(body, rows)
    except Refused as error:
        raise Problem(422, "file-refused", f"the file was refused: {error}") from error


def _report(tenant: TenantScope, kind: Kind, content: bytes, rows: Rows, received_at: datetime) -> FileReport:
    asset = ASSETS[kind]
    weeks = remembered_weeks(source_of(tenant, asset), tenant.landing)
    report = check_file(content, rows, tenant.landing, received_at, weeks=weeks)
    if report.refused is not None:
        raise Problem(422, "file-refused", f"the file was refused: {report.refused}")
    if report.good == 0:
        errors = [{"where": f"row {each.numbers[0]}", "message": each.reason} for each in report.reasons[:MOST_ERRORS]]
        raise Problem(
            422,
            "file-refused",
            f"none of its {report.rows} rows can be read; `errors` says what is wrong with the first of each kind",
            extra={"errors": errors},
        )
    return report


def _told(report: FileReport, kind: Kind, content: bytes, dry_run: bool) -> dict[str, Any]:
    return {
        "kind": kind,
        "dry_run": dry_run,
        "kept": not dry_run,
        "digest": hashlib.sha256(content).hexdigest(),
        "rows": report.rows,
        "good": report.good,
        "bad": report.bad,
        "ignored": report.ignored,
        "reasons": [
            {**vars(each), "example": None if each.example is None else orjson.loads(each.example)}
            for each in report.reasons
        ],
        "days": report.days[:SHOWN_DAYS],
        "days_touched": len(report.days),
    }


def _now() -> datetime:
    from dagster._time import get_current_datetime

    return get_current_datetime()
