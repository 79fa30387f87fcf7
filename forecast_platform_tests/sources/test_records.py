"""Cutting text into records: every line is a record or a broken line, whatever the blocks."""

from __future__ import annotations

import csv as stdlib_csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.sources.base import Refused
from forecast_platform.sources.blocks import Block, blocks_of
from forecast_platform.sources.layouts import Csv
from forecast_platform.sources.records import BrokenLine, RecordReader
from forecast_platform.sources.rules import Limits

LIMITS = Limits(max_line_bytes=200)


def cut(text: bytes, *, block: int = 1 << 20, csv: Csv | None = None, limits: Limits = LIMITS):
    """Read ``text`` in blocks of ``block`` bytes: (fields of the good records, numbers, broken lines)."""
    csv = csv or Csv()
    reader = RecordReader(csv=csv, limits=limits)
    records = []
    for at in range(0, len(text), block):
        records += list(reader.feed(text[at : at + block]))
    records += list(reader.finish())
    good = b"".join(r.text for r in records)
    rows = list(stdlib_csv.reader(io.StringIO(good.decode(), newline=""), delimiter=csv.delimiter, quotechar=csv.quote))
    return rows, [int(n) for r in records for n in r.numbers], [b for r in records for b in r.broken]


def read(text: bytes, **options: object) -> list[Block]:
    stream = io.BytesIO(text)
    return list(blocks_of(stream, form="csv", csv=Csv(), limits=LIMITS, needed=(), where="the test", **options))


CELL = st.text(alphabet=st.sampled_from('ab,"\n\r é€😀;'), max_size=6)


@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=12),
    block=st.integers(1, 40),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=300, deadline=None)
def test_well_formed_text_comes_back_cell_by_cell_whatever_the_blocks(rows, block, end):
    file = io.StringIO(newline="")
    writer = stdlib_csv.writer(file, lineterminator=end, quoting=stdlib_csv.QUOTE_ALL)
    writer.writerows([["x", "y", "z"], *rows])
    found, numbers, broken = cut(file.getvalue().encode(), block=block)
    assert broken == []
    assert found == rows
    assert numbers == list(range(1, len(rows) + 1))


@given(text=st.binary(max_size=300).map(lambda b: b"a,b,c\n" + b), block=st.integers(1, 64))
@settings(max_examples=400, deadline=None)
def test_any_bytes_give_numbered_records_or_broken_lines_and_never_an_error(text, block):
    limits = Limits(max_line_bytes=64)
    rows, numbers, broken = cut(text, block=block, limits=limits)
    assert sorted([*numbers, *(line.number for line in broken)]) == list(range(1, len(numbers) + len(broken) + 1))
    assert len(rows) == len(numbers)
    assert (rows, numbers) == cut(text, limits=limits)[:2]


@given(
    text=st.lists(st.sampled_from(["a", ",", '"', "\n", "\r\n", '""', "é", '",', ',"']), max_size=60).map("".join),
    block=st.integers(1, 30),
)
@settings(max_examples=500, deadline=None)
def test_text_with_stray_quotes_is_cut_alike_in_any_blocks_and_arrow_agrees(text, block):
    content = b"x,y\n" + text.encode()
    whole = cut(content, limits=Limits(max_line_bytes=10_000))
    assert cut(content, block=block, limits=Limits(max_line_bytes=10_000)) == whole
    table_rows = [list(row.values()) for b in read(content) for row in b.table.to_pylist()]
    assert len(table_rows) == len(whole[1])


def test_a_row_with_too_many_or_few_fields_costs_only_itself():
    rows, numbers, broken = cut(b"a,b\n1,2\n1,2,3\n4\n5,6\n")
    assert rows == [["1", "2"], ["5", "6"]]
    assert numbers == [1, 4]
    assert [(b.number, b.reason) for b in broken] == [
        (2, "the row has 3 fields, the header 2"),
        (3, "the row has 1 fields, the header 2"),
    ]


def test_an_unclosed_quote_costs_its_line_and_not_the_rows_below():
    rows, numbers, broken = cut(b'a,b\n1,2\n"oops,3\n4,5\n6,7\n')
    assert rows == [["1", "2"], ["4", "5"], ["6", "7"]]
    assert numbers == [1, 3, 4]
    assert broken == [BrokenLine(2, "a quote is not closed", b'"oops,3')]


def test_an_unclosed_quote_that_a_later_quote_closes_costs_its_line_only():
    rows, _, broken = cut(b'a,b\n1,"2\n3,4\n5,"six"\n7,8\n')
    assert rows == [["3", "4"], ["5", "six"], ["7", "8"]]
    assert [b.number for b in broken] == [1]


def test_inch_marks_inside_a_field_are_text():
    rows, _, broken = cut(b'a,b\n12" BALLOON,1\nPIPE 6",2\n')
    assert [row[1] for row in rows] == ["1", "2"]
    assert broken == []


@pytest.mark.parametrize("block", [7, 100, 1 << 20])
def test_a_line_beyond_the_limit_is_dropped_with_its_size_and_start(block):
    text = b"a,b\n1,2\n" + b"x" * 5_000 + b",3\n4,5\n"
    rows, numbers, broken = cut(text, block=block)
    assert rows == [["1", "2"], ["4", "5"]]
    assert numbers == [1, 3]
    assert broken[0].number == 2
    assert broken[0].reason == "the line is 5002 bytes long; limits.max_line_bytes is 200"
    assert broken[0].text.startswith(b"xxxx") and len(broken[0].text) <= 2_000


def test_bytes_that_are_no_text_and_nul_characters_cost_their_rows():
    rows, numbers, broken = cut(b"a,b\n1,\xff\n2,x\n3,\0\n4,y\n")
    assert rows == [["2", "x"], ["4", "y"]]
    assert numbers == [2, 4]
    assert "b'\\xff'" in broken[0].reason
    assert broken[1].reason == "the row holds a NUL character"


def test_blank_lines_are_no_rows():
    rows, numbers, broken = cut(b"\n\na,b\n\n1,2\r\n\r\n\n3,4")
    assert (rows, numbers, broken) == ([["1", "2"], ["3", "4"]], [1, 2], [])


def test_old_macintosh_line_ends_are_line_ends():
    assert cut(b"a,b\r1,2\r3,4\r", block=3)[0] == [["1", "2"], ["3", "4"]]


def test_a_file_without_header_takes_the_names_of_the_settings():
    rows, numbers, _ = cut(b"1,2\n3,4\n", csv=Csv(column_names=("a", "b")))
    assert (rows, numbers) == ([["1", "2"], ["3", "4"]], [1, 2])


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \r\n"])
def test_an_empty_file_is_refused(content):
    with pytest.raises(Refused, match="it is empty"):
        cut(content)


def test_ten_thousand_columns_are_refused():
    with pytest.raises(Refused, match=r"10000 columns; limits\.max_columns is 4096"):
        cut(b",".join(b"c" for _ in range(10_000)) + b"\n", limits=Limits())


def test_a_file_without_a_line_end_is_refused_as_no_text():
    with pytest.raises(Refused, match="no end within"):
        cut(b"x" * 10_000, block=1_000)
