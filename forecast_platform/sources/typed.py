"""Frames with the types that a declared table has in pandas (the list is at the top of ``tables.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Double, Integer, Numeric, SmallInteger, Table


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type of a declared column."""
    kind = column.type
    if isinstance(kind, Numeric) and not isinstance(kind, Double):
        return pa.decimal128(kind.precision, kind.scale)
    # The order matters: SmallInteger and BigInteger are Integers to SQLAlchemy.
    for declared, arrow in (
        (Date, pa.date32()),
        (DateTime, pa.timestamp("us", "UTC")),
        (Boolean, pa.bool_()),
        (Double, pa.float64()),
        (BigInteger, pa.int64()),
        (SmallInteger, pa.int16()),
        (Integer, pa.int32()),
    ):
        if isinstance(kind, declared):
            return arrow
    return pa.string()


def typed_frame(columns: Mapping[str, Sequence[Any] | pa.Array | pa.ChunkedArray], table: Table) -> pd.DataFrame:
    """Make a frame of ``table``'s columns, in its order, with its types.

    Raises:
        KeyError: a column is missing.
        pyarrow.ArrowInvalid: a value does not fit its type.
    """
    return pd.DataFrame({column.name: _series(columns[column.name], column) for column in table.columns})


def _series(values: Sequence[Any] | pa.Array | pa.ChunkedArray, column: Column) -> pd.Series:
    kind = arrow_type(column)
    array = values.cast(kind) if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind)
    chunked = pa.chunked_array([array], kind) if isinstance(array, pa.Array) else array
    if pa.types.is_date(kind):
        return chunked.cast(pa.timestamp("ns")).to_pandas()
    if pa.types.is_timestamp(kind):
        return pd.Series(chunked.to_pandas(), dtype=pd.DatetimeTZDtype("us", "UTC"))
    plain = pa.types.is_floating(kind) or (
        not column.nullable and (pa.types.is_integer(kind) or pa.types.is_boolean(kind))
    )
    if plain:
        return chunked.to_pandas()
    return pd.Series(pd.arrays.ArrowExtensionArray(chunked.combine_chunks()))
