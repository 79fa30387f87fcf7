"""One origin of a CPU-bound model, forecast in blocks by one worker of Celery and by two.

    python -m forecast_platform_tests.benchmarks.celery_workers

PostgreSQL, a broker in a folder and the workers run on this machine; each worker has one process for steps and one
thread. AutoETS takes tens of milliseconds of CPU a series and treats every series alone. A small tenant is forecast
first, so that every worker has loaded the definitions and the library. Each number of workers then forecasts origins of
its own, in turn; a run's seconds are by Dagster's record, from its start to its end, the ledger's commit included.

On a machine that is shared, seconds on the clock measure the neighbours too. The CPU seconds of the busiest worker do
not: they are what a run takes where every worker has a core of its own.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import click
import psycopg2

from forecast_platform.io_managers.warehouse import open_warehouse
from forecast_platform_tests.celery_platform import CeleryPlatform, celery_platform, cpu_seconds, settings_of_models

MODELS = {"ets": "PanelStatsForecast(model='AutoETS')"}
LAST = date(2026, 5, 20)
SMALL, LARGE = "small", "large"


@dataclass(frozen=True)
class Shared:
    """One run: seconds from its start to its end, of the steps of blocks alone, and of CPU of all workers and of the
    busiest."""

    run: float
    blocks: float
    cpu: float
    busiest: float


@click.command()
@click.option("--series", default=2000, show_default=True)
@click.option("--blocks", default=4, show_default=True)
@click.option("--runs", default=2, show_default=True, help="Runs of each number of workers; they alternate.")
@click.option("--postgres", help="A PostgreSQL database whose user may create databases; by default one is started.")
def main(series: int, blocks: int, runs: int, postgres: str | None) -> None:
    """Measure what a second worker is worth."""
    from forecast_platform_tests.conftest import PostgresServer

    server = None if postgres else PostgresServer()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="celery-workers-") as folder,
            celery_platform(Path(folder), postgres or server.url) as platform,
        ):
            measured = _measure(platform, series, blocks, runs)
    finally:
        if server is not None:
            server.close()
    click.echo(f"{series} series in {blocks} blocks, AutoETS; medians of {runs} runs")
    click.echo(f"{'workers':<9}{'run s':>8}{'blocks s':>10}{'series/s':>10}{'workers CPU s':>15}{'busiest CPU s':>15}")
    for workers, each in measured.items():
        figures = zip(*((one.run, one.blocks, one.cpu, one.busiest) for one in each), strict=True)
        run, of_blocks, cpu, busiest = map(statistics.median, figures)
        click.echo(f"{workers:<9}{run:>8.1f}{of_blocks:>10.1f}{series / run:>10.1f}{cpu:>15.1f}{busiest:>15.1f}")
    for name, meaning in (("run", "run's seconds"), ("blocks", "blocks' seconds"), ("busiest", "busiest worker's CPU")):
        ratios = [getattr(one, name) / getattr(two, name) for one, two in zip(measured[1], measured[2], strict=True)]
        click.echo(f"throughput of two over one, by the {meaning}: {statistics.median(ratios):.2f}")


def _measure(platform: CeleryPlatform, series: int, blocks: int, runs: int) -> dict[int, list[Shared]]:
    settings = settings_of_models(MODELS, blocks=blocks)
    platform.add_tenant(SMALL, LAST, series=8 * blocks, **settings)
    platform.add_tenant(LARGE, LAST, series=series, **settings)
    measured: dict[int, list[Shared]] = {1: [], 2: []}
    day = LAST
    for _ in range(runs):
        for workers in measured:
            with platform.workers(workers) as processes:
                # A worker that finds no block of one run left is given one by the next.
                for ahead in range(1, 1 + workers):
                    platform.run("celery", SMALL, day - timedelta(days=ahead), day - timedelta(days=ahead))
                before = [cpu_seconds(each) for each in processes]
                platform.run("celery", LARGE, day, day)
                cpu = [cpu_seconds(each) - had for each, had in zip(processes, before, strict=True)]
            run, of_blocks = _seconds(platform, LARGE)
            measured[workers].append(Shared(run, of_blocks, sum(cpu), max(cpu)))
            click.echo(f"{workers} worker(s), {day}: {measured[workers][-1]}", err=True)
            day -= timedelta(days=1)
    _require_whole(platform, series, 2 * runs)
    return measured


def _seconds(platform: CeleryPlatform, tenant: str) -> tuple[float, float]:
    """Seconds of the newest run of ``tenant``, and from the first block's start to the last one's end."""
    with psycopg2.connect(platform.instance_url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select e.run_id, max(e.timestamp) - min(e.timestamp) from event_logs e"
            " where e.run_id = (select run_id from event_logs where step_key = %s order by id desc limit 1)"
            " and e.dagster_event_type in ('PIPELINE_START', 'PIPELINE_SUCCESS') group by e.run_id",
            (f"{tenant}__forecasts.ledger",),
        )
        run_id, run = cursor.fetchone()
        cursor.execute(
            "select max(timestamp) - min(timestamp) from event_logs where run_id = %s and step_key like %s"
            " and dagster_event_type in ('STEP_START', 'STEP_SUCCESS')",
            (run_id, f"{tenant}\\_\\_forecasts.block\\_%"),
        )
        return run.total_seconds(), cursor.fetchone()[0].total_seconds()


def _require_whole(platform: CeleryPlatform, series: int, origins: int) -> None:
    """Every origin was forecast, by every model, for every series: else nothing was measured."""
    rows = open_warehouse(platform.warehouse_url, LARGE).read("select count(*) as n from forecasts")["n"].item()
    if rows != series * origins * 28 * 3:
        raise click.ClickException(f"the ledger has {rows} rows instead of {series * origins * 28 * 3}")


if __name__ == "__main__":
    main()
