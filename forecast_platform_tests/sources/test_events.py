"""What may be posted: an event is a sale, a mark, or refused with a reason, whatever somebody sends."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from forecast_platform.sources.events import EventReader, Mark, Unfit, as_it_came
from forecast_platform.sources.shapes import EventsSales, SalesSource

SALE = {"event_id": "a1", "sold_at": "2026-06-01T10:00:00Z", "sku": "tea", "quantity": 2}


def shape(**options: Any) -> EventsSales:
    return TypeAdapter(SalesSource).validate_python({"kind": "events", **options})


def read(event: object, **options: Any) -> dict[str, str] | Mark:
    reader = EventReader(shape(**options))
    found = reader.read(event)
    return found if isinstance(found, Mark) else dict(zip(reader.fields, found, strict=True))


def test_numbers_keep_the_digits_they_were_written_with():
    text = (
        '{"event_id": 17, "sku": "tea", "sold_at": "2026-06-01", "quantity": 1, "unit_price": 0.10000000000000000555}'
    )
    cells = read(text)
    assert (cells["event_id"], cells["unit_price"]) == ("17", "0.10000000000000000555")
    assert read(SALE | {"unit_price": Decimal("9.90")})["unit_price"] == "9.90"


def test_what_is_left_out_or_null_is_empty_and_a_location_is_all():
    cells = read(SALE | {"order_id": None, "on_promotion": True})
    assert (cells["order_id"], cells["unit_price"], cells["location"], cells["on_promotion"]) == ("", "", "all", "true")


def test_fields_may_have_names_of_the_senders_own():
    columns = {"event_id": "uid", "sold_at": "when", "sku": "article", "quantity": "n"}
    assert read({"uid": "a", "when": "2026-06-01", "article": "tea", "n": 1}, columns=columns)["article"] == "tea"


def test_a_mark_ends_a_day():
    assert read('{"type": "end_of_day", "day": "2026-06-01"}') == Mark(date(2026, 6, 1))


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff{}", "not UTF-8"),
        (b"[1, 2]", "a list, not a JSON object"),
        (b"null", "null, not a JSON object"),
        (17, "a number, not a JSON object"),
        (b"[" * 10_000, "nested too deeply"),
        (b'{"a":' * 3_000, "nested too deeply"),
        (json.dumps(SALE | {"sku": "x" * 1_000_000}), "max_event_bytes is 16384"),
        (SALE | {"sku": "x" * 1_000_000}, "max_event_bytes is 16384"),
        (SALE | {"sku": "a\0b"}, "sku holds a NUL character"),
        (json.dumps(SALE | {"event_id": "a\0b"}), "event_id holds a NUL character"),
        (json.dumps(SALE | {"sku": "\ud800"}), "sku holds a lone surrogate"),
        ('{"event_id": "a", "quantity": NaN}', "NaN, which is not a finite number"),
        ('{"event_id": "a", "quantity": -Infinity}', "-Infinity, which is not a finite number"),
        (SALE | {"quantity": float("nan")}, "quantity is nan, not a finite number"),
        (SALE | {"quantity": 1 << 63}, "quantity is a number beyond 64 bits"),
        (json.dumps(SALE | {"quantity": 1 << 63}), "9223372036854775808 is beyond 64 bits"),
        (f'{{"quantity": {"9" * 10_000}}}', "is beyond 64 bits"),
        (SALE | {"sku": ["tea"]}, "sku is a list; give a text"),
        (SALE | {"sku": {"a": 1}}, "sku is an object; give a text"),
        (SALE | {"shelf": 3}, "unknown fields: 'shelf'"),
        (SALE | {"type": "refund"}, "type 'refund' is unknown"),
        (SALE | {"type": ["sale"]}, "type a list is unknown"),
        ({"type": "end_of_day", "day": "20261120"}, "day '20261120' is no day"),
        ({"type": "end_of_day", "day": "2026-13-01"}, "day '2026-13-01' is no day"),
        ({"type": "end_of_day"}, "day null is no day"),
        ({"type": "end_of_day", "day": "2026-06-01", "shop": 1}, "nothing else, not 'shop'"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(event: object, reason: str):
    with pytest.raises(Unfit, match=re.escape(reason)) as refused:
        read(event)
    assert len(str(refused.value)) < 400


def test_unknown_fields_may_pass():
    assert read(SALE | {"shelf": 3}, unknown_fields="keep")["sku"] == "tea"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"columns": {"sku": "sku", "quantity": "n", "sold_at": "at"}}, "map columns.event_id"),
        ({"decimal": ","}, "an event is JSON"),
        ({"columns": {"sku": "event", "quantity": "n", "sold_at": "at", "event_id": "id"}}, "may be called event"),
    ],
)
def test_settings_that_cannot_be_of_events_are_refused(options: dict, problem: str):
    with pytest.raises(ValidationError, match=problem):
        shape(**options)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from([*SALE, "type", "day", "location", "unit_price", "order_id", "x"])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | st.text(st.characters(), max_size=60) | anything | st.dictionaries(fields, anything))
def test_whatever_is_sent_is_read_or_refused_and_can_be_shown(event: object):
    try:
        found = read(event)
        assert isinstance(found, Mark) or "\0" not in "".join(found.values())
    except Unfit as refused:
        assert str(refused)
    shown = as_it_came(event)
    assert "\0" not in shown and "\n" not in shown
    assert len(shown.encode()) < 10_000


known_fields = st.sampled_from([*SALE, "type", "location", "unit_price", "order_id"])
plain = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=80)
sales = st.dictionaries(known_fields, plain, max_size=5).map(lambda some: SALE | some)
events = st.lists(sales | sales.map(json.dumps) | sales.map(lambda some: json.dumps(some).encode()), max_size=4)


@settings(max_examples=150, deadline=None)
@given(events | st.lists(sales | anything, min_size=1, max_size=3), st.sampled_from([256, 4096]))
def test_events_that_are_read_together_are_read_as_each_would_be(sent: list, longest: int):
    reader = EventReader(shape(max_event_bytes=longest))
    together = reader.read_together(sent) if sent else None
    if together is not None:
        assert [list(cells) for cells in zip(*together, strict=True)] == [reader.read(event) for event in sent]


def test_plain_sales_are_read_together_and_nothing_else():
    reader = EventReader(shape())
    assert reader.read_together([SALE, json.dumps(SALE | {"unit_price": 2.5})]) is not None
    others = [
        {"type": "end_of_day", "day": "2026-06-01"},
        SALE | {"x": 1},
        SALE | {"sku": []},
        SALE | {"sku": "a\0"},
        SALE | {"sku": "\ud800"},
        SALE | {"sku": "é" * 40_000},
        SALE | {"quantity": float("nan")},
        [123, 125],
        "{",
        None,
    ]
    assert [reader.read_together([SALE, other]) for other in others] == [None] * len(others)
