"""Appending an origin of a large retailer to the ledger, beside the raw write of the same rows into the same table.

    python -m forecast_platform_tests.benchmarks.ledger_writes duckdb
    python -m forecast_platform_tests.benchmarks.ledger_writes postgresql [--url postgresql://…]

Ours is what a run does: the forecasts of each model checked, compared with what is on record, numbered, inserted with
their version and the log, in one transaction an origin. Raw is DuckDB's INSERT of an Arrow table, or COPY of the text
of the same rows, made before the clock starts. Origins alternate, so that both write into tables that grow alike.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from forecast_platform import tables
from forecast_platform.io_managers.columns import to_arrow
from forecast_platform.io_managers.ledger import VersionCandidate, append_version, log_origin
from forecast_platform.io_managers.warehouse import Session, Warehouse, open_warehouse
from forecast_platform_tests.benchmarks.m5_shape import SERIES, Market

TENANT = "m5"
MODELS = ("naive", "seasonal_naive_7", "moving_average_7", "linear", "weekday_profile", "ensemble")
HORIZON = 28
FIRST = date(2026, 1, 1)


@dataclass(frozen=True)
class Wrote:
    """One origin: seconds of CPU of this process, on the clock, and rows."""

    cpu: float
    wall: float
    rows: int


@click.command()
@click.argument("backend", type=click.Choice(["duckdb", "postgresql"]))
@click.option("--url", help="A PostgreSQL database to write to; by default a server is started.")
@click.option("--origins", default=5, show_default=True, help="Origins written each way.")
@click.option("--series", default=SERIES, show_default=True)
def main(backend: str, url: str | None, origins: int, series: int) -> None:
    """Measure what the ledger's rules cost over a raw write."""
    with tempfile.TemporaryDirectory(prefix="ledger-writes-") as folder, database(backend, url, Path(folder)) as place:
        warehouse = open_warehouse(place, TENANT)
        warehouse.migrate()
        _name_series(warehouse, series)
        empty = _bytes(warehouse)
        ours, raw = [], []
        for number in range(origins):
            for way, wrote in ((_append, ours), (_write_raw, raw)):
                day = FIRST + timedelta(days=2 * number + (way is _write_raw))
                wrote.append(way(warehouse, [_candidate(day, model, series) for model in MODELS]))
        grown = _bytes(warehouse) - empty
    click.echo(f"{backend}: {series} series x {len(MODELS)} models x {HORIZON} days, medians of {origins} origins")
    for name, wrote in (("ledger", ours), ("raw", raw)):
        cpu, wall = (statistics.median(getattr(each, field) for each in wrote) for field in ("cpu", "wall"))
        click.echo(f"{name:<8}{wrote[0].rows / wall:>12,.0f} rows/s{wall:>8.2f} s{cpu:>8.2f} CPU s of this process")
    ratio = statistics.median(theirs.wall / own.wall for own, theirs in zip(ours, raw, strict=True))
    click.echo(
        f"ledger at {ratio:.0%} of the raw write; {grown / sum(each.rows for each in ours + raw):.1f} bytes a row"
    )


@contextmanager
def database(backend: str, url: str | None, folder: Path) -> Iterator[str]:
    """URL of a warehouse: in ``folder``, or a PostgreSQL server that is given or started."""
    if backend == "duckdb":
        yield f"duckdb:///{folder}"
    elif url is not None:
        yield url
    else:
        from forecast_platform_tests.conftest import PostgresServer

        server = PostgresServer()
        yield server.url
        server.close()


def _name_series(warehouse: Warehouse, count: int) -> None:
    market = Market(count)
    names = [(sku, number) for sku in market.sku for number in range(count // market.articles)]
    frame = pd.DataFrame(
        {
            "series_id": np.arange(1, count + 1, dtype=np.int32),
            "sku": [sku for sku, _ in names],
            "location": [f"store {number}" for _, number in names],
            "first_seen": pd.Timestamp(FIRST),
        }
    )
    with warehouse.transaction() as session:
        session.append(tables.series, frame)


def _candidate(day: date, model: str, series: int) -> VersionCandidate:
    """Forecasts that look like forecasts: doubles of all digits, a few of them capped, in the order models give."""
    draw = np.random.default_rng([day.toordinal(), MODELS.index(model)])
    frame = pd.DataFrame(
        {
            "series_id": np.tile(np.arange(1, series + 1, dtype=np.int32), HORIZON),
            "horizon": np.repeat(np.arange(1, HORIZON + 1, dtype=np.int16), series),
            "mean": draw.gamma(1.0, 1.2, series * HORIZON),
            "status": pd.array(np.where(draw.random(series * HORIZON) < 0.01, "capped", "ok"), dtype="string[pyarrow]"),
        }
    )
    return VersionCandidate(
        origin_date=day,
        model=model,
        model_spec=model,
        code_version="1",
        horizon=HORIZON,
        inputs={},
        input_digest=f"{day} {model}",
        live=False,
        forecasts=frame,
    )


def _timed(work: Callable[[], int]) -> Wrote:
    wall, cpu = time.monotonic(), time.process_time()
    rows = work()
    return Wrote(time.process_time() - cpu, time.monotonic() - wall, rows)


def _append(warehouse: Warehouse, candidates: list[VersionCandidate]) -> Wrote:
    def work() -> int:
        with warehouse.transaction() as session:
            session.lock(tables.forecasts.name)
            for candidate in candidates:
                append_version(session, candidate, run_id="benchmark")
            log_origin(session, candidates[0].origin_date, run_id="benchmark", complete=True)
        return sum(len(each.forecasts) for each in candidates)

    return _timed(work)


def _write_raw(warehouse: Warehouse, candidates: list[VersionCandidate]) -> Wrote:
    ready = [_raw_rows(candidate, 1_000_000 + number) for number, candidate in enumerate(candidates)]
    text = [_text(rows) for rows in ready] if warehouse.backend == "postgresql" else []

    def work() -> int:
        with warehouse.transaction() as session:
            session.months(tables.forecasts, [candidates[0].origin_date])
            for number, rows in enumerate(ready):
                if text:
                    _copy(session, text[number], rows.column_names)
                else:
                    session.insert(tables.forecasts, rows)
        return sum(rows.num_rows for rows in ready)

    wrote = _timed(work)
    if text:
        # PostgreSQL's blocks are summarized by the ledger as it writes, and these would be by its next write.
        with warehouse.transaction() as session:
            session.execute("select ledger_blocks('forecasts', :month)", {"month": candidates[0].origin_date})
    return wrote


def _raw_rows(candidate: VersionCandidate, version: int) -> pa.Table:
    frame = candidate.forecasts.assign(origin_date=pd.Timestamp(candidate.origin_date), version_id=version)
    return to_arrow(frame, tables.forecasts)


def _text(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(rows, sink, pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getvalue().to_pybytes()


def _copy(session: Session, text: bytes, names: list[str]) -> None:
    with session.connection.cursor() as cursor:
        cursor.copy_expert(f"copy forecasts ({', '.join(names)}) from stdin (format csv)", io.BytesIO(text))


def _bytes(warehouse: Warehouse) -> int:
    """Bytes of the ledger on disk: of DuckDB's file, of PostgreSQL's table with its indexes."""
    if warehouse.backend == "duckdb":
        return sum(path.stat().st_size for path in warehouse.path.parent.glob(f"{TENANT}.duckdb*"))
    with warehouse.reading() as session:
        return int(
            session.scalar("select coalesce(sum(pg_total_relation_size(relid)), 0) from pg_partition_tree('forecasts')")
        )


if __name__ == "__main__":
    main()
