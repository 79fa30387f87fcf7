"""The serving copy: what readers outside of runs see of a DuckDB warehouse, whose own file lets one process in.

A folder of Parquet files beside the warehouse and a manifest that says which of them are served, ``current.json``.
Files are never changed: a day whose content has changed gets a new one, a day that has not keeps the one it has, and
the manifest is replaced by rename. So a reader sees one publication or the next, never half, and no reader waits for
a run or stops one. Files that are no longer served go some time later, when no reader can be at them.

Days of a table that is read by origin are files of their own. Of other tables the days of a month that is over are put
together, or the years would be thousands of files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from uuid import uuid4

import xxhash

from forecast_platform.days import month_of
from forecast_platform.io_managers.duckdb_dialect import DuckDBSession, DuckDBWarehouse

MANIFEST = "current.json"
FORMAT = "1"
"""Raise it with every change after which files of before must not be read any more: all are then written again."""

ROWS_PER_GROUP = 8_192
"""Rows that a reader who looks for one series has to read: fewer make the file larger and slower to write."""

OF_LEDGER = 61_440
"""The same of a ledger's day of 5 million rows, of which a reader has to look at each group's bounds: one series of a
version is found in 2.4 ms, in 600 groups of 8,192 rows it took 8, and the file took a quarter longer to write."""

COMPRESSION = "compression zstd, compression_level 1"
"""Level 3, which is the default, takes twice the time for explanations and a third more for sums, and saves nothing."""

KEPT_SECONDS = 600
"""How long a file stays that is no longer served: longer than any reader's session."""

NO_DAY = "0001-01-01"
"""Stands for the day of the empty file that every table has, for its columns."""

BY_ORIGIN: Mapping[str, str] = {
    "forecasts": "origin_date",
    "forecast_intervals": "origin_date",
    "forecast_explanations": "origin_date",
    "error_sums": "target_date",
    "inventory_plan": "as_of",
}
"""Tables of many rows a day that are asked for by their day, and its column."""

BY_SERIES: Mapping[str, str] = {
    "daily_sales": "sale_date",
    "sales_rejects": "sale_date",
    "series_scales": "as_of",
    "demand_classes": "as_of",
    "interval_scores": "target_date",
    "published_sums": "target_date",
    "champions": "as_of",
    "publications": "origin_date",
    "weekly_forecasts": "origin_date",
    "hierarchy_forecasts": "origin_date",
    "items": "valid_from",
    "locations": "valid_from",
    "suppliers": "valid_from",
    "plan": "known_from",
    "covariates": "known_from",
    "inventory_levels": "snapshot_date",
    "open_orders": "known_from",
    "actual_overrides": "sale_date",
    "inventory_simulation": "as_of",
}
"""Tables that are asked for one series over many days, and the column of their day."""

WHOLE = (
    *("series", "served_forecasts", "published_latest", "forecast_versions", "forecast_runs", "ledger_batches"),
    *("accuracy_sums", "plan_inputs", "plan_paths", "planner_overrides"),
    *("model_pins", "model_artifacts", "artifact_days", "artifact_choices", "landed_batches"),
    *("partition_log", "pruned_days", "alembic_version"),
)
"""Tables that are small, or replaced as a whole."""

ORDER = ("sku", "location", "series_id", "model", "horizon")
"""Columns that rows of a file are sorted by, before its day: those of one series are together."""

LEDGERS = frozenset({"forecasts", "forecast_intervals"})
BY_VERSION = ("version_id", "series_id", "horizon")
"""The ledgers that are kept by version, and their order: readers name the versions, and it is nearer to how the rows
stand in the warehouse, so that sorting takes two thirds of the time and the files are a fifth smaller."""


@dataclass(frozen=True)
class Manifest:
    """What is served: the files of each table, relative to the folder, and the views over the tables, as SQL.

    ``retired``: files that are no longer served, with the time (seconds since 1970) they were last found to be.
    """

    tables: dict[str, list[str]] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    retired: dict[str, float] = field(default_factory=dict)


def copy_folder(warehouse: DuckDBWarehouse) -> Path:
    """Where a tenant's serving copy is."""
    return warehouse.path.parent / "serving" / warehouse.tenant


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a serving copy; an empty one where there is none."""
    try:
        return Manifest(**json.loads((folder / MANIFEST).read_bytes()))
    except FileNotFoundError:
        return Manifest()


def write_copy(session: DuckDBSession) -> Manifest:
    """Bring the serving copy up to what ``session`` sees. Call it where no other writer of the copy can be: in a
    session."""
    assert isinstance(session.warehouse, DuckDBWarehouse)
    folder = copy_folder(session.warehouse)
    writer = _Writer(session, folder)
    before, there = read_manifest(folder), session.relations()
    tables = {name: list(writer.files(name)) for name in (*BY_ORIGIN, *BY_SERIES, *WHOLE) if name in there}
    served = {file for files in tables.values() for file in files}
    made = Manifest(tables, writer.views(tables), _retired(folder, served, before.retired))
    part = folder / f"{uuid4().hex}.tmp"
    part.write_text(json.dumps(asdict(made)))
    os.replace(part, folder / MANIFEST)
    return made


class _Writer:
    def __init__(self, session: DuckDBSession, folder: Path) -> None:
        self._session, self._folder = session, folder
        log = session.execute("select asset, day, digest, written_at from partition_log where rows > 0")
        self._log: dict[str, dict[date, tuple[str, str]]] = {}
        for asset, day, digest, written_at in log:
            # A warehouse that was made anew may have the same content under other ids: the time tells them apart.
            self._log.setdefault(asset, {})[day] = (digest, str(written_at))

    def files(self, table: str) -> Iterator[str]:
        """The files of a table, written where they are not there yet."""
        described = self._session.connection.execute(f'describe "{table}"').fetchall()
        shape, columns = xxhash.xxh3_64_hexdigest((FORMAT + repr(described)).encode()), [row[0] for row in described]
        if table in WHOLE:
            yield self._whole(table, columns)
            return
        day_column = BY_ORIGIN.get(table) or BY_SERIES[table]
        by = BY_VERSION if table in LEDGERS else (*ORDER, day_column)
        order = [name for name in by if name in columns]
        yield self._file(table, f"{day_column}={NO_DAY}/{shape}.parquet", "false", order)
        for first, last, name in self._periods(table, day_column, shape):
            yield self._file(table, name, f"{day_column} between date '{first}' and date '{last}'", order)

    def _periods(self, table: str, day_column: str, shape: str) -> Iterator[tuple[date, date, str]]:
        """First and last day of each file, and its name, which follows from what is in it."""
        log = self._log.get(table, {})
        if table in BY_ORIGIN:
            for day in sorted(log):
                yield day, day, f"{day_column}={day}/{_name(shape, [(day, *log[day])])}.parquet"
            return
        open_month = month_of(max(log, default=date.min))
        periods: dict[date, list[date]] = {}
        for day in sorted(log):
            periods.setdefault(day if month_of(day) == open_month else month_of(day), []).append(day)
        for days in periods.values():
            yield days[0], days[-1], f"{days[0]}-{_name(shape, [(day, *log[day]) for day in days])}.parquet"

    def _file(self, table: str, name: str, condition: str, order: Iterable[str]) -> str:
        path = self._folder / table / name
        if not path.exists():
            ordered = ", ".join(f'"{column}"' for column in order)
            self._write(f'select * from "{table}" where {condition} order by {ordered}', path, table)
        return f"{table}/{name}"

    def _whole(self, table: str, columns: list[str]) -> str:
        """The file of a whole table, named by its bytes: what has not changed is not served anew."""
        part = self._folder / table / f"{uuid4().hex}.part"
        order = [name for name in ORDER if name in columns] or columns[:2]
        self._write(f'select * from "{table}" order by {", ".join(order)}', part, table)
        name = f"{xxhash.xxh3_128_hexdigest(part.read_bytes())}.parquet"
        os.replace(part, self._folder / table / name)
        return f"{table}/{name}"

    def _write(self, query: str, path: Path, table: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{uuid4().hex}.tmp")
        target = str(part).replace("'", "''")
        group = OF_LEDGER if table in LEDGERS else ROWS_PER_GROUP
        self._session.connection.execute(
            f"copy ({query}) to '{target}' (format parquet, {COMPRESSION}, row_group_size {group})"
        )
        os.replace(part, path)

    def views(self, tables: Mapping[str, object]) -> dict[str, str]:
        """The views of the warehouse by name; a ledger with archived months is one, and is served as the table it
        is."""
        query = (
            "select view_name, sql from duckdb_views() where schema_name = 'main' and not internal order by view_oid"
        )
        return {name: sql for name, sql in self._session.connection.execute(query).fetchall() if name not in tables}


def _name(shape: str, content: list[tuple[date, str, str]]) -> str:
    return xxhash.xxh3_128_hexdigest((shape + repr(content)).encode())


def _retired(folder: Path, served: set[str], before: Mapping[str, float]) -> dict[str, float]:
    """The files that are no longer served and since when; those of long ago are removed."""
    now, waiting = time.time(), {}
    for path in folder.rglob("*.*"):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name in served or name == MANIFEST:
            continue
        since = before.get(name, now)
        if now - since > KEPT_SECONDS:
            path.unlink(missing_ok=True)
        else:
            waiting[name] = since
    return waiting
