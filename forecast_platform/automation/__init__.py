"""How a tenant runs by itself: its jobs, schedules and sensors.

Each asks for runs of the same assets as the UI and the command line; how an asset is made is in ``assets``, which days
a changed fact touches in ``partitions``, making them in order in ``runs``. A tick reads Dagster's instance, the
platform's state and the names of what waits at a source; it never opens a warehouse.
"""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from forecast_platform.alerts.sensor import build_alerts_sensor
from forecast_platform.assets.scope import TenantScope
from forecast_platform.automation.closing import build_close_schedule, build_day_job, build_due_sensor
from forecast_platform.automation.pruning import build_prune_schedules
from forecast_platform.automation.updating import build_changes_sensor, build_rerun_schedule, build_update_job


def build_automation(
    scope: TenantScope, assets: dg.Definitions, build: Callable[[TenantScope], dg.Definitions]
) -> dg.Definitions:
    """The jobs, schedules and sensors of a tenant.

    Args:
        assets: the tenant's assets and checks.
        build: builds them, for a run inside a run.
    """
    keys = sorted(key for asset in assets.assets or () if isinstance(asset, dg.AssetsDefinition) for key in asset.keys)
    day, update = build_day_job(scope), build_update_job(scope, build)
    return dg.Definitions(
        jobs=[day, update],
        schedules=[
            build_close_schedule(scope, day, keys),
            build_rerun_schedule(scope, update),
            *build_prune_schedules(scope),
        ],
        sensors=[
            build_due_sensor(scope, day, keys),
            build_changes_sensor(scope, update),
            build_alerts_sensor(scope),
            dg.AutomationConditionSensorDefinition(
                f"{scope.name}__reports",
                target=dg.AssetSelection.assets(scope.key("daily_report"), scope.key("serving")),
                default_status=scope.sensor_status,
                description="Makes the newest report, and what is served, again when what they say was made again.",
            ),
        ],
    )
