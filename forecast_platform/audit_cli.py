"""The command ``audit``: what is on record of one forecast. Arguments in, text or JSON out."""

from __future__ import annotations

from datetime import datetime

import click

from forecast_platform.arguments import DAY, CommandLineError, one_line_errors


@click.command()
@click.argument("sku")
@click.argument("origin", type=DAY)
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@click.option("--location", help="Needed where the SKU is sold at several.")
@click.option("--model", help="Only this model; default: all.")
@click.option("--json", "as_json", is_flag=True, help="Everything, for a program; times are UTC.")
@one_line_errors
def audit(sku: str, origin: datetime, tenant: str, location: str | None, model: str | None, as_json: bool) -> None:
    """Show a forecast of SKU from ORIGIN: what went in, what came out, what sold, what changed, and who asked."""
    import json

    from forecast_platform import settings as platform_settings
    from forecast_platform.audit import NothingToAudit
    from forecast_platform.audit import audit as audited
    from forecast_platform.audit_report import audit_text
    from forecast_platform.pipeline import PROJECT, load_tenant
    from forecast_platform.runs import open_instance

    home = platform_settings.ensure_dagster_home(PROJECT)
    scope = load_tenant(tenant, platform_settings.load())
    with open_instance(home) as instance:
        try:
            found = audited(scope, sku, origin.date(), location=location, model=model, instance=instance)
        except NothingToAudit as error:
            raise CommandLineError(str(error)) from error
    click.echo(json.dumps(found, indent=2, allow_nan=False) if as_json else audit_text(found))
