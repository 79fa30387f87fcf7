"""What arrives between closes: it is landed, and what changed days touch is made again, once per debounce window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._time import get_current_datetime

from forecast_platform.ahead import FOR_DBT, FOR_MODELS, import_ahead
from forecast_platform.assets.arrivals import source_of, take_in
from forecast_platform.assets.dbt import made_ready
from forecast_platform.assets.scope import REASON_TAG, TenantScope, passed_on
from forecast_platform.automation.closing import day_job_name
from forecast_platform.automation.requests import Runs, ever_made, was_made, why_not_yet
from forecast_platform.changes import ANYHOW, OPEN
from forecast_platform.days import days_between, in_words
from forecast_platform.io_managers.fence import PARENT_RUN_TAG
from forecast_platform.io_managers.retries import retrying
from forecast_platform.logs import CORRELATION_TAG
from forecast_platform.runs import Step, end_orphans, make_waiting, progress_logger, run_step
from forecast_platform.sources import overrides
from forecast_platform.sources.base import SourceError
from forecast_platform.sources.landing import LandedBatch, not_landed

CHANGES_INTERVAL_SECONDS = 15
"""How often is looked for what has arrived: half of it is what a late sale waits for on average, of 45 s until its
forecast is published."""
DAYS = "days"


def update_job_name(scope: TenantScope) -> str:
    return f"{scope.name}__update"


def build_update_job(scope: TenantScope, build: Callable[[TenantScope], dg.Definitions]) -> dg.JobDefinition:
    """Lands what has arrived and makes what the days that wait touch.

    An asset's affected days differ from its neighbours', and depend on each other across days; a backfill of Dagster's
    runs them in the order of equal days. So each range is a run of its own inside this one, in the order of ``runs``.
    """

    @dg.op(
        name=f"{scope.name}__bring_up_to_date",
        pool=scope.pool,
        config_schema={DAYS: dg.Field([str], default_value=[], description="closed days to make again, as YYYY-MM-DD")},
        description="Lands what has arrived, and makes again what changed days touch: exactly the affected days.",
    )
    def bring_up_to_date(context: dg.OpExecutionContext) -> None:
        asked = [date.fromisoformat(day) for day in context.op_config[DAYS]]
        # The slot of the pool is this step's: the runs inside must not wait for it.
        inside = replace(scope, pooled=False)
        end_orphans(context.instance, scope.name)
        tags = _tags(context, _land(context, inside))
        inside.changes.note("raw_sales", dict.fromkeys(asked, ANYHOW), reason="re-run", now=get_current_datetime())
        waiting = inside.changes.waiting()
        if not waiting and not overrides.waiting(inside.landing):
            context.log.info("nothing has changed")
            return
        context.log.info(f"waiting: {in_words(each.day for each in waiting)}")
        loggers = dg.Definitions(loggers={"progress": progress_logger(lambda told: _tell(context, told))})
        definitions = dg.Definitions.merge(build(inside), loggers)
        made_ready(inside)
        import_ahead([FOR_MODELS, FOR_DBT])
        steps = make_waiting(inside, lambda step: _make(context, definitions, inside, step, tags))
        served = inside.warehouse.last_day("serving")
        if served is not None and overrides.waiting(inside.landing):
            steps.append(Step(("serving",), served, served))
            _make(context, definitions, inside, steps[-1], tags)
        context.add_output_metadata({"runs": len(steps), "days": in_words(each.day for each in waiting)})

    @dg.job(name=update_job_name(scope), description=bring_up_to_date.description)
    def update() -> None:
        bring_up_to_date()

    return update


@retrying()
def _land(context: dg.OpExecutionContext, scope: TenantScope) -> list[LandedBatch]:
    landed = []
    for asset in scope.fed_assets():
        for batch in take_in(scope, asset, log=context.log):
            context.log.info(f"{asset}: {batch.name} landed: {batch.rows:,} rows of {len(batch.days)} days")
            landed.append(batch)
    return landed


def _tags(context: dg.OpExecutionContext, landed: Sequence[LandedBatch]) -> dict[str, str]:
    """What the runs inside carry: whose part they are, who asked, and one id from what arrived to what is forecast."""
    run = context.run
    arrived = landed[0].batch_digest if landed else run.run_id
    tags = {CORRELATION_TAG: arrived} | passed_on(run.tags)
    context.instance.add_run_tags(run.run_id, {CORRELATION_TAG: tags[CORRELATION_TAG]})
    return tags | {PARENT_RUN_TAG: run.run_id}


def _make(
    context: dg.OpExecutionContext,
    definitions: dg.Definitions,
    scope: TenantScope,
    step: Step,
    tags: Mapping[str, str],
) -> None:
    context.log.info(f"{', '.join(step.assets)}: {step.first} to {step.last}")
    reason = context.run.tags.get(REASON_TAG, "changed facts")
    run_step(definitions, scope, step, instance=context.instance, reason=reason, tags=tags)


def _tell(context: dg.OpExecutionContext, told: Any) -> None:
    if told.message is not None:
        context.log.warning(f"{told.step}: {told.message}")
    elif told.seconds is not None:
        context.log.info(f"{told.step}: {told.seconds:.1f} s")


def build_rerun_schedule(scope: TenantScope, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    automation = scope.tenant.automation

    @dg.schedule(
        name=f"{scope.name}__rerun",
        job=job,
        cron_schedule=automation.rerun_cron,
        execution_timezone=scope.tenant.timezone,
        default_status=scope.schedule_status,
        description=f"Makes facts and errors of the last {automation.rerun_days} closed days again, for late rows.",
    )
    def rerun(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        closed = scope.today() - timedelta(days=1)
        first = max(closed - timedelta(days=automation.rerun_days - 1), scope.tenant.start)
        if not ever_made(context.instance, scope.key("raw_sales")):
            return dg.SkipReason(f"{scope.name} was never loaded")
        days = [day.isoformat() for day in days_between(first, closed)]
        return dg.RunRequest(
            run_key=f"{closed}",
            run_config={"ops": {f"{scope.name}__bring_up_to_date": {"config": {DAYS: days}}}},
            tags={REASON_TAG: f"re-run of the last {automation.rerun_days} days"},
        )

    return rerun


def build_changes_sensor(scope: TenantScope, job: dg.JobDefinition) -> dg.SensorDefinition:
    seconds = scope.tenant.automation.debounce_seconds

    @dg.sensor(
        name=f"{scope.name}__changes",
        job=job,
        minimum_interval_seconds=CHANGES_INTERVAL_SECONDS,
        default_status=scope.sensor_status,
        description=(
            "Looks for what has arrived at the sources and for changed days that wait; asks for one run once the first"
            f" of them is {seconds:g} s old."
        ),
    )
    def changes(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        since = datetime.fromisoformat(context.cursor) if context.cursor else None
        request, since = look(context.instance, scope, since, get_current_datetime())
        asked, why_not = ([request], None) if isinstance(request, dg.RunRequest) else ([], request)
        return dg.SensorResult(asked, skip_reason=why_not, cursor=since.isoformat() if since else "")

    return changes


def look(
    instance: dg.DagsterInstance, scope: TenantScope, since: datetime | None, now: datetime
) -> tuple[dg.RunRequest | dg.SkipReason, datetime | None]:
    """One tick of the sensor ``changes``.

    Args:
        since: when something was first seen to wait at the sources. All that a tick keeps, and nothing is missed
            without it: what has been landed the landing knows, which days wait the platform's state.

    Returns:
        A run or why there is none, and ``since`` for the next tick.
    """
    if not ever_made(instance, scope.key("raw_sales")):
        return dg.SkipReason(f"{scope.name} was never loaded"), None
    try:
        arrived = _arrived(scope)
    except SourceError as error:
        return dg.SkipReason(f"a source is not to be had: {error}"), since
    if ever_made(instance, scope.key("serving")) and (sent := overrides.waiting(scope.landing)):
        arrived.append(f"{len(sent)} of what planners expect")
    since = (since or now) if arrived else None
    runs = Runs.of(instance, update_job_name(scope))
    waiting = [
        each for each in scope.changes.waiting() if each.before != OPEN or _follows_its_day_before(instance, scope)
    ]
    # A run that died between keeping the bytes and recording them leaves nothing to be seen at the source.
    if not (arrived or waiting or runs.failed):
        return dg.SkipReason("nothing has arrived and no changed day waits"), None
    window = timedelta(seconds=scope.tenant.automation.debounce_seconds)
    first_seen = [each.noted_at for each in waiting] + ([since] if since else [])
    if not runs.failed and min(first_seen) + window > now:
        return dg.SkipReason(f"more may follow until {min(first_seen) + window:%H:%M:%S} UTC"), since
    closing = Runs.of(instance, day_job_name(scope)).active
    if (why_not := why_not_yet(runs, now) or (f"run {closing} is on its way" if closing else None)) is not None:
        return dg.SkipReason(why_not), since
    return dg.RunRequest(run_key=runs.last, tags={REASON_TAG: _reason(arrived, waiting)}), None


def _arrived(scope: TenantScope) -> list[str]:
    """Names of what waits at the sources."""
    names, now = [], get_current_datetime()
    for asset in scope.fed_assets():
        source = source_of(scope, asset)
        newest = source.high_water(now=now)
        if newest is None:
            names += not_landed(source, scope.landing, now)
        elif newest and newest != scope.landing.reached(asset):
            names.append(f"rows of {asset}")
    return names


def _follows_its_day_before(instance: dg.DagsterInstance, scope: TenantScope) -> bool:
    """Whether the facts of the open day can be made: they look back on the day before."""
    return was_made(instance, scope.key("features"), scope.today() - timedelta(days=1))


def _reason(arrived: list[str], waiting: list) -> str:
    parts = []
    if arrived:
        parts.append(
            f"arrived: {', '.join(arrived[:5])}" + (f" and {len(arrived) - 5} more" if len(arrived) > 5 else "")
        )
    if waiting:
        parts.append(f"changed: {in_words(each.day for each in waiting)}")
    return "; ".join(parts)[:500] or "the last run failed"
