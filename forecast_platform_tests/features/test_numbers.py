"""Decimals become the nearest float64."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.features.numbers import nearest_float64

QUANTITY = pd.ArrowDtype(pa.decimal128(18, 4))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.decimals(min_value=Decimal(-(10**13)), max_value=Decimal(10**13), places=4) | st.none(), max_size=20)
)
def test_every_decimal_becomes_the_float_that_python_reads(values):
    got = nearest_float64(pd.Series(values, dtype=QUANTITY))
    assert [None if np.isnan(x) else x for x in got] == [None if v is None else float(v) for v in values]


@pytest.mark.parametrize("values", [[1.5, None, 3.0], [1, 2, 3]])
def test_columns_that_are_no_decimals_pass_unchanged(values):
    got = nearest_float64(pd.Series(values))
    assert np.array_equal(got, np.array(values, dtype=float), equal_nan=True)


def test_a_part_of_a_longer_column_is_read_from_its_own_place():
    column = pd.Series([Decimal("1.5"), None, Decimal("2.25"), Decimal("99999999999999.9999")], dtype=QUANTITY)
    assert nearest_float64(column.iloc[2:]).tolist() == [2.25, 99999999999999.9999]


def test_numbers_of_more_than_53_bits_are_rounded_once():
    long = Decimal("64023164574085.4962")
    assert float(64023164574085_4962) / 1e4 != float(long), "this number no longer shows the difference"
    assert nearest_float64(pd.Series([long, -long], dtype=QUANTITY)).tolist() == [float(long), -float(long)]
    wide = [Decimal("123456789012345678901.0123456789"), Decimal("-0.0000000001"), None]
    got = nearest_float64(pd.Series(wide, dtype=pd.ArrowDtype(pa.decimal128(38, 10))))
    assert got[:2].tolist() == [float(wide[0]), float(wide[1])]
    assert np.isnan(got[2])
