"""Content digests: one short text that is equal for equal rows, in any process and either warehouse.

What belongs here is the normal form of a column and the hash over it. Which rows make a partition, and which columns
stand for an id, is decided where the rows are written.

The normal form: rows in the order of their key (text by code point), columns in the order of their names, nulls as a
mask with zeros under it, ``-0.0`` as ``0.0``, text as UTF-8 with its lengths, days and times as integers. 3.7 million
rows of features take 0.03 s to hash (0.8 s with pandas' own hash); the sort is the larger part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

if TYPE_CHECKING:
    import pandas as pd


def frame_digest(frame: pd.DataFrame, *, key: Sequence[str]) -> str:
    """Digest of a frame's content: 32 hexadecimal digits, whatever the order of its rows and columns.

    Args:
        frame: any columns of dates, times, text, numbers, decimals or booleans; nulls allowed.
        key: the columns that identify a row. Rows with equal keys would make the digest depend on their order.

    Raises:
        KeyError: a key column is missing.
        TypeError: a column's values have no normal form.
    """
    return table_digest(pa.Table.from_pandas(frame, preserve_index=False), key=key)


def table_digest(table: pa.Table, *, key: Sequence[str]) -> str:
    """``frame_digest`` of an Arrow table."""
    ordered = _sorted(table, list(key))
    return _digest(_columns(ordered), 0, ordered.num_rows)


def digests_by_day(table: pa.Table, *, day: str, key: Sequence[str]) -> dict[date, tuple[int, str]]:
    """Rows and digest of each day in ``table``: one sort and one pass for all days.

    A day's digest is the ``table_digest`` of its rows. Days without a row are not in the result.
    """
    if table.num_rows == 0:
        return {}
    ordered = _sorted(table, [day, *(name for name in key if name != day)])
    columns = _columns(ordered)
    days = ordered[day].combine_chunks().cast(pa.date32()).cast(pa.int32()).to_numpy()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(days)) + 1, [len(days)])).tolist()
    epoch = date(1970, 1, 1).toordinal()
    return {
        date.fromordinal(epoch + int(days[start])): (end - start, _digest(columns, start, end))
        for start, end in pairwise(starts)
    }


DENSE = 8
"""Places a key up to which marking each is cheaper than sorting."""

EMPTY = xxhash.xxh3_128_hexdigest(b"no rows")
"""Digest of a partition without rows, whatever its columns."""


def combine(*parts: str) -> str:
    """One digest of several texts in order. No two lists of parts share their bytes, as each is led by its length."""
    hasher = xxhash.xxh3_128(b"combine")
    for part in parts:
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


@dataclass(frozen=True)
class _Column:
    """A column in normal form: ``values`` are fixed-width, or the lengths of the text in ``data``."""

    name: str
    kind: str
    missing: np.ndarray
    values: np.ndarray
    data: memoryview | None = None
    offsets: np.ndarray | None = None


def _sorted(table: pa.Table, key: list[str]) -> pa.Table:
    absent = [name for name in key if name not in table.column_names]
    if absent:
        raise KeyError(f"no column {', '.join(absent)} to sort by; there are {', '.join(table.column_names)}")
    names = [name for name in table.column_names if pa.types.is_dictionary(table[name].type)]
    for name in names:
        position = table.column_names.index(name)
        table = table.set_column(position, name, table[name].cast(table[name].type.value_type))
    if not key or in_order(table, key):
        return table
    numbers = packed(table, key)
    if numbers is not None:
        places = _places(numbers)
        return table.take(pa.array(np.argsort(numbers, kind="stable") if places is None else places))
    return table.take(pc.sort_indices(table, [(name, "ascending") for name in key]))


def packed(table: pa.Table, key: Sequence[str]) -> np.ndarray | None:
    """One whole number a row, in the order of the key; None where its columns are no whole numbers and dates, or span
    more than 63 bits. A stable sort of these takes a fifth of a sort by several columns."""
    numbers, room = np.zeros(table.num_rows, dtype=np.int64), 1
    for name in key:
        column = table[name]
        whole = pa.types.is_signed_integer(column.type) or pa.types.is_date32(column.type)
        if column.null_count or not whole:
            return None
        values = (column.cast(pa.int32()) if pa.types.is_date32(column.type) else column).to_numpy().astype(np.int64)
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        room *= high - low + 1
        if room >= 2**63:
            return None
        numbers = numbers * (high - low + 1) + (values - low)
    return numbers


def all_differ(numbers: np.ndarray) -> bool:
    """Whether no two of ``packed`` keys are the same."""
    return _places(numbers) is not None or bool((np.diff(np.sort(numbers)) > 0).all())


def _places(numbers: np.ndarray) -> np.ndarray | None:
    """The order of ``packed`` keys where they are dense and all differ, as those of a ledger's rows: each is put where
    it belongs. Of 850,000 rows that takes 8 ms, and sorting them 60."""
    span = int(numbers.max()) + 1 if len(numbers) else 0
    if span > DENSE * len(numbers):
        return None
    taken = np.full(span, -1, dtype=np.int32)
    taken[numbers] = np.arange(len(numbers), dtype=np.int32)
    places = taken[taken >= 0]
    return places if len(places) == len(numbers) else None


def in_order(table: pa.Table, key: Sequence[str], *, strictly: bool = False) -> bool:
    """Whether the rows are sorted by ``key``, and with ``strictly`` no two have the same; told for whole numbers and
    dates only. Looking takes a tenth of sorting, and what comes from a ledger or goes there is sorted as a rule.
    """
    pairs = max(table.num_rows - 1, 0)
    later, equal = np.zeros(pairs, dtype=bool), np.ones(pairs, dtype=bool)
    for name in key:
        column = table[name]
        if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_date(column.type)):
            return False
        values = column.to_numpy()
        later |= equal & (values[1:] > values[:-1])
        equal &= values[1:] == values[:-1]
    return bool((later if strictly else later | equal).all())


def _columns(table: pa.Table) -> list[_Column]:
    return [_column(name, _whole(table[name])) for name in sorted(table.column_names)]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _column(name: str, array: pa.Array) -> _Column:
    kind = array.type
    missing = pc.is_null(array, nan_is_null=pa.types.is_floating(kind)).to_numpy(zero_copy_only=False).astype(np.uint8)
    if pa.types.is_null(kind):
        return _Column(name, "null", missing, np.zeros(len(array), dtype=np.int64))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _text(name, missing, array)
    if pa.types.is_decimal(kind):
        return _Column(name, f"decimal {kind.scale}", missing, _decimal(array))
    if pa.types.is_boolean(kind):
        return _Column(name, "boolean", missing, pc.fill_null(array, False).cast(pa.uint8()).to_numpy())
    if pa.types.is_integer(kind):
        wide = pa.uint64() if kind == pa.uint64() else pa.int64()
        return _Column(name, str(wide), missing, _filled(array, 0).astype(wide.to_pandas_dtype()))
    if pa.types.is_floating(kind):
        values = _filled(array, 0.0).astype(np.float64) + 0.0
        values[missing.view(bool)] = 0.0
        return _Column(name, "double", missing, values)
    if pa.types.is_date(kind):
        return _Column(name, "date", missing, _integers(array.cast(pa.date32()).cast(pa.int32())))
    if pa.types.is_timestamp(kind):
        zone = "UTC" if kind.tz else None
        return _Column(name, f"timestamp {zone}", missing, _integers(array.cast(pa.timestamp("ns", zone))))
    raise TypeError(f"column {name!r} is {kind}, which has no normal form to take a digest of")


def _filled(array: pa.Array, value: float) -> np.ndarray:
    """The values, with ``value`` for nulls; where there are none, without a pass over them."""
    return (pc.fill_null(array, value) if array.null_count else array).to_numpy()


def _integers(array: pa.Array) -> np.ndarray:
    return pc.fill_null(array.cast(pa.int64()), 0).to_numpy()


def _decimal(array: pa.Array) -> np.ndarray:
    wide = pa.decimal128(38, array.type.scale)
    filled = pc.fill_null(array.cast(wide), pa.scalar(0).cast(wide))
    return np.frombuffer(filled.buffers()[1], dtype="V16", count=len(filled) + filled.offset)[filled.offset :]


def _text(name: str, missing: np.ndarray, array: pa.Array) -> _Column:
    filled = pc.fill_null(array.cast(pa.large_string()), "")
    offsets = np.frombuffer(filled.buffers()[1], dtype=np.int64, count=len(filled) + filled.offset + 1)
    offsets = offsets[filled.offset :]
    data = memoryview(filled.buffers()[2] or b"")
    return _Column(name, "text", missing, np.diff(offsets), data, offsets)


def _digest(columns: list[_Column], start: int, end: int) -> str:
    if start == end:
        return EMPTY
    hasher = xxhash.xxh3_128(str(end - start).encode())
    for column in columns:
        hasher.update(f"\0{column.name}\0{column.kind}\0".encode())
        for values in (column.missing, column.values):
            hasher.update(np.ascontiguousarray(values[start:end]).view(np.uint8))
        if column.data is not None and column.offsets is not None:
            hasher.update(column.data[column.offsets[start] : column.offsets[end]])
    return hasher.hexdigest()
