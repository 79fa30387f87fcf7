"""Digests are of content: order, dtypes of storage, process and warehouse do not show."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform import digest
from forecast_platform.digest import EMPTY, all_differ, combine, digests_by_day, frame_digest, in_order, table_digest

FRAME = pd.DataFrame(
    {
        "sku": pd.array(["b", "a", "Ä", "🛒"], dtype=pd.ArrowDtype(pa.string())),
        "day": pd.to_datetime(["2026-01-02", "2026-01-01", "2026-01-01", "2026-01-01"]),
        "mean": [1.5, -0.0, np.nan, 3.0],
        "units": [Decimal("1.50"), None, Decimal("-3.25"), Decimal("0.00")],
        "ok": pd.array([True, None, False, True], dtype="boolean"),
        "n": [1, 2, 3, 2**60],
    }
)


def test_the_order_of_rows_and_columns_does_not_show():
    turned = FRAME.iloc[[2, 0, 3, 1], ::-1].reset_index(drop=True)
    assert frame_digest(turned, key=["day", "sku"]) == frame_digest(FRAME, key=["day", "sku"])


@pytest.mark.parametrize(
    ("column", "row", "value"),
    [("sku", 0, "B"), ("mean", 0, 1.5000000000000002), ("mean", 2, 0.0), ("units", 1, Decimal("0.00")), ("n", 3, 7)],
)
def test_any_changed_value_shows(column, row, value):
    changed = FRAME.copy()
    changed.loc[row, column] = value
    assert frame_digest(changed, key=["day", "sku"]) != frame_digest(FRAME, key=["day", "sku"])


def test_a_null_is_not_a_zero_nor_an_empty_text():
    texts = [pa.table({"k": [1], "t": pa.array([value], pa.string())}) for value in (None, "")]
    numbers = [pa.table({"k": [1], "t": pa.array([value], pa.float64())}) for value in (None, 0.0)]
    assert len({table_digest(each, key=["k"]) for each in texts + numbers}) == 4


def test_minus_zero_is_zero_and_any_nan_is_null():
    plain = pd.DataFrame({"k": [1, 2], "x": [0.0, np.nan]})
    odd = pd.DataFrame({"k": [1, 2], "x": [-0.0, np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\xff", "<f8")[0]]})
    assert frame_digest(odd, key=["k"]) == frame_digest(plain, key=["k"])


def test_how_a_column_is_stored_does_not_show():
    stored = FRAME.assign(
        sku=FRAME["sku"].astype("object").astype("category"), day=FRAME["day"].astype("datetime64[s]"), n=FRAME["n"]
    )
    assert frame_digest(stored, key=["day", "sku"]) == frame_digest(FRAME, key=["day", "sku"])


def test_another_process_finds_the_same_digest():
    code = (
        "import pandas as pd; from forecast_platform.digest import frame_digest;"
        "print(frame_digest(pd.DataFrame({'k': ['b', 'a'], 'x': [1.0, 2.0]}), key=['k']))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert printed == frame_digest(pd.DataFrame({"k": ["a", "b"], "x": [2.0, 1.0]}), key=["k"])


def test_a_days_digest_is_that_of_its_rows_alone():
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    by_day = digests_by_day(table, day="day", key=["day", "sku"])
    assert {day: rows for day, (rows, _) in by_day.items()} == {date(2026, 1, 1): 3, date(2026, 1, 2): 1}
    alone = frame_digest(FRAME[FRAME["day"] == "2026-01-01"], key=["day", "sku"])
    assert by_day[date(2026, 1, 1)][1] == alone


def test_no_rows_have_one_digest_whatever_their_columns():
    assert frame_digest(FRAME.head(0), key=["sku"]) == frame_digest(pd.DataFrame({"k": []}), key=["k"]) == EMPTY
    assert digests_by_day(pa.table({"day": pa.array([], pa.date32())}), day="day", key=["day"]) == {}


def test_a_column_without_a_normal_form_is_named():
    with pytest.raises(TypeError, match="'tags'"):
        frame_digest(pd.DataFrame({"k": [1], "tags": [["a", "b"]]}), key=["k"])
    with pytest.raises(KeyError, match="sku"):
        frame_digest(pd.DataFrame({"k": [1]}), key=["sku"])


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_combined_digests_are_equal_only_for_equal_lists(left, right):
    assert (combine(*left) == combine(*right)) == (left == right)


@given(
    st.lists(st.tuples(st.text(max_size=3), st.one_of(st.none(), st.text(max_size=3))), unique_by=lambda row: row[0])
)
def test_text_runs_of_neighbouring_rows_do_not_melt(rows):
    table = pa.table(
        {"k": pa.array([k for k, _ in rows], pa.string()), "v": pa.array([v for _, v in rows], pa.string())}
    )
    shifted = pa.table(
        {"k": table["k"], "v": pa.array([v for _, v in rows[1:]] + [v for _, v in rows[:1]], pa.string())}
    )
    same = table.equals(shifted)
    assert (table_digest(table, key=["k"]) == table_digest(shifted, key=["k"])) == same


@given(st.lists(st.tuples(st.integers(0, 3), st.dates(date(2026, 1, 1), date(2026, 1, 3))), max_size=8))
def test_order_is_told_as_sorting_tells_it(pairs: list[tuple[int, date]]):
    for rows in (pairs, sorted(pairs), sorted(set(pairs))):
        table = pa.table(
            {
                "id": pa.array([pair[0] for pair in rows], pa.int32()),
                "day": pa.array([pair[1] for pair in rows], pa.date32()),
            }
        )
        assert in_order(table, ("id", "day")) == (rows == sorted(rows))
        assert in_order(table, ("id", "day"), strictly=True) == (rows == sorted(set(rows)))


@given(st.lists(st.integers(0, 40), max_size=12), st.sampled_from([1, 1000]))
def test_keys_are_told_apart_and_sorted_whether_dense_or_not(keys: list[int], apart: int):
    numbers = np.array(keys, dtype=np.int64) * apart
    numbers -= numbers.min(initial=0)
    assert all_differ(numbers) == (len(set(keys)) == len(keys))
    table = pa.table({"id": pa.array(numbers), "was": pa.array(np.arange(len(keys)))})
    ordered = digest._sorted(table, ["id"])
    assert ordered["was"].to_pylist() == np.argsort(numbers, kind="stable").tolist()


def test_order_of_texts_and_nulls_is_not_told():
    assert not in_order(pa.table({"sku": ["a", "b"]}), ("sku",))
    assert not in_order(pa.table({"id": pa.array([1, None], pa.int32())}), ("id",))
