"""What Dagster does for jobs: backfills that are launched, looked at and stopped. The only module here that knows it.

A job's run is a backfill of a range of days, as the UI launches it: the daemon starts it, the run coordinator queues
it, and it is seen, searched and cancelled in the UI like any other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.execution.stats import StepEventStatus
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._time import get_current_timestamp

from forecast_platform.assets.scope import JOB_TAG, REASON_TAG, REQUESTED_BY_TAG, TENANT_TAG, TenantScope
from forecast_platform.days import days_between
from forecast_platform.jobs.record import Job
from forecast_platform.jobs.states import Status, StepState
from forecast_platform.logs import masked, one_line
from forecast_platform.runs import chain_of, own_reason

log = logging.getLogger(__name__)

LONGEST_ERROR = 500
STOPPING_SECONDS = 2.0
"""How long a run's process is given to answer that it stops; then its run ends on record, and its fence holds."""

WAITING_STATUSES = frozenset({DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED})
STEP_STATES = {StepEventStatus.SUCCESS: StepState.DONE, StepEventStatus.FAILURE: StepState.FAILED}
FAILED_STATUSES = frozenset({BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.FAILED})
CANCELLED_STATUSES = frozenset({BulkActionStatus.CANCELING, BulkActionStatus.CANCELED})


@dataclass(frozen=True)
class Targets:
    """What a tenant's jobs make, by kind."""

    graph: Any
    assets: dict[str, list[dg.AssetKey]]


def targets_of(scope: TenantScope, definitions: dg.Definitions) -> Targets:
    """The assets that each kind of job makes: what follows from forecasts, or the whole chain.

    What models learn on their refit days is made with the forecasts, which read it.
    """
    chain = chain_of(definitions, scope)
    learned = [name for name in chain.facts if name == "model_artifacts"]
    names = {"forecast": [*learned, *chain.forecasts, *chain.accuracy], "backfill": chain.all}
    graph = definitions.resolve_asset_graph()
    partitioned = {
        kind: [name for name in each if graph.get(scope.key(name)).is_partitioned] for kind, each in names.items()
    }
    return Targets(graph, {kind: [scope.key(name) for name in each] for kind, each in partitioned.items()})


@dataclass(frozen=True)
class Seen:
    """What Dagster has on record of a backfill.

    Attributes:
        steps: of its newest run, those that have begun.
        queued: whether its newest run waits in the queue; None where there is no run yet.
        starting: whether that run's process is being started.
    """

    status: Status
    run_id: str | None = None
    queued: bool | None = None
    starting: bool = False
    steps: dict[str, StepState] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None


def launch(
    instance: dg.DagsterInstance, targets: Targets, job: Job, *, backfill_id: str, first: date, last: date
) -> None:
    """Ask Dagster for a backfill of some days of a job. One of that name that is there already is left as it is."""
    asked = job.asked
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=backfill_id,
        asset_graph=targets.graph,
        partition_names=[day.isoformat() for day in days_between(first, last)],
        asset_selection=targets.assets[asked.kind],
        backfill_timestamp=get_current_timestamp(),
        tags={
            JOB_TAG: job.job_id,
            TENANT_TAG: job.tenant,
            REQUESTED_BY_TAG: asked.requested_by,
            REASON_TAG: asked.reason or f"job {job.job_id}",
        },
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=f"{asked.kind} {first} to {last} of {job.tenant}",
        description=asked.reason,
        run_config=None,
    )
    try:
        instance.add_backfill(backfill)
    except sa.exc.IntegrityError:
        log.info("backfill %s of %s is launched already", backfill_id, job.job_id)


def look(instance: dg.DagsterInstance, backfill_id: str) -> Seen | None:
    """What has become of a backfill; ``None`` where Dagster has none of that name."""
    backfill = instance.get_backfill(backfill_id)
    if backfill is None:
        return None
    records = instance.get_run_records(dg.RunsFilter(tags={BACKFILL_ID_TAG: backfill_id}))
    if not records:
        return Seen(
            _status(backfill.status, ()), ended_at=_moment(backfill.backfill_end_timestamp), error=_told(backfill.error)
        )
    runs = [each.dagster_run for each in records]
    newest, status = records[0], _status(backfill.status, [run.status for run in runs])
    stats = instance.get_run_step_stats(runs[0].run_id)
    failed = next((run for run in runs if run.status is DagsterRunStatus.FAILURE), None)
    starts = [each.start_time for each in records if each.start_time is not None]
    return Seen(
        status,
        run_id=runs[0].run_id,
        queued=runs[0].status in WAITING_STATUSES,
        starting=runs[0].status is DagsterRunStatus.STARTING,
        steps={each.step_key: STEP_STATES.get(each.status, StepState.RUNNING) for each in stats if each.status},
        started_at=_moment(min(starts, default=None)),
        ended_at=_moment(newest.end_time) if status.final else None,
        error=_error(instance, failed, backfill) if status is Status.FAILED else None,
    )


def _status(backfill: BulkActionStatus, runs: Sequence[DagsterRunStatus]) -> Status:
    if backfill in CANCELLED_STATUSES:
        return Status.CANCELLED
    if backfill in FAILED_STATUSES:
        return (
            Status.CANCELLED
            if runs and DagsterRunStatus.FAILURE not in runs and DagsterRunStatus.CANCELED in runs
            else Status.FAILED
        )
    if backfill is BulkActionStatus.COMPLETED_SUCCESS:
        return Status.COMPLETED
    return Status.PROCESSING if any(run not in WAITING_STATUSES for run in runs) else Status.QUEUED


def stop(instance: dg.DagsterInstance, backfill_id: str) -> None:
    """End a backfill: nothing more is launched, and what runs has ended on Dagster's record when this returns.

    A run that has ended on record cannot commit, whether its process still lives or not, and neither can one that is
    launched for a backfill that was cancelled (``io_managers.fence``).
    """
    backfill = instance.get_backfill(backfill_id)
    if backfill is not None and backfill.status in (BulkActionStatus.REQUESTED, BulkActionStatus.FAILING):
        instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELING))
    for run in instance.get_runs(dg.RunsFilter(tags={BACKFILL_ID_TAG: backfill_id})):
        if not run.is_finished:
            _end(instance, run)


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    if run.status not in WAITING_STATUSES:
        asking = threading.Thread(target=_ask_to_stop, args=(instance, run.run_id), daemon=True)
        asking.start()
        asking.join(STOPPING_SECONDS)
    current = instance.get_run_by_id(run.run_id)
    if current is not None and not current.is_finished:
        instance.report_run_canceling(current, message="Its job was cancelled.")
        instance.report_run_canceled(current)


def _ask_to_stop(instance: dg.DagsterInstance, run_id: str) -> None:
    try:
        instance.run_coordinator.cancel_run(run_id)
    except Exception:  # whatever launched it: that its run ends on record is what counts
        log.warning("the process of run %s did not answer that it stops", run_id, exc_info=True)


def _error(instance: dg.DagsterInstance, run: dg.DagsterRun | None, backfill: PartitionBackfill) -> str | None:
    if run is None:
        return _told(backfill.error)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is not None:
            return _cut(f"{event.step_key}: {own_reason(event.step_failure_data.error)}")
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        if entry.dagster_event is not None and entry.dagster_event.message:
            return _cut(entry.dagster_event.message)
    return f"run {run.run_id} failed; its log says why"


def _told(error: Any) -> str | None:
    return None if error is None else _cut(own_reason(error))


def _cut(text: str) -> str:
    return one_line(masked(" ".join(text.split())))[:LONGEST_ERROR]


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
