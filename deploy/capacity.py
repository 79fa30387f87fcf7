"""What a day of very many series takes: shards, machines, bytes and money, from the cost of one.

    python deploy/capacity.py --series 100000000
    python deploy/capacity.py --help

Every input is an option with a default; `--help` says of each whether it was measured, and by which command, or is
assumed. Prices are assumptions: put your own in. Nothing here is read from a running platform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import click

BYTES_PER_GB = 1e9
SECONDS_PER_HOUR = 3600
DAYS_PER_MONTH = 30

ONE_DAY = "measured: python -m forecast_platform_tests.benchmarks.one_day"
WRITES = "measured: python -m forecast_platform_tests.benchmarks.ledger_writes"
ASSUMED = "assumed"


@dataclass(frozen=True)
class Input:
    """One number that the sum is made from."""

    value: float
    meaning: str
    origin: str


INPUTS: dict[str, Input] = {
    "series": Input(100_000_000, "series forecast every day", "what is asked"),
    "models": Input(6, "models that run for every series", "the default models"),
    "horizon": Input(28, "days ahead", "the default horizon"),
    "shard_series": Input(30_490, "series of one shard: a tenant, or a key range of one", ASSUMED),
    "run_cpu_seconds": Input(40, "CPU s of a day's run of one shard, however few its series", ONE_DAY),
    "day_cpu_seconds_per_1000": Input(
        3.3, "CPU s more for every 1000 series, from the day's file to scored errors, forecasts included", ONE_DAY
    ),
    "forecast_cpu_seconds_per_1000": Input(
        0.23, "CPU s of the step forecasts within that, for an origin of 1000 series and the default models", ONE_DAY
    ),
    "model_cpu_seconds_per_1000": Input(
        0.0, "CPU s more for 1000 series of models beyond the default ones (AutoETS: 40)", "none by default"
    ),
    "shard_memory_gb": Input(7.4, "largest memory of all processes of a shard's run", ONE_DAY),
    "hot_bytes_per_row": Input(60, "bytes of a ledger row in PostgreSQL, with its index", f"{WRITES} postgresql"),
    "cold_bytes_per_row": Input(8.7, "bytes of a ledger row in columns (DuckDB)", f"{WRITES} duckdb"),
    "rows_per_second": Input(
        175_000,
        "ledger rows that one PostgreSQL server takes in a second (on two cores that had other work, too)",
        f"{WRITES} postgresql --origins 1",
    ),
    "hot_days": Input(84, "days of the ledger kept in PostgreSQL; older ones in columns", ASSUMED),
    "kept_days": Input(730, "days of the ledger kept at all", ASSUMED),
    "window_hours": Input(6, "hours of the night in which a day must be made", ASSUMED),
    "utilisation": Input(0.7, "share of the bought cores that is at work in the window", ASSUMED),
    "machine_vcpus": Input(8, "cores of one worker machine", ASSUMED),
    "machine_memory_gb": Input(64, "memory of one worker machine", ASSUMED),
    "price_vcpu_hour": Input(0.05, "price of a core for an hour, its memory included", ASSUMED),
    "price_hot_gb_month": Input(0.12, "price of a GB of database disk for a month", ASSUMED),
    "price_cold_gb_month": Input(0.023, "price of a GB of an object store for a month", ASSUMED),
}


@dataclass(frozen=True)
class Capacity:
    """The sum, for one day unless it says otherwise. Money is in the currency of the prices."""

    shards: int
    cpu_hours: float
    share_of_forecasts: float
    share_of_runs: float
    cores: int
    machines_for_cores: int
    machines_for_memory: int
    machines: int
    ledger_rows: float
    hot_gb_per_day: float
    hot_gb: float
    cold_gb: float
    database_servers: int
    runs_per_minute: float
    price_compute_month: float
    price_hot_month: float
    price_cold_month: float
    price_month: float
    price_per_million_series_month: float


def capacity(**given: float) -> Capacity:
    """Machines and money for one day of ``series`` series, from the inputs named in ``INPUTS``.

    A shard's run uses one core at a time, and all its memory as long as it runs. Errors are as many rows as forecasts:
    each forecast meets its actual once, so PostgreSQL writes and keeps the rows twice.

    Raises:
        ValueError: an input is unknown, or not above 0 where it must be.
    """
    unknown = sorted(set(given) - set(INPUTS))
    if unknown:
        raise ValueError(f"unknown input {', '.join(unknown)}; known are {', '.join(INPUTS)}")
    i = {name: float(given.get(name, each.value)) for name, each in INPUTS.items()}
    for name, value in i.items():
        if value < 0 or (value == 0 and name != "model_cpu_seconds_per_1000"):
            raise ValueError(f"{name} is {value:g}; it must be above 0")
    shards = math.ceil(i["series"] / i["shard_series"])
    thousands = i["series"] / 1000
    run_cpu = shards * i["run_cpu_seconds"]
    forecast_cpu = thousands * (i["forecast_cpu_seconds_per_1000"] + i["model_cpu_seconds_per_1000"])
    cpu = run_cpu + thousands * (i["day_cpu_seconds_per_1000"] + i["model_cpu_seconds_per_1000"])
    window = i["window_hours"] * SECONDS_PER_HOUR
    cores = math.ceil(cpu / window / i["utilisation"])
    for_cores = math.ceil(cores / i["machine_vcpus"])
    # As many shards are at work at once as there are cores.
    for_memory = math.ceil(min(cores, shards) * i["shard_memory_gb"] / i["machine_memory_gb"])
    machines = max(for_cores, for_memory)
    rows = i["series"] * i["models"] * i["horizon"]
    hot_per_day = 2 * rows * i["hot_bytes_per_row"] / BYTES_PER_GB
    hot = hot_per_day * i["hot_days"]
    cold = 2 * rows * i["cold_bytes_per_row"] / BYTES_PER_GB * max(i["kept_days"] - i["hot_days"], 0)
    compute = machines * i["machine_vcpus"] * i["window_hours"] * DAYS_PER_MONTH * i["price_vcpu_hour"]
    disk, store = hot * i["price_hot_gb_month"], cold * i["price_cold_gb_month"]
    return Capacity(
        shards=shards,
        cpu_hours=cpu / SECONDS_PER_HOUR,
        share_of_forecasts=forecast_cpu / cpu,
        share_of_runs=run_cpu / cpu,
        cores=cores,
        machines_for_cores=for_cores,
        machines_for_memory=for_memory,
        machines=machines,
        ledger_rows=rows,
        hot_gb_per_day=hot_per_day,
        hot_gb=hot,
        cold_gb=cold,
        database_servers=math.ceil(2 * rows / i["rows_per_second"] / window),
        runs_per_minute=shards / (i["window_hours"] * 60),
        price_compute_month=compute,
        price_hot_month=disk,
        price_cold_month=store,
        price_month=compute + disk + store,
        price_per_million_series_month=(compute + disk + store) / (i["series"] / 1e6),
    )


def _options(command):
    for name, each in reversed(INPUTS.items()):
        command = click.option(
            f"--{name.replace('_', '-')}",
            default=each.value,
            show_default=True,
            type=float,
            help=f"{each.meaning} ({each.origin}).",
        )(command)
    return command


def table(result: Capacity) -> str:
    """A line for each part of the sum."""
    return "\n".join(f"{part.name:<32}{getattr(result, part.name):>16,.6g}" for part in fields(result))


@click.command(help=__doc__)
@_options
def main(**given: float) -> None:
    try:
        result = capacity(**given)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for name, each in INPUTS.items():
        click.echo(f"{name:<32}{given[name]:>16,.6g}  {each.meaning} ({each.origin})")
    click.echo("\n" + table(result))


if __name__ == "__main__":
    main()
