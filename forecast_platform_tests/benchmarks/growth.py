"""A day at sizes that grow tenfold: what it costs for each, and whether memory stays bounded.

    python -m forecast_platform_tests.benchmarks.growth
    python -m forecast_platform_tests.benchmarks.growth --series 3000 --series 30000

Each size is loaded with one training window of facts. Measured are that load, the step ``forecasts`` of the window's
last day by itself, and the whole day that follows, from its file to its report, DuckDB in its default memory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from forecast_platform_tests.benchmarks.m5_shape import Market
from forecast_platform_tests.benchmarks.m5_tenant import M5Tenant
from forecast_platform_tests.benchmarks.measuring import Measured, table

WINDOW = 120
"""Days of facts: the training window."""
ROWS_AT_ONCE = 4_000_000
"""Daily rows of one run of the load: a run holds the days that it is asked for in memory."""


@click.command()
@click.option(
    "--series",
    "sizes",
    multiple=True,
    type=int,
    default=(3_000, 30_000, 300_000),
    show_default=True,
    help="A size; again.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to load into, and to find it loaded in again.")
def main(sizes: Sequence[int], keep: Path | None) -> None:
    """Measure a day of retailers of growing size."""
    before: dict[str, list[Measured]] = {}
    for series in sizes:
        with tempfile.TemporaryDirectory(prefix="growth-") as folder:
            cost = _day_of(series, keep or Path(folder))
        click.echo(f"{series:,} series")
        click.echo(table(cost, against="the day"))
        for name in cost.keys() & before.keys():
            click.echo(f"  {name}: {cost[name][0].cpu / before[name][0].cpu:.2f} x the CPU of the size before")
        before = cost


def _day_of(series: int, folder: Path) -> dict[str, list[Measured]]:
    """What loading a window of so many series costs, unless it is kept, then one day's forecasts and the next day."""
    place, loaded = folder / "tenant", folder / f"growth-{series}"
    tenant = M5Tenant(place, Market(series))
    shutil.rmtree(place, ignore_errors=True)
    cost: dict[str, list[Measured]] = {}
    if not loaded.exists():
        cost |= tenant.load(0, history=WINDOW, at_once=max(1, ROWS_AT_ONCE // series))
        place.rename(loaded)
    shutil.copytree(loaded, place)
    cost["forecasts alone"] = [tenant.run(WINDOW - 1, WINDOW - 1, ["forecasts"])]
    tenant.deliver(range(WINDOW, WINDOW + 1))
    steps: dict[str, Measured] = {}
    cost["the day"] = [tenant.run(WINDOW, WINDOW, steps=steps)]
    largest = sorted(steps, key=lambda name: -steps[name].memory)[:5]
    click.echo(f"largest steps: {', '.join(f'{name} {steps[name].memory:,.0f} MB' for name in largest)}")
    shutil.rmtree(place)
    return cost


if __name__ == "__main__":
    main()
