"""Append-only assets in Dagster, ``forecasts`` apart: the IO manager that appends batches and has no other path.

Batches of a ``BatchStream`` are committed some rows at a time, so that no more than that and one batch is held, however
many series there are; an origin is on record with its last one. A run that dies keeps the batches it had committed, and
the next one finds them. What is appended is decided in ``batches``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

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
from forecast_platform.threads import one_ahead

LOCK = ledger_batches.name
"""Writers of batches queue here: batches are numbered and compared under it."""


COMMIT_ROWS = 100_000
"""Rows at which the batches made so far are committed. One model's of a retailer are a transaction of their own; 28
small origins of the demo are two, because opening DuckDB's file and closing it takes 50 ms."""


@dataclass
class Portion:
    """Batches that are committed together, by origin, and the origins of which they are the last."""

    batches: dict[date, list[Batch]] = field(default_factory=dict)
    complete: set[date] = field(default_factory=set)


@dataclass
class Made:
    """What became of a portion: rows appended of each batch (None: on record), and the origins put on record."""

    appended: dict[date, list[int | None]] = field(default_factory=dict)
    states: dict[date, PartitionState] = field(default_factory=dict)


class BatchStreamHandler(DbTypeHandler[BatchStream]):
    """Appends the batches of a portion; the only way anything is written to the tables of batches."""

    @property
    def supported_types(self) -> Sequence[type[object]]:
        return [BatchStream]

    def handle_output(self, context: OutputContext, table_slice: TableSlice, obj: Portion, connection: Session) -> Made:
        connection.lock(LOCK)
        if any(batch.rows is not None for batches in obj.batches.values() for batch in batches):
            reads_of(context).verify(connection)
        table, made = table_named(table_slice.table), Made()
        for origin, batches in obj.batches.items():
            made.appended[origin] = [append_batch(connection, table, batch) for batch in batches]
            if table is publications and any(made.appended[origin]):
                serve_newest(connection, origin)
        for origin in sorted(obj.complete):
            made.states[origin] = log_batches(connection, table.name, origin, run_id=context.run_id)
        return made

    def load_input(self, context: InputContext, table_slice: TableSlice, connection: Session) -> BatchStream:
        raise TypeError("a ledger is not loaded as a stream: ask for a pd.DataFrame, or better push the SQL down")


class BatchIOManager(WarehouseIOManager):
    """Appends a ``BatchStream``, so many rows at a time; loads partitions of the ledger as frames."""

    def __init__(self, warehouse: Warehouse, *, start: date, commit_rows: int = COMMIT_ROWS) -> None:
        super().__init__(warehouse, start=start, handlers=[BatchStreamHandler()])
        self.commit_rows = commit_rows

    def handle_output(self, context: OutputContext, obj: object) -> None:
        """Append the batches of each origin, and with the last of them put the origin on record.

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
        appended: dict[date, list[int | None]] = {}
        states: dict[date, PartitionState] = {}
        with self.warehouse.kept_open():
            for portion in _portions(obj, self.commit_rows):
                for origin in portion.batches:
                    if origin not in days or origin in states:
                        raise FrameRefused(
                            f"{table_slice.table}: origin {origin} is not among the partitions {days[0]} to {days[-1]},"
                            " or comes twice"
                        )
                made = self._append(context, table_slice, portion)
                portion.batches.clear()  # else they are held while the next ones are made
                for origin, rows in made.appended.items():
                    appended.setdefault(origin, []).extend(rows)
                states |= made.states
            missing = [day for day in days if day not in states]
            if missing:
                states |= self._append(context, table_slice, Portion(complete=set(missing))).states
        add_partition_metadata(context, {day: _figures(appended.get(day, ()), states[day]) for day in days})
        context.add_output_metadata(dict(TableMetadataSet(table_name=self._db_client.get_table_name(table_slice))))

    def _append(self, context: OutputContext, table_slice: TableSlice, portion: Portion) -> Made:
        handler = self._resolve_handler(BatchStream)
        with retrying():
            return self.warehouse.repeat(
                lambda session: handler.handle_output(context, table_slice, portion, session), fence=fence_of(context)
            )


def _portions(stream: BatchStream, most: int) -> Iterator[Portion]:
    """Batches in order, as many together as it takes to hold ``most`` rows."""
    waiting, rows, current = Portion(), 0, None
    for batch in one_ahead(stream):
        if current is not None and batch.origin_date != current:
            waiting.complete.add(current)
        current = batch.origin_date
        waiting.batches.setdefault(current, []).append(batch)
        rows += 0 if batch.rows is None else len(batch.rows)
        # Nothing here may name a batch that is committed while the next one is made.
        del batch
        if rows >= most:
            yield waiting
            waiting, rows = Portion(), 0
    if current is not None:
        waiting.complete.add(current)
        yield waiting


def _figures(appended: Sequence[int | None], state: PartitionState) -> dict[str, int]:
    return {
        "dagster/partition_row_count": state.rows,
        "rows_appended": sum(rows or 0 for rows in appended),
        "batches_on_record": sum(rows is None for rows in appended),
    }
