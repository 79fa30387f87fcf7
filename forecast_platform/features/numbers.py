"""Exact decimals as the nearest float64. Nothing else belongs here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa


def nearest_float64(column: pd.Series) -> np.ndarray:
    """The float64 nearest to each number; NaN for null.

    Arrow's own cast multiplies a decimal by 10^-s, which is off by one bit for some. Here the unscaled integer
    is divided by 10^s: rounded once, correctly, as long as it has no more than 53 bits; longer ones one by one.
    """
    if not (isinstance(column.dtype, pd.ArrowDtype) and pa.types.is_decimal(column.dtype.pyarrow_dtype)):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    array = pa.array(column)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.type.bit_width != 128 or array.type.scale > 22:
        return np.array([np.nan if value is None else float(value) for value in array.to_pylist()], dtype=np.float64)
    words = np.frombuffer(array.buffers()[1], dtype="<i8").reshape(-1, 2)[array.offset : array.offset + len(array)]
    low, high = words[:, 0], words[:, 1]
    values = low / 10.0**array.type.scale
    long = (high != (low >> 63)) | (low > 2**53) | (low < -(2**53))
    if array.null_count:
        null = array.is_null().to_numpy(zero_copy_only=False)
        values[null] = np.nan
        long &= ~null
    for place in np.flatnonzero(long):
        values[place] = float(array[int(place)].as_py())
    return values
