"""Bringing a job's record up to what Dagster says, launching what is next, ending what was cancelled.

Whoever looks at a job calls ``advance``: a request, the server's watcher, several servers at once. What is read and
then written is one transaction of the platform's state, which waits for any other; a backfill is launched inside it, so
that a job that is being cancelled launches nothing after.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import sqlalchemy as sa

from forecast_platform.jobs.dagster_side import Seen, Targets, launch, look, stop
from forecast_platform.jobs.events import Events
from forecast_platform.jobs.record import Job, JobBatch, Jobs
from forecast_platform.jobs.states import Stage, Status, following, job_status, stage_after, stage_of

log = logging.getLogger(__name__)

NOT_BEGUN = "not begun: what comes before it did not succeed"


class JobIsOver(RuntimeError):
    """The job has a final status already. ``status`` says which."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"the job is {status} already")
        self.status = status


def advance(jobs: Jobs, job: Job, *, instance: dg.DagsterInstance, targets: Callable[[], Targets]) -> Job:
    """A job as it is after one look at Dagster, with its next run launched where one is due.

    Args:
        targets: what its kind makes; asked for where something is launched.
    """
    if job.settled:
        return job
    if job.status is Status.CANCELLED:
        return _stop(jobs, job, instance)
    seen = {each: look(instance, each) for each in _waiting_backfills(jobs.batches(job.job_id))}
    prepared = targets() if any(each is None for each in seen.values()) else None
    with jobs.state.transaction() as connection:
        held = jobs.find(job.tenant, job.job_id, connection)
        if held is None or held.status.final:
            return held or job
        _look_over(jobs, connection, held, seen)
        _end_if_over(jobs, connection, held)
        current = jobs.find(job.tenant, job.job_id, connection)
        assert current is not None
        due = None if current.status.final else _due(jobs.batches(job.job_id, connection))
        if due is not None and due.backfill_id in seen and seen[due.backfill_id] is None and prepared is not None:
            batch = due.batch
            launch(instance, prepared, current, backfill_id=due.backfill_id, first=batch.first, last=batch.last)
        return current


def cancel(jobs: Jobs, job: Job, *, instance: dg.DagsterInstance) -> Job:
    """End a job: it is cancelled on record, and no run of it commits anything from when this returns.

    Raises:
        JobIsOver: it has completed, failed or been cancelled before.
    """
    now = datetime.now(UTC)
    with jobs.state.transaction() as connection:
        held = jobs.find(job.tenant, job.job_id, connection) or job
        if held.status.final:
            raise JobIsOver(held.status)
        for each in jobs.batches(job.job_id, connection):
            if not each.status.final:
                jobs.change_batch(connection, each.batch_id, status=Status.CANCELLED.value, ended_at=now)
        _end(jobs, connection, held, Status.CANCELLED, now)
    cancelled = jobs.find(job.tenant, job.job_id)
    assert cancelled is not None
    return _stop(jobs, cancelled, instance)


def _stop(jobs: Jobs, job: Job, instance: dg.DagsterInstance) -> Job:
    for backfill_id in dict.fromkeys(each.backfill_id for each in jobs.batches(job.job_id)):
        stop(instance, backfill_id)
    with jobs.state.transaction() as connection:
        jobs.change(connection, job.job_id, stopped_at=datetime.now(UTC))
        return jobs.find(job.tenant, job.job_id, connection) or job


def _waiting_backfills(batches: list[JobBatch]) -> list[str]:
    """The backfill to look at: that of the first run that has not ended. A later one is not launched before it is."""
    due = _due(batches)
    return [] if due is None else [due.backfill_id]


def _due(batches: list[JobBatch]) -> JobBatch | None:
    return next((each for each in batches if not each.status.final), None)


def _look_over(jobs: Jobs, connection: sa.Connection, job: Job, seen: dict[str, Seen | None]) -> None:
    for each in jobs.batches(job.job_id, connection):
        found = seen.get(each.backfill_id)
        if found is None or each.status.final:
            continue
        status = following(each.status, found.status)
        stage = stage_after(each.stage, _stage(job, each, found, status))
        if status is not each.status or stage is not each.stage or found.run_id != each.run_id:
            values: dict[str, Any] = {"status": status.value, "stage": stage.value, "run_id": found.run_id}
            values |= {"started_at": found.started_at, "error": found.error}
            if status.final:
                values["ended_at"] = found.ended_at or datetime.now(UTC)
            jobs.change_batch(connection, each.batch_id, **values)
            Events.add(
                connection,
                job.tenant,
                "batch",
                each.batch_id,
                {"job_id": job.job_id, "batch_id": each.batch_id, "status": status, "stage": stage},
            )


def _stage(job: Job, batch: JobBatch, seen: Seen, status: Status) -> Stage:
    if status is Status.COMPLETED:
        return Stage.DONE
    if seen.queued is None:
        return Stage.WAITING
    if seen.queued:
        return Stage.QUEUED
    if seen.starting and not seen.steps:
        return Stage.STARTING
    return stage_of(job.tenant, batch.batch.block, seen.steps)


def _end_if_over(jobs: Jobs, connection: sa.Connection, job: Job) -> None:
    batches = jobs.batches(job.job_id, connection)
    status = following(job.status, job_status([each.status for each in batches]))
    started = [each.started_at for each in batches if each.started_at is not None]
    if status is Status.PROCESSING:
        if job.started_at is None and started:
            jobs.change(connection, job.job_id, started_at=min(started))
        if job.status is not status:
            jobs.change(connection, job.job_id, status=status.value)
            Events.add(connection, job.tenant, "job", job.job_id, {"job_id": job.job_id, "status": status})
        return
    if not status.final:
        return
    now, reason = datetime.now(UTC), next((each.error for each in batches if each.error), None)
    for each in batches:
        if not each.status.final:
            values = {"status": Status.CANCELLED.value, "error": NOT_BEGUN, "ended_at": now}
            jobs.change_batch(connection, each.batch_id, **values)
    jobs.change(connection, job.job_id, started_at=min(started, default=None))
    _end(jobs, connection, job, status, now, error=reason)


def _end(
    jobs: Jobs, connection: sa.Connection, job: Job, status: Status, now: datetime, *, error: str | None = None
) -> None:
    jobs.change(connection, job.job_id, status=status.value, ended_at=now, error=error)
    asked = job.asked
    told = {
        "job_id": job.job_id,
        "status": status,
        "kind": asked.kind,
        "first_day": asked.first_day.isoformat(),
        "last_day": asked.last_day.isoformat(),
        "error": error,
    }
    Events.add(connection, job.tenant, "job", job.job_id, told)
    log.info("job %s is %s", job.job_id, status, extra={"tenant": job.tenant, "job": job.job_id})
