"""Reading the serving copy of a DuckDB warehouse: its files as views, under the names they have in the warehouse.

The warehouse's own file is never opened. Each session looks whether a newer manifest stands in the folder, which
costs one ``stat``; who is in the middle of a query goes on with the files of the one before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from forecast_platform.api.reading.base import TenantReading
from forecast_platform.io_managers.duckdb_dialect import DuckDBSession, DuckDBWarehouse
from forecast_platform.io_managers.serving_copy import (
    BY_ORIGIN,
    MANIFEST,
    WHOLE,
    Manifest,
    copy_folder,
    read_manifest,
)
from forecast_platform.io_managers.warehouse import Session, WarehouseUnavailable

log = logging.getLogger(__name__)

MEMORY = "1GB"
THREADS = 2


class CopyReading(TenantReading):
    def __init__(self, warehouse: DuckDBWarehouse) -> None:
        self._warehouse = warehouse
        self._folder = copy_folder(warehouse)
        self._guard = threading.Lock()
        self._version: str | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None

    def version(self) -> str:
        try:
            found = (self._folder / MANIFEST).stat()
        except FileNotFoundError as error:
            raise WarehouseUnavailable(
                f"tenant {self._warehouse.tenant!r} has no serving copy yet: it is written at the end of a run"
            ) from error
        return f"{found.st_ino}-{found.st_mtime_ns}"

    @contextmanager
    def session(self) -> Iterator[Session]:
        cursor = self._current().cursor()
        try:
            cursor.execute(f'use "{self._warehouse.tenant}"')
            cursor.execute("begin transaction read only")
            yield DuckDBSession(self._warehouse, cursor)
        except duckdb.IOException as error:
            raise WarehouseUnavailable(f"{self._folder}: {error}") from error
        except duckdb.CatalogException as error:
            # A table that dbt makes is not there before its first run.
            raise WarehouseUnavailable(
                f"tenant {self._warehouse.tenant!r} has nothing to be read yet: {error}"
            ) from error
        finally:
            cursor.close()

    def _current(self) -> duckdb.DuckDBPyConnection:
        with self._guard:
            version = self.version()
            if self._connection is None or version != self._version:
                # The one before is closed when the last session that uses it is.
                self._connection = _opened(self._warehouse.tenant, self._folder, read_manifest(self._folder))
                self._version = version
            return self._connection

    def close(self) -> None:
        with self._guard:
            self._connection, self._version = None, None


def _opened(tenant: str, folder: Path, manifest: Manifest) -> duckdb.DuckDBPyConnection:
    """A database in memory that holds nothing but views: the tables' files, and the warehouse's own views over them."""
    connection = duckdb.connect(":memory:")
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set memory_limit = ?", [MEMORY])
    connection.execute("set threads = ?", [THREADS])
    connection.execute("set parquet_metadata_cache = true")
    # The views name their tables as they stand in the warehouse, whose database has the tenant's name.
    connection.execute(f"attach ':memory:' as \"{tenant}\"")
    connection.execute(f'use "{tenant}"')
    for table, files in manifest.tables.items():
        connection.execute(f'create view "{table}" as select * from {_files(folder, table, files)}')
    waiting = dict(manifest.views)
    while waiting:
        made = [name for name, sql in waiting.items() if _made(connection, sql)]
        if not made:
            log.debug("views that stand on what is not served: %s", ", ".join(sorted(waiting)))
            break
        waiting = {name: sql for name, sql in waiting.items() if name not in made}
    connection.execute("set allowed_directories = ?", [[str(folder)]])
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection


def _files(folder: Path, table: str, files: list[str]) -> str:
    paths = ", ".join("'" + str(folder / name).replace("'", "''") + "'" for name in files)
    day = BY_ORIGIN.get(table)
    if day is not None:
        return f"read_parquet([{paths}], hive_partitioning = true, hive_types = {{'{day}': DATE}})"
    if table not in WHOLE:
        # The empty file's name says a day, and the others' do not.
        return f"read_parquet([{paths}], hive_partitioning = false)"
    return f"read_parquet([{paths}])"


def _made(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        connection.execute(sql)
    except duckdb.Error:
        return False
    return True
