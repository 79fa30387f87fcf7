"""How many events a second ``POST /sales`` accepts, each batch on disk before its answer.

    python -m forecast_platform_tests.benchmarks.api_sales

One server process and a client of a few connections on the same machine. Bodies are made before the clock runs; what
the server and the client cost in CPU is told apart, so that a busy machine can be told from a slow server.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click
import numpy as np
import psutil
import yaml

from forecast_platform.api.keys import Keys, Scope
from forecast_platform.state import State
from forecast_platform_tests.api.servers import Server

NAME = "till"


@click.command()
@click.option("--batches", default=300, show_default=True, help="Requests, all connections together.")
@click.option("--events", default=1_000, show_default=True, help="Events of a request.")
@click.option("--connections", default=2, show_default=True, help="Connections of the client.")
@click.option("--lines", is_flag=True, help="One JSON text a line, instead of an array.")
@click.option("--keys", is_flag=True, help="An Idempotency-Key with each request.")
def main(batches: int, events: int, connections: int, lines: bool, keys: bool) -> None:
    """Measure the events accepted a second."""
    with tempfile.TemporaryDirectory(prefix="api-sales-") as name:
        folder = Path(name)
        environment, key = _tenant(folder)
        kind = "application/x-ndjson" if lines else "application/json"
        headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
        bodies = [_body(number, events, lines) for number in range(batches + connections)]
        # The client is a process of its own: in this one it would wait for the other's lock.
        client = multiprocessing.get_context("spawn").Pool(1)
        with Server(environment, folder / "server.log") as server, client as pool:
            pool.apply(_send, (server.url, headers, bodies[batches:], connections, False))
            process = psutil.Process(server.process.pid)
            before, begun = _cpu(process), time.perf_counter()
            seconds, client_cpu = pool.apply(_send, (server.url, headers, bodies[:batches], connections, keys))
            wall, server_cpu = time.perf_counter() - begun, _cpu(process) - before
    sent = batches * events
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    click.echo(
        f"{sent:,} events in batches of {events:,} over {connections} connections: {sent / wall:,.0f} events/s"
        f" ({wall:.2f} s; a request p50 {p50:.0f} ms, p99 {p99:.0f} ms)\n"
        f"CPU: server {server_cpu:.2f} s, {sent / server_cpu:,.0f} events a CPU second; client {client_cpu:.2f} s"
    )


def _tenant(folder: Path) -> tuple[dict[str, str], str]:
    """A tenant of posted events, and a key that may write to it."""
    file = folder / "tenants" / NAME / "defs.yaml"
    file.parent.mkdir(parents=True)
    attributes = {"start": _yesterday().date().isoformat(), "source": {"kind": "events"}}
    kind = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": attributes}
    file.write_text(yaml.safe_dump(kind))
    environment = {
        "FORECAST_HOME": str(folder / "home"),
        "FORECAST_TENANTS": str(folder / "tenants"),
        "FORECAST_API_ENVIRONMENT": "development",
    }
    state = State(f"sqlite:///{folder / 'home' / 'state.db'}")
    return environment, Keys(state).create(NAME, name="benchmark", scopes=[Scope.WRITE])[1]


def _yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


def _body(number: int, events: int, lines: bool) -> bytes:
    day = f"{_yesterday():%Y-%m-%d}"
    rows = [
        {
            "event_id": f"till-{number}-{at}",
            "sold_at": f"{day}T{at % 24:02d}:{at % 60:02d}:{(at * 7) % 60:02d}Z",
            "sku": f"sku {(number * events + at) % 3_000}",
            "location": f"shop {at % 10}",
            "quantity": at % 5 + 1,
            "unit_price": round(1 + at % 40 * 0.25, 2),
            "on_promotion": at % 9 == 0,
            "order_id": f"o-{number}-{at // 3}",
        }
        for at in range(events)
    ]
    return "\n".join(map(json.dumps, rows)).encode() if lines else json.dumps(rows).encode()


def _send(
    url: str, headers: dict[str, str], bodies: list[bytes], connections: int, keys: bool
) -> tuple[list[float], float]:
    """Send bodies over some connections; the seconds of each request, and the CPU that it cost here."""
    place, begun = urlsplit(url), _own_cpu()
    waiting = iter(enumerate(bodies))

    def work(_: int) -> list[float]:
        connection, seconds = http.client.HTTPConnection(place.hostname, place.port, timeout=600), []
        for number, body in waiting:
            named = {"Idempotency-Key": f"batch-{number}"} if keys else {}
            at = time.perf_counter()
            connection.request("POST", "/api/v1/sales", body, headers | named)
            answer = connection.getresponse()
            text = answer.read()
            seconds.append(time.perf_counter() - at)
            if answer.status != 202 or json.loads(text)["rejected"]:
                raise RuntimeError(text[:500])
        return seconds

    with ThreadPoolExecutor(connections) as pool:
        seconds = [each for part in pool.map(work, range(connections)) for each in part]
    return seconds, _own_cpu() - begun


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


if __name__ == "__main__":
    main()
