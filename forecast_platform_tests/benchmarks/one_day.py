"""A large retailer's day: from the day's file to scored errors of the last origins, everything included.

    python -m forecast_platform_tests.benchmarks.one_day

M5's size and shape (``m5_shape``) is loaded once, with as many origins on record as reach the day. Each run makes the
day that follows on a copy of that, by ``forecast-platform run``: its steps, and how much of it there is up to
scored errors and after them, when it is published, explained and reported. The step ``forecasts`` is made once more
alone, for another origin, beside the bare fit and predict of mlforecast, statsforecast and sktime on the same days in
memory.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from forecast_platform_tests.benchmarks.m5_shape import SERIES, Market
from forecast_platform_tests.benchmarks.m5_tenant import HISTORY, M5Tenant
from forecast_platform_tests.benchmarks.measuring import Measured, in_turn, measure, table
from forecast_platform_tests.benchmarks.peers import SAMPLE

SCORED = "forecast_errors"
"""The step that scores: errors and their sums are one call of dbt."""

PEERS = "forecast_platform_tests.benchmarks.peers"
PEERS_BY_THREADS = (("mlforecast", 1), ("mlforecast", 2), ("statsforecast", 1), ("statsforecast", 2), ("sktime", 1))


@click.command()
@click.option("--runs", default=3, show_default=True, help="Measured runs of each.")
@click.option("--series", default=SERIES, show_default=True, help="A multiple of 10, the locations.")
@click.option("--origins", default=28, show_default=True, help="Origins on record before the measured day.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to load into, and to find it loaded in again.")
@click.option("--peers/--no-peers", default=True, show_default=True)
def main(runs: int, series: int, origins: int, keep: Path | None, peers: bool) -> None:
    """Measure a day of a large retailer."""
    with tempfile.TemporaryDirectory(prefix="one-day-") as folder:
        place, loaded = (keep or Path(folder)) / "tenant", (keep or Path(folder)) / f"loaded-{series}-{origins}"
        tenant = M5Tenant(place, Market(series))
        if not loaded.exists():
            shutil.rmtree(place, ignore_errors=True)
            loading = tenant.load(origins)
            place.rename(loaded)
            click.echo(table(loading, against=next(iter(loading))))
        rows: dict[str, list[Measured]] = {"the day": [], "forecasts alone": []}
        for _ in range(runs):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(loaded, place)
            tenant.deliver(range(HISTORY, HISTORY + 1))
            steps: dict[str, Measured] = {}
            day = tenant.run(HISTORY, HISTORY, steps=steps)
            rows["the day"].append(day)
            for name, cost in (_parts(day, steps) | steps).items():
                rows.setdefault(f"  {name}", []).append(cost)
            before = HISTORY - origins - 1
            rows["forecasts alone"].append(tenant.run(before, before, ["forecasts"]))
            shutil.rmtree(place)
            for name, threads in PEERS_BY_THREADS if peers else ():
                how = f"{threads} thread{'s' if threads > 1 else ''}"
                row = f"{name}, {how}" if name != "sktime" else f"{name}, extrapolated from {SAMPLE} series"
                rows.setdefault(row, []).append(_peer(name, threads, series))
        click.echo(table(rows, against="the day"))


def _parts(day: Measured, steps: Mapping[str, Measured]) -> dict[str, Measured]:
    """The day up to scored errors, its start included, and what follows, to the end of its process."""
    names = list(steps)
    end = names.index(SCORED) + 1
    scored, rest = (in_turn([steps[name] for name in part]) for part in (names[:end], names[end:]))
    left = replace(rest, cpu=day.cpu - scored.cpu, wall=day.wall - scored.wall)
    return {"up to scored errors": scored, "what follows": left}


def _peer(name: str, threads: int, series: int) -> Measured:
    """Fit and predict of a peer, the second time that its process does it: the first compiles."""
    with tempfile.NamedTemporaryFile(suffix=".json") as figures:
        command = [sys.executable, "-m", PEERS, name, f"--threads={threads}", f"--series={series}"]
        whole = measure([*command, "--times=2", f"--figures={figures.name}"])
        cpu, wall = json.load(figures)
    return Measured(cpu, wall, whole.memory)


if __name__ == "__main__":
    main()
