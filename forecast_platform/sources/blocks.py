"""Blocks of rows: what is inside a landed file, as Arrow tables of the source's own columns, piece by piece.

Text columns stay text and typed ones typed; no value is converted here and no row dropped unseen. What the columns
mean is in ``rows``, how a value is read in ``parsing``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from forecast_platform.sources.base import Format, Refused
from forecast_platform.sources.decoding import text_blocks
from forecast_platform.sources.layouts import Csv
from forecast_platform.sources.records import RecordReader, Records
from forecast_platform.sources.rules import Limits

PARQUET_ROWS = 65_536
"""Rows of a block of a Parquet file."""
PAYLOAD_CHARACTERS = 8_000
"""Most characters of a row that is kept as a reject; longer values are cut."""
VALUE_CHARACTERS = 1_000


@dataclass(frozen=True)
class Broken:
    """A row that is none: its number, why, and what it holds as JSON."""

    number: int
    reason: str
    payload: str


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
        table: the rows, under the source's column names.
        numbers: 1-based number of each row in its file.
        broken: rows of this stretch of the file that could not be taken apart.
    """

    table: pa.Table
    numbers: np.ndarray
    broken: list[Broken] = field(default_factory=list)


def blocks_of(
    stream: BinaryIO, *, form: Format, csv: Csv, limits: Limits, needed: Iterable[str], where: str
) -> Iterator[Block]:
    """Give the rows of a file, block by block, with bounded memory.

    Args:
        stream: the file, seekable if it is Parquet.
        needed: columns without which nothing can be read.
        where: the settings that name them, for the message.

    Raises:
        Refused: nothing in the file can be read; the message says why and the way out.
    """
    if form == "parquet":
        return _parquet_blocks(stream, limits, tuple(needed), where)
    return _csv_blocks(stream, csv, limits, tuple(needed), where)


def _csv_blocks(stream: BinaryIO, csv: Csv, limits: Limits, needed: tuple[str, ...], where: str) -> Iterator[Block]:
    reader = RecordReader(csv=csv, limits=limits)
    first = True
    for records in _records(reader, text_blocks(stream, csv=csv, limits=limits)):
        if first:
            _check_columns(reader.columns, needed, where, csv)
        if first or len(records.numbers) or records.broken:
            yield _csv_block(records, reader.columns, csv)
        first = False


def _records(reader: RecordReader, blocks: Iterator[bytes]) -> Iterator[Records]:
    for block in blocks:
        yield from reader.feed(block)
    yield from reader.finish()
    # A file of a header alone still has columns, which are checked.
    yield Records(b"", np.empty(0, np.int64))


def _csv_block(records: Records, columns: tuple[str, ...], csv: Csv) -> Block:
    names = _distinct(columns)
    broken = [
        Broken(line.number, line.reason, _json({"line": line.text.decode("utf-8", "backslashreplace")}))
        for line in records.broken
    ]
    if not len(records.numbers):
        table = pa.table({name: pa.array([], pa.string()) for name in names})
        return Block(table, records.numbers, broken)
    table = pa_csv.read_csv(
        pa.py_buffer(records.text),
        read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(records.text) + 1),
        parse_options=pa_csv.ParseOptions(
            delimiter=csv.delimiter,
            quote_char=csv.quote or False,
            double_quote=True,
            newlines_in_values=True,
            ignore_empty_lines=False,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
        ),
    )
    if table.num_rows != len(records.numbers):
        raise AssertionError(f"{len(records.numbers)} records were cut, {table.num_rows} were read")
    return Block(table, records.numbers, broken)


def _distinct(columns: tuple[str, ...]) -> list[str]:
    """Column names, the second ``x`` called ``x (2)``."""
    seen: dict[str, int] = {}
    names = []
    for name in columns:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _parquet_blocks(stream: BinaryIO, limits: Limits, needed: tuple[str, ...], where: str) -> Iterator[Block]:
    start = stream.read(4)
    if start != b"PAR1":
        raise Refused("it is empty" if not start else "it is not a Parquet file: set format: csv, or send it again")
    stream.seek(0)
    try:
        file = pq.ParquetFile(stream)
        columns = tuple(file.schema_arrow.names)
        if len(columns) > limits.max_columns:
            raise Refused(f"it has {len(columns)} columns; limits.max_columns is {limits.max_columns}")
        _check_columns(columns, needed, where, None)
        first, size = 1, 0
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, use_threads=False):
            size += batch.nbytes
            if size > limits.max_bytes:
                raise Refused(f"it is longer than limits.max_bytes, {limits.max_bytes} bytes")
            names = _distinct(columns)
            table = pa.Table.from_batches([batch]).rename_columns(names)
            yield Block(table, np.arange(first, first + batch.num_rows, dtype=np.int64))
            first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise Refused(f"its Parquet data is damaged ({str(error)[:200]}): send it again") from error


def _check_columns(columns: tuple[str, ...], needed: tuple[str, ...], where: str, csv: Csv | None) -> None:
    missing = [name for name in dict.fromkeys(needed) if name not in columns]
    if csv is not None and len(columns) == 1 and len(set(needed)) > 1:
        counts = {mark: columns[0].count(mark) for mark in ",;\t|"}
        likely = max(counts, key=counts.__getitem__)
        hint = f"set csv.delimiter: {likely!r}" if counts[likely] else "is it a delimited text file?"
        raise Refused(f"it has one column only, {columns[0][:200]!r}, with the delimiter {csv.delimiter!r}: {hint}")
    if missing:
        raise Refused(
            f"it has no column {', '.join(map(repr, missing))}, which {where} names;"
            f" it has {_listed(columns)}: correct the settings or the file"
        )
    if twice := sorted({name for name in needed if columns.count(name) > 1}):
        raise Refused(f"it has more than one column {', '.join(map(repr, twice))}: which one is meant?")


def _listed(columns: tuple[str, ...]) -> str:
    shown = ", ".join(repr(name[:80]) for name in columns[:40])
    return f"{shown} and {len(columns) - 40} more" if len(columns) > 40 else shown


def payloads(table: pa.Table, rows: np.ndarray) -> list[str]:
    """Some rows of a block as JSON, as the source wrote them; long values are cut, and columns beyond 200 left out."""
    taken = table.select(table.column_names[:200]).take(pa.array(rows, pa.int64()))
    return [_json({name: _plain(value) for name, value in row.items()}) for row in taken.to_pylist()]


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int):
        return value
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= VALUE_CHARACTERS else text[:VALUE_CHARACTERS] + "…"


def _json(row: dict) -> str:
    text = json.dumps(row, ensure_ascii=False)
    if len(text) > PAYLOAD_CHARACTERS:
        text = json.dumps({"cut": text[:PAYLOAD_CHARACTERS]}, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
