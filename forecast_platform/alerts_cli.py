"""The command ``alerts``: what is wrong and was, a test of every channel, an end by hand. No warehouse is opened."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from forecast_platform.arguments import CommandLineError, one_line_errors

if TYPE_CHECKING:
    from forecast_platform.alerts.incidents import Incident
    from forecast_platform.assets.scope import TenantScope

RECENT = timedelta(days=14)


@click.command()
@click.option("--tenant", "tenants", multiple=True, help="Only these tenants; default: all.")
@click.option("--test", "trial", is_flag=True, help="Send a test message to every channel.")
@click.option("--end", "ended", type=int, metavar="ID", help="End an incident by hand, and tell so.")
@one_line_errors
def alerts(tenants: Sequence[str], trial: bool, ended: int | None) -> None:
    """Show incidents that are open or ended within two weeks, and messages that wait to be sent."""
    from dagster._time import get_current_datetime

    from forecast_platform import settings as platform_settings
    from forecast_platform.pipeline import PROJECT, load_tenant, tenant_names

    platform_settings.ensure_dagster_home(PROJECT)
    settings = platform_settings.load()
    scopes = [load_tenant(name, settings) for name in tenants or tenant_names(settings)]
    now = get_current_datetime()
    if trial:
        # All of them, before the answer says that one did not take it.
        if not all([_send_trial(scope, now) for scope in scopes]):
            sys.exit(1)
        return
    if ended is not None:
        if len(scopes) != 1:
            raise CommandLineError("say of which tenant: --tenant NAME --end ID")
        _end(scopes[0], ended, now)
        return
    for scope in scopes:
        click.echo(incidents_table(scope, now))


def _send_trial(scope: TenantScope, now: datetime) -> bool:
    from forecast_platform import settings as platform_settings
    from forecast_platform.alerts.channels import NotSent, send
    from forecast_platform.alerts.messages import trial_message

    message = trial_message(scope.name, now=now, timezone=scope.tenant.timezone, ui_url=scope.settings.ui_url)
    good = True
    for channel in scope.tenant.alerts.channels:
        try:
            send(channel, message, platform_settings.variables(), now=now)
            click.echo(f"{scope.name}: {channel.name}: sent")
        except NotSent as error:
            good = False
            click.echo(f"{scope.name}: {channel.name}: not sent: {error}", err=True)
    return good


def _end(scope: TenantScope, number: int, now: datetime) -> None:
    from forecast_platform.alerts.sensor import deliver_pending, end_by_hand

    incident = end_by_hand(scope, number, now)
    if incident is None:
        raise CommandLineError(f"--end {number}: {scope.name} has no open incident of that number")
    for wrong in deliver_pending(scope, now):
        click.echo(f"not sent by {wrong}", err=True)
    click.echo(f"{scope.name}: ended {number}: {incident.title}")


def incidents_table(scope: TenantScope, now: datetime) -> str:
    """Incidents and messages that wait, as text; times are of the tenant's zone."""
    import pandas as pd

    from forecast_platform.alerts.record import AlertRecord
    from forecast_platform.report import text_table

    record = AlertRecord(scope.state, scope.name)
    rows = [_row(each, ZoneInfo(scope.tenant.timezone)) for each in record.recent_incidents(ended_after=now - RECENT)]
    if not rows:
        said = f"{scope.name}: nothing is wrong, and nothing was within {RECENT.days} days"
    else:
        names = ("id", "since", "until", "title", "what")
        said = text_table(
            f"{scope.name}: incidents, open or ended within {RECENT.days} days ({scope.tenant.timezone})",
            pd.DataFrame(rows),
            [(name, name, str) for name in names],
        )
    waiting = [
        f"waits: {event} {incident} by {channel}, tried {attempts} times{f', last: {error}' if error else ''}"
        for incident, event, channel, attempts, error in record.unsent()
    ]
    return "\n".join([said, *waiting])


def _row(incident: Incident, zone: ZoneInfo) -> dict[str, object]:
    from forecast_platform.alerts.messages import cleaned

    until = "open" if incident.good_since is None else "well, on hold"
    return {
        "id": incident.id,
        "since": f"{incident.since.astimezone(zone):%Y-%m-%d %H:%M}",
        "until": f"{incident.ended_at.astimezone(zone):%Y-%m-%d %H:%M}" if incident.ended_at else until,
        "title": cleaned(incident.title, 80),
        "what": cleaned(incident.what, 100),
    }
