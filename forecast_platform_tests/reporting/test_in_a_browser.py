"""A page in headless Chromium: nothing to complain of, nothing fetched, nothing cut off on a desk or a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from forecast_platform.assets.daily_report import plots
from forecast_platform.reporting.figures import DayReport
from forecast_platform.reporting.page import page
from forecast_platform.reporting.simulation import by_day_plot, simulation_page
from forecast_platform_tests.reporting.chromium import Page, browser
from forecast_platform_tests.reporting.reports import AWKWARD, DAY, HOSTILE, empty, full

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BEYOND = """
[...document.querySelectorAll('section *, .card *')].filter(each => {
  const frame = each.closest('section, .card').getBoundingClientRect(), own = each.getBoundingClientRect()
  return own.width > 0 && (own.right > frame.right + 0.5 || own.left < frame.left - 0.5)
}).map(each => each.tagName + ' ' + each.textContent.trim().slice(0, 40))
"""
"""Whatever reaches out of the box that it is in."""

SMALLEST = """
Math.min(...[...document.querySelectorAll('svg text')].filter(each => each.getClientRects().length)
  .map(each => 11 * each.ownerSVGElement.getBoundingClientRect().width / each.ownerSVGElement.viewBox.baseVal.width))
"""
"""Size in pixels of the smallest letters of a plot."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as opened:
        yield opened


REPORTS = {
    "ordinary": full(),
    "hostile": full(sku=HOSTILE),
    "awkward": full(sku=AWKWARD),
    "long": full(sku="a" * 120),
    "empty": empty(),
}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_a_page_is_whole_at_a_desks_and_a_phones_width(chromium: Page, tmp_path: Path, report: DayReport, width: int):
    file = tmp_path / "report.html"
    file.write_text(page(report))
    chromium.complaints.clear()
    chromium.requested.clear()
    chromium.open(file.as_uri(), width=width)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate(BEYOND) == []
    assert chromium.evaluate("document.querySelectorAll('h2').length") == 6 + bool(report.stock)
    if report.units:
        assert chromium.evaluate(SMALLEST) >= 9.5
    assert chromium.evaluate("document.querySelectorAll('script').length") == 0
    chromium.screenshot(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
    assert chromium.complaints == []
    assert [url for url in chromium.requested if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_simulation_is_whole_too(chromium: Page, tmp_path: Path, width: int):
    days = [DAY + timedelta(days=each) for each in range(28)]
    lines = {"plan": [0.1] * 28, "simple": [float("nan")] * 14 + [0.3] * 14, HOSTILE: [0.2] * 28}
    drawn = by_day_plot(days, lines, title="Demand missed", name="missed", share=True)
    columns = [("by", "rule", str), *((f"figure {number}", "value", str) for number in range(9))]
    html = simulation_page(HOSTILE, days, [{"rule": HOSTILE, "value": 1_234}], columns, {"missed": drawn}, censored=3)
    file = tmp_path / "simulation.html"
    file.write_text(html)
    chromium.complaints.clear()
    chromium.open(file.as_uri(), width=width)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate("document.querySelectorAll('script').length") == 0
    assert chromium.evaluate("document.querySelectorAll('td').length") == len(columns)
    assert chromium.complaints == []


def test_the_plots_are_pictures_too(chromium: Page, tmp_path: Path):
    sources = re.findall(r"!\[[^\]]*\]\((data:image/svg[^)]*)\)", plots(full(sku=HOSTILE)))
    assert len(sources) == 4 and max(map(len, sources)) < 60_000
    file = tmp_path / "pictures.html"
    file.write_text("".join(f"<img src='{source}'>" for source in sources))
    chromium.complaints.clear()
    chromium.open(file.as_uri(), width=1280)
    widths = chromium.evaluate("[...document.images].map(each => each.complete && each.naturalWidth)")
    assert widths == [900, 344, 344, 344] and chromium.complaints == []


def test_the_browser_that_finds_fault_does_find_it(chromium: Page, tmp_path: Path):
    file = tmp_path / "faulty.html"
    wide = "<section style='width:100px'><p style='width:2000px'>x</p></section>"
    file.write_text(f"<html><body>{wide}<script>console.error('x'); undefined()</script></body></html>")
    chromium.open(file.as_uri(), width=390)
    assert chromium.evaluate("document.documentElement.scrollWidth") > 390
    assert len(chromium.evaluate(BEYOND)) == 1
    assert len(chromium.complaints) >= 2
    chromium.complaints.clear()
