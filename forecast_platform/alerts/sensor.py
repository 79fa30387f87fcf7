"""The sensor ``<tenant>__alerts``: looks at what is wrong, records incidents, has messages sent; launches nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from forecast_platform import settings as platform_settings
from forecast_platform.alerts.delivery import deliver
from forecast_platform.alerts.findings import OVERLAP, Memory, Observer
from forecast_platform.alerts.incidents import Change, Incident, Rules, judge
from forecast_platform.alerts.messages import incident_message
from forecast_platform.alerts.record import AlertRecord
from forecast_platform.assets.scope import TenantScope

if TYPE_CHECKING:
    import sqlalchemy as sa

SECONDS_BETWEEN = 30

FORGET_EVERY = timedelta(days=1)
"""How often a process forgets what is long over."""

FIRST_LOOK = timedelta(days=1)
"""How far back the first look goes for failed runs. What checks say is looked at whatever its age."""


def build_alerts_sensor(scope: TenantScope) -> dg.SensorDefinition:
    """A tenant's alerts. It is on from the start: with the default settings it writes to the log."""
    memory = Memory()

    @dg.sensor(
        name=f"{scope.name}__alerts",
        minimum_interval_seconds=SECONDS_BETWEEN,
        default_status=scope.sensor_status,
        description=f"Tells people of failed runs, failed checks, stale data and drift of {scope.name}, once each.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from dagster._time import get_current_datetime

        now = get_current_datetime()
        try:
            said = observe(scope, context.instance, context.repository_def, now, context.cursor, memory)
        finally:
            # Whatever is wrong with looking, what is recorded is sent.
            wrong = deliver_pending(scope, now)
        forget_old(scope, now, memory)
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
    memory: Memory,
) -> str:
    """Look once, record what begins, goes on and ends, with the messages about it; say so in words."""
    alerts = scope.tenant.alerts
    record = AlertRecord(scope.state, scope.name)
    since = (datetime.fromisoformat(cursor) if cursor else now - FIRST_LOOK) - OVERLAP
    recent = record.recent_incidents(ended_after=since - FIRST_LOOK)
    look = Observer(scope, instance, repository, now, memory).look(
        failed_since=since,
        open_incidents=[each for each in recent if each.ended_at is None],
        known_runs=_runs_of(each for each in recent if each.ended_at is not None),
    )
    rules = Rules(timedelta(minutes=alerts.hold_minutes), alerts.good_evaluations)
    told_of = record.told_of({each.key for each in look.findings if each.days})
    with record.transaction() as connection:
        held = record.open_incidents(connection)
        changes = judge(look.findings, held, evaluations=look.evaluations, now=now, rules=rules, told_of=told_of)
        said = [_keep(scope, record, connection, change, now) for change in changes]
    return "; ".join(filter(None, said)) or f"nothing new; {len(look.findings)} things are wrong"


def _keep(scope: TenantScope, record: AlertRecord, connection: sa.Connection, change: Change, now: datetime) -> str:
    """Record a change with the message about it, in one transaction; the message in words."""
    incident = record.apply(connection, change)
    if change.event is None:
        return ""
    zone, ui_url = scope.tenant.timezone, scope.settings.ui_url
    message = incident_message(scope.name, incident, change.event, timezone=zone, ui_url=ui_url)
    channels = [channel.name for channel in scope.tenant.alerts.channels]
    record.queue(connection, incident, change.event, message, channels, now)
    return f"{change.event}: {incident.title}"


def end_by_hand(scope: TenantScope, number: int, now: datetime) -> Incident | None:
    """End an open incident that nothing will put right, as a run that nobody wants again; None if there is none.

    A check that still fails opens a new one.
    """
    record = AlertRecord(scope.state, scope.name)
    with record.transaction() as connection:
        for incident in record.open_incidents(connection):
            if incident.id == number:
                ended = replace(incident, ended_at=now, what=f"{incident.what} (ended by hand)")
                _keep(scope, record, connection, Change(ended, "ended" if incident.told else None), now)
                return ended
    return None


def deliver_pending(scope: TenantScope, now: datetime) -> list[str]:
    """Send what is recorded and due; what went wrong, a line a channel."""
    record = AlertRecord(scope.state, scope.name)
    return deliver(record, scope.tenant.alerts.channels, platform_settings.variables(), now)


def forget_old(scope: TenantScope, now: datetime, memory: Memory) -> None:
    """Once a day, forget incidents that ended longer ago than the tenant keeps them."""
    if memory.forgot_at is None or now - memory.forgot_at >= FORGET_EVERY:
        AlertRecord(scope.state, scope.name).forget(now - timedelta(days=scope.tenant.alerts.keep_days))
        memory.forgot_at = now


def _runs_of(incidents: Iterable[Incident]) -> set[str]:
    return {run["run_id"] for each in incidents if each.kind == "run" for run in each.details["runs"]}
