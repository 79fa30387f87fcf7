"""The sensor ``<tenant>__alerts``: looks at what is wrong, records incidents, has messages sent; launches nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import dagster as dg

from forecast_platform import settings as platform_settings
from forecast_platform.alerts.delivery import deliver
from forecast_platform.alerts.findings import Observer
from forecast_platform.alerts.incidents import Incident, Rules, judge
from forecast_platform.alerts.messages import incident_message
from forecast_platform.alerts.record import AlertRecord
from forecast_platform.assets.scope import TenantScope

SECONDS_BETWEEN = 30

OVERLAP = timedelta(minutes=10)
"""How far each look goes back before the one before it: what another host's clock dates earlier is not missed. What
is seen twice is one incident."""

FIRST_LOOK = timedelta(days=1)
"""How far back the first look goes for failed runs. What checks say is looked at whatever its age."""


def build_alerts_sensor(scope: TenantScope) -> dg.SensorDefinition:
    """A tenant's alerts. It is on from the start: with the default settings it writes to the log."""

    @dg.sensor(
        name=f"{scope.name}__alerts",
        minimum_interval_seconds=SECONDS_BETWEEN,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells people of failed runs, failed checks, stale data and drift of {scope.name}, once each.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from dagster._time import get_current_datetime

        now = get_current_datetime()
        try:
            said = observe(scope, context.instance, context.repository_def, now, context.cursor)
        finally:
            # Whatever is wrong with looking, what is recorded is sent.
            wrong = deliver_pending(scope, now)
        for line in wrong:
            context.log.warning(f"not sent by {line}")
        # If this process dies before Dagster keeps the cursor, the next tick sees the same failures again: they belong
        # to the incidents that are recorded.
        return dg.SensorResult(skip_reason=said, cursor=now.isoformat())

    return alerts


def observe(
    scope: TenantScope,
    instance: dg.DagsterInstance,
    repository: dg.RepositoryDefinition,
    now: datetime,
    cursor: str | None,
) -> str:
    """Look once, record what begins, goes on and ends, with the messages about it; say so in words."""
    alerts = scope.tenant.alerts
    record = AlertRecord(scope.state, scope.name)
    since = (datetime.fromisoformat(cursor) if cursor else now - FIRST_LOOK) - OVERLAP
    recent = record.recent_incidents(ended_after=since - FIRST_LOOK)
    look = Observer(scope, instance, repository, now).look(
        failed_since=since,
        open_incidents=[each for each in recent if each.ended_at is None],
        known_runs=_runs_of(each for each in recent if each.ended_at is not None),
    )
    rules = Rules(timedelta(minutes=alerts.hold_minutes), alerts.good_evaluations)
    said = []
    with record.transaction() as connection:
        held = record.open_incidents(connection)
        for change in judge(look.findings, held, evaluations=look.evaluations, now=now, rules=rules):
            incident = record.apply(connection, change)
            if change.event:
                message = _message_of(scope)(incident, change.event)
                names = [channel.name for channel in alerts.channels]
                record.queue(connection, incident, change.event, message, names, now)
                said.append(f"{change.event}: {incident.title}")
    return "; ".join(said) or f"nothing new; {len(look.findings)} things are wrong"


def deliver_pending(scope: TenantScope, now: datetime) -> list[str]:
    """Send what is recorded and due; what went wrong, a line a channel."""
    record = AlertRecord(scope.state, scope.name)
    return deliver(record, scope.tenant.alerts.channels, platform_settings.variables(), now)


def _message_of(scope: TenantScope) -> Callable:
    def message(incident: Incident, event):
        return incident_message(
            scope.name, incident, event, timezone=scope.tenant.timezone, ui_url=scope.settings.ui_url
        )

    return message


def _runs_of(incidents) -> set[str]:
    return {run["run_id"] for each in incidents if each.kind == "run" for run in each.details["runs"]}
