"""Append-only assets in Dagster, ``forecasts`` apart: the IO manager that appends batches and has no other path.

Whole origins of a ``BatchStream`` are committed together, some rows at a time; a run that dies keeps the origins it had
committed, and the next one finds them on record. What is appended is decided in ``batches``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from operator import attrgetter

from dagster import InputContext, OutputContext
from dagster._core.definitions.metadata.metadata_set import TableMetadataSet
from dagster._core.storage.db_io_manager import DbTypeHandler, TableSlice

from forecast_platform.io_managers.batches import Batch, BatchStream, append_batch, log_batches, serve_newest
from forecast_platform.io_managers.columns import FrameRefused
from forecast_platform.io_managers.frames import (
    WarehouseIOManager,
    add_partition_metadata,
    days_of,
    fence_of,
    table_named,
)
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.retries import retrying
from forecast_platform.io_managers.warehouse import PartitionState, Session, Warehouse
from forecast_platform.tables import ledger_batches, publications

LOCK = ledger_batches.name
"""Writers of batches queue here: batches are numbered and compared under it."""


COMMIT_ROWS = 100_000
"""Rows at which the origins made so far are committed. A retailer's origin is a transaction of its own; 28 small ones
of the demo are two, because opening DuckDB's file and closing it takes 50 ms."""

Origins = Sequence[tuple[date, Sequence[Batch]]]
Made = dict[date, tuple[list[int | None], PartitionState]]


class BatchStreamHandler(DbTypeHandler[BatchStream]):
    """Appends the batches of one origin; the only way anything is written to the tables of batches."""

    @property
    def supported_types(self) -> Sequence[type[object]]:
        return [BatchStream]

    def handle_output(self, context: OutputContext, table_slice: TableSlice, obj: Origins, connection: Session) -> Made:
        connection.lock(LOCK)
        if any(batch.rows is not None for _, batches in obj for batch in batches):
            reads_of(context).verify(connection)
        table = table_named(table_slice.table)
        made: Made = {}
        for origin, batches in obj:
            appended = [append_batch(connection, table, batch) for batch in batches]
            if table is publications and any(appended):
                serve_newest(connection, origin)
            made[origin] = appended, log_batches(connection, table.name, origin, run_id=context.run_id)
        return made

    def load_input(self, context: InputContext, table_slice: TableSlice, connection: Session) -> BatchStream:
        raise TypeError("a ledger is not loaded as a stream: ask for a pd.DataFrame, or better push the SQL down")


class BatchIOManager(WarehouseIOManager):
    """Appends a ``BatchStream``; loads partitions of the ledger as frames."""

    def __init__(self, warehouse: Warehouse, *, start: date) -> None:
        super().__init__(warehouse, start=start, handlers=[BatchStreamHandler()])

    def handle_output(self, context: OutputContext, obj: object) -> None:
        """Append the batches of each origin and put the origin on record, whole origins in one transaction.

        An origin of the run that has no batch is put on record as empty: nothing was to be made, which is a result.

        Raises:
            FrameRefused: a batch is of another origin than the run's partitions, or its rows are not the table's.
            RetryRequested: another run changed what the batches were computed from, or the warehouse is not to be
                had; what was appended before stays, and Dagster runs the step again.
            RunEnded: the run was ended meanwhile.
        """
        if not isinstance(obj, BatchStream):
            raise FrameRefused(f"{context.asset_key.path[-1]} takes a BatchStream, not {type(obj).__name__}")
        table_slice = self._get_table_slice(context, context)
        days = days_of(table_slice)
        made: Made = {}
        for origins in _by_rows(obj):
            for origin, _ in origins:
                if origin not in days or origin in made:
                    raise FrameRefused(
                        f"{table_slice.table}: origin {origin} is not among the partitions {days[0]} to {days[-1]},"
                        " or comes twice"
                    )
            made |= self._append(context, table_slice, origins)
        missing: Origins = [(day, []) for day in days if day not in made]
        if missing:
            made |= self._append(context, table_slice, missing)
        add_partition_metadata(context, {day: _figures(*made[day]) for day in days})
        context.add_output_metadata(dict(TableMetadataSet(table_name=self._db_client.get_table_name(table_slice))))

    def _append(self, context: OutputContext, table_slice: TableSlice, origins: Origins) -> Made:
        handler = self._resolve_handler(BatchStream)
        with retrying():
            return self.warehouse.repeat(
                lambda session: handler.handle_output(context, table_slice, origins, session), fence=fence_of(context)
            )


def _by_rows(stream: BatchStream) -> Iterator[list[tuple[date, list[Batch]]]]:
    """Whole origins, as many together as it takes to hold ``COMMIT_ROWS`` rows."""
    waiting: list[tuple[date, list[Batch]]] = []
    rows = 0
    for origin, batches in groupby(stream, key=attrgetter("origin_date")):
        waiting.append((origin, list(batches)))
        rows += sum(len(batch.rows) for batch in waiting[-1][1] if batch.rows is not None)
        if rows >= COMMIT_ROWS:
            yield waiting
            waiting, rows = [], 0
    if waiting:
        yield waiting


def _figures(appended: Sequence[int | None], state: PartitionState) -> dict[str, int]:
    return {
        "dagster/partition_row_count": state.rows,
        "rows_appended": sum(rows or 0 for rows in appended),
        "batches_on_record": sum(rows is None for rows in appended),
    }
