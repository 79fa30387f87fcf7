"""Archived months in DuckDB: a ledger with some is a view, of the same name, over its table and the months' files.

As long as nothing is archived the ledger is its table. What is moved, and in which order, is in ``archive``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import fsspec
import sqlalchemy as sa

from forecast_platform.days import next_month

if TYPE_CHECKING:
    import duckdb

HELD = "{}_held"
"""What the table of a ledger is called while the ledger is a view."""


def held(connection: duckdb.DuckDBPyConnection, table: sa.Table) -> str:
    """The name of the table behind a ledger."""
    name = HELD.format(table.name)
    if not table.info.get("by_month"):
        return table.name
    found = connection.execute("select 1 from duckdb_tables() where table_name = ?", [name]).fetchone()
    return name if found else table.name


def take_out(connection: duckdb.DuckDBPyConnection, table: sa.Table, month: date, files: Sequence[str]) -> None:
    """Delete a month's rows and read ``files`` in their place; part of the transaction that records the move."""
    partition, current, name = table.info["partition"], held(connection, table), HELD.format(table.name)
    _unprotect(connection, current)
    if current == table.name:
        connection.execute(f'alter table "{current}" rename to "{name}"')
    connection.execute(f'delete from "{name}" where {partition} >= ? and {partition} < ?', [month, next_month(month)])
    _protect(connection, name)
    _show(connection, table, files)


def let_go(connection: duckdb.DuckDBPyConnection, table: sa.Table, files: Sequence[str]) -> None:
    """Read ``files`` only; where there are none, the ledger is its table again."""
    if files:
        _show(connection, table, files)
        return
    name = HELD.format(table.name)
    connection.execute(f'drop view "{table.name}"')
    _unprotect(connection, name)
    connection.execute(f'alter table "{name}" rename to "{table.name}"')
    _protect(connection, table.name)


def make_readable(connection: duckdb.DuckDBPyConnection, url: str) -> None:
    """Let a connection read the archive's files wherever fsspec reads them; DuckDB reads local ones by itself."""
    if (protocol := _foreign(url)) is not None and protocol not in connection.list_filesystems():
        connection.register_filesystem(fsspec.filesystem(protocol))


def told_to_dbt(url: str | None) -> dict[str, str]:
    """The variable from which dbt's profile makes its connections read the archive's files; see ``make_readable``."""
    protocol = None if url is None else _foreign(url)
    return {} if protocol is None else {"PIPELINE_DUCKDB_FILESYSTEMS": json.dumps([{"fs": protocol}])}


def _foreign(url: str) -> str | None:
    protocol = fsspec.utils.get_protocol(url)
    return None if protocol in ("file", "local") else protocol


def _show(connection: duckdb.DuckDBPyConnection, table: sa.Table, files: Sequence[str]) -> None:
    """The bounds let DuckDB leave every file closed for a query of other days than the archived ones."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    partition = table.info["partition"]
    first, last = connection.execute(
        f"select min({partition}), max({partition}) from read_parquet([{listed}])"
    ).fetchone()
    connection.execute(
        f'create or replace view "{table.name}" as select {names} from "{HELD.format(table.name)}"'
        f" union all select {names} from read_parquet([{listed}])"
        f" where {partition} between date '{first}' and date '{last}'"
    )


def _unprotect(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    from forecast_platform.migrations.protection import EVENTS

    for event in EVENTS:
        connection.execute(f'drop trigger append_only_{event} on "{name}"')


def _protect(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    from forecast_platform.migrations.protection import duckdb_triggers

    for statement in duckdb_triggers(name):
        connection.execute(statement)
