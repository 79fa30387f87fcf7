"""The command ``prune``: what the tenant's retention no longer keeps. Arguments in, text out."""

from __future__ import annotations

import click

from forecast_platform.arguments import one_line_errors


@click.command()
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and take nothing away.")
@one_line_errors
def prune(tenant: str, dry_run: bool) -> None:
    """Take away partitions that are older than `retention` in the tenant's settings keeps them.

    Facts and ledgers are never among them. A partition that is gone is named by whatever needs it; making it again
    brings it back.
    """
    from forecast_platform import pruning
    from forecast_platform import settings as platform_settings
    from forecast_platform.pipeline import PROJECT, load_tenant

    platform_settings.ensure_dagster_home(PROJECT)
    scope = load_tenant(tenant, platform_settings.load())
    if not scope.tenant.retention:
        click.echo(f"{tenant} keeps everything: it has no retention")
    elif dry_run:
        for old in pruning.old_days(scope):
            click.echo(f"{old.table}: {len(old.days)} days, {old.days[0]} to {old.days[-1]}, {old.rows} rows would go")
    else:
        click.echo(f"{tenant}: {pruning.prune(scope, progress=click.echo)} partitions pruned")
