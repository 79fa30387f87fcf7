"""``forecast-platform inventory``: what to order, what needs somebody, and how the stock stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from forecast_platform.arguments import DAY, loaded_tenant, one_line_errors

_tenant_option = click.option("--tenant", required=True, help="Name of the tenant's folder.")
_day_option = click.option("--day", type=DAY, help="Day of the plan, YYYY-MM-DD; default: the newest there is.")


@click.group()
def inventory() -> None:
    """The inventory plan: orders for a purchasing system, exceptions, totals."""


@inventory.command()
@_tenant_option
@_day_option
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file, not the screen.")
@click.option("--can-wait", is_flag=True, help="Also what can wait until it is reviewed.")
@one_line_errors
def orders(tenant: str, day: datetime | None, output: Path | None, can_wait: bool) -> None:
    """What to order as CSV: supplier, sku, location, quantity, order date, expected date, reason."""
    from forecast_platform.inventory_report import orders as orders_of
    from forecast_platform.inventory_report import planned_day, write_orders

    scope = loaded_tenant(tenant)
    rows = orders_of(scope, planned_day(scope, day and day.date()), can_wait=can_wait)
    if output is None:
        write_orders(rows, click.get_text_stream("stdout"))
        return
    with output.open("w", newline="", encoding="utf-8") as file:
        write_orders(rows, file)
    click.echo(f"{len(rows):,} orders in {output}")


@inventory.command()
@_tenant_option
@_day_option
@click.option("--show", default=40, show_default=True, type=click.IntRange(1), help="Rows shown.")
@one_line_errors
def exceptions(tenant: str, day: datetime | None, show: int) -> None:
    """What to order today, what will run out, what is dead stock."""
    from forecast_platform.inventory_report import exceptions_table, planned_day

    scope = loaded_tenant(tenant)
    click.echo(exceptions_table(scope, planned_day(scope, day and day.date()), most=show))


@inventory.command()
@_tenant_option
@_day_option
@click.option("--days", default=14, show_default=True, type=click.IntRange(1), help="Days shown, up to that day.")
@one_line_errors
def totals(tenant: str, day: datetime | None, days: int) -> None:
    """Inventory value, service, cover and stock-outs of the last days."""
    from forecast_platform.inventory_report import planned_day, totals_table

    scope = loaded_tenant(tenant)
    last = planned_day(scope, day and day.date())
    click.echo(totals_table(scope, last - timedelta(days=days), last))
