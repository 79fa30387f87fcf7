"""``forecast-platform simulate``: past days played again by the plan, by other policies, and by other rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forecast_platform.arguments import DAY, CommandLineError, loaded_tenant, one_line_errors

if TYPE_CHECKING:
    from forecast_platform.assets.scope import TenantScope
    from forecast_platform.assets.simulation_reading import Played
    from forecast_platform.inventory.replay import Replayed

POLICIES = ("order_up_to", "fixed_quantity", "newsvendor")


@click.command()
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@click.option("--to", "last", type=DAY, help="Last day played, YYYY-MM-DD; default: the newest closed day with a plan.")
@click.option("--days", type=click.IntRange(2, 366), help="Days played; default: the tenant's simulated_days.")
@click.option("--policy", "policies", multiple=True, type=click.Choice(POLICIES), help="Also by this policy for all.")
@click.option(
    "--service-level", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Also by this service."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the plots to this HTML file.")
@one_line_errors
def simulate(
    tenant: str,
    last: datetime | None,
    days: int | None,
    policies: Sequence[str],
    service_level: float | None,
    output: Path | None,
) -> None:
    """Play past days again: what the plan's orders would have come to, beside other rules.

    Levels are those of each evening's plan on record; for --policy and --service-level plans are made again from the
    ledger as it was on each evening. Demand and lead times are those that came.
    """
    from forecast_platform.assets.inventory_simulation import simulation_plots, simulation_rows
    from forecast_platform.inventory_report import simulation_html, simulation_table

    scope = loaded_tenant(tenant)
    played = _played(scope, last and last.date(), days or scope.tenant.inventory.simulated_days)
    came = _played_by(scope, played, policies, service_level)
    rows = simulation_rows(played, came)
    click.echo(simulation_table(scope, rows, first=played.days[0], last=played.days[-1]))
    if output is not None:
        plots = simulation_plots(played, came)
        output.write_text(simulation_html(scope, rows, plots, days=played.days), encoding="utf-8")
        click.echo(f"Plots: {output}")


def _played(scope: TenantScope, last: date | None, days: int) -> Played:
    from forecast_platform.assets.simulation_reading import read_played
    from forecast_platform.inventory_report import planned_days_on_record

    held = [day for day in planned_days_on_record(scope) if day < scope.today()]
    last = last or (held[-1] if held else None)
    if last is None or last not in held:
        raise CommandLineError(f"{scope.name} has no inventory plan of {last or 'a closed day'}: nothing can be played")
    first = last
    while first - timedelta(days=1) in held and (last - first).days < days:
        first -= timedelta(days=1)
    if first == last:
        raise CommandLineError(
            f"{scope.name} has no inventory plan of {last - timedelta(days=1)}, the evening before {last}: make those"
            f" of the days before with forecast-platform run --tenant {scope.name} --from YYYY-MM-DD --to {last}"
        )
    with scope.warehouse.reading() as session:
        return read_played(session, first + timedelta(days=1), last)


def _played_by(
    scope: TenantScope, played: Played, policies: Sequence[str], service_level: float | None
) -> Mapping[str, Replayed]:
    import numpy as np

    from forecast_platform.assets.simulation_reading import evenings_with
    from forecast_platform.inventory import simulation
    from forecast_platform.inventory.terms import Terms

    def changing(policy: str | None) -> Callable[[Terms], Terms]:
        def changed(terms: Terms) -> Terms:
            given: dict[str, Any] = {}
            if policy is not None:
                given["policy"] = np.full(len(terms.policy), policy, dtype=object)
            if service_level is not None:
                given["service"] = np.full(len(terms.service), service_level)
            return terms.changed(**given)

        return changed

    came = dict(simulation.simulate(played.past, played.evenings))
    told = "" if service_level is None else f" at {service_level:.4g}"
    for policy in policies or ([None] if service_level is not None else []):
        click.echo(f"planning {len(played.days)} evenings again by {policy or 'the same policies'}{told}", err=True)
        evenings = evenings_with(scope, played, changing(policy))
        again = simulation.simulate(played.past, evenings)[simulation.PLAN]
        came[f"{policy or 'plan'}{told}"] = again
    return came
