"""Moving a month of a ledger to a Parquet file and back: written, read back, compared, and only then taken out.

What belongs here is what is the same for both databases: the file, its digest, the record of moves, and the order in
which it all happens. How the rows leave a database and how they stay readable is in ``duckdb_archive`` and
``postgres_archive``; which months may go is decided by whoever calls this.

A file holds one month of one ledger, each origin in row groups of its own, sorted by key. Its name is never used twice,
and only a file named in ``ledger_moves`` is read: one that a killed process left is not, and the next move of that
month deletes it. The record and the rows change in one transaction.
"""

from __future__ import annotations

import os
import posixpath
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from fsspec.implementations.local import LocalFileSystem

from forecast_platform.crash import crash_point
from forecast_platform.days import month_of, next_month
from forecast_platform.digest import combine, table_digest
from forecast_platform.io_managers.batches import batch_column
from forecast_platform.io_managers.columns import arrow_schema
from forecast_platform.io_managers.warehouse import Session, Warehouse, WarehouseError
from forecast_platform.tables import forecast_versions, forecasts, ledger_batches, ledger_moves

ROWS_PER_GROUP = 1_000_000
"""A row group of forecasts is 10 MB then; a reader of one series of an origin reads no more than that origin's."""

WRITERS = (forecast_versions.name, ledger_batches.name)
"""The locks under which ledgers are appended to."""

Progress = Callable[[str], None]


class ArchiveError(WarehouseError):
    """A month was not moved; where it was, it still is. The message says why and what would help."""


@dataclass(frozen=True)
class Content:
    """What a file or a table holds of a month: rows and the digest of their content."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Move:
    """A row of ``ledger_moves``."""

    move_id: int
    asset: str
    month: date
    restored: bool
    location: str
    rows: int
    digest: str
    bytes: int


def archived(session: Session) -> list[Move]:
    """The files that hold archived months, in the order in which they were written."""
    names = [column for column in ledger_moves.c if column.name != "moved_at"]
    newest: dict[str, Move] = {}
    for row in session.execute(sa.select(*names).order_by(ledger_moves.c.move_id)):
        move = Move(*row)
        newest[move.location] = move
    return [move for move in newest.values() if not move.restored]


def held_months(session: Session, table: sa.Table, before: date) -> list[date]:
    """Months before a day of which a ledger's own table has rows; of archived months that is what came later."""
    partition = table.info["partition"]
    days = session.execute(
        f"select distinct {partition} from {session.held(table)} where {partition} < :before", {"before": before}
    )
    return sorted({month_of(day) for (day,) in days})


def archive_month(
    warehouse: Warehouse, table: sa.Table, month: date, *, progress: Progress = lambda text: None
) -> Move:
    """Move what a ledger's table holds of a month to a file.

    Raises:
        ArchiveError: the file does not read back as what was written, or the month changed meanwhile.
    """
    assert warehouse.archive is not None
    with warehouse.reading() as session:
        fs, folder = _folder(warehouse, table)
        left_behind = _unnamed(session, fs, folder, month)
        name = f"{month:%Y-%m}-{uuid.uuid4().hex}.parquet"
        location = (
            posixpath.join(folder, name)
            if isinstance(fs, LocalFileSystem)
            else fs.unstrip_protocol(posixpath.join(folder, name))
        )
        state = _state(session, table, month)
        written = _write(session, table, month, location, progress)
    crash_point("after_archive_written")
    found = content_of(table, location)
    if found != written:
        raise ArchiveError(
            f"{table.name} of {month:%Y-%m}: {location} reads back as {found.rows} rows with digest {found.digest};"
            f" written were {written.rows} with {written.digest}. Nothing was moved: look at the storage, and try again"
        )
    crash_point("after_archive_verified")
    move = Move(0, table.name, month, False, location, written.rows, written.digest, fs.size(location))
    with warehouse.transaction(owner=True) as session:
        _keep_writers_out(session)
        if _state(session, table, month) != state:
            raise ArchiveError(
                f"{table.name} of {month:%Y-%m} changed while it was written to {location}: another run appended to it,"
                " or moved it. Nothing was moved: try again"
            )
        session.take_out(table, month, [*_files(session, table), location])
        move = _record(session, move)
    for path in left_behind:
        fs.rm_file(path)
    return move


def restore_month(warehouse: Warehouse, table: sa.Table, month: date, *, progress: Progress = lambda text: None) -> int:
    """Put a month's archived rows back into the ledger's table; its files stay where they are, and nothing reads them.

    Returns:
        How many rows came back.

    Raises:
        ArchiveError: a file does not hold what was written to it.
    """
    with warehouse.transaction(owner=True) as session:
        _keep_writers_out(session)
        moves = [move for move in archived(session) if (move.asset, move.month) == (table.name, month)]
        for move in moves:
            found = content_of(table, move.location)
            if found != Content(move.rows, move.digest):
                raise ArchiveError(
                    f"{move.location} holds {found.rows} rows with digest {found.digest}; written were {move.rows} with"
                    f" {move.digest}. Nothing was restored: bring the file back as it was, from a backup of the storage"
                )
            for origin, rows in _origins(table, move.location):
                progress(f"{table.name} {origin}: {rows.num_rows} rows")
                session.insert(table, rows)
            _record(session, Move(0, move.asset, month, True, move.location, move.rows, move.digest, move.bytes))
        if moves:
            session.let_go(table, _files(session, table))
    return sum(move.rows for move in moves)


def require_in_warehouse(warehouse: Warehouse, asset: str, first: date, last: date, *, wanted_by: str) -> None:
    """Refuse what SQL of another process (dbt's) would make of origins that it cannot see: PostgreSQL's archived ones.

    Raises:
        ArchiveError: naming the months to restore.
    """
    if warehouse.backend == "duckdb":
        return
    with warehouse.reading() as session:
        moves = archived(session)
    months = sorted({m.month for m in moves if m.asset == asset and m.month <= last and next_month(m.month) > first})
    if months:
        commands = "; ".join(
            f"forecast-platform archive --tenant {warehouse.tenant} --restore {month:%Y-%m}" for month in months
        )
        raise ArchiveError(
            f"{wanted_by} reads {asset} of {first} to {last}, and {', '.join(f'{month:%Y-%m}' for month in months)} of"
            f" it is in the archive, where PostgreSQL does not see it. Put it back first: {commands}"
        )


def content_of(table: sa.Table, location: str) -> Content:
    """Rows and digest of a file, read an origin at a time."""
    return _sum((origin, rows.num_rows, _digest(table, rows)) for origin, rows in _origins(table, location))


def origins_in(table: sa.Table, location: str, origins: Collection[date]) -> Iterator[pa.Table]:
    """The rows of some origins in a file; the rest of it is not read."""
    for _, rows in _origins(table, location, only=origins):
        yield rows


def _write(session: Session, table: sa.Table, month: date, location: str, progress: Progress) -> Content:
    partition, key = table.info["partition"], ", ".join(table.info["key"])
    source = f"from {session.held(table)} where {partition}"
    within = {"first": month, "end": next_month(month)}
    days = session.execute(f"select distinct {partition} {source} >= :first and {partition} < :end", within)
    fs, path = fsspec.core.url_to_fs(location)
    fs.makedirs(posixpath.dirname(path), exist_ok=True)
    names, schema, written = ", ".join(column.name for column in table.columns), arrow_schema(table), []
    with fs.open(path, "wb") as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for (origin,) in sorted(days):
            rows = session.arrow(f"select {names} {source} = :origin order by {key}", {"origin": origin}).cast(schema)
            writer.write_table(rows, row_group_size=ROWS_PER_GROUP)
            written.append((origin, rows.num_rows, _digest(table, rows)))
            progress(f"{table.name} {origin}: {rows.num_rows} rows")
    if isinstance(fs, LocalFileSystem):
        for each in (path, posixpath.dirname(path)):
            _sync(each)
    return _sum(written)


def _sync(path: str) -> None:
    """What is taken out of the warehouse must be on the disk, not in the machine's memory."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _origins(
    table: sa.Table, location: str, *, only: Collection[date] | None = None
) -> Iterator[tuple[date, pa.Table]]:
    fs, path = fsspec.core.url_to_fs(location)
    with fs.open(path, "rb") as source:
        file = pq.ParquetFile(source)
        place = file.schema_arrow.get_field_index(table.info["partition"])

        def origin_of(group: int) -> date:
            return file.metadata.row_group(group).column(place).statistics.min

        for origin, groups in groupby(range(file.num_row_groups), key=origin_of):
            if only is None or origin in only:
                yield origin, file.read_row_groups(list(groups)).cast(arrow_schema(table))


def _digest(table: sa.Table, rows: pa.Table) -> str:
    return table_digest(rows, key=table.info["key"])


def _sum(origins: Iterator[tuple[date, int, str]] | list[tuple[date, int, str]]) -> Content:
    listed = list(origins)
    parts = [part for origin, rows, digest in listed for part in (origin.isoformat(), str(rows), digest)]
    return Content(sum(rows for _, rows, _ in listed), combine(*parts))


def _state(session: Session, table: sa.Table, month: date) -> tuple[int, int]:
    """How many rows a ledger's table has of a month, and the newest of the versions or batches that appended them.

    A ledger only grows, and each append has a number of its own: while both stay, the rows do.
    """
    number = forecasts.c.version_id.name if table is forecasts else batch_column(table)
    partition = table.info["partition"]
    (found,) = session.execute(
        f"select count(*), coalesce(max({number}), 0) from {session.held(table)}"
        f" where {partition} >= :first and {partition} < :end",
        {"first": month, "end": next_month(month)},
    )
    return found[0], found[1]


def _keep_writers_out(session: Session) -> None:
    for name in WRITERS:
        session.lock(name)


def _files(session: Session, table: sa.Table) -> list[str]:
    return [move.location for move in archived(session) if move.asset == table.name]


def _record(session: Session, move: Move) -> Move:
    number = session.scalar(sa.select(sa.func.coalesce(sa.func.max(ledger_moves.c.move_id), 0))) + 1
    values = {**vars(move), "move_id": number, "moved_at": datetime.now(UTC)}
    frame = pd.DataFrame([values]).astype({"moved_at": "datetime64[us, UTC]"})
    session.append(ledger_moves, frame)
    return Move(**{**vars(move), "move_id": number})


def _folder(warehouse: Warehouse, table: sa.Table) -> tuple[fsspec.AbstractFileSystem, str]:
    fs, root = fsspec.core.url_to_fs(warehouse.archive)
    return fs, posixpath.join(root, warehouse.tenant, table.name)


def _unnamed(session: Session, fs: fsspec.AbstractFileSystem, folder: str, month: date) -> list[str]:
    """Files of a month that no move names: what a process left that was killed.

    Those of a process that is still at it are among them. It finds the rows gone when this one has moved them, and
    never names its file.
    """
    known = {posixpath.basename(location) for (location,) in session.execute(sa.select(ledger_moves.c.location))}
    return [path for path in fs.glob(f"{folder}/{month:%Y-%m}-*.parquet") if posixpath.basename(path) not in known]
