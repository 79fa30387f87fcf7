"""The command line: ``demo``, ``run``, ``status``, ``verify``, ``migrate``; the others have modules of their own.

Arguments in, text out; the work is done elsewhere. Heavy imports happen inside the commands, so that ``--help`` and a
bad argument answer at once.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from forecast_platform import logs
from forecast_platform import settings as platform_settings
from forecast_platform.ahead import FOR_DBT, FOR_FEATURES, FOR_MODELS, import_ahead
from forecast_platform.alerts_cli import alerts
from forecast_platform.archive_cli import archive
from forecast_platform.arguments import DAY, CommandLineError, one_line_errors, require_api
from forecast_platform.audit_cli import audit
from forecast_platform.dbt_process import PROCESSES
from forecast_platform.events_cli import consume, post
from forecast_platform.inventory_cli import inventory
from forecast_platform.keys_cli import keys
from forecast_platform.leaving import leave_after
from forecast_platform.models_cli import models
from forecast_platform.pruning_cli import prune
from forecast_platform.report_cli import report
from forecast_platform.serve_cli import reserved, serve, serve_demo
from forecast_platform.simulate_cli import simulate
from forecast_platform.users_cli import users

if TYPE_CHECKING:
    from forecast_platform.assets.scope import TenantScope


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="forecast-platform")
def main() -> None:
    """Demand forecasts by day: facts in, immutable forecasts out, every one of them scored."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*is currently in (beta|preview).*")
    with contextlib.suppress(platform_settings.SettingsError):  # each command says so itself
        logs.configure(platform_settings.load(), command=True)


for command in (models, audit, inventory, simulate, archive, prune, report, alerts, post, consume, serve, keys, users):
    main.add_command(command)


@main.command()
@click.option("--tenant", default="demo", show_default=True, help="A tenant whose source is the generator.")
@click.option("--origins", default=7, show_default=True, type=click.IntRange(1, 365), help="Days to forecast from.")
@click.option("--stream", is_flag=True, help="Play an ERP that posts sales as events; print what comes back.")
@click.option("--rate", default=50.0, show_default=True, type=click.FloatRange(0.1, 10_000), help="Events a second.")
@click.option("--days", default=2, show_default=True, type=click.IntRange(1, 60), help="Days to play, up to yesterday.")
@click.option("--show", default=10, show_default=True, type=click.IntRange(0), help="Forecasts printed of each day.")
@click.option("--serve", "served", is_flag=True, help="Then answer over HTTP until Ctrl-C, with a user of each role.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="With --serve; 0: any.")
@one_line_errors
def demo(tenant: str, origins: int, stream: bool, rate: float, days: int, show: int, served: bool, port: int) -> None:
    """Generate a shop, ingest, aggregate, forecast and score it; print accuracy and how to open the UI.

    With --stream the shop's last days come as events, one by one, and --rate, --days and --show hold.
    """
    if not served:
        _make_demo(tenant, origins, stream, rate, days, show)
        return
    require_api()
    with reserved(port) as listening:  # a port that is taken is told of before the demo is made, and not after
        _make_demo(tenant, origins, stream, rate, days, show)
        PROCESSES.end()
        serve_demo(tenant, listening)


def _make_demo(tenant: str, origins: int, stream: bool, rate: float, days: int, show: int) -> None:
    from forecast_platform.report import accuracy_table

    begun = time.monotonic()
    PROCESSES.ready()
    scope = _tenant(tenant)
    if stream:
        from forecast_platform.stream import Playing, play

        play(scope, Playing(rate, days, show), lambda each: _TenantRuns(each, reason="demo --stream", quiet=True))
        return
    if scope.tenant.source.kind != "demo":
        raise CommandLineError(f"tenant {tenant!r} has a source of kind {scope.tenant.source.kind!r}, not demo")
    closed = scope.today() - timedelta(days=1)
    first_origin = closed - timedelta(days=origins)
    if first_origin < scope.tenant.start:
        raise CommandLineError(
            f"--origins {origins} reaches back to {first_origin}, before {tenant} starts on {scope.tenant.start}"
        )
    tenant_runs = _TenantRuns(scope, reason="demo")
    chain = tenant_runs.chain
    tenant_runs.make(chain.facts, scope.tenant.start, closed)
    tenant_runs.make(chain.forecasts, first_origin, closed)
    tenant_runs.make(chain.accuracy, first_origin + timedelta(days=1), closed)
    click.echo(accuracy_table(scope))
    click.echo(f"\nDone in {time.monotonic() - begun:.0f} s. Open the UI: {_how_to_open_the_ui()}")


@main.command()
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@click.option("--from", "first", type=DAY, help="First day, YYYY-MM-DD.")
@click.option("--to", "last", type=DAY, help="Last day, YYYY-MM-DD; both ends are included.")
@click.option("--select", "selected", multiple=True, metavar="ASSET", help="Only these assets; default: all of them.")
@click.option(
    "--changed",
    type=DAY,
    multiple=True,
    help="A closed day whose sales changed: make every partition that it touches, and no other.",
)
@one_line_errors
def run(
    tenant: str,
    first: datetime | None,
    last: datetime | None,
    selected: Sequence[str],
    changed: Sequence[datetime],
) -> None:
    """Make a tenant's assets for a range of days: the same assets as in the UI, in this process."""
    scope = _tenant(tenant)
    if changed:
        if first or last or selected:
            raise CommandLineError("--changed goes without --from, --to and --select: it says itself what to make")
        _run_changed(scope, [each.date() for each in changed])
        return
    if first is None or last is None:
        raise CommandLineError("say which days: --from YYYY-MM-DD --to YYYY-MM-DD (or --changed YYYY-MM-DD)")
    _check_range(scope, first.date(), last.date())
    tenant_runs = _TenantRuns(scope, reason="run")
    unknown = sorted(set(selected) - set(tenant_runs.chain.all))
    if unknown:
        raise CommandLineError(
            f"--select {', '.join(unknown)}: no such asset; {tenant} has {', '.join(tenant_runs.chain.all)}"
        )
    tenant_runs.make(selected or tenant_runs.chain.all, first.date(), last.date())


@main.command()
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@one_line_errors
def status(tenant: str) -> None:
    """Show the last partition, rows and gaps of each asset of a tenant."""
    from forecast_platform.report import status_table

    click.echo(status_table(_tenant(tenant)))


@main.command()
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@one_line_errors
def verify(tenant: str) -> None:
    """Compare every forecast, quantile and publication on record with what was appended."""
    from forecast_platform.assets.checks.ledger import verify_ledger

    problems = verify_ledger(_tenant(tenant))
    if problems:
        raise CommandLineError("; ".join(problems))
    click.echo(f"{tenant}: the ledger holds what was appended")


@main.command()
@click.option("--tenant", multiple=True, help="Only these tenants; default: all.")
@one_line_errors
def migrate(tenant: Sequence[str]) -> None:
    """Bring the tables of every tenant to the newest schema; harmless when they are."""
    from forecast_platform.pipeline import load_tenant, tenant_names

    settings = platform_settings.load()
    for name in tenant or tenant_names(settings):
        load_tenant(name, settings).warehouse.migrate()
        click.echo(f"{name}: at the newest schema")


def _tenant(name: str) -> TenantScope:
    from forecast_platform.pipeline import PROJECT, load_tenant

    platform_settings.ensure_dagster_home(PROJECT)
    return load_tenant(name, platform_settings.load())


def _check_range(scope: TenantScope, first: date, last: date) -> None:
    today = scope.today()
    if first > last:
        raise CommandLineError(f"--from {first} is after --to {last}")
    if first < scope.tenant.start:
        raise CommandLineError(f"--from {first} is before {scope.name} starts on {scope.tenant.start}")
    if last > today:
        raise CommandLineError(f"--to {last} has not begun; today is {today} in {scope.tenant.timezone}")


def _run_changed(scope: TenantScope, days: Sequence[date]) -> None:
    from forecast_platform.runs import make_changed

    for day in days:
        _check_range(scope, day, day)
        if day >= scope.today():
            raise CommandLineError(
                f"--changed {day} is open; its facts are made with --from {day} --to {day} --select raw_sales"
                " --select daily_sales"
            )
    tenant_runs = _TenantRuns(scope, reason="changed facts of " + ", ".join(each.isoformat() for each in days))
    make_changed(scope, days, lambda step: tenant_runs.make(step.assets, step.first, step.last))


class _TenantRuns:
    """Runs of one tenant's assets in this process, told as they go; the first that fails ends the command.

    ``quiet``: only what is wrong is told.
    """

    def __init__(self, scope: TenantScope, *, reason: str, quiet: bool = False) -> None:
        import dagster as dg

        from forecast_platform.pipeline import build_tenant
        from forecast_platform.runs import chain_of, progress_logger

        self.scope = scope
        self.reason = reason
        self.quiet = quiet
        as_json = scope.settings.log == "json"
        show = functools.partial(_show, out=None if quiet else sys.stdout, warn=not as_json)
        logged = [logs.json_handler()] if as_json else []
        loggers = dg.Definitions(loggers={"progress": progress_logger(show, *logged)})
        # Without slots: a command that was killed would keep its slot, and the next one would wait for it for ever.
        self.definitions = dg.Definitions.merge(build_tenant(replace(scope, pooled=False)), loggers)
        self.chain = chain_of(self.definitions, scope)

    def make(self, assets: Sequence[str], first: date, last: date) -> None:
        from forecast_platform.assets.dbt import made_ready
        from forecast_platform.pipeline import PROJECT
        from forecast_platform.runs import RunFailed, Step, open_instance, run_step

        needed = {FOR_FEATURES} if "features" in assets else set()
        if self.chain.made_by_dbt.intersection(assets):
            made_ready(self.scope)
            needed.add(FOR_DBT)
        if "forecasts" in assets and len(self.scope.warehouse.logged("forecasts", first, last)) <= (last - first).days:
            needed.add(FOR_MODELS)
        import_ahead(needed)
        if not self.quiet:
            click.echo(f"{self.scope.name}: {first} to {last}")
        # dbt's own lines go to Dagster's log, where the UI shows them; here they would bury the figures.
        home = platform_settings.ensure_dagster_home(PROJECT)
        with open_instance(home) as instance, contextlib.redirect_stdout(io.StringIO()):
            try:
                step = Step(tuple(assets), first, last)
                run_step(self.definitions, self.scope, step, instance=instance, reason=self.reason)
            except RunFailed as error:
                click.echo(f"Error: {logs.masked(str(error))}", err=True)
                sys.exit(1)


def _show(progress: Any, *, out: TextIO | None, warn: bool) -> None:
    name = progress.step.split("__")[-1]
    if progress.message is not None:
        if warn:
            click.echo(f"  {logs.masked(progress.message)}", err=True)
    elif progress.seconds is not None and out is not None:
        click.echo(f"  {name:<24} {progress.seconds:6.1f} s", file=out)


def _how_to_open_the_ui() -> str:
    import os

    from forecast_platform.pipeline import PROJECT

    return f'cd {PROJECT} && DAGSTER_HOME="$PWD" {os.path.relpath(sys.prefix, PROJECT)}/bin/dg dev'


def program() -> NoReturn:
    """``main`` as a process of its own."""
    leave_after(main)


if __name__ == "__main__":
    program()
