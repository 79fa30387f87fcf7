"""The ledger in Dagster: the IO manager that appends versions of forecasts and has no other path.

Each origin of a ``VersionStream`` is one short transaction; a run that dies keeps the origins it had appended, and the
next one finds them on record. What is appended is decided in ``ledger``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd
from dagster import InputContext, OutputContext
from dagster._core.definitions.metadata.metadata_set import TableMetadataSet
from dagster._core.storage.db_io_manager import DbTypeHandler, TableSlice

from forecast_platform.io_managers.asking import end_origin, on_record
from forecast_platform.io_managers.columns import FrameRefused
from forecast_platform.io_managers.fence import Fence
from forecast_platform.io_managers.frames import (
    WarehouseIOManager,
    add_partition_metadata,
    days_of,
    ended_runs_of,
    fence_of,
)
from forecast_platform.io_managers.ledger import (
    LEDGER,
    Appended,
    VersionCandidate,
    VersionStream,
    append_version,
    log_origin,
)
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.retries import retrying
from forecast_platform.io_managers.warehouse import PartitionState, Session, Warehouse
from forecast_platform.tables import forecast_versions
from forecast_platform.threads import one_ahead

LOCK = forecast_versions.name
"""Writers of the ledger queue here: versions are numbered and compared under it."""


class AllModelsFailed(RuntimeError):
    """No model made a forecast of an origin; the partition is not put on record."""


class VersionStreamHandler(DbTypeHandler[VersionStream]):
    """Appends the candidates of one origin; the only way anything is written to the ledger."""

    @property
    def supported_types(self) -> Sequence[type[object]]:
        return [VersionStream]

    def handle_output(
        self, context: OutputContext, table_slice: TableSlice, obj: Sequence[VersionCandidate], connection: Session
    ) -> list[Appended]:
        connection.lock(LOCK)
        if any(candidate.forecasts is not None for candidate in obj):
            reads_of(context).verify(connection)
        for origin in {candidate.origin_date for candidate in obj}:
            end_origin(connection, origin, run_id=context.run_id)
        return [append_version(connection, candidate, run_id=context.run_id) for candidate in obj]

    def load_input(self, context: InputContext, table_slice: TableSlice, connection: Session) -> VersionStream:
        raise TypeError("the ledger is not loaded as a stream: ask for a pd.DataFrame, or better push the SQL down")


class LedgerIOManager(WarehouseIOManager):
    """Appends a ``VersionStream`` to the ledger; loads partitions of the ledger as frames."""

    def __init__(self, warehouse: Warehouse, *, start: date) -> None:
        super().__init__(warehouse, start=start, handlers=[VersionStreamHandler()])

    def handle_output(self, context: OutputContext, obj: object) -> None:
        """Append the candidates of each origin and put the origin on record, in one transaction an origin.

        (One a candidate took 151 connections to DuckDB for 29 origins of four models, and a third of the step's CPU.)

        Raises:
            FrameRefused: a candidate is of another origin than the run's partitions, or its numbers are not whole.
            RetryRequested: another run changed what the forecasts were computed from, or the warehouse is not to be
                had; what was appended before stays, and Dagster runs the step again.
            AllModelsFailed: an origin got no forecast at all.
            RunEnded: the run was ended meanwhile.
        """
        if not isinstance(obj, VersionStream):
            raise FrameRefused(f"forecasts: the ledger takes a VersionStream, not {type(obj).__name__}")
        with self.warehouse.kept_open():
            self._on_record(context, obj)
        if obj.done is not None:
            obj.done()

    def _on_record(self, context: OutputContext, obj: VersionStream) -> None:
        if obj.asking is None:
            self._append_all(context, obj)
        else:
            with on_record(self.warehouse, obj.asking, run_id=context.run_id, status_of=ended_runs_of(context)):
                self._append_all(context, obj)

    def _append_all(self, context: OutputContext, obj: VersionStream) -> None:
        table_slice = self._get_table_slice(context, context)
        days, fence = days_of(table_slice), fence_of(context)
        results: dict[date, list[Appended]] = {}
        states: dict[date, PartitionState] = {}
        for candidates in one_ahead(obj):
            (origin,) = {candidate.origin_date for candidate in candidates}
            if origin not in days or origin in results:
                raise FrameRefused(
                    f"forecasts: origin {origin} is not among the partitions {days[0]} to {days[-1]}, or comes twice"
                )
            results[origin], state = self._append(context, table_slice, origin, candidates, fence)
            del candidates  # not held while the next ones are waited for
            states |= {origin: state} if state is not None else {}
        add_partition_metadata(context, {day: _figures(state, results[day]) for day, state in states.items()})
        context.add_output_metadata(dict(TableMetadataSet(table_name=self._db_client.get_table_name(table_slice))))
        lacking = [day for day in days if day not in states]
        if lacking:
            outcomes = "; ".join(result.outcome for result in results.get(lacking[0], ())) or "no model was asked"
            raise AllModelsFailed(f"no model made a forecast of {lacking[0]}: {outcomes}")

    def _append(
        self,
        context: OutputContext,
        table_slice: TableSlice,
        origin: date,
        candidates: Sequence[VersionCandidate],
        fence: Fence | None,
    ) -> tuple[list[Appended], PartitionState | None]:
        """Append an origin's candidates; its record is made only if a model has a version, else left as it is."""
        handler = self._resolve_handler(VersionStream)

        def work(session: Session) -> tuple[list[Appended], PartitionState | None]:
            made = handler.handle_output(context, table_slice, candidates, session)
            complete = any(result.version_id is not None for result in made)
            state = log_origin(session, origin, run_id=context.run_id, complete=complete)
            return made, state if complete else None

        with retrying():
            return self.warehouse.repeat(work, fence=fence)


def _figures(state: PartitionState, results: Sequence[Appended]) -> dict[str, int]:
    outcomes = pd.Series([result.outcome.partition(":")[0] for result in results], dtype="object")
    return {
        "dagster/partition_row_count": state.rows,
        "series_appended": sum(result.series for result in results),
        "models_on_record": int((outcomes == "on record").sum()),
        "models_failed": int((outcomes == "failed").sum()),
    }


__all__ = ["LEDGER", "AllModelsFailed", "LedgerIOManager"]
