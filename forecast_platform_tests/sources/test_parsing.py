"""Numbers, names, yes and no: exact, or refused with the column and the value."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.sources.parsing import NumberReader, Problem, parsed, read_boolean, read_text, texts_of


def number(text: str, **options: object) -> Decimal | Problem:
    given_options = {"column": "quantity", "scale": 4, "limit": Decimal(10**6), "limit_name": "limits.max_quantity"}
    return NumberReader(**(given_options | options))(text)


@given(st.decimals(min_value=-(10**6), max_value=10**6, places=4))
def test_a_decimal_of_the_scale_comes_back_exactly(value):
    assert number(str(value)) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1", "1"), ("-2.50", "-2.5"), ("+.5", "0.5"), ("1e3", "1000"), ("3.", "3"), ("-0.0", "0")]
)
def test_numbers_are_written_in_several_ways(text, value):
    assert number(text) == Decimal(value)
    assert str(number(text))[0] != "-" or value[0] == "-"


@pytest.mark.parametrize(
    "text", ["abc", "inf", "-Infinity", "NaN", "1,5", "0x10", "1_000", "--1", "1e9999", "٣", "", "1 000", "9" * 60]
)
def test_what_is_no_finite_number_is_refused_by_name(text):
    problem = number(text)
    assert isinstance(problem, Problem)
    assert problem.startswith("quantity '")


def test_a_number_out_of_bounds_or_with_too_many_decimals_is_refused_never_rounded():
    assert number("1e12") == Problem("quantity '1e12' is beyond limits.max_quantity, 1000000")
    assert number("-1000001") == Problem("quantity '-1000001' is beyond limits.max_quantity, 1000000")
    assert number("0.00001") == Problem("quantity '0.00001' has more than 4 decimals")
    assert number("-1", least=Decimal(0)) == Problem("quantity '-1' is below 0")


def test_decimal_and_thousands_marks_count_only_in_their_places():
    german = {"decimal": ",", "thousands": "."}
    assert number("1.234,5", **german) == Decimal("1234.5")
    assert number("1234,5", **german) == Decimal("1234.5")
    assert isinstance(number("1.23", **german), Problem)
    assert isinstance(number("1,5", thousands=","), Problem)
    assert number("-12,345", thousands=",") == Decimal(-12345)


def test_a_binary_float_is_the_decimal_it_stands_for_and_a_true_fraction_is_refused():
    assert number("0.30000000000000004", inexact=True) == Decimal("0.3")
    assert isinstance(number("0.30000000000000004"), Problem)
    assert isinstance(number("0.3333333333333333", inexact=True), Problem)


@given(st.integers(-(10**9), 10**9))
def test_a_double_column_of_thousandths_loses_nothing(thousandths):
    value = thousandths / 1000
    texts = texts_of(pa.chunked_array([pa.array([value])]), ())
    result = parsed(texts, lambda t: number(t, inexact=texts.inexact, limit=Decimal(10**7)), pa.decimal128(18, 4))
    assert result.values.to_pylist() == [Decimal(thousandths).scaleb(-3)]


def test_names_with_nul_or_of_a_megabyte_are_refused():
    read = read_text("sku", 1_000)
    assert read("a'b\"; drop table x;-- 😀") == "a'b\"; drop table x;-- 😀"
    assert "NUL" in read("a\0b")
    assert read("x" * 1_000_000) == Problem("sku '" + "x" * 60 + "…' has 1000000 characters; limits.max_text is 1000")


def test_yes_and_no_are_the_texts_of_the_settings():
    read = read_boolean("on_promotion", ("True",), ("False",))
    assert (read("true"), read("FALSE")) == (True, False)
    assert isinstance(read("maybe"), Problem)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1, 2**60, None]), ["1", str(2**60), None]),
        (pa.array([Decimal("1.50"), None]), ["1.50", None]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([" a ", "", None]), ["a", None, None]),
        (pa.array([b"a", b"\xff"]), ["a", "\\xff"]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
        (pa.nulls(2), [None, None]),
        (pa.array([[1], None]), ["[1]", None]),
        (pa.array([], pa.string()), []),
        (pa.array(np.array([1.0, 2.5], np.float32)), ["1", "2.5"]),
    ],
)
def test_a_column_of_any_type_is_read_as_texts(values, texts):
    found = texts_of(pa.chunked_array([values]), ("",))
    assert [None if i is None else found.distinct[i] for i in found.indices.to_pylist()] == texts
