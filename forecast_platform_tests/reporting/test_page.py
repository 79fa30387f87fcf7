"""A day's page: its figures, what it says of days without any, and that nothing in it can be more than text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from forecast_platform.reporting.figures import DayReport, Listed
from forecast_platform.reporting.page import page, signed_percent, units
from forecast_platform_tests.reporting.reports import AWKWARD, DAY, HOSTILE, empty, full

VOID = {"meta", "link", "br", "rect", "line", "path", "circle"}


class Reader(HTMLParser):
    """Tags, attributes and text of a page; ``left_open`` are tags that were never closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.left_open: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.left_open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.left_open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.left_open:
            self.words.append(data)


def test_the_figures_that_matter_come_first_in_plain_words():
    text = Reader(page(full())).text
    assert "Friday, 20 March 2026" in text
    assert "200 units were sold. The day before, 110 had been forecast: 45.0 % too little." in text
    # Σ|e| / Σa is 60 / 200; repeating the week before missed 90 / 200.
    assert "missed by 30.0 % of what was sold, 15.0 points better than repeating the week before" in text
    assert "For the coming week 770 units are expected, −3.7 % on the last seven days." in text
    assert text.index("200 units were sold") < text.index("What changed") < text.index("How good the forecasts were")


def test_accuracy_is_told_for_each_window_and_source():
    text = Reader(page(full())).text
    row = "published 30.0 % +15.0 0.750 +15.0 % today's champions 25.0 % +20.0 0.700 +10.0 %"
    for window in (7, 28, 90):
        assert f"Last {window} days {row} last week repeated 45.0 % – 1.250 −5.0 %" in text
        assert f"last {window} days 90.0 % 98.0 %" in text
    assert "Intervals around ensemble, which is published for 2 of 3 series." in text


def test_what_changed_names_each_change_and_counts_the_rest():
    text = Reader(page(full(sku="tea"))).text
    assert f"3 series are forecast by another model tea : linear → {HOSTILE}" in text and "and 2 more" in text
    assert "New series: 1" in text and "Ended series: 1 gone" in text
    assert f"2 × no number: {HOSTILE}" in text
    assert f"{HOSTILE}.csv 5 rows; touches 17 Mar" in text and "could not be read: =cmd" in text


def test_stock_is_told_with_what_to_do_and_only_where_it_is_planned():
    text = Reader(page(full(sku="tea"))).text
    assert "this day 1,234 56 7.5 98.0 % 3 2 321 a week before – – – – 0 0 –" in text
    assert f"tea 4 24 29 Mar {HOSTILE}" in text and "– – count Count it. and 3 more" in text
    assert "Stock: what to do today" not in Reader(page(replace(full(), stock={}))).text
    nothing = Reader(page(replace(full(), exceptions=Listed()))).text
    assert "Nothing has to be ordered, counted or sold off." in nothing


def test_series_have_their_units_errors_and_reason():
    text = Reader(page(full(sku="tea"))).text
    assert f"tea @ north 12 50.0 % −25.0 % About {HOSTILE}." in text
    assert "tea 70 84 +14 =cmd" in text


@pytest.mark.parametrize("sku", [HOSTILE, AWKWARD, "a" * 300, "日本 ünïcode", "</style></title><img src=x onerror=x>"])
def test_names_from_data_are_text_and_never_mark_up(sku: str):
    html = page(full(sku=sku))
    read = Reader(html)
    assert not {"script", "img", "iframe", "i"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert read.left_open == []
    assert " ".join(sku.split()) in read.text and "7 * 7" in read.text
    assert "<script" not in html.lower()


def test_a_page_stands_by_itself_and_is_small():
    html = page(full())
    assert len(html.encode()) < 100_000
    links = [value for name, value in Reader(html).attributes if name in ("src", "href")]
    assert links == ["data:,"]
    assert "url(" not in html and "@import" not in html
    assert "default-src 'none'" in html


def test_plots_say_in_words_what_they_show_and_their_names_are_unique():
    html = page(full())
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        title, text = root[0], root[1]
        assert title.tag.endswith("title") and title.text and text.tag.endswith("desc") and text.text
        assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {text.attrib['id']}"
    names = re.findall(r' id="([^"]+)"', html)
    assert len(names) == len(set(names))


def test_a_day_without_anything_says_so():
    read = Reader(page(empty()))
    assert "There are no sales on record for this day." in read.text
    assert "No published forecast has met its sales yet" in read.text
    assert "Nothing has been sold or forecast yet." in read.text
    assert "Nothing has been published from this day." in read.text
    assert "svg" not in read.tags and read.left_open == []


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (replace(full(), units={DAY: 0.0}), "Nothing was sold. The day before, 110 had been forecast."),
        (replace(full(), units={DAY: 110.0}), "The day before, 110 had been forecast: what was sold."),
        (replace(full(), units={DAY: 100.0}), "had been forecast: 10.0 % too much."),
        (replace(full(), forecasts={}), "Nothing had been published for this day on the day before."),
    ],
)
def test_days_out_of_the_ordinary_are_told_as_they_were(report: DayReport, said: str):
    assert said in Reader(page(report)).text


def test_the_same_figures_give_the_same_bytes():
    assert page(full()) == page(full())


def test_small_amounts_keep_a_decimal():
    assert [units(value) for value in (None, 0.0, 0.25, 3.0, 3.14, 12.6, 1234.5)] == [
        *("–", "0", "0.2", "3", "3.1", "13", "1,234")
    ]


def test_what_rounds_to_nothing_has_no_minus():
    assert [signed_percent(value) for value in (-1e-9, 0.0, -0.0004, -0.0006, 0.125, None)] == [
        *("+0.0 %", "+0.0 %", "+0.0 %", "−0.1 %", "+12.5 %", "–")
    ]
