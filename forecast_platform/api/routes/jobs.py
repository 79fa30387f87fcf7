"""``/jobs``: forecasts and backfills of a range of days, asked for, watched, ended and tried again over HTTP.

Their bodies are in ``job_bodies``, what is allowed in ``api.jobs``, and what becomes of a job in the package of that
name.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from starlette.responses import Response

from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.answers import LATEST, answer
from forecast_platform.api.idempotency import IdempotencyKey
from forecast_platform.api.jobs import (
    again,
    require_days,
    require_horizon,
    require_models,
    wanted_series,
)
from forecast_platform.api.keys import Scope
from forecast_platform.api.parameters import TEXT
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.routes.job_bodies import SHOWN_SERIES, BatchPage, JobAnswer, JobPage, JobRequest, Kind
from forecast_platform.api.routing import API, api_router
from forecast_platform.api.sending import RawBody, done_once
from forecast_platform.jobs.record import Asked, Job, JobBatch
from forecast_platform.jobs.states import Status, counts

router = api_router(Scope.JOBS, tags=["jobs"])

NO_STORE = "no-store"
MOST_LISTED = 200

JobId = Annotated[str, Path(pattern="^job_[0-9a-f]{20}$", description="A job.", examples=["job_1f0a6bd0c2417e9a8c53"])]
BatchId = Annotated[
    str, Path(pattern="^batch_[0-9a-f]{20}$", description="A batch of it.", examples=["batch_77ac01de5512f0b39a1c"])
]
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {**RESPONSES[401], "description": "There is no such job."}}
CREATED: dict[int | str, dict[str, Any]] = {
    201: {
        "links": {
            operation: {"operationId": operation, "parameters": {"job_id": "$response.body#/job_id"}}
            for operation in ("get_job", "list_job_batches", "cancel_job")
        }
    }
}
OVER: dict[int | str, dict[str, Any]] = {409: {**RESPONSES[401], "description": "Its status does not allow this."}}


@router.post(
    "/jobs",
    operation_id="create_job",
    summary="Ask for a forecast or a backfill",
    status_code=201,
    response_model=JobAnswer,
    responses={**UNKNOWN, **OVER, **CREATED},
)
def create_job(at: Here, body: RawBody, wanted: JobRequest, idempotency_key: IdempotencyKey = None) -> Response:
    """A forecast or backfill of a range of days, made by Dagster as one of its backfills; `Location` says where it is
    to be watched.

    Some series or models are forecast to the very numbers that they have among all; what is on record and the same is
    not appended again. Some series can be asked for on days of which all were forecast before. Another horizon than
    the tenant's is refused. The same request under an `Idempotency-Key` asks for one job, and is answered with what
    that one was when it was asked for.
    """
    answered = done_once(at, "jobs", idempotency_key, body, lambda: (201, _told(at, _submitted(at, wanted))))
    answered.headers["Location"] = f"{API}/jobs/{json.loads(answered.body)['job_id']}"
    return answered


@router.get("/jobs", operation_id="list_jobs", summary="Jobs, the newest first", response_model=JobPage)
def list_jobs(
    request: Request,
    at: Here,
    status: Annotated[Status | None, Query(description="Only of this status.", examples=["processing"])] = None,
    kind: Annotated[Kind | None, Query(description="Only of this kind.", examples=["forecast"])] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many at once.", examples=[50])] = 50,
    cursor: Annotated[
        str | None,
        Query(max_length=200, pattern=TEXT, description="The `next_cursor` of the page before.", examples=["WyIy…"]),
    ] = None,
) -> Response:
    """The tenant's jobs, each as far as it is now."""
    desk, tenant = at.platform.jobs, at.principal.tenant
    if desk.knows_dagster:
        for job in desk.jobs.unsettled(tenant):
            desk.advance(at.tenant, job)
    found = desk.jobs.page(tenant, status=status, kind=kind, before=_before(cursor), most=limit + 1)
    more = _cursor(found[limit - 1]) if len(found) > limit else None
    return answer(request, {"items": [_told(at, job) for job in found[:limit]], "next_cursor": more}, cache=LATEST)


@router.get("/jobs/{job_id}", operation_id="get_job", summary="A job", response_model=JobAnswer, responses=UNKNOWN)
def get_job(request: Request, at: Here, job_id: JobId) -> Response:
    """A job as it is now, by what Dagster has on record."""
    return answer(request, _told(at, _looked_at(at, job_id)), cache=LATEST)


@router.post(
    "/jobs/{job_id}/cancel",
    operation_id="cancel_job",
    summary="End a job",
    status_code=202,
    response_model=JobAnswer,
    responses={**UNKNOWN, **OVER},
)
def cancel_job(request: Request, at: Here, job_id: JobId) -> Response:
    """End a job: when this answers, no run of it commits anything any more. What it had committed stays."""
    job = at.platform.jobs.cancel(at.tenant, _found(at, job_id))
    return answer(request, _told(at, job), cache=NO_STORE, status=202)


@router.get(
    "/jobs/{job_id}/batches",
    operation_id="list_job_batches",
    summary="The batches of a job",
    response_model=BatchPage,
    responses=UNKNOWN,
)
def list_job_batches(
    request: Request,
    at: Here,
    job_id: JobId,
    status: Annotated[Status | None, Query(description="Only of this status.", examples=["failed"])] = None,
    series: Annotated[
        Literal["some", "all"], Query(description="How many series of each are named.", examples=["all"])
    ] = "some",
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many at once.", examples=[50])] = 50,
    cursor: Annotated[
        int, Query(ge=0, le=1_000_000, description="The `next_cursor` of the page before.", examples=[50])
    ] = 0,
) -> Response:
    """What a job was cut into when it was asked for: runs of days, by block of series."""
    job = _looked_at(at, job_id)
    names = at.platform.jobs.jobs.series(job.job_id)
    found = [each for each in at.platform.jobs.count_rows(at.tenant, job) if status in (None, each.status)]
    page = found[cursor : cursor + limit]
    most = None if series == "all" else SHOWN_SERIES
    items = [_batch(each, names.get(each.batch.block, [])[:most]) for each in page]
    more = str(cursor + limit) if len(found) > cursor + limit else None
    return answer(request, {"items": items, "next_cursor": more}, cache=LATEST)


@router.post(
    "/jobs/{job_id}/batches/{batch_id}/retry",
    operation_id="retry_job_batch",
    summary="Try a batch again",
    status_code=201,
    response_model=JobAnswer,
    responses={**UNKNOWN, **OVER},
)
def retry_job_batch(request: Request, at: Here, job_id: JobId, batch_id: BatchId) -> Response:
    """Ask for a batch that failed or was cancelled once more, as a job of its own: a final status stays as it is.

    Of a job over all series the batch's whole run is made again, with its other blocks.
    """
    job, desk = _looked_at(at, job_id), at.platform.jobs
    batch = next((each for each in desk.jobs.batches(job.job_id) if each.batch_id == batch_id), None)
    if batch is None:
        raise Problem(404, "unknown-batch", "this job has no such batch; GET …/batches lists those it has")
    if batch.status not in (Status.FAILED, Status.CANCELLED):
        raise Problem(
            409,
            "batch-not-failed",
            f"this batch is {batch.status}; those that failed or were cancelled can be tried again",
        )
    days, names, some = batch.batch, desk.jobs.series(job.job_id), job.asked.only_series is not None
    # A run over all series makes facts and publications of all blocks: it is tried again whole.
    lost = [name for block, each in names.items() if block == days.block or not some for name in each]
    series = again(at.reading, days.last, lost)
    asked = Asked(
        kind=job.asked.kind,
        first_day=days.first,
        last_day=days.last,
        requested_by=at.principal.subject,
        only_series=tuple((sku, location) for _, sku, location in series) if some else None,
        only_models=job.asked.only_models,
        reason=job.asked.reason,
        retry_of=batch.batch_id,
    )
    return _created(request, at, desk.submit(at.tenant, asked, series, now=datetime.now(UTC)))


def _created(request: Request, at: TenantAccess, job: Job) -> Response:
    where = {"Location": f"{API}/jobs/{job.job_id}"}
    return answer(request, _told(at, job), cache=NO_STORE, headers=where, status=201)


def _found(at: TenantAccess, job_id: str) -> Job:
    job = at.platform.jobs.jobs.find(at.principal.tenant, job_id)
    if job is None:
        raise Problem(404, "unknown-job", "there is no such job; GET /api/v1/jobs lists those there are")
    return job


def _looked_at(at: TenantAccess, job_id: str) -> Job:
    job, desk = _found(at, job_id), at.platform.jobs
    return desk.advance(at.tenant, job) if desk.knows_dagster else job


def _submitted(at: TenantAccess, wanted: JobRequest) -> Job:
    """The job that was asked for, begun.

    Raises:
        Problem: it is none that could be made.
    """
    require_days(at.tenant, wanted.first_day, wanted.last_day)
    require_horizon(at.tenant, wanted.horizon)
    models = require_models(at.tenant, wanted.models)
    if wanted.skus is not None and wanted.first_series is not None:
        raise Problem(422, "invalid-request", "skus and first_series both say which series; send one of them")
    some = wanted.skus is not None or wanted.first_series is not None
    if wanted.kind == "backfill" and (some or models is not None):
        raise Problem(
            422, "invalid-request", "facts are made of all series at once: leave skus, first_series and models out"
        )
    series = wanted_series(
        at.reading,
        wanted.first_day,
        wanted.last_day,
        skus=wanted.skus,
        first_series=wanted.first_series,
        some_models=models is not None,
    )
    asked = Asked(
        kind=wanted.kind,
        first_day=wanted.first_day,
        last_day=wanted.last_day,
        requested_by=at.principal.subject,
        only_series=tuple((sku, location) for _, sku, location in series) if some else None,
        only_models=models,
        reason=wanted.reason,
    )
    return at.platform.jobs.submit(at.tenant, asked, series, now=datetime.now(UTC))


def _told(at: TenantAccess, job: Job) -> dict[str, Any]:
    batches, asked = at.platform.jobs.jobs.batches(job.job_id), job.asked
    return {
        "job_id": job.job_id,
        "kind": asked.kind,
        "status": job.status,
        "first_day": asked.first_day,
        "last_day": asked.last_day,
        "series": sum(each.batch.series for each in batches if each.batch.run == 0),
        "models": asked.only_models,
        "requested_by": asked.requested_by,
        "reason": asked.reason,
        "retry_of": asked.retry_of,
        "error": job.error,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "batches": counts([each.status for each in batches]),
        "rows": sum(each.rows or 0 for each in batches),
    }


def _batch(each: JobBatch, names: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "batch_id": each.batch_id,
        "run": each.batch.run,
        "block": each.batch.block,
        "first_day": each.batch.first,
        "last_day": each.batch.last,
        "series": each.batch.series,
        "series_names": names,
        "status": each.status,
        "stage": each.stage,
        "rows": each.rows,
        "error": each.error,
        "run_id": each.run_id,
        "backfill_id": each.backfill_id,
        "started_at": each.started_at,
        "ended_at": each.ended_at,
    }


def _cursor(job: Job) -> str:
    text = json.dumps([job.created_at.isoformat(), job.job_id])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _before(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        at, job_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return datetime.fromisoformat(at), str(job_id)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Problem(422, "invalid-request", "cursor is none that a page has given") from error
