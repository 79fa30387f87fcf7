"""The embedded warehouse: one DuckDB file a tenant.

DuckDB lets one process in at a time, readers included, so connections are short and a lock held elsewhere is waited
for with jittered pauses, up to a bound. Inside a process one session at a time uses a file: DuckDB refuses a second
connection with another configuration, and has no lock that would make two replaces of a day queue.

A step that asks for many sessions keeps the file open between them (``kept_open``), for as long as nobody else waits
for it: a file of 2 GB is opened in 30 ms, and closing it after a write takes 100, since DuckDB then writes down where
everything is.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from duckdb_engine import Dialect

from forecast_platform.database_errors import LOCKED
from forecast_platform.io_managers import duckdb_archive
from forecast_platform.io_managers.file_lock import PATIENCE_SECONDS, mark_of, retry_while_locked
from forecast_platform.io_managers.statements import Query, statement
from forecast_platform.io_managers.warehouse import Parameters, Session, Warehouse, WarehouseError, WarehouseUnavailable

RESERVED = frozenset({"main", "memory", "system", "temp", "information_schema", "pg_catalog"})
"""Names that DuckDB gives to its own catalogs and schemas; a file of that name would be ambiguous."""

DAMAGED = ("Corrupt database file", "Failure while replaying WAL file", "is not a valid DuckDB database file")
"""How DuckDB says that a file, or the ``.wal`` beside it, is not what it wrote there. (A ``.wal`` that only ends early
is no damage: what a killed process did not finish to commit is left out.)"""

MEMORY = "4GB"
"""What DuckDB may take before it writes to ``<file>.tmp``, unless the URL says otherwise. Its own limit is 80 % of the
machine, with which a backfill of 28 days of 30,490 series took 15 GB."""

STREAMED_ROWS = 500_000
"""Rows that a stream hands out at once."""

_in_use: dict[Path, threading.RLock] = {}


@dataclass
class _Kept:
    """A file that this process keeps open: for how many, and the connection that does."""

    keepers: int = 0
    connection: duckdb.DuckDBPyConnection | None = None


_kept: dict[Path, _Kept] = {}
"""By file; read and changed by whoever has its lock in ``_in_use``."""


class DuckDBSession(Session):
    dialect = Dialect(paramstyle="qmark")

    def __init__(self, warehouse: Warehouse, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(warehouse)
        self.connection = connection

    def execute(self, query: Query, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        compiled = statement(query, parameters, self.dialect)
        result = self.connection.execute(compiled.text, compiled.arguments)
        return result.fetchall() if result.description else []

    def arrow(self, query: Query, parameters: Parameters | None = None) -> pa.Table:
        compiled = statement(query, parameters, self.dialect)
        return self.connection.sql(compiled.text, params=compiled.arguments).to_arrow_table()

    def stream(self, query: Query, parameters: Parameters | None = None) -> Iterator[pa.RecordBatch]:
        compiled = statement(query, parameters, self.dialect)
        yield from self.connection.sql(compiled.text, params=compiled.arguments).to_arrow_reader(STREAMED_ROWS)

    def insert(self, table: sa.Table, rows: pa.Table) -> None:
        names = ", ".join(f'"{name}"' for name in rows.column_names)
        self.connection.register("incoming_rows", rows)
        try:
            self.connection.execute(f"insert into {self.held(table)} ({names}) select {names} from incoming_rows")
        finally:
            self.connection.unregister("incoming_rows")

    def lock(self, name: str) -> None:
        """Nothing to wait for: whoever has a session has the whole file."""

    def months(self, table: sa.Table, days: Collection[date]) -> None:
        """Nothing to make: DuckDB keeps the least and greatest value of each block by itself."""

    def held(self, table: sa.Table) -> str:
        return f'"{duckdb_archive.held(self.connection, table)}"'

    def take_out(self, table: sa.Table, month: date, files: Sequence[str]) -> None:
        duckdb_archive.take_out(self.connection, table, month, files)

    def let_go(self, table: sa.Table, files: Sequence[str]) -> None:
        duckdb_archive.let_go(self.connection, table, files)

    def recall(self, days: Collection[date], *ledgers: str) -> None:
        """Nothing to do: a ledger with archived months is a view over its table and their files."""


class DuckDBWarehouse(Warehouse):
    backend = "duckdb"
    schema = "main"

    def __init__(self, url: str, tenant: str, *, archive: str | None = None) -> None:
        super().__init__(tenant, archive=archive)
        if tenant in RESERVED:
            raise WarehouseError(f"tenant {tenant!r}: DuckDB keeps that name for itself; choose another")
        folder, _, options = url.removeprefix("duckdb:///").partition("?")
        self.path = (Path(folder) / f"{tenant}.duckdb").absolute()
        self.memory = _memory(options)
        self.patience = PATIENCE_SECONDS
        self._at_head = False

    def migrate(self) -> None:
        if self._at_head and self.path.exists():
            return
        from forecast_platform import migrations

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._connected(read_only=False) as connection:
            if self._revision(connection) != migrations.head():
                migrations.upgrade_duckdb(connection)
        self._at_head = True

    def _revision(self, connection: duckdb.DuckDBPyConnection) -> str | None:
        known = connection.execute("select 1 from duckdb_tables() where table_name = 'alembic_version'").fetchall()
        row = connection.execute("select version_num from alembic_version").fetchone() if known else None
        return row[0] if row else None

    def dbt_environment(self) -> dict[str, str]:
        return {
            "PIPELINE_TENANT": self.tenant,
            "PIPELINE_BACKEND": self.backend,
            "PIPELINE_DUCKDB_PATH": str(self.path),
            "PIPELINE_DUCKDB_MEMORY": self.memory,
            "PIPELINE_SCHEMA": self.schema,
            **duckdb_archive.told_to_dbt(self.archive),
        }

    @contextmanager
    def _session(self, *, read_only: bool, owner: bool = False) -> Iterator[DuckDBSession]:
        self.migrate()
        with self._connected(read_only=read_only) as connection:
            connection.execute("begin transaction read only" if read_only else "begin transaction")
            yield DuckDBSession(self, connection)

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Sessions inside do not close the file behind them, until somebody else waits for it."""
        with self._lock():
            kept = _kept.setdefault(self.path, _Kept())
            kept.keepers += 1
        try:
            yield
        finally:
            with self._lock(), self._naming_the_file():
                kept.keepers -= 1
                if not kept.keepers:
                    self._let_go(kept)

    def _lock(self) -> threading.RLock:
        return _in_use.setdefault(self.path, threading.RLock())

    def _let_go(self, kept: _Kept) -> None:
        connection, kept.connection = kept.connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _connected(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that is closed at the end, whatever happened; what was not committed is rolled back."""
        with self._lock(), self._naming_the_file():
            kept = _kept.get(self.path, _Kept())
            if kept.keepers and kept.connection is None:
                kept.connection = self._connect(read_only=False)
                mark_of(self.path).unlink(missing_ok=True)
            # Beside one that is open already a connection takes 1 ms, and has to be of the same kind.
            connection = self._connect(read_only and not kept.keepers)
            try:
                # Times are stored with a zone and compared in UTC; the machine's zone must not matter.
                connection.execute("set TimeZone = 'UTC'")
                connection.execute("set memory_limit = ?", [self.memory])
                if self.archive is not None:
                    duckdb_archive.make_readable(connection, self.archive)
                yield connection
            finally:
                connection.close()
                if kept.connection is not None and mark_of(self.path).exists():
                    self._let_go(kept)

    def _connect(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        try:
            return retry_while_locked(
                self.path, lambda: duckdb.connect(str(self.path), read_only=read_only), patience=self.patience
            )
        except duckdb.IOException as error:
            if LOCKED in str(error):
                raise WarehouseUnavailable(f"{self.path}: {error}") from error
            if _is_damage(error):
                raise
            raise WarehouseError(f"{self.path} cannot be opened: {error}") from error

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        """Damage shows when the file is opened, or later when a block is read: one error for both."""
        try:
            yield
        except duckdb.Error as error:
            if not _is_damage(error):
                raise
            raise WarehouseError(
                f"{self.path} is damaged: {error}\nMove it away together with {self.path.name}.wal, put the last backup"
                " in its place, and materialize the days since then again (deploy/README.md, Backup)"
            ) from error

    def _commit(self, session: Session) -> None:
        session.execute("commit")

    def is_conflict(self, error: BaseException) -> bool:
        return isinstance(error, duckdb.TransactionException)


def _memory(options: str) -> str:
    """The memory that a URL's options give, as ``memory=16GB``."""
    name, _, memory = options.partition("=") if options else ("memory", "", MEMORY)
    if name != "memory" or not re.fullmatch(r"\d+(\.\d+)?[KMGT]i?B", memory):
        raise WarehouseError(f"{options!r} of a DuckDB URL is not understood: there is memory, as ?memory=16GB")
    return memory


def _is_damage(error: duckdb.Error) -> bool:
    return any(words in str(error) for words in DAMAGED)
