"""What checks and metadata cost: the newest day of the demo's chain with them and without, in turn.

    python -m forecast_platform_tests.benchmarks.cost_of_looking

The demo is loaded once, with as many origins as every check needs to have something to look at. Each measured run makes
the day that follows on a copy of that, where it was loaded (dbt parses again what has moved), in a process of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

import click

from forecast_platform.pipeline import PROJECT, load_tenant
from forecast_platform.settings import load
from forecast_platform_tests.benchmarks.measuring import Measured, environment_of, measure, table

TENANT = "demo"
VARIANTS = ("plain", "figures", "checks", "all")
"""Neither checks nor figures, either of them alone, both."""


@click.command()
@click.option("--runs", default=5, show_default=True, help="Measured runs of each variant.")
@click.option("--origins", default=70, show_default=True, help="Origins on record before the measured day.")
@click.option("--only", type=click.Choice(VARIANTS), help="Make the day in this process, in this variant.", hidden=True)
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), hidden=True)
def main(runs: int, origins: int, only: str | None, day) -> None:
    """Measure what looking adds to a day's run."""
    if only is not None:
        _make_day(day.date(), only)
        return
    with tempfile.TemporaryDirectory(prefix="cost-of-looking-") as folder:
        demo, loaded = Path(folder) / "demo", Path(folder) / "loaded"
        newest = _load_demo(demo, origins)
        demo.rename(loaded)
        found: dict[str, list[Measured]] = {variant: [] for variant in VARIANTS}
        for number in range(runs):
            for variant in VARIANTS:
                found[variant].append(_measure(loaded, demo, newest, variant))
                click.echo(f"run {number + 1} of {runs}, {variant}: {found[variant][-1].cpu:.1f} CPU s", err=True)
    click.echo(table(found, against="plain"))


def _load_demo(folder: Path, origins: int) -> date:
    """Facts and ``origins`` origins up to the day before the newest closed one; returns that one."""
    (folder / "dagster").mkdir(parents=True)
    shutil.copy(PROJECT / "dagster.yaml", folder / "dagster")
    scope = load_tenant(TENANT, load({}))
    newest = scope.today() - timedelta(days=1)
    first, last = newest - timedelta(days=origins), newest - timedelta(days=1)
    facts = [name for name in _chain_facts() for name in ("--select", name)]
    for since, selected in ((scope.tenant.start, facts), (first, [])):
        command = ["run", "--tenant", TENANT, "--from", f"{since}", "--to", f"{last}", *selected]
        program = [sys.executable, "-m", "forecast_platform.cli", *command]
        subprocess.run(program, env=environment_of(folder), check=True, stdout=sys.stderr)
    return newest


def _chain_facts() -> tuple[str, ...]:
    from forecast_platform.pipeline import build_tenant
    from forecast_platform.runs import chain_of

    scope = load_tenant(TENANT, load({}))
    return chain_of(build_tenant(scope), scope).facts


def _measure(loaded: Path, demo: Path, day: date, variant: str) -> Measured:
    shutil.copytree(loaded, demo)
    day_alone = [sys.executable, "-m", __spec__.name, "--only", variant, "--day", day.isoformat()]
    measured = measure(day_alone, environment_of(demo))
    shutil.rmtree(demo)
    return measured


def _make_day(day: date, variant: str) -> None:
    from forecast_platform.cli import _TenantRuns

    with ExitStack() as stack:
        if variant in ("plain", "figures"):
            stack.enter_context(_without_checks())
        if variant in ("plain", "checks"):
            stack.enter_context(_without_figures())
        runs = _TenantRuns(load_tenant(TENANT, load()), reason="benchmark", quiet=True)
        runs.make(runs.chain.all, day, day)


@contextmanager
def _without_checks() -> Iterator[None]:
    """No asset checks, dbt's tests among them."""
    from forecast_platform import pipeline
    from forecast_platform.assets import dbt

    told, settings = dbt.environment, dbt.DagsterDbtTranslatorSettings

    def untested(*arguments, **named) -> Mapping[str, str]:
        return told(*arguments, **named) | {"DBT_EXCLUDE_RESOURCE_TYPES": "unit_test test"}

    with (
        patch.object(pipeline, "build_checks", lambda _scope: []),
        patch.object(dbt, "environment", untested),
        patch.object(
            dbt, "DagsterDbtTranslatorSettings", lambda **named: settings(**named | {"enable_asset_checks": False})
        ),
    ):
        yield


@contextmanager
def _without_figures() -> Iterator[None]:
    """No numbers, tables and pictures on partitions. The page of the report is an asset, and stays."""
    from forecast_platform.assets import daily_report, forecast_explanations

    nothing: dict[str, Callable] = {
        "add_figures": lambda *_: None,
        "queried_figures": lambda *_: {},
        "add_partition_figures": lambda *_: None,
    }
    with ExitStack() as stack:
        for module in [each for name, each in sys.modules.items() if name.startswith("forecast_platform.")]:
            for name, instead in nothing.items():
                if hasattr(module, name):
                    stack.enter_context(patch.object(module, name, instead))
        stack.enter_context(patch.object(forecast_explanations, "model_cards", lambda *_: ""))
        for name in ("plots", "worst"):
            stack.enter_context(patch.object(daily_report, name, lambda _: ""))
        yield


if __name__ == "__main__":
    main()
