"""The ledger of everything that is made from forecasts: appending the rows of a batch that differ from those on record.

What belongs here is the rule for all append-only tables beside ``forecasts`` (whose own module is ``ledger``): which
batch is on record, and which of its rows are new. What makes the rows is in the pure packages.

A batch is what one asset makes for one origin (and one ``part`` of it, such as a model). It is on record for inputs
with a digest by the same rule as a version of forecasts. Otherwise a row of ``ledger_batches`` is written, with those
rows of the batch whose values are not the newest on record for their key. Readers take the newest batch of each key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from forecast_platform.crash import crash_point
from forecast_platform.digest import EMPTY, combine
from forecast_platform.io_managers.columns import FrameRefused, to_arrow, with_columns
from forecast_platform.io_managers.ledger import Version, next_digest, on_record
from forecast_platform.io_managers.reads import InputsChanged
from forecast_platform.io_managers.warehouse import PartitionState, Session, Warehouse
from forecast_platform.tables import ledger_batches

VOLATILE = frozenset({"published_at"})
"""Columns that say when, not what: a row that differs in them alone is on record."""


@dataclass(frozen=True)
class RowBlocks:
    """The rows of a batch in blocks of series, each made when it is written: no more than one of them is held.

    Attributes:
        count: rows of all blocks.
        make: gives the blocks; a series' rows are in one of them, and each holds greater ``series_id`` than the one
            before. It is called again, for the same rows, where the database ended the transaction for another one,
            and opens no session: the writer's is open.
    """

    count: int
    make: Callable[[], Iterable[pd.DataFrame]]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return iter(self.make())


@dataclass(frozen=True)
class Batch:
    """What an asset made for one origin; whether its rows are appended, the ledger decides.

    Attributes:
        origin_date: the partition.
        part: the model, or empty where the asset makes one batch an origin.
        code_version: of what made the rows.
        inputs: a summary of what was read, JSON-able, for people.
        input_digest: digest of everything that decides the rows (see ``batch_digest``).
        rows: the columns of the asset's table without its batch column, at once or in blocks; ``None`` where nothing
            was computed because the batch is on record.
    """

    origin_date: date
    part: str
    code_version: str
    inputs: Mapping[str, Any]
    input_digest: str
    rows: pd.DataFrame | RowBlocks | None


@dataclass(frozen=True)
class BatchStream:
    """Batches in order of origin, made one at a time: an origin is committed before the next one is asked for."""

    batches: Iterable[Batch]

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


def batch_digest(asset: str, origin: date, part: str, code_version: str, inputs: Mapping[str, Any]) -> str:
    """Digest of what decides a batch: the asset, origin, part and code, and ``inputs`` as canonical JSON.

    ``inputs`` must therefore hold the digest of every input that the rows depend on (the partition log has them).
    """
    return combine(asset, origin.isoformat(), part, code_version, json.dumps(inputs, sort_keys=True, default=str))


@dataclass(frozen=True)
class RecordedBatches:
    """The batches of one asset on record for some origins, read once."""

    histories: Mapping[tuple[date, str], Sequence[Version]] = field(default_factory=dict)

    def holds(self, origin: date, part: str, input_digest: str) -> bool:
        """Whether nothing need be computed for these inputs."""
        return on_record(self.histories.get((origin, part), ()), input_digest) is not None


def recorded_batches(source: Warehouse | Session, asset: str, first: date, last: date) -> RecordedBatches:
    """The batches of ``asset`` on record for the origins ``first`` .. ``last``, in one query."""
    if isinstance(source, Warehouse):
        with source.reading() as session:
            return recorded_batches(session, asset, first, last)
    b = ledger_batches.c
    query = (
        sa.select(b.origin_date, b.part, b.batch_id, b.digest, b.rows)
        .where(b.asset == asset, b.origin_date.between(first, last))
        .order_by(b.batch_id)
    )
    histories: dict[tuple[date, str], list[Version]] = {}
    for origin, part, batch_id, digest, rows in source.execute(query):
        # The rule asks whether a later version appended anything: here that is its count of rows.
        histories.setdefault((origin, part), []).append(Version(batch_id, digest, rows, rows))
    return RecordedBatches(histories)


def append_batch(session: Session, table: sa.Table, batch: Batch) -> int | None:
    """Append what is new in ``batch``. The caller holds the ledger's lock and commits.

    Returns:
        Rows appended; ``None`` where the batch is on record.

    Raises:
        FrameRefused: the rows are not what the table holds, or are of another origin.
        InputsChanged: a batch that was on record, and so came without rows, no longer is the newest.
    """
    origin = batch.origin_date
    history = recorded_batches(session, table.name, origin, origin).histories.get((origin, batch.part), [])
    if on_record(history, batch.input_digest) is not None:
        return None
    if batch.rows is None:
        raise InputsChanged(
            f"{table.name}: {batch.part or 'the batch'} of {origin} came without rows, and its inputs"
            f" {batch.input_digest} are not on record: another run appended meanwhile. Run the step again"
        )
    batch_id = session.scalar(sa.select(sa.func.coalesce(sa.func.max(ledger_batches.c.batch_id), 0))) + 1
    holding = [version.version_id for version in history if version.rows > 0]
    if holding:
        session.recall([origin], table.name)
    appended = 0
    for block in _blocks(batch.rows, table):
        rows = to_arrow(with_columns(block, **{batch_column(table): np.int32(batch_id)}), table)
        _require_origin(table, rows, origin)
        if holding:
            within = _ids_of(block) if isinstance(batch.rows, RowBlocks) else None
            rows = differing_rows(rows, _newest(session, table, origin, holding, within), table)
        if rows.num_rows:
            session.insert(table, rows)
        appended += rows.num_rows
        # Nothing here may name a block that is written while the next one is made.
        del block, rows
        crash_point("after_insert")
    session.append(
        ledger_batches,
        pd.DataFrame(
            {
                "batch_id": [batch_id],
                "digest": [next_digest(history, batch.input_digest)],
                "asset": [table.name],
                "origin_date": [origin],
                "part": [batch.part],
                "code_version": [batch.code_version],
                "inputs": [json.dumps(batch.inputs, sort_keys=True, default=str)],
                "rows": [appended],
            }
        ),
    )
    crash_point("after_version")
    return appended


def _blocks(rows: pd.DataFrame | RowBlocks, table: sa.Table) -> Iterator[pd.DataFrame]:
    """The blocks of rows, refused where they are not apart: a key is looked for twice within one block only."""
    if isinstance(rows, pd.DataFrame):
        yield rows
        return
    greatest, count = -1, 0
    for block in rows:
        least, most = _ids_of(block)
        if least <= greatest:
            raise FrameRefused(f"{table.name}: series {least} came in a block after one with series {greatest}")
        greatest, count = most, count + len(block)
        yield block
        del block
    if count != len(rows):
        raise FrameRefused(f"{table.name}: {count} rows came in blocks that were to hold {len(rows)}")


def _ids_of(block: pd.DataFrame) -> tuple[int, int]:
    return int(block["series_id"].min()), int(block["series_id"].max())


def batch_column(table: sa.Table) -> str:
    """The column of an append-only table that holds the batch."""
    return "calibration_id" if table.name == "forecast_intervals" else "batch_id"


def row_key(table: sa.Table) -> list[str]:
    """What names a row within its origin, whatever batch it came with."""
    given = {"publications": ["series_id"]}
    partition = table.info["partition"]
    return given.get(table.name) or [name for name in table.info["key"] if name not in (partition, batch_column(table))]


def differing_rows(new: pa.Table, old: pa.Table, table: sa.Table) -> pa.Table:
    """The rows of ``new`` that are not in ``old``, bit for bit, whatever their batch and the time they were made."""
    ignored = {batch_column(table), *VOLATILE}
    compared = [name for column in table.columns if (name := column.name) not in ignored]
    asked = _as_bits(new.select(compared)).append_column("place", pa.array(np.arange(new.num_rows)))
    missing = asked.join(_as_bits(old.select(compared)), compared, join_type="left anti")["place"]
    return new.take(pa.array(np.sort(missing.to_numpy())))


def _as_bits(rows: pa.Table) -> pa.Table:
    """Doubles as the integers of their bits, so that a join compares what is stored."""
    for position, column in enumerate(rows.schema):
        if pa.types.is_float64(column.type):
            bits = np.ascontiguousarray(rows.column(position).to_numpy()).view(np.int64)
            rows = rows.set_column(position, column.name, pa.array(bits))
    return rows


def _newest(
    session: Session, table: sa.Table, origin: date, batches: Sequence[int], within: tuple[int, int] | None
) -> pa.Table:
    """The newest row of each key of an origin, over some batches, typed as ``tables`` says; of some ids' series only,
    where ``within`` names the least and the greatest."""
    partition, column, key = table.info["partition"], table.c[batch_column(table)], row_key(table)
    query = sa.select(*table.columns).where(table.c[partition] == origin, column.in_(list(batches)))
    if within is not None:
        query = query.where(table.c.series_id.between(*within))
    rows = session.frame(query)
    newest = rows.sort_values(column.name, kind="stable").drop_duplicates(key, keep="last")
    return to_arrow(newest, table)


def _require_origin(table: sa.Table, rows: pa.Table, origin: date) -> None:
    others = set(rows[table.info["partition"]].unique().to_pylist()) - {origin}
    if others:
        raise FrameRefused(f"{table.name}: rows of {min(others)} came in the batch of origin {origin}")


def serve_newest(session: Session, origin: date) -> None:
    """Bring ``published_latest`` up to an origin's newest publications; newer origins' rows stay."""
    newest = """
        select series_id, origin_date, version_id, calibration_id, confidence, published_at from (
          select p.*, row_number() over (partition by series_id order by batch_id desc) as age
          from publications p where origin_date = :origin
        ) as ranked where age = 1
    """
    columns = "series_id, origin_date, version_id, calibration_id, confidence, published_at"
    session.execute(
        f"insert into published_latest ({columns}) {newest}"
        " on conflict (series_id) do update set origin_date = excluded.origin_date, version_id = excluded.version_id,"
        " calibration_id = excluded.calibration_id, confidence = excluded.confidence,"
        " published_at = excluded.published_at where published_latest.origin_date <= excluded.origin_date",
        {"origin": origin},
    )


def log_batches(session: Session, asset: str, origin: date, *, run_id: str) -> PartitionState:
    """Put an origin of ``asset`` on record: its rows, and a digest over the batches that appended them."""
    histories = recorded_batches(session, asset, origin, origin).histories
    holding = [(part, each) for (_, part), history in sorted(histories.items()) for each in history if each.rows > 0]
    digest = combine(*(text for part, each in holding for text in (part, each.digest))) if holding else EMPTY
    state = PartitionState(sum(each.rows for _, each in holding), digest, run_id)
    session.log_days(asset, {origin: state})
    return state
