"""Readings: what a landed batch was read as, sorted by day, in a Parquet file beside it.

A reading is derived: a function of the batch's bytes, the settings and when the batch arrived. It can be deleted at
any time and is made again. Built with bounded memory: beyond :data:`HELD_BYTES` rows wait in temporary files.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecast_platform.sources.base import Format, Refused
from forecast_platform.sources.blocks import Block, blocks_of
from forecast_platform.sources.clock import Clock
from forecast_platform.sources.reshaping import Side, melted
from forecast_platform.sources.rows import CONTENT, RowReader, needed_columns, reading_schema, rejects_table
from forecast_platform.sources.shapes import Rows

CODE_VERSION = "2"
"""Changed whenever the same bytes and settings are read as something else; every batch is then read again."""
HELD_BYTES = 96 << 20
GROUP_ROWS = 16_384
"""Rows of a Parquet row group: a day of a year's file costs one or two groups."""
_DESCRIPTION = b"forecast_platform"

Pieces = list[Callable[[], pa.Table]]
"""The rows of a day in the order of the file, each piece loaded when it is called."""


@dataclass(frozen=True)
class Description:
    """What a reading says of itself.

    Attributes:
        rows: rows of the batch, rejects among them.
        days: days it has rows of, rejects among them, ascending.
        newest: newest day of its facts, rejects apart; None without any.
        refused: why nothing could be read, or None.
        received_at: arrival time it was read with.
    """

    rows: int
    days: tuple[date, ...]
    newest: date | None
    refused: str | None
    received_at: datetime

    def encoded(self) -> dict[bytes, bytes]:
        """As metadata of a Parquet schema."""
        body = {
            "rows": self.rows,
            "days": [day.isoformat() for day in self.days],
            "newest": self.newest.isoformat() if self.newest else None,
            "refused": self.refused,
            "received_at": self.received_at.isoformat(),
        }
        return {_DESCRIPTION: json.dumps(body).encode()}


def describe(file: pq.ParquetFile) -> Description:
    """What a reading says of itself."""
    body = json.loads(file.metadata.metadata[_DESCRIPTION])
    return Description(
        rows=body["rows"],
        days=tuple(map(date.fromisoformat, body["days"])),
        newest=date.fromisoformat(body["newest"]) if body["newest"] else None,
        refused=body["refused"],
        received_at=datetime.fromisoformat(body["received_at"]),
    )


def write_reading(
    stream: BinaryIO,
    target: Path,
    *,
    rows: Rows,
    form: Format,
    clock: Clock,
    sides: Callable[[], Sequence[Side]],
    where: str,
) -> Description:
    """Read a batch and write its reading.

    A batch that cannot be read at all gives a reading with one reject, row number 0, on the day it arrived.

    Args:
        stream: the batch's bytes, seekable.
        target: a local file, written whole.
        sides: gives the side files in the order of ``rows.joins``; may raise Refused.
        where: the source, for messages.
    """
    try:
        with closing(_Sorter(rows.asset)) as sorter:
            for table in _tables(stream, rows=rows, form=form, clock=clock, sides=sides(), where=where):
                sorter.add(table)
            return _write(target, rows.asset, clock, sorter.days(), sorter.by_day(), refused=None)
    except Refused as error:
        payload = json.dumps({"refused": str(error)}, ensure_ascii=False)
        only = rejects_table(rows.asset, [clock.arrival_day], [(0, str(error), payload)])
        day = clock.arrival_day
        return _write(target, rows.asset, clock, (day,), iter([(day, [lambda: only])]), refused=str(error))


def _tables(
    stream: BinaryIO, *, rows: Rows, form: Format, clock: Clock, sides: Sequence[Side], where: str
) -> Iterator[pa.Table]:
    reader = RowReader(rows, clock)
    blocks: Iterable[Block] = blocks_of(
        stream, form=form, csv=rows.csv, limits=rows.limits, needed=needed_columns(rows), where=where
    )
    for block in blocks:
        for part in melted(block, rows.melt) if rows.melt is not None else (block,):
            for side in sides:
                part = side.added_to(part)
            yield reader.read(part)


def _write(
    target: Path,
    asset: str,
    clock: Clock,
    days: tuple[date, ...],
    by_day: Iterator[tuple[date, Pieces]],
    *,
    refused: str | None,
) -> Description:
    schema = _stored_schema(asset)
    count, newest = 0, None
    with pq.ParquetWriter(target, schema, compression="zstd", use_dictionary=True) as writer:
        waiting: list[pa.Table] = []
        for day, pieces in by_day:
            for table in _with_event_ids(pieces) if asset == "raw_sales" else (load() for load in pieces):
                waiting.append(table.select(schema.names))
                count += table.num_rows
                if pc.any(pc.is_null(table["reason"])).as_py():
                    newest = day
                if sum(part.num_rows for part in waiting) >= GROUP_ROWS:
                    writer.write_table(pa.concat_tables(waiting).combine_chunks(), row_group_size=8 * GROUP_ROWS)
                    waiting = []
        writer.write_table(pa.concat_tables([schema.empty_table(), *waiting]).combine_chunks())
        description = Description(count, days, newest, refused, clock.received_at)
        writer.add_key_value_metadata(description.encoded())
    return description


def _stored_schema(asset: str) -> pa.Schema:
    schema = reading_schema(asset)
    return schema.remove(schema.get_field_index("content"))


def _with_event_ids(pieces: Pieces) -> Iterator[pa.Table]:
    """Name the events of a day that the source did not: digest of the row and its ordinal among equal rows."""
    codes = _codes(pa.chunked_array([load()["content"].combine_chunks() for load in pieces], CONTENT))
    ordinals = pd.Series(codes).groupby(codes, sort=False).cumcount().to_numpy()
    start = 0
    for load in pieces:
        table = load()
        part = ordinals[start : start + table.num_rows]
        start += table.num_rows
        made = [
            None if content is None else f"{content.hex()}-{ordinal}"
            for content, ordinal in zip(table["content"].to_pylist(), part.tolist(), strict=True)
        ]
        ids = pc.coalesce(table["event_id"], pa.array(made, pa.string()))
        yield table.set_column(table.schema.get_field_index("event_id"), "event_id", ids)


def _codes(contents: pa.ChunkedArray) -> np.ndarray:
    encoded = contents.combine_chunks().dictionary_encode()
    indices = encoded.indices if isinstance(encoded, pa.DictionaryArray) else encoded.combine_chunks().indices
    return indices.fill_null(-1).to_numpy(zero_copy_only=False)


class _Sorter:
    """Collects rows and gives them back by day, in the order of the file; what is too much to hold waits on disk."""

    def __init__(self, asset: str) -> None:
        self._schema = reading_schema(asset)
        self._held: list[pa.Table] = []
        self._size = 0
        self._folder: tempfile.TemporaryDirectory | None = None
        self._runs: list[tuple[Path, dict[date, list[int]]]] = []
        self._days: set[date] = set()
        self._last: dict[date, pa.Table] = {}

    def add(self, table: pa.Table) -> None:
        """Take rows; later tables hold later rows."""
        self._held.append(table)
        self._size += table.nbytes
        if self._size > HELD_BYTES:
            self._spill()

    def _sorted(self) -> dict[date, pa.Table]:
        """What is held, cut by day."""
        table = pa.concat_tables([self._schema.empty_table(), *self._held]).combine_chunks()
        self._held, self._size = [], 0
        if not table.num_rows:
            return {}
        table = table.take(pc.sort_indices(table, [("day", "ascending"), ("row_number", "ascending")]))
        days = table["day"].combine_chunks().cast(pa.int32()).to_numpy()
        cuts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
        ends = np.append(cuts[1:], len(days))
        parts = {table["day"][int(a)].as_py(): table.slice(a, b - a) for a, b in zip(cuts, ends, strict=True)}
        self._days |= set(parts)
        return parts

    def _spill(self) -> None:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="forecast-reading-")
        path = Path(self._folder.name) / f"{len(self._runs)}.arrow"
        places: dict[date, list[int]] = {}
        with pa.ipc.new_file(path, self._schema) as writer:
            at = 0
            for day, part in self._sorted().items():
                batches = part.combine_chunks().to_batches(max_chunksize=GROUP_ROWS * 4)
                for batch in batches:
                    writer.write_batch(batch)
                places[day] = list(range(at, at + len(batches)))
                at += len(batches)
        self._runs.append((path, places))

    def days(self) -> tuple[date, ...]:
        """All days so far, ascending."""
        self._last = self._sorted()
        return tuple(sorted(self._days))

    def by_day(self) -> Iterator[tuple[date, Pieces]]:
        """Each day with its rows; call :meth:`days` first."""
        for day in sorted(self._days):
            pieces: Pieces = [partial(_load, path, at) for path, places in self._runs for at in places.get(day, ())]
            if day in self._last:
                pieces.append(partial(self._last.__getitem__, day))
            yield day, pieces

    def close(self) -> None:
        """Remove the temporary files."""
        if self._folder is not None:
            self._folder.cleanup()


def _load(path: Path, at: int) -> pa.Table:
    """One piece that waits on disk; read, not mapped, so that it does not count as address space afterwards."""
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
        return pa.Table.from_batches([reader.get_batch(at)])
