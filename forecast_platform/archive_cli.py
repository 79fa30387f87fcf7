"""The command ``archive``: old months of the ledgers to Parquet files, and back. Arguments in, text out."""

from __future__ import annotations

from datetime import datetime

import click

from forecast_platform.arguments import CommandLineError, one_line_errors

MONTH = click.DateTime(["%Y-%m"])


@click.command()
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@click.option("--before", type=MONTH, help="Move every month before this one, YYYY-MM.")
@click.option("--restore", type=MONTH, help="Put this month, YYYY-MM, back into the warehouse.")
@click.option("--dry-run", is_flag=True, help="Say what would move, and move nothing.")
@one_line_errors
def archive(tenant: str, before: datetime | None, restore: datetime | None, dry_run: bool) -> None:
    """Move old months of forecasts, intervals and explanations to Parquet files under FORECAST_ARCHIVE, or back.

    Each file is read back and compared before anything leaves the warehouse. Killed at any point, it loses nothing:
    the same command goes on. Without --before and --restore: what is archived.
    """
    from forecast_platform import archive as operations
    from forecast_platform import settings as platform_settings
    from forecast_platform.pipeline import PROJECT, load_tenant

    if before is not None and restore is not None:
        raise CommandLineError("--before and --restore are two commands: give one of them")
    platform_settings.ensure_dagster_home(PROJECT)
    scope = load_tenant(tenant, platform_settings.load())
    try:
        if restore is not None:
            rows = operations.restore(scope, restore.date(), progress=click.echo)
            click.echo(f"{tenant}: {rows} rows of {restore:%Y-%m} are in the warehouse again")
        elif before is None:
            _list(scope)
        elif dry_run:
            for each in operations.waiting(scope, before.date()):
                click.echo(f"{each.asset} {each.month:%Y-%m}: {each.rows} rows would move")
        else:
            moved = operations.archive_before(scope, before.date(), progress=click.echo)
            click.echo(f"{tenant}: {len(moved)} months moved, {sum(move.rows for move in moved)} rows")
    except operations.NotArchived as error:
        raise CommandLineError(str(error)) from error


def _list(scope) -> None:
    from forecast_platform.io_managers.archive import archived

    with scope.warehouse.reading() as session:
        moves = archived(session)
    for move in sorted(moves, key=lambda each: (each.month, each.asset)):
        click.echo(f"{move.asset} {move.month:%Y-%m}: {move.rows} rows, {move.bytes} bytes, in {move.location}")
    if not moves:
        click.echo(f"{scope.name}: nothing is archived")
