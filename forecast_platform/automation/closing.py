"""The close of a day: the chain of the days that have closed and are not made yet, by the clock and after outages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster._time import get_current_datetime

from forecast_platform.assets.scope import REASON_TAG, TenantScope
from forecast_platform.automation.requests import Runs, was_made, why_not_yet

DUE_INTERVAL_SECONDS = 60


def day_job_name(scope: TenantScope) -> str:
    return f"{scope.name}__day"


def build_day_job(scope: TenantScope) -> dg.JobDefinition:
    """All assets of the tenant, for one closed day or a range of them."""
    return dg.define_asset_job(
        day_job_name(scope),
        selection=dg.AssetSelection.groups(scope.name),
        partitions_def=scope.partitions,
        description=f"The whole chain of {scope.name} for one closed day or a range of them.",
    )


def build_close_schedule(
    scope: TenantScope, job: dg.JobDefinition, keys: Sequence[dg.AssetKey]
) -> dg.ScheduleDefinition:
    hour, minute = scope.tenant.automation.close_at.split(":")

    @dg.schedule(
        name=f"{scope.name}__close",
        job=job,
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=scope.tenant.timezone,
        default_status=scope.schedule_status,
        description="Makes the day that has closed, and with it every closed day that is not made yet.",
    )
    def close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return day_request(context.instance, scope, keys, reason="close of the day")

    return close


def build_due_sensor(scope: TenantScope, job: dg.JobDefinition, keys: Sequence[dg.AssetKey]) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{scope.name}__due",
        job=job,
        minimum_interval_seconds=DUE_INTERVAL_SECONDS,
        default_status=scope.sensor_status,
        description=(
            "Asks for closed days that are not made: again after a failed run, with growing pauses, after the daemon"
            " was away, and at once when the source says that its day has ended."
        ),
    )
    def due(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = scope.today()
        closed = today - timedelta(days=1)
        if scope.marked_day() != closed and get_current_datetime() < scope.close_time(today):
            return dg.SkipReason(f"{closed} is made at {scope.tenant.automation.close_at}")
        return day_request(context.instance, scope, keys, reason="closed days that were due")

    return due


def day_request(
    instance: dg.DagsterInstance, scope: TenantScope, keys: Sequence[dg.AssetKey], *, reason: str
) -> dg.RunRequest | dg.SkipReason:
    """A run of the closed days that are due, or why there is none."""
    closed = scope.today() - timedelta(days=1)
    try:
        days = due_days(instance, scope, keys, closed)
    except NeverLoaded as never:
        return dg.SkipReason(str(never))
    if days is None:
        return dg.SkipReason(f"every asset has {closed}")
    runs = Runs.of(instance, day_job_name(scope))
    if (why_not := why_not_yet(runs, get_current_datetime())) is not None:
        return dg.SkipReason(f"{days[0]} to {days[1]} are due; {why_not}")
    return dg.RunRequest(
        run_key=f"{closed}|{runs.last}",
        tags={
            ASSET_PARTITION_RANGE_START_TAG: days[0].isoformat(),
            ASSET_PARTITION_RANGE_END_TAG: days[1].isoformat(),
            REASON_TAG: reason,
        },
    )


class NeverLoaded(RuntimeError):
    """A tenant's first days have to be asked for by somebody: how far back is not for a clock to say."""


def due_days(
    instance: dg.DagsterInstance, scope: TenantScope, keys: Sequence[dg.AssetKey], closed: date
) -> tuple[date, date] | None:
    """The closed days that some asset lacks after its newest one, as far as Dagster's record says; None: none is due.

    An asset that was never made waits for nobody: it is made from the next close on.

    Raises:
        NeverLoaded: no sales of the tenant were ever made.
    """
    if all(was_made(instance, key, closed) for key in keys):
        return None
    newest = {key: _newest(instance, key, closed) for key in keys}
    if newest[scope.key("raw_sales")] is None:
        raise NeverLoaded(
            f"{scope.name} was never loaded; once, run: forecast-platform run --tenant {scope.name}"
            f" --from {scope.tenant.start} --to {closed}"
        )
    lacking = min(day for day in newest.values() if day is not None) + timedelta(days=1)
    return min(lacking, closed), closed


def _newest(instance: dg.DagsterInstance, key: dg.AssetKey, closed: date) -> date | None:
    days = (date.fromisoformat(each) for each in instance.get_materialized_partitions(key))
    return max((day for day in days if day <= closed), default=None)
