"""The API under load: what is published for a large retailer's series, asked for one SKU at a time.

    python -m forecast_platform_tests.benchmarks.api_load

30,490 series of 3,049 SKUs at 10 locations, with 33 days published for each (a million rows), are put into a fresh
warehouse and served as the pipeline serves them; ``forecast-platform serve`` then answers in a process of its own,
and a client asks from this one, on the same machine. SKUs are drawn at random, each with one of its locations or with
all.
"""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

import click
import numpy as np
import pandas as pd
import psutil
import yaml

from forecast_platform.api.keys import Keys, Scope
from forecast_platform.assets.served_forecasts import refresh
from forecast_platform.io_managers.warehouse import Session, Warehouse, open_warehouse
from forecast_platform.state import State
from forecast_platform.tables import (
    QUANTILES,
    forecast_explanations,
    forecast_intervals,
    forecast_versions,
    forecasts,
    publications,
    published_latest,
    series,
)
from forecast_platform_tests.benchmarks.api_client import ask
from forecast_platform_tests.benchmarks.measuring import environment_of
from forecast_platform_tests.conftest import PostgresServer

TENANT = "market"
LOCATIONS, HORIZON = 10, 33
ORIGIN, NOW = date(2026, 1, 31), datetime(2026, 2, 1, 2, tzinfo=UTC)
SAID = "Expected about 10.4 a day: a level of 9.6 over four weeks, 0.8 more for the weekday, nothing for promotions."


@click.command()
@click.option("--backend", type=click.Choice(["postgresql", "duckdb"]), default="postgresql", show_default=True)
@click.option("--skus", default=3049, show_default=True, help="Each at 10 locations.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each measurement.")
@click.option("--connections", default=16, show_default=True, help="That the client keeps open.")
@click.option("--per-second", type=float, help="So many requests, evenly spread; without, as many as are answered.")
def main(backend: str, skus: int, seconds: float, connections: int, per_second: float | None) -> None:
    """Print how many requests a second are answered, and how fast."""
    with tempfile.TemporaryDirectory() as folder, _warehouse(backend, Path(folder)) as url:
        home = Path(folder)
        warehouse = open_warehouse(url, TENANT)
        warehouse.migrate()
        _publish(warehouse, skus)
        key = _settings(home)
        with _server(home, url) as (host, port, process):
            for words, paths in (
                ("one location", _paths(skus, one=True)),
                ("all 10 locations", _paths(skus, one=False)),
            ):
                for label in ("at first", "again"):
                    before = process.cpu_times()
                    asked = ask(
                        host, port, paths, key=key, connections=connections, seconds=seconds, per_second=per_second
                    )
                    answers = asyncio.run(asked)
                    used = sum(process.cpu_times()[:2]) - sum(before[:2])
                    click.echo(
                        f"{words}, {label}: {answers.line()}; {used / len(answers.times) * 1e6:,.0f} µs of the server's"
                        f" CPU each; {process.memory_info().rss / 2**20:,.0f} MB"
                    )


def _paths(skus: int, *, one: bool) -> Iterator[str]:
    draw = random.Random(7)
    while True:
        path = f"/api/v1/forecasts/{quote(_sku(draw.randrange(skus)))}"
        yield f"{path}?location=shop%20{draw.randrange(LOCATIONS)}" if one else path


def _sku(number: int) -> str:
    return f"item {number:05d}"


@contextmanager
def _warehouse(backend: str, folder: Path) -> Iterator[str]:
    if backend == "duckdb":
        yield f"duckdb:///{folder / 'warehouse'}"
        return
    server = PostgresServer()
    try:
        yield server.url
    finally:
        server.close()


def _publish(warehouse: Warehouse, skus: int) -> None:
    """Put one origin on record and serve it, as ``serving`` does."""
    with warehouse.transaction() as session:
        _put(session, skus * LOCATIONS)
    begun = time.monotonic()
    with warehouse.transaction() as session:
        changed = refresh(session)
        session.execute(
            "insert into partition_log (asset, day, rows, digest, run_id, written_at)"
            " values ('serving', :day, :rows, '', 'load', current_timestamp)",
            {"day": ORIGIN, "rows": changed},
        )
    click.echo(f"{changed:,} series of {HORIZON} days served in {time.monotonic() - begun:.1f} s")
    if warehouse.backend == "duckdb":
        from forecast_platform.io_managers.serving_copy import write_copy

        begun = time.monotonic()
        with warehouse.reading() as session:
            write_copy(session)
        click.echo(f"their serving copy in {time.monotonic() - begun:.1f} s")


def _put(session: Session, count: int) -> None:
    draw = np.random.default_rng(7)
    ids = np.arange(1, count + 1)
    names = pd.DataFrame({"series_id": ids, "first_seen": pd.Timestamp(ORIGIN)})
    names["sku"] = [_sku((number - 1) // LOCATIONS) for number in ids]
    names["location"] = [f"shop {(number - 1) % LOCATIONS}" for number in ids]
    session.append(series, names)
    version = {"version_id": 1, "digest": "d" * 32, "origin_date": pd.Timestamp(ORIGIN), "model": "ensemble"}
    version |= {
        "model_spec": "",
        "code_version": "1",
        "horizon": HORIZON,
        "inputs": "{}",
        "series": count,
        "live": True,
    }
    session.append(forecast_versions, pd.DataFrame([version | {"horizons": pd.NA}]))
    rows = pd.DataFrame({"series_id": np.repeat(ids, HORIZON), "horizon": np.tile(np.arange(1, HORIZON + 1), count)})
    rows = rows.assign(origin_date=pd.Timestamp(ORIGIN), version_id=1)
    mean = draw.gamma(1.2, 4.0, len(rows))
    session.append(forecasts, rows.assign(mean=mean, status="model"))
    around = {name: np.floor(mean * share) for name, share in zip(QUANTILES, (0, 0.3, 1, 1.8, 2.6), strict=True)}
    session.append(forecast_intervals, rows.assign(calibration_id=1, **around))
    published = pd.DataFrame({"series_id": ids, "origin_date": pd.Timestamp(ORIGIN), "version_id": 1})
    said = published.assign(batch_id=1, summary=SAID, contributions="{}")
    session.append(forecast_explanations, said)
    published = published.assign(calibration_id=1, confidence=0.4, published_at=pd.Timestamp(NOW))
    session.append(publications, published.assign(batch_id=1))
    session.append(published_latest, published)


def _settings(home: Path) -> str:
    """Write the tenant's settings and make a key."""
    settings = home / "tenants" / TENANT / "defs.yaml"
    settings.parent.mkdir(parents=True)
    (home / "dagster").mkdir()
    attributes = {"start": "2026-01-01", "source": {"kind": "demo"}}
    settings.write_text(
        yaml.safe_dump({"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": attributes})
    )
    return Keys(State(f"sqlite:///{home / 'state.db'}")).create(TENANT, name="load", scopes={Scope.READ})[1]


@contextmanager
def _server(home: Path, url: str) -> Iterator[tuple[str, int, psutil.Process]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host, port = free.getsockname()
    environment = environment_of(home) | {
        "FORECAST_WAREHOUSE": url,
        "FORECAST_STATE": f"sqlite:///{home / 'state.db'}",
        "FORECAST_TENANTS": str(home / "tenants"),
        "FORECAST_API_ENVIRONMENT": "development",
        "FORECAST_API_RATE": "10000000",  # one key asks for everything; that it is counted is part of what is measured
    }
    command = [sys.executable, "-m", "forecast_platform.cli", "serve", "--host", host, "--port", str(port)]
    child = subprocess.Popen(command, env=environment)
    try:
        _wait_until_ready(f"http://{host}:{port}/ready", child)
        yield host, port, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(60)


def _wait_until_ready(address: str, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and child.poll() is None:
        try:
            with urllib.request.urlopen(address):
                return
        except OSError:
            time.sleep(0.2)
    raise click.ClickException(f"the server at {address} did not become ready")


if __name__ == "__main__":
    main()
