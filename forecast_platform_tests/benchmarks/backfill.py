"""A backfill of many origins in one run, in either warehouse, of one or more sizes of retailer.

    python -m forecast_platform_tests.benchmarks.backfill duckdb
    python -m forecast_platform_tests.benchmarks.backfill duckdb --series 300 --series 3000 --series 30000
    python -m forecast_platform_tests.benchmarks.backfill postgresql [--url postgresql://…]

The history is loaded first, from one file; then the origins up to its last day are made in one run, each with its
errors, intervals, champions, publications, explanations and report. Sizes are compared with the one before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from forecast_platform_tests.benchmarks.ledger_writes import database
from forecast_platform_tests.benchmarks.m5_shape import SERIES, Market
from forecast_platform_tests.benchmarks.m5_tenant import M5Tenant
from forecast_platform_tests.benchmarks.measuring import Measured, table


@click.command()
@click.argument("backend", type=click.Choice(["duckdb", "postgresql"]))
@click.option("--url", help="An empty PostgreSQL database to write to; by default a server is started for each size.")
@click.option("--origins", default=28, show_default=True, help="Origins of the backfill.")
@click.option("--series", "sizes", multiple=True, type=int, default=(SERIES,), show_default=True, help="A size; again.")
def main(backend: str, url: str | None, origins: int, sizes: Sequence[int]) -> None:
    """Measure loading a history and making many origins of it."""
    before: dict[str, list[Measured]] = {}
    for series in sizes:
        with tempfile.TemporaryDirectory(prefix="backfill-") as folder, database(backend, url, Path(folder)) as place:
            tenant = M5Tenant(Path(folder) / "tenant", Market(series), place)
            cost = tenant.load(origins)
        click.echo(f"{backend}, {series} series")
        click.echo(table(cost, against="first history load"))
        for name, runs in cost.items():
            share = f", {runs[0].wall / origins:.1f} s an origin" if name.endswith("origins") else ""
            grown = f", {runs[0].cpu / before[name][0].cpu:.2f} x the CPU of the size before" if name in before else ""
            click.echo(f"  {name}{share}{grown}")
        before = cost


if __name__ == "__main__":
    main()
