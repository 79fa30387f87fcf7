"""What is written is what is read, type by type, in both warehouses, and the digests of both are equal."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast_platform.io_managers.columns import to_arrow
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.io_managers.every_type import EVERY_TYPE, create_every_type, every_type
from forecast_platform_tests.sales_frames import DAY

TEXTS = [
    "",
    " ",
    "NULL",
    "null",
    "NaN",
    "\\N",
    "\\.",
    "a\n\\.\nb",
    "a\r\nb",
    "tab\there",
    'quo"ted',
    '""',
    "it's; drop table series;--",
    "comma, semicolon;",
    "back\\slash\\\\",
    "🛒 émoji ﷽ ‮rtl",
    "%s %(x)s :name ?",
    "=1+1",
    "x" * 100_000,
]

VALUES = {
    "a_text": TEXTS,
    "needed_text": TEXTS,
    "a_day": pd.to_datetime(["1970-01-01", "2028-02-29", "1900-01-01", "2200-12-31", None]),
    "a_time": pd.to_datetime(
        ["2026-03-08 07:30:00.123456", "1970-01-01", "1999-12-31 23:59:59.999999", None], format="ISO8601"
    ).tz_localize("UTC"),
    "a_decimal": [Decimal("99999999999999.9999"), Decimal("-0.0001"), Decimal("0.1000"), None],
    "a_bigint": pd.array([2**53 + 1, 2**63 - 1, -(2**63), None], dtype="Int64"),
    "an_int": pd.array([2**31 - 1, -(2**31), 0, None], dtype="Int64"),
    "a_short": pd.array([-32_768, 32_767, None], dtype="Int64"),
    "a_double": [0.1, 1e-308, 5e-324, 1.7976931348623157e308, 1 / 3, -0.0, None],
    "needed_double": [np.nextafter(1.0, 2.0), 123456789.123456789],
    "a_flag": [True, False, None],
    "needed_flag": [True, False],
}


def written_and_read(warehouse: Warehouse, frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    with warehouse.transaction() as session:
        states = session.replace_days(EVERY_TYPE, frame, DAY, DAY, asset="every_type", run_id="run")
    query = "select * from every_type order by needed_text"
    return warehouse.read(query, like=EVERY_TYPE), states[DAY].digest


@pytest.mark.parametrize("column", VALUES)
def test_every_value_comes_back_as_it_went(warehouse: Warehouse, column: str):
    create_every_type(warehouse)
    values = pd.Series(VALUES[column])
    frame = every_type(len(values))
    frame[column] = values
    back, _ = written_and_read(warehouse, frame)
    expected = to_arrow(frame, EVERY_TYPE).sort_by("needed_text")
    assert to_arrow(back, EVERY_TYPE).equals(expected)


def test_frames_are_read_with_the_promised_dtypes_even_when_empty_or_null(warehouse: Warehouse):
    create_every_type(warehouse)
    promised = {
        "needed_day": "datetime64[ns]",
        "needed_text": "string[pyarrow]",
        "needed_double": "float64",
        "needed_flag": "bool",
        "needed_int": "int32",
        "a_day": "datetime64[ns]",
        "a_time": "datetime64[us, UTC]",
        "a_text": "string[pyarrow]",
        "a_decimal": "decimal128(18, 4)[pyarrow]",
        "a_bigint": "int64[pyarrow]",
        "an_int": "int32[pyarrow]",
        "a_short": "int16[pyarrow]",
        "a_double": "float64",
        "a_flag": "bool[pyarrow]",
    }
    for rows in (0, 2):
        back, _ = written_and_read(warehouse, every_type(rows))
        assert len(back) == rows
        assert {name: str(kind) for name, kind in back.dtypes.items()} == promised
        assert back.filter(regex="^an?_").isna().all(axis=None)


def test_both_warehouses_have_the_same_digest_of_the_same_rows(
    duckdb_warehouse: Warehouse, postgres_warehouse: Warehouse
):
    frame = every_type(len(TEXTS))
    for column, values in VALUES.items():
        endless = itertools.cycle(pd.Series(values, dtype="object"))
        frame[column] = TEXTS if column == "needed_text" else pd.Series(list(itertools.islice(endless, len(frame))))
        if column in ("a_double", "needed_double"):
            frame[column] = frame[column].astype("float64")
    digests = set()
    for warehouse in (duckdb_warehouse, postgres_warehouse):
        create_every_type(warehouse)
        back, digest = written_and_read(warehouse, frame)
        again, digest_again = written_and_read(warehouse, back.iloc[::-1])
        pd.testing.assert_frame_equal(again, back)
        digests |= {digest, digest_again}
    assert len(digests) == 1


ROW = st.fixed_dictionaries(
    {
        "needed_text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        "a_text": st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        "a_double": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "a_decimal": st.none()
        | st.decimals(-(10**14), 10**14, places=4, allow_nan=False).filter(lambda d: abs(d) < 10**14),
        "a_bigint": st.none() | st.integers(-(2**63), 2**63 - 1),
        "a_flag": st.none() | st.booleans(),
    }
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, max_size=8, unique_by=lambda row: row["needed_text"]))
def test_any_rows_come_back_as_they_went(warehouse: Warehouse, rows: list[dict]):
    with warehouse.transaction() as session:
        session.execute("drop table if exists every_type")
    create_every_type(warehouse)
    frame = every_type(len(rows))
    for column in rows[0] if rows else ():
        kind = {"a_bigint": "Int64", "a_double": "float64"}.get(column, "object")
        frame[column] = pd.Series([row[column] for row in rows], dtype=kind)
    back, _ = written_and_read(warehouse, frame)
    key = [("needed_text", "ascending")]
    assert to_arrow(back, EVERY_TYPE).sort_by(key).equals(to_arrow(frame, EVERY_TYPE).sort_by(key))


def test_a_query_is_typed_without_a_declaration_too(warehouse: Warehouse):
    create_every_type(warehouse)
    frame = every_type(2)
    frame["a_decimal"] = [Decimal("1.25"), Decimal("2.5")]
    frame["a_time"] = pd.Timestamp("2026-01-05 10:00", tz="UTC")
    written_and_read(warehouse, frame)
    back = warehouse.read(
        "select count(*) as n, sum(a_decimal) as total, max(a_time) as newest, max(needed_day) as day,"
        " max(needed_text) as text, bool_and(needed_flag) as flag, max(a_double) as nothing from every_type"
        " where needed_day = :day and needed_text like :like",
        {"day": DAY, "like": "row %"},
    ).iloc[0]
    assert back["n"] == 2 and back["total"] == Decimal("3.75")
    assert back["newest"] == pd.Timestamp("2026-01-05 10:00", tz="UTC") and back["day"] == pd.Timestamp(DAY)
    assert back["text"] == "row 1" and bool(back["flag"]) and np.isnan(back["nothing"])


def test_values_are_never_part_of_the_statement(warehouse: Warehouse):
    create_every_type(warehouse)
    frame = every_type(1).assign(needed_text="a'b\"; drop table every_type;--")
    written_and_read(warehouse, frame)
    query = "select count(*) as n from every_type where needed_text = :sku"
    assert warehouse.read(query, {"sku": frame["needed_text"][0]})["n"].tolist() == [1]
    assert warehouse.read(query, {"sku": "' or 1=1 --"})["n"].tolist() == [0]
    with pytest.raises(KeyError, match="sku"):
        warehouse.read(query)


def test_the_machines_zone_does_not_matter(warehouse: Warehouse, warehouse_url: str):
    create_every_type(warehouse)
    frame = every_type(1).assign(a_time=pd.Timestamp("2026-03-08 07:30", tz="UTC"), a_day=pd.Timestamp("2026-03-08"))
    written_and_read(warehouse, frame)
    code = (
        "import sys; from forecast_platform.io_managers.warehouse import open_warehouse;"
        "rows = open_warehouse(sys.argv[1], sys.argv[2]).read('select a_time, a_day from every_type');"
        "print(rows.iloc[0, 0].isoformat(), rows.iloc[0, 1].isoformat())"
    )
    for zone in ("Pacific/Kiritimati", "America/New_York"):
        environment = os.environ | {"TZ": zone, "PGTZ": zone}
        shown = subprocess.run(
            [sys.executable, "-c", code, warehouse_url, warehouse.tenant],
            env=environment, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        assert shown == ["2026-03-08T07:30:00+00:00", "2026-03-08T00:00:00"]


def test_large_results_keep_every_row(warehouse: Warehouse):
    create_every_type(warehouse)
    rows = 250_000
    frame = every_type(1).loc[[0] * rows].reset_index(drop=True)
    frame["needed_text"] = pd.Series(range(rows)).astype("string[pyarrow]")
    frame["a_double"] = np.random.default_rng(7).standard_normal(rows)
    back, _ = written_and_read(warehouse, frame)
    assert len(back) == rows
    assert back["a_double"].sum() == pytest.approx(frame["a_double"].sum(), abs=1e-9)
    assert pa.array(back["needed_text"]).cast(pa.int64()).to_numpy().sum() == rows * (rows - 1) // 2
