"""What goes by age goes by itself: the job and the schedule of a tenant whose settings have a ``retention``."""

import dagster as dg

from forecast_platform.assets.scope import TenantScope
from forecast_platform.io_managers.retries import retrying
from forecast_platform.pruning import prune


def build_prune_schedules(scope: TenantScope) -> list[dg.ScheduleDefinition]:
    """The schedule of pruning, with its job; none where everything is kept."""
    automation = scope.tenant.automation
    if not scope.tenant.retention:
        return []

    @dg.op(
        name=f"{scope.name}__take_away_what_is_old",
        pool=scope.pool,
        description="Takes away partitions that are older than the tenant's retention keeps them.",
    )
    def take_away_what_is_old(context: dg.OpExecutionContext) -> None:
        with retrying():
            pruned = prune(scope, progress=context.log.info)
        context.add_output_metadata({"partitions": pruned})

    @dg.job(name=f"{scope.name}__prune", description=take_away_what_is_old.description)
    def prune_job() -> None:
        take_away_what_is_old()

    return [
        dg.ScheduleDefinition(
            name=f"{scope.name}__pruning",
            job=prune_job,
            cron_schedule=automation.prune_cron,
            execution_timezone=scope.tenant.timezone,
            default_status=scope.schedule_status,
            description=take_away_what_is_old.description,
        )
    ]
