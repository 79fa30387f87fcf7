"""The command ``models``: what a tenant's models are and how they compare, and its own choices among them.

Arguments in, text or one appended row out. What a pin or a chosen artefact does is decided where champions and
artefacts are made; what was made before stays until those days are made again.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from forecast_platform.arguments import DAY, CommandLineError, loaded_tenant, one_line_errors

if TYPE_CHECKING:
    import sqlalchemy as sa

    from forecast_platform.assets.scope import TenantScope
    from forecast_platform.io_managers.warehouse import Session

TENANT = click.option("--tenant", required=True, help="Name of the tenant's folder.")
SINCE = click.option("--from", "since", type=DAY, help="First day on which it holds, YYYY-MM-DD; default: today.")
RELEASE = click.option("--release", is_flag=True, help="Let go again.")
REASON = click.option("--reason", help="Why, for those who come after.")


@click.group()
def models() -> None:
    """List, compare, pin and roll back a tenant's models."""


@models.command("list")
@TENANT
@one_line_errors
def list_models(tenant: str) -> None:
    """Every model with its spec, newest version and artefact, the series it is published for, and pins."""
    from forecast_platform.models_report import models_table

    click.echo(models_table(loaded_tenant(tenant)))


@models.command()
@TENANT
@one_line_errors
def compare(tenant: str) -> None:
    """Accuracy of each model by days ahead, and of what was published beside each."""
    from forecast_platform.models_report import NothingScored, comparison_table

    try:
        click.echo(comparison_table(loaded_tenant(tenant)))
    except NothingScored as error:
        raise CommandLineError(str(error)) from error


@models.command()
@TENANT
@click.option("--model", help="The model to publish.")
@click.option("--sku", default="all", show_default=True, help="Only this SKU.")
@click.option("--location", default="all", show_default=True, help="Only this location.")
@SINCE
@REASON
@RELEASE
@one_line_errors
def pin(
    tenant: str, model: str | None, sku: str, location: str, since: datetime | None, reason: str | None, release: bool
) -> None:
    """Publish a model whatever the errors say: for all series, a SKU, a location, or a SKU at a location."""
    from forecast_platform.forecasting import model_specs
    from forecast_platform.tables import model_pins

    scope = loaded_tenant(tenant)
    if release == (model is not None):
        raise CommandLineError("say which --model to publish, or --release to let go again, and not both")
    known = [each.name for each in model_specs(scope.tenant.models)]
    if model is not None and model not in known:
        raise CommandLineError(f"--model {model}: no such model; {tenant} has {', '.join(known)}")
    if model is not None and model not in scope.tenant.publishable_models:
        raise CommandLineError(
            f"--model {model}: {tenant} keeps it at some horizons only, and publishes"
            f" {', '.join(scope.tenant.publishable_models)}; add it to kept_in_full in {tenant}/defs.yaml first"
        )
    day = _day(scope, since)
    with scope.warehouse.transaction() as session:
        _require_series(session, tenant, sku, location)
        row = {"sku": sku, "location": location, "model": model}
        _append(session, model_pins, "pin_id", row, day, reason)
    where = "every series" if (sku, location) == ("all", "all") else f"sku {sku} at {location}"
    click.echo(f"{tenant}: {f'{model} is pinned' if model else 'the pin is let go'} for {where} from {day}")
    click.echo("It counts for champions that are made from now on; made ones stay until their day is made again.")


@models.command()
@TENANT
@click.option("--model", required=True, help="A model that refits by date, as lightgbm.")
@click.option("--to", "digest", help="Digest of the artefact to keep it at; its first digits are enough.")
@SINCE
@REASON
@RELEASE
@one_line_errors
def rollback(
    tenant: str, model: str, digest: str | None, since: datetime | None, reason: str | None, release: bool
) -> None:
    """Keep a model at an artefact that it learned before."""
    from forecast_platform.tables import artifact_choices

    scope = loaded_tenant(tenant)
    if release == (digest is not None):
        raise CommandLineError("say --to which artefact, or --release to let go again, and not both")
    day = _day(scope, since)
    with scope.warehouse.transaction() as session:
        whole = None if digest is None else _artifact(session, tenant, model, digest)
        _append(session, artifact_choices, "choice_id", {"model": model, "digest": whole}, day, reason)
    click.echo(f"{tenant}: {model} {f'is kept at {whole}' if whole else 'is let go again'} from {day}")
    click.echo("Make model_artifacts and forecasts of those days again, if they are made already.")


def _day(scope: TenantScope, since: datetime | None) -> date:
    day = scope.today() if since is None else since.date()
    if day < scope.tenant.start:
        raise CommandLineError(f"--from {day} is before {scope.name} starts on {scope.tenant.start}")
    return day


def _require_series(session: Session, tenant: str, sku: str, location: str) -> None:
    """Refuse a name that no series has: such a pin would silently do nothing."""
    wanted = {name: value for name, value in (("sku", sku), ("location", location)) if value != "all"}
    # Where a business has no locations, `all` is the one it has.
    where = " and ".join(f"{name} = :{name}" for name in wanted) or "1 = 1"
    if wanted and not session.scalar(f"select count(*) from series where {where}", wanted):
        asked = " ".join(f"--{name} {value}" for name, value in wanted.items())
        raise CommandLineError(f"{asked}: {tenant} has never sold it")


def _artifact(session: Session, tenant: str, model: str, digest: str) -> str:
    """The whole digest of a model's artefact, from its first digits."""
    rows = session.execute(
        "select digest, trained_to from model_artifacts where model = :model order by trained_to", {"model": model}
    )
    found = [whole for whole, _ in rows if whole.startswith(digest)]
    if len(found) != 1:
        there = ", ".join(f"{whole[:12]} (to {trained_to})" for whole, trained_to in rows) or "none"
        which = "no artefact" if not found else f"{len(found)} artefacts"
        raise CommandLineError(f"--to {digest}: {which} of {model} on record at {tenant}; there are {there}")
    return found[0]


def _append(session: Session, table: sa.Table, number: str, row: dict[str, Any], day: date, reason: str | None) -> None:
    """Append a choice under the next number."""
    import getpass

    import pandas as pd

    session.lock(table.name)
    last = session.scalar(f"select coalesce(max({number}), 0) from {table.name}")
    named = {"set_by": getpass.getuser(), "set_at": pd.Timestamp(datetime.now(UTC)).as_unit("us"), "reason": reason}
    columns = {number: last + 1, "valid_from": pd.Timestamp(day)} | row | named
    session.append(table, pd.DataFrame({name: [value] for name, value in columns.items()}))
