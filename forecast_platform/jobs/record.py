"""Jobs and their batches on record, in the platform's state. What becomes of them is in ``states`` and
``advancing``."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from forecast_platform.jobs.cutting import Batch, Name, cut
from forecast_platform.jobs.states import Stage, Status
from forecast_platform.state import State, job_batches, job_blocks, jobs

ID_BYTES = 10
BACKFILL_LETTERS = "abcdefghijklmnopqrstuvwxyz"
BACKFILL_LENGTH = 8
"""As Dagster names backfills: its UI shows so many letters."""


@dataclass(frozen=True)
class Asked:
    """What somebody asks for.

    Attributes:
        kind: ``forecast`` (forecasts and all that is made from them) or ``backfill`` (their facts as well).
        only_series, only_models: those and no others; ``None``: all.
        retry_of: the batch that failed before.
    """

    kind: str
    first_day: date
    last_day: date
    requested_by: str
    only_series: tuple[Name, ...] | None = None
    only_models: tuple[str, ...] | None = None
    reason: str | None = None
    retry_of: str | None = None


@dataclass(frozen=True)
class Job:
    """A job as it is on record."""

    job_id: str
    tenant: str
    asked: Asked
    status: Status
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    stopped_at: datetime | None

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done for it, in Dagster too."""
        return self.status.final and (self.status is not Status.CANCELLED or self.stopped_at is not None)


@dataclass(frozen=True)
class JobBatch:
    """A batch as it is on record."""

    batch_id: str
    job_id: str
    batch: Batch
    backfill_id: str
    run_id: str | None
    status: Status
    stage: Stage
    rows: int | None
    error: str | None
    started_at: datetime | None
    ended_at: datetime | None


class Jobs:
    """The jobs of all tenants. Methods that take a connection are parts of the caller's transaction."""

    def __init__(self, state: State) -> None:
        self.state = state

    def add(self, tenant: str, asked: Asked, blocks: Mapping[int, Sequence[Name]], *, now: datetime) -> Job:
        """Record a job with all its batches: from here on it is not forgotten."""
        job = Job(f"job_{secrets.token_hex(ID_BYTES)}", tenant, asked, Status.QUEUED, None, now, None, None, None)
        names = {block: list(each) for block, each in blocks.items()}
        batches = cut(asked.first_day, asked.last_day, names)
        launched = {each.run: _backfill_name() for each in batches}
        with self.state.transaction() as connection:
            connection.execute(sa.insert(jobs).values(_job_row(job)))
            connection.execute(
                sa.insert(job_blocks),
                [{"job_id": job.job_id, "block": block, "series": _text(each)} for block, each in names.items()],
            )
            connection.execute(sa.insert(job_batches), [_batch_row(job, each, launched[each.run]) for each in batches])
        return job

    def find(self, tenant: str, job_id: str, connection: sa.Connection | None = None) -> Job | None:
        """A tenant's job of that id."""
        query = sa.select(jobs).where(jobs.c.job_id == job_id, jobs.c.tenant == tenant)
        if connection is not None:
            row = connection.execute(query).one_or_none()
        else:
            with self.state.reading() as own:
                row = own.execute(query).one_or_none()
        return None if row is None else _job(row)

    def page(
        self, tenant: str, *, status: Status | None, kind: str | None, before: tuple[datetime, str] | None, most: int
    ) -> list[Job]:
        """Jobs of a tenant, the newest first.

        Args:
            before: time and id of the last one that was seen; ``None``: from the newest on.
        """
        query = sa.select(jobs).where(jobs.c.tenant == tenant)
        if status is not None:
            query = query.where(jobs.c.status == status.value)
        if kind is not None:
            query = query.where(jobs.c.kind == kind)
        if before is not None:
            at, job_id = before
            older = sa.and_(jobs.c.created_at == at, jobs.c.job_id < job_id)
            query = query.where(sa.or_(jobs.c.created_at < at, older))
        with self.state.reading() as connection:
            rows = connection.execute(query.order_by(jobs.c.created_at.desc(), jobs.c.job_id.desc()).limit(most)).all()
        return [_job(row) for row in rows]

    def unsettled(self, tenant: str | None = None) -> list[Job]:
        """Jobs for which something is left to be done, oldest first."""
        open_ones = jobs.c.status.in_([each.value for each in Status if not each.final])
        unstopped = sa.and_(jobs.c.status == Status.CANCELLED.value, jobs.c.stopped_at.is_(None))
        query = sa.select(jobs).where(sa.or_(open_ones, unstopped)).order_by(jobs.c.created_at)
        with self.state.reading() as connection:
            rows = connection.execute(query if tenant is None else query.where(jobs.c.tenant == tenant)).all()
        return [_job(row) for row in rows]

    def batches(self, job_id: str, connection: sa.Connection | None = None) -> list[JobBatch]:
        """The batches of a job, in the order in which they are run."""
        query = (
            sa.select(job_batches)
            .where(job_batches.c.job_id == job_id)
            .order_by(job_batches.c.run, job_batches.c.block)
        )
        if connection is not None:
            return [_batch(row) for row in connection.execute(query)]
        with self.state.reading() as own:
            return [_batch(row) for row in own.execute(query)]

    def series(self, job_id: str) -> dict[int, list[Name]]:
        """The names of the series of each block of a job."""
        query = sa.select(job_blocks).where(job_blocks.c.job_id == job_id).order_by(job_blocks.c.block)
        with self.state.reading() as connection:
            return {
                row.block: [(sku, location) for sku, location in json.loads(row.series)]
                for row in connection.execute(query)
            }

    def change(self, connection: sa.Connection, job_id: str, **values: Any) -> None:
        """Write columns of a job."""
        connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(**values))

    def change_batch(self, connection: sa.Connection, batch_id: str, **values: Any) -> None:
        """Write columns of a batch."""
        connection.execute(sa.update(job_batches).where(job_batches.c.batch_id == batch_id).values(**values))


def _backfill_name() -> str:
    return "".join(secrets.choice(BACKFILL_LETTERS) for _ in range(BACKFILL_LENGTH))


def _job_row(job: Job) -> dict[str, Any]:
    asked = job.asked
    return {
        "job_id": job.job_id,
        "tenant": job.tenant,
        "kind": asked.kind,
        "first_day": asked.first_day,
        "last_day": asked.last_day,
        "only_series": None if asked.only_series is None else _text(asked.only_series),
        "only_models": None if asked.only_models is None else _text(asked.only_models),
        "requested_by": asked.requested_by,
        "reason": asked.reason,
        "retry_of": asked.retry_of,
        "status": job.status.value,
        "created_at": job.created_at,
    }


def _batch_row(job: Job, batch: Batch, backfill_id: str) -> dict[str, Any]:
    return {
        "batch_id": f"batch_{secrets.token_hex(ID_BYTES)}",
        "job_id": job.job_id,
        "run": batch.run,
        "block": batch.block,
        "first_day": batch.first,
        "last_day": batch.last,
        "series": batch.series,
        "backfill_id": backfill_id,
        "status": Status.QUEUED.value,
        "stage": Stage.WAITING.value,
    }


def _job(row: Any) -> Job:
    series, models = row.only_series, row.only_models
    asked = Asked(
        kind=row.kind,
        first_day=row.first_day,
        last_day=row.last_day,
        requested_by=row.requested_by,
        only_series=None if series is None else tuple((sku, location) for sku, location in json.loads(series)),
        only_models=None if models is None else tuple(json.loads(models)),
        reason=row.reason,
        retry_of=row.retry_of,
    )
    times = (row.created_at, row.started_at, row.ended_at, row.stopped_at)
    return Job(row.job_id, row.tenant, asked, Status(row.status), row.error, *times)


def _batch(row: Any) -> JobBatch:
    return JobBatch(
        batch_id=row.batch_id,
        job_id=row.job_id,
        batch=Batch(row.run, row.block, row.first_day, row.last_day, row.series),
        backfill_id=row.backfill_id,
        run_id=row.run_id,
        status=Status(row.status),
        stage=Stage(row.stage),
        rows=row.rows,
        error=row.error,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
