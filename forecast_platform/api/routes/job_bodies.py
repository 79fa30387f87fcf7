"""What ``/jobs`` takes and gives: the models of its bodies, with their examples.

What is done with them is in ``jobs``."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from forecast_platform.api.jobs import MOST_SKUS
from forecast_platform.api.parameters import LONGEST_NAME, TEXT
from forecast_platform.jobs.states import Status

SHOWN_SERIES = 100
"""Series of a batch that are named unless all are asked for."""

Kind = Literal["forecast", "backfill"]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=TEXT)]

REQUEST_EXAMPLE = {
    "kind": "forecast",
    "first_day": "2026-01-30",
    "last_day": "2026-01-31",
    "reason": "prices corrected",
}
JOB_EXAMPLE = {
    "job_id": "job_1f0a6bd0c2417e9a8c53",
    "kind": "forecast",
    "status": "processing",
    "first_day": "2026-01-30",
    "last_day": "2026-01-31",
    "series": 1000,
    "models": None,
    "requested_by": "key k3v0x8q1zt",
    "reason": "prices corrected",
    "retry_of": None,
    "error": None,
    "created_at": "2026-02-01T08:00:00.000000Z",
    "started_at": "2026-02-01T08:00:21.000000Z",
    "ended_at": None,
    "batches": {"queued": 0, "processing": 4, "completed": 0, "failed": 0, "cancelled": 0},
    "rows": 0,
}
BATCH_EXAMPLE = {
    "batch_id": "batch_77ac01de5512f0b39a1c",
    "run": 0,
    "block": 2,
    "first_day": "2026-01-30",
    "last_day": "2026-01-31",
    "series": 250,
    "series_names": [["sku 1", "north"], ["sku 1", "south"]],
    "status": "processing",
    "stage": "forecasting",
    "rows": None,
    "error": None,
    "run_id": "5ab1c2d0-6c1c-4c39-9b53-0f1d0a7f3c11",
    "backfill_id": "qzvhtmla",
    "started_at": "2026-02-01T08:00:21.000000Z",
    "ended_at": None,
}


class JobRequest(BaseModel):
    """What is to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": REQUEST_EXAMPLE})

    kind: Kind = Field(
        "forecast",
        description="`forecast`: forecasts of the days and all that follows from them; `backfill`: facts first.",
    )
    first_day: date = Field(description="The first origin: forecasts know its sales and none after.")
    last_day: date = Field(description="The last origin; it has closed.")
    skus: list[Name] | None = Field(
        None, min_length=1, max_length=MOST_SKUS, description="Only these, at all their locations."
    )
    first_series: int | None = Field(
        None, ge=1, le=1_000_000, description="Only so many series, the first by SKU and location."
    )
    horizon: int | None = Field(None, ge=1, le=400, description="Days ahead: the tenant's own, or left out.")
    models: list[Name] | None = Field(None, min_length=1, max_length=100, description="Only these models.")
    reason: Annotated[str, Field(max_length=300, pattern=TEXT)] | None = Field(
        None, description="Why, for the log of asking."
    )


class JobAnswer(BaseModel):
    """A job, and how far it is."""

    model_config = ConfigDict(json_schema_extra={"example": JOB_EXAMPLE})

    job_id: str
    kind: Kind
    status: Status = Field(description="`completed`, `failed` and `cancelled` are final.")
    first_day: date
    last_day: date
    series: int = Field(description="Series that it is about, fixed when it was asked for.")
    models: list[str] | None = Field(description="Only these models; null: all.")
    requested_by: str
    reason: str | None
    retry_of: str | None = Field(description="The batch of another job that is tried again.")
    error: str | None = Field(description="Why it failed.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    batches: dict[str, int] = Field(description="Batches by status.")
    rows: int = Field(description="Rows of forecasts that its batches have appended, as far as they are counted.")


class JobPage(BaseModel):
    """Jobs, the newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [JOB_EXAMPLE], "next_cursor": None}})

    items: list[JobAnswer]
    next_cursor: str | None = Field(description="Ask for more with it; null: these are the last.")


class BatchAnswer(BaseModel):
    """Some days of one block of series of a job."""

    model_config = ConfigDict(json_schema_extra={"example": BATCH_EXAMPLE})

    batch_id: str = Field(description="No batch of any job has the same.")
    run: int = Field(description="Which of the job's runs it is of, from 0 on: they are made in this order.")
    block: int = Field(description="Which block of series.")
    first_day: date
    last_day: date
    series: int
    series_names: list[tuple[str, str]] = Field(
        description=f"SKU and location of the first {SHOWN_SERIES}, or of all with `series=all`."
    )
    status: Status
    stage: str = Field(
        description="`waiting`, `queued`, `starting`, `preparing`, `forecasting`, `forecast` (waits for other blocks),"
        " `recording`, `publishing`, `done`."
    )
    rows: int | None = Field(description="Rows of forecasts that it has appended; null until they are counted.")
    error: str | None
    run_id: str | None = Field(description="Dagster's run.")
    backfill_id: str = Field(description="Dagster's backfill.")
    started_at: datetime | None
    ended_at: datetime | None


class BatchPage(BaseModel):
    """The batches of a job, in the order in which they are made."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [BATCH_EXAMPLE], "next_cursor": None}})

    items: list[BatchAnswer]
    next_cursor: str | None
