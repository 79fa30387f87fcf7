"""Casts on write: lossless, or refused before anything happens, with the table and column named."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecast_platform.io_managers.columns import FrameRefused, check_window, to_arrow, to_frame
from forecast_platform.tables import raw_sales
from forecast_platform_tests.io_managers.every_type import EVERY_TYPE, every_type
from forecast_platform_tests.sales_frames import DAY, days, sales

BERLIN = ZoneInfo("Europe/Berlin")


def cast(column: str, values: object) -> list:
    """One column of the table of every type, cast; the other columns hold something ordinary."""
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    frame = every_type(len(series))
    frame[column] = series
    return to_arrow(frame, EVERY_TYPE)[column].to_pylist()


ACCEPTED = {
    "days as text of numpy": ("a_day", np.array(["2026-01-05"], "datetime64[D]"), [DAY]),
    "days as dates": ("a_day", pd.Series([DAY, None], dtype="object"), [DAY, None]),
    "days as midnights": ("a_day", pd.Series([datetime(2026, 1, 5), None], dtype="object"), [DAY, None]),
    "days as timestamps": ("a_day", pd.to_datetime(["2026-01-05", None]), [DAY, None]),
    "days as arrow": ("a_day", pd.Series([DAY], dtype=pd.ArrowDtype(pa.date32())), [DAY]),
    "times in a zone": (
        "a_time",
        pd.to_datetime(["2026-07-01 12:00"]).tz_localize("Asia/Kathmandu"),
        [datetime(2026, 7, 1, 6, 15, tzinfo=ZoneInfo("UTC"))],
    ),
    "times as objects": (
        "a_time",
        pd.Series([datetime(2026, 7, 1, 12, tzinfo=BERLIN), None], dtype="object"),
        [datetime(2026, 7, 1, 10, tzinfo=ZoneInfo("UTC")), None],
    ),
    "text as objects": ("a_text", pd.Series(["a", None, float("nan")], dtype="object"), ["a", None, None]),
    "text as category": ("a_text", pd.Series(["a", None, "a"], dtype="category"), ["a", None, "a"]),
    "text as pandas strings": ("a_text", pd.Series(["", pd.NA], dtype="string"), ["", None]),
    "decimals": ("a_decimal", pd.Series([Decimal("1.2500"), None]), [Decimal("1.2500"), None]),
    "decimals of a wider scale that end in zeros": ("a_decimal", [Decimal("1.250000000")], [Decimal("1.2500")]),
    "a decimal NaN, which is a null": ("a_decimal", pd.Series([Decimal("1"), Decimal("NaN")]), [Decimal(1), None]),
    "decimals from integers": ("a_decimal", [2**46, -3], [Decimal(2**46), Decimal(-3)]),
    "integers beyond 2^53": ("a_bigint", [2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
    "integers with nulls": ("a_bigint", pd.Series([2**53 + 1, None], dtype="Int64"), [2**53 + 1, None]),
    "whole floats": ("an_int", [3.0, float("nan")], [3, None]),
    "narrower integers": ("a_bigint", pd.Series([7], dtype="uint8"), [7]),
    "doubles": ("a_double", [0.1, float("nan")], [0.1, None]),
    "doubles from single precision": ("a_double", pd.Series([0.5], dtype="float32"), [0.5]),
    "doubles from integers": ("a_double", [2**53], [float(2**53)]),
    "booleans with nulls": ("a_flag", pd.Series([True, None, False], dtype="object"), [True, None, False]),
    "booleans of pandas": ("a_flag", pd.Series([True, pd.NA], dtype="boolean"), [True, None]),
}


@pytest.mark.parametrize(("column", "values", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_values_that_can_be_kept_exactly_are_taken(column, values, expected):
    assert cast(column, values) == expected


@pytest.mark.parametrize("column", [c.name for c in EVERY_TYPE.columns if c.nullable])
@pytest.mark.parametrize(
    "nothing",
    [
        pd.Series([None, None], dtype="object"),
        pd.Series([np.nan, np.nan]),
        pd.Series([pd.NaT, pd.NaT]),
        pd.Series([None, None], dtype=pd.ArrowDtype(pa.null())),
        pd.Series([None, None], dtype="category"),
    ],
    ids=["objects", "floats", "times", "arrow nulls", "categories"],
)
def test_an_all_null_column_is_null_whatever_its_dtype(column, nothing):
    assert cast(column, nothing) == [None, None]


REFUSED = {
    "a time of day in a day": ("a_day", pd.to_datetime(["2026-01-05 00:30"])),
    "a zone in a day": ("a_day", pd.to_datetime(["2026-01-05"]).tz_localize("UTC")),
    "a day as text": ("a_day", ["2026-01-05"]),
    "a time of day in objects": ("a_day", pd.Series([datetime(2026, 1, 5, 1)], dtype="object")),
    "a time without a zone": ("a_time", pd.to_datetime(["2026-01-05"])),
    "a time without a zone in objects": (
        "a_time",
        pd.Series([datetime(2026, 1, 5, tzinfo=BERLIN), datetime(2026, 1, 5)], dtype="object"),
    ),
    "a day as a time": ("a_time", pd.Series([DAY], dtype="object")),
    "nanoseconds": ("a_time", pd.Series(pd.to_datetime([1], utc=True))),
    "a number as text": ("a_text", [5]),
    "mixed objects": ("a_text", pd.Series(["a", 5], dtype="object")),
    "bytes": ("a_text", pd.Series([b"a"], dtype="object")),
    "the character NUL": ("a_text", ["a\0b"]),
    "half a surrogate pair": ("a_text", ["\ud83d"]),
    "a decimal of a finer scale": ("a_decimal", [Decimal("1.00001")]),
    "a decimal too large": ("a_decimal", [Decimal("1e15")]),
    "a float as decimal": ("a_decimal", [1.5]),
    "an infinite decimal": ("a_decimal", pd.Series([Decimal("Infinity")], dtype="object")),
    "an integer too large": ("an_int", [2**31]),
    "an integer beyond 64 bits": ("a_bigint", pd.Series([2**64], dtype="object")),
    "a fraction as integer": ("an_int", [1.5]),
    "an infinity as integer": ("an_int", [np.inf]),
    "a float beyond 2^53 as integer": ("a_bigint", [2.0**54]),
    "a boolean as integer": ("an_int", [True]),
    "a short integer too large": ("a_short", [40_000]),
    "an infinity": ("a_double", [1.0, np.inf]),
    "minus infinity": ("a_double", [-np.inf]),
    "a decimal as double": ("a_double", [Decimal("0.1")]),
    "an integer beyond 2^53 as double": ("a_double", [2**53 + 1]),
    "a number as boolean": ("a_flag", [1]),
    "text as boolean": ("a_flag", ["true"]),
    "a null where none may be": ("needed_text", ["a", None]),
    "NaN where no null may be": ("needed_double", [1.0, np.nan]),
    "no time where one is needed": ("needed_day", [pd.NaT]),
}


@pytest.mark.parametrize(("column", "values"), REFUSED.values(), ids=REFUSED.keys())
def test_values_that_would_change_are_refused_with_the_column_named(column, values):
    with pytest.raises(FrameRefused, match=rf"every_type\.{column}"):
        cast(column, values)


def test_minus_zero_is_stored_as_zero():
    assert np.signbit(cast("a_double", [-0.0])) == [False]


def test_columns_are_found_by_name_in_any_order():
    frame = sales()
    turned = to_arrow(frame[frame.columns[::-1]], raw_sales)
    assert turned.equals(to_arrow(frame, raw_sales))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda frame: frame.drop(columns=["sku"]), "missing sku"),
        (lambda frame: frame.assign(colour="red"), "unknown colour"),
        (lambda frame: frame.rename(columns={"sku": "SKU"}), "missing sku; unknown SKU"),
        (lambda frame: pd.concat([frame, frame[["sku"]]], axis=1), "named twice sku"),
    ],
    ids=["missing", "extra", "renamed", "twice"],
)
def test_other_columns_than_the_tables_are_refused_by_name(change, named):
    with pytest.raises(FrameRefused, match=named):
        to_arrow(change(sales()), raw_sales)


def test_a_repeated_key_is_refused_with_an_example():
    frame = pd.concat([sales(rows=2), sales(rows=1)])
    with pytest.raises(FrameRefused, match=r"1 rows repeat a key.*event_id=e-2026-01-05-0 is there 2 times"):
        to_arrow(frame, raw_sales)


def test_rows_of_other_days_are_refused_by_day():
    rows = to_arrow(sales(days(3)), raw_sales)
    check_window(rows, raw_sales, DAY, days(3)[-1])
    with pytest.raises(FrameRefused, match="rows of 2026-01-05, 2026-01-07 do not belong"):
        check_window(rows, raw_sales, date(2026, 1, 6), date(2026, 1, 6))


def test_undeclared_columns_of_a_query_get_the_same_dtypes():
    rows = pa.table(
        {
            "n": pa.array([1, 2], pa.int64()),
            "holes": pa.array([1, None], pa.int64()),
            "x": pa.array([1.5, None], pa.float64()),
            "t": pa.array(["a", None], pa.large_string()),
            "d": pa.array([DAY, None], pa.date32()),
            "m": pa.array([Decimal("1.5"), None], pa.decimal128(38, 4)),
        }
    )
    assert [str(kind) for kind in to_frame(rows).dtypes] == [
        "int64",
        "int64[pyarrow]",
        "float64",
        "string[pyarrow]",
        "datetime64[ns]",
        "decimal128(38, 4)[pyarrow]",
    ]
