"""Frames to Arrow and back, column by column as ``tables`` declares them: lossless, or refused with the column's name.

What belongs here: casts and the checks that need one frame and one declaration. Checks that need the database are
elsewhere; no SQL is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from forecast_platform.digest import all_differ, in_order, packed

LARGEST_EXACT = 2**53
"""Every integer up to here is a double; beyond, neighbours share one."""


class FrameRefused(ValueError):
    """A frame is not what its table holds. Nothing was written or deleted."""


def arrow_type(column: sa.Column) -> pa.DataType:
    """The Arrow type in which a column's values travel to and from both databases."""
    kind = column.type
    if isinstance(kind, sa.Double):
        return pa.float64()
    if isinstance(kind, sa.Numeric):
        return pa.decimal128(kind.precision, kind.scale)
    for declared, arrow in (
        (sa.DateTime, pa.timestamp("us", "UTC")),
        (sa.Date, pa.date32()),
        (sa.Boolean, pa.bool_()),
        (sa.BigInteger, pa.int64()),
        (sa.SmallInteger, pa.int16()),
        (sa.Integer, pa.int32()),
        (sa.Text, pa.string()),
    ):
        if isinstance(kind, declared):
            return arrow
    raise TypeError(f"{column.table.name}.{column.name} is declared {kind!r}, which no cast is written for")


def arrow_schema(table: sa.Table) -> pa.Schema:
    """A table's columns as Arrow fields, in the order of their declaration."""
    return pa.schema([pa.field(c.name, arrow_type(c), nullable=bool(c.nullable)) for c in table.columns])


def to_arrow(frame: pd.DataFrame, table: sa.Table) -> pa.Table:
    """Cast ``frame`` to the declared columns, found by name, in the declared order.

    Raises:
        FrameRefused: a column is missing, unknown or named twice; a value cannot be kept exactly; a null where none
            may be; NaN or an infinite number; two rows with one key.
    """
    _check_names(frame, table)
    arrays = [_cast(frame[column.name], column) for column in table.columns]
    result = pa.Table.from_arrays(arrays, schema=arrow_schema(table))
    _check_key(result, table)
    return result


def with_columns(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """``frame`` with more columns, beside those that it has: ``assign`` copies them all, and puts those of a type into
    one block."""
    wider = frame.copy(deep=False)
    for name, values in columns.items():
        wider[name] = values
    return wider


def check_window(rows: pa.Table, table: sa.Table, first: date, last: date) -> None:
    """Refuse rows of other days than ``first`` .. ``last``.

    Raises:
        FrameRefused: naming the days that have no business in this partition.
    """
    day = partition_column(table)
    days = pc.unique(rows[day].combine_chunks()).to_pylist()
    outside = sorted(each for each in days if not first <= each <= last)
    if outside:
        shown = ", ".join(each.isoformat() for each in outside[:5]) + (", …" if len(outside) > 5 else "")
        raise FrameRefused(
            f"{table.name}: rows of {shown} do not belong to the partitions {first} to {last} of this run"
            f" (column {day}); nothing was deleted"
        )


def partition_column(table: sa.Table) -> str:
    """Name of the column that says which day's partition a row belongs to."""
    name = table.info["partition"]
    if name is None:
        raise ValueError(f"{table.name} is not partitioned by day")
    return name


def to_frame(rows: pa.Table, declared: Mapping[str, sa.Column] | None = None) -> pd.DataFrame:
    """Arrow rows as a frame with the dtypes that ``tables`` promises.

    A column in ``declared`` gets its declared dtype; any other the same dtype its Arrow type would have there,
    counted as nullable only if a null is among its values.
    """
    declared = declared or {}
    columns = {name: _series(rows[name], declared.get(name)) for name in rows.column_names}
    return pd.DataFrame(columns, columns=rows.column_names)


def _check_names(frame: pd.DataFrame, table: sa.Table) -> None:
    wanted = [column.name for column in table.columns]
    given = [str(name) for name in frame.columns]
    problems = [
        f"{words} {', '.join(names)}"
        for words, names in (
            ("missing", [name for name in wanted if name not in given]),
            ("unknown", [name for name in given if name not in wanted]),
            ("named twice", sorted({name for name in given if given.count(name) > 1})),
        )
        if names
    ]
    if problems:
        raise FrameRefused(
            f"{table.name}: the frame's columns do not fit: {'; '.join(problems)}."
            f" The table has {', '.join(wanted)} (any order)"
        )


def _check_key(rows: pa.Table, table: sa.Table) -> None:
    key = list(table.info["key"])
    if in_order(rows, table.info.get("order", key), strictly=True):
        return
    numbers = packed(rows, key)
    if numbers is not None and all_differ(numbers):
        return
    counts = rows.group_by(key).aggregate([([], "count_all")])
    if counts.num_rows != rows.num_rows:
        example = counts.filter(pc.greater(counts["count_all"], 1)).slice(0, 1).to_pylist()[0]
        times = example.pop("count_all")
        named = ", ".join(f"{name}={value}" for name, value in example.items())
        raise FrameRefused(
            f"{table.name}: {rows.num_rows - counts.num_rows} rows repeat a key ({', '.join(key)}); {named} is there"
            f" {times} times"
        )


def _cast(series: pd.Series, column: sa.Column) -> pa.Array:
    where = f"{column.table.name}.{column.name}"
    wanted = arrow_type(column)
    try:
        given = _given(series, wanted)
        all_null = given.null_count == len(given)
        array = pa.nulls(len(given), wanted) if all_null else _caster(wanted)(given, wanted)
    except FrameRefused as error:
        raise FrameRefused(f"{where}: {error}") from None
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError) as error:
        raise FrameRefused(f"{where} is {wanted}; values of {series.dtype} cannot be kept in it: {error}") from error
    if not column.nullable and array.null_count:
        raise FrameRefused(f"{where} is never null; {array.null_count} of {len(array)} values are (null or NaN)")
    return array


def _given(series: pd.Series, wanted: pa.DataType) -> pa.Array:
    """The values as Arrow finds them: NaN and NaT are nulls, categories their values."""
    if series.dtype == object and pa.types.is_date(wanted):
        series = series.map(_plain_day, na_action="ignore")
    if series.dtype == object and pa.types.is_timestamp(wanted):
        _check_zones(series)
    array = pa.Array.from_pandas(series)
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    return array


def _plain_day(value: object) -> object:
    """A ``datetime`` at midnight is its day; ``pd.Timestamp`` and ``np.datetime64`` likewise."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, datetime):
        if value.tzinfo is not None or value != datetime(value.year, value.month, value.day):
            raise FrameRefused(f"{value!r} is a time; a business day is midnight without a zone")
        return value.date()
    return value


def _check_zones(series: pd.Series) -> None:
    for value in series[series.notna()]:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise FrameRefused(f"{value!r} is no time with a zone; localise it before it is written")


def _caster(wanted: pa.DataType) -> Callable[[pa.Array, pa.DataType], pa.Array]:
    for test, cast in (
        (pa.types.is_date, _day),
        (pa.types.is_timestamp, _time),
        (pa.types.is_string, _text),
        (pa.types.is_decimal, _decimal),
        (pa.types.is_boolean, _boolean),
        (pa.types.is_integer, _integer),
        (pa.types.is_floating, _double),
    ):
        if test(wanted):
            return cast
    raise TypeError(f"no cast to {wanted}")


def _day(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_date(array.type):
        return array.cast(wanted)
    if not pa.types.is_timestamp(array.type) or array.type.tz:
        raise FrameRefused(f"{array.type} is no business day: midnight without a zone, or a date, is needed")
    days = array.cast(wanted, safe=False)
    if not pc.all(pc.equal(days.cast(array.type), array)).as_py():
        raise FrameRefused("times of day would be cut off: a business day is midnight without a zone")
    return days


def _time(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if not pa.types.is_timestamp(array.type):
        raise FrameRefused(f"{array.type} is no time with a zone")
    if not array.type.tz:
        raise FrameRefused("times without a zone are ambiguous: localise them before they are written")
    return array.cast(wanted)


def _text(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if not (
        pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type)
    ):
        raise FrameRefused(f"{array.type} is not text; turn it into text where it is read")
    if pc.any(pc.match_substring(array, "\0")).as_py():
        raise FrameRefused("text with the character NUL, which PostgreSQL cannot store")
    return array.cast(wanted)


def _decimal(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_integer(array.type):
        array = array.cast(pa.decimal128(38, wanted.scale))
    if not pa.types.is_decimal(array.type):
        raise FrameRefused(f"{array.type} is not exact: {wanted} takes decimals and whole numbers, and rounds nothing")
    return array.cast(wanted)


def _boolean(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if not pa.types.is_boolean(array.type):
        raise FrameRefused(f"{array.type} is neither true nor false")
    return array


def _integer(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_floating(array.type):
        present = array.drop_null().to_numpy(zero_copy_only=False)
        if not (np.isfinite(present) & (present == np.floor(present)) & (np.abs(present) <= LARGEST_EXACT)).all():
            raise FrameRefused(f"{array.type} values that are not whole numbers up to 2^53 would change as {wanted}")
        return array.cast(pa.float64()).cast(wanted)
    if not pa.types.is_integer(array.type):
        raise FrameRefused(f"{array.type} is not a whole number")
    return array.cast(wanted)


def _double(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_integer(array.type):
        present = array.drop_null()
        extremes = pc.min_max(present).as_py() if len(present) else {"min": 0, "max": 0}
        if max(-extremes["min"], extremes["max"]) > LARGEST_EXACT:
            raise FrameRefused("whole numbers beyond 2^53 are not exact as doubles")
        return array.cast(wanted)
    if not pa.types.is_floating(array.type):
        raise FrameRefused(f"{array.type} is not a floating-point number: cast it where it is computed")
    array = array.cast(wanted)
    if pc.any(pc.is_inf(array)).as_py():
        raise FrameRefused("an infinite value; nothing infinite is stored")
    # -0.0 + 0.0 is 0.0: one zero only, so that equal content has equal bytes.
    return pc.add(array, 0.0)


def _series(column: pa.ChunkedArray, declared: sa.Column | None) -> pd.Series:
    wanted = arrow_type(declared) if declared is not None else _read_type(column.type)
    if column.type != wanted:
        column = column.cast(wanted)
    nullable = bool(declared.nullable) if declared is not None else column.null_count > 0
    if pa.types.is_date(wanted):
        return pd.Series(column.cast(pa.timestamp("ns")).to_numpy(), dtype="datetime64[ns]")
    if pa.types.is_timestamp(wanted):
        return pd.Series(column.to_pandas()).astype("datetime64[us, UTC]")
    if pa.types.is_floating(wanted):
        return pd.Series(column.to_numpy(), dtype="float64")
    if pa.types.is_string(wanted) or pa.types.is_decimal(wanted) or nullable:
        return pd.Series(column.combine_chunks(), dtype=pd.ArrowDtype(wanted))
    return pd.Series(column.to_numpy())


def _read_type(kind: pa.DataType) -> pa.DataType:
    """What a column of a query that is no declared one is read as."""
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC")
    return kind


def declared_columns(query: object, like: sa.Table | None) -> dict[str, sa.Column]:
    """The declared columns that a query's result has: those of ``like``, and those a ``Select`` names directly."""
    declared: dict[str, sa.Column] = {}
    if isinstance(query, sa.Select):
        declared = {c.name: c for c in query.selected_columns if isinstance(c, sa.Column) and c.table is not None}
    return declared | ({column.name: column for column in like.columns} if like is not None else {})
