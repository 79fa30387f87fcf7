"""Rows before their columns are read: wide columns melted into rows, columns looked up in side files.

Both work on a block at a time, so that a file of 1,900 day columns or a price list of millions of rows needs little
memory. What the columns mean is in ``rows``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast_platform.sources.base import Refused
from forecast_platform.sources.blocks import Block, blocks_of
from forecast_platform.sources.layouts import Join, Melt
from forecast_platform.sources.parsing import Texts, shown, texts_of
from forecast_platform.sources.rules import Limits

MELTED_CELLS = 400_000
"""Cells that are melted at once."""


def melted(block: Block, melt: Melt) -> Iterator[Block]:
    """Make each cell of the wide columns a row; cells of ``melt.drop``, and those without a value, make none.

    A cell's number is its place in the file, row by row: ``(row - 1) * wide columns + column``, from 1.

    Raises:
        Refused: no column matches ``melt.pattern``.
    """
    pattern = re.compile(melt.pattern)
    wide = [name for name in block.table.column_names if pattern.fullmatch(name)]
    if not wide:
        raise Refused(f"no column of it matches melt.pattern {melt.pattern!r}: correct the settings or the file")
    kept = [name for name in block.table.column_names if name not in set(wide)]
    step = max(1, MELTED_CELLS // len(wide))
    for start in range(0, max(block.table.num_rows, 1), step):
        part = block.table.slice(start, step)
        numbers = block.numbers[start : start + step]
        yield _melted_part(part, numbers, wide, kept, melt, block.broken if start == 0 else [])


def _melted_part(
    part: pa.Table, numbers: np.ndarray, wide: list[str], kept: list[str], melt: Melt, broken: list
) -> Block:
    cells = pa.concat_arrays([chunk for name in wide for chunk in part.column(name).cast(pa.string()).chunks])
    drop = pc.fill_null(pc.is_in(cells, value_set=pa.array(melt.drop, pa.string())), True)
    places = np.flatnonzero(~pc.or_(drop, pc.is_null(cells)).to_numpy(zero_copy_only=False))
    row, column = places % max(part.num_rows, 1), places // max(part.num_rows, 1)
    taken = part.select(kept).take(pa.array(row, pa.int64()))
    names = pa.DictionaryArray.from_arrays(pa.array(column, pa.int32()), pa.array(wide, pa.string()))
    table = taken.append_column(melt.variable, names).append_column(
        melt.value, cells.take(pa.array(places, pa.int64()))
    )
    return Block(table, (numbers[row] - 1) * len(wide) + column + 1, broken)


@dataclass(frozen=True)
class Side:
    """A side file, ready for looking up.

    Attributes:
        join: the settings it was loaded by.
        codes: for each key column, the code of each text.
        keys: sorted keys, each the codes of its columns as one number.
        rows: row of the side file of each key.
        table: the columns that are taken from it.
    """

    join: Join
    codes: tuple[dict[str, int], ...]
    keys: np.ndarray
    rows: np.ndarray
    table: pa.Table

    def added_to(self, block: Block) -> Block:
        """The block with this side's columns; null in rows that the side file does not know.

        Raises:
            Refused: the block already has a column of that name.
        """
        if both := set(self.join.columns) & set(block.table.column_names):
            raise Refused(f"it and the side file {self.join.name!r} both have a column {', '.join(sorted(both))}")
        texts = [texts_of(block.table.column(name), ("",)) for name in self.join.on]
        wanted = _combined([_coded(t, codes) for t, codes in zip(texts, self.codes, strict=True)], self.codes)
        places = np.minimum(np.searchsorted(self.keys, wanted), max(len(self.keys) - 1, 0))
        found = (wanted >= 0) & (self.keys[places] == wanted) if len(self.keys) else np.zeros(len(wanted), bool)
        rows = pa.array(self.rows[places] if len(self.keys) else wanted, pa.int64(), mask=~found)
        table = block.table
        for name in self.join.columns:
            table = table.append_column(name, self.table.column(name).take(rows))
        return Block(table, block.numbers, block.broken)


def load_side(stream: BinaryIO, join: Join, limits: Limits) -> Side:
    """Read a side file whole.

    Raises:
        Refused: it cannot be read, a line of it is broken, or a key comes twice.
    """
    names = list(dict.fromkeys([*join.on.values(), *join.columns]))
    tables = []
    blocks = blocks_of(stream, form=join.format, csv=join.csv, limits=limits, needed=names, where=f"join {join.name!r}")
    for block in blocks:
        if block.broken:
            line = block.broken[0]
            raise Refused(f"row {line.number} of it is broken ({line.reason}): a side file must be whole")
        tables.append(_encoded(block.table.select(names)))
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    texts = [texts_of(table.column(name), ("",)) for name in join.on.values()]
    codes = tuple({text: i for i, text in enumerate(dict.fromkeys(t.distinct)) if text is not None} for t in texts)
    keys = _combined([_coded(t, c) for t, c in zip(texts, codes, strict=True)], codes)
    rows = np.argsort(keys, kind="stable")
    keys = keys[rows]
    if len(twice := np.flatnonzero((keys[1:] == keys[:-1]) & (keys[1:] >= 0))):
        row = {name: table.column(name)[int(rows[twice[0]])].as_py() for name in join.on.values()}
        raise Refused(f"it has more than one row of {shown(str(row))}: keys of a side file are unique")
    return Side(join, codes, keys, rows, table.select(list(join.columns)))


def _encoded(table: pa.Table) -> pa.Table:
    """Text columns as dictionaries: prices and names repeat themselves."""
    for at, name in enumerate(table.column_names):
        if pa.types.is_string(table.schema.field(name).type):
            table = table.set_column(at, name, table.column(name).dictionary_encode())
    return table


def _coded(texts: Texts, codes: dict[str, int]) -> np.ndarray:
    """Code of each row's text, -1 where it has none."""
    of_text = np.array([codes.get(text, -1) if text is not None else -1 for text in texts.distinct] or [-1], np.int64)
    indices = texts.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.where(indices < 0, -1, of_text[indices])


def _combined(columns: Sequence[np.ndarray], codes: Sequence[dict[str, int]]) -> np.ndarray:
    """One number for the codes of all key columns, -1 where any is missing."""
    total = np.zeros(len(columns[0]), np.int64)
    for column, known in zip(columns, codes, strict=True):
        total = np.where((column < 0) | (total < 0), -1, total * max(len(known), 1) + column)
    return total
