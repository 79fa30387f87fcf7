"""From the arrival of one late sale to the updated published forecast, under a real daemon with its default intervals.

    python -m forecast_platform_tests.benchmarks.arrival

A small tenant whose newest day closed yesterday; a file with one sale of that day is dropped, and what passes until the
new forecasts are published is told apart: until the sensor asked for the run, until its process ran, and the run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import dagster as dg
import numpy as np

from forecast_platform.automation.updating import CHANGES_INTERVAL_SECONDS
from forecast_platform_tests.benchmarks.m5_shape import LOCATIONS, Market
from forecast_platform_tests.benchmarks.m5_tenant import HISTORY, NAME, M5Tenant

ORIGINS = 7
UPDATE_JOB = f"{NAME}__update"
GIVEN_UP_AFTER = 600.0


@dataclass(frozen=True)
class Arrival:
    """Seconds from the file's arrival: when the run was asked for, began, and had published."""

    asked: float
    began: float
    published: float


@click.command()
@click.option("--runs", default=3, show_default=True, help="Late sales, one after the other.")
@click.option("--series", default=300, show_default=True, help="A multiple of 10, the locations.")
def main(runs: int, series: int) -> None:
    """Measure how soon a late sale moves what is published."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    market = Market(series, start=yesterday - timedelta(days=HISTORY - 1))
    with tempfile.TemporaryDirectory(prefix="arrival-") as folder:
        tenant = M5Tenant(Path(folder), market)
        # The platform's event log is under it, whatever a configuration is read from.
        os.environ["DAGSTER_HOME"] = tenant.environment["DAGSTER_HOME"]
        tenant.load(ORIGINS, automation={"debounce_seconds": 0})
        daemon = subprocess.Popen(
            [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "forecast_platform.definitions"],
            env=tenant.environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            seen = [_arrival(tenant, number) for number in range(runs)]
        finally:
            daemon.terminate()
            daemon.wait()
    middle = {name: statistics.median(getattr(each, name) for each in seen) for name in ("asked", "began", "published")}
    click.echo(f"{series} series, medians of {runs} late sales; the sensor looks every {CHANGES_INTERVAL_SECONDS} s")
    click.echo(f"{middle['asked']:>7.1f} s  the file settled and the sensor asked for the run")
    click.echo(f"{middle['began'] - middle['asked']:>7.1f} s  the run's process started and loaded the definitions")
    click.echo(f"{middle['published'] - middle['began']:>7.1f} s  the run: facts, forecasts, intervals, publications")
    click.echo(f"{middle['published']:>7.1f} s  from the arrival to the published forecast")


def _arrival(tenant: M5Tenant, number: int) -> Arrival:
    """Drop a file with one sale of the newest closed day, of a series that did not sell on it, and wait."""
    market, day = tenant.market, HISTORY - 1
    article, location = np.argwhere(market.units(day) == 0)[number]
    row = f"{market.day_of(day)},{market.sku[article]},{LOCATIONS[location]},3,{market.prices(day)[article]}"
    written = tenant.folder / f"late-{number}.csv"
    written.write_text(f"date,item_id,store_id,units,sell_price\n{row}\n")
    dropped = time.time()
    os.utime(written, (dropped, dropped))
    written.rename(tenant.drop / f"sales-late-{number}.csv")
    while time.time() < dropped + GIVEN_UP_AFTER:
        time.sleep(1)
        moments = _published_since(dropped)
        if moments is not None:
            return Arrival(*(moment - dropped for moment in moments))
    raise click.ClickException(f"nothing was published for {GIVEN_UP_AFTER:.0f} s after the file arrived")


def _published_since(dropped: float) -> tuple[float, float, float] | None:
    """When the update was asked for, began, and had published, once all of it has ended."""
    with dg.DagsterInstance.get() as instance:
        records = instance.get_run_records(dg.RunsFilter(job_name=UPDATE_JOB), limit=1)
        if not records or records[0].create_timestamp.timestamp() < dropped or records[0].end_time is None:
            return None
        if records[0].dagster_run.status is not dg.DagsterRunStatus.SUCCESS:
            raise click.ClickException(f"run {records[0].dagster_run.run_id} of {UPDATE_JOB} failed")
        event = instance.get_latest_materialization_event(dg.AssetKey([NAME, "publications"]))
    if event is None or event.timestamp < dropped:
        raise click.ClickException("the run published nothing: the sale was not taken for a new one")
    return records[0].create_timestamp.timestamp(), records[0].start_time, event.timestamp


if __name__ == "__main__":
    main()
