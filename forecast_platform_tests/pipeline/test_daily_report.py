"""The report of a day, made by the pipeline of a small shop whose figures can be worked out by hand."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from forecast_platform.cli import main
from forecast_platform.days import days_between
from forecast_platform_tests.pipeline.shop import Shop, day

HOSTILE = "<script>alert(1)</script>"
FIRST, LAST = 28, 31
SETTINGS = {"models": {"moving_average_7": "MovingAverage(window=7)"}}
QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]


def lines(number: int) -> list[str]:
    """Ten of one SKU and five of another a day; twenty of the first on the last day."""
    sold = 20 if number == LAST else 10
    return [f"a{number},{day(number)},tea,north,{sold},1.00,a", f"b{number},{day(number)},{HOSTILE},north,5,1.00,b"]


def path_of(shop: Shop, number: int) -> Path:
    return shop.folder / "home" / "reports" / shop.name / f"{day(number)}.html"


def text_of(shop: Shop, number: int) -> str:
    """The words of a report, as they are read."""
    markup = re.sub(r"<(style|svg).*?</\1>", " ", path_of(shop, number).read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def metadata_of(shop: Shop, of: date) -> dict[str, object]:
    records = shop.instance.fetch_materializations(
        dg.AssetRecordsFilter(shop.scope.key("daily_report"), asset_partitions=[of.isoformat()]), limit=1
    ).records
    return {name: value.value for name, value in records[0].asset_materialization.metadata.items()}


@pytest.fixture
def made(new_shop: Callable[..., Shop], backend: str, at: Callable) -> Shop:
    shop = new_shop(backend, **SETTINGS)
    shop.put("history.csv", [line for number in range(LAST + 1) for line in lines(number)])
    with at(day(LAST + 1)):
        shop.run_facts(day(0), day(LAST))
        shop.run(["forecasts", *shop.chain.accuracy], day(FIRST), day(LAST))
    return shop


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_a_day_is_told_as_it_was(made: Shop, at: Callable):
    text = text_of(made, LAST)
    # All four models forecast 10 and 5 a day from every origin up to the last.
    assert "25 units were sold. The day before, 15 had been forecast: 40.0 % too little." in text
    # Of the last day three forecasts missed by 10. Each target day counts once for each origin: 15 + 2 · 15 + 3 · 25.
    assert re.search(r"Last 7 days published 25\.0 % \+0\.0 – −25\.0 %", text)
    # Sales that never changed have no scale, and so no RMSSE.
    # The coming week is seven times the mean of the last: (6 · 10 + 20) / 7 and 5 a day.
    assert "For the coming week 115 units are expected, +0.0 % on the last seven days." in text
    assert "3 days have been scored so far" in text
    assert f"tea @ north 80 {100 * 30 / 90:.1f} % −33.3 % About" in text
    assert f"{HOSTILE} @ north 35 35 " in text and "<script" not in path_of(made, LAST).read_text()

    first = text_of(made, FIRST)
    assert "No published forecast has met its sales yet" in first
    assert "For the coming week 105 units are expected" in first

    figures = metadata_of(made, day(LAST))
    assert figures["wape_7"] == figures["wape_28"] == 0.25 and figures["bias_7"] == -0.25
    assert (figures["units"], figures["units_expected"], figures["series"]) == (25.0, 15.0, 2)
    assert figures["seconds"] > 0 and figures["bytes"] < 2_000_000
    assert str(figures["plots"]).count("](data:image/svg+xml;base64,") >= 3
    assert len(str(figures["plots"])) < 60_000 and r"\<script\>" not in str(figures["plots"])
    assert "| tea @ north | 80 | 33.3 % |" in str(figures["worst_series"])
    earlier = metadata_of(made, day(LAST - 1))
    assert earlier["wape_7"] == 0.0 and "plots" not in earlier

    # Again, alone instead of in a range: the same bytes, the same digest on record, nothing left half written.
    before = path_of(made, LAST - 1).read_bytes()
    logged = made.warehouse.logged("daily_report", day(FIRST), day(LAST))
    assert sorted(logged) == days_between(day(FIRST), day(LAST)) and {each.rows for each in logged.values()} == {2}
    with at(day(LAST + 1)):
        made.run(["daily_report"], day(LAST - 1), day(LAST - 1))
    assert path_of(made, LAST - 1).read_bytes() == before
    again = made.warehouse.logged("daily_report", day(FIRST), day(LAST))
    assert {each: state.digest for each, state in again.items()} == {
        each: state.digest for each, state in logged.items()
    }
    assert not list((made.folder / "home" / "reports" / "incoming").iterdir())

    with at(day(LAST + 2)):
        a_late_sale_a_reject_and_a_new_series_are_told(made)


def a_late_sale_a_reject_and_a_new_series_are_told(shop: Shop) -> None:
    number = LAST + 1
    arrived = [*lines(number), f"n,{day(number)},new tea,north,3,1.00,n", f"x,{day(number)},tea,north,many,1.00,x"]
    shop.put("next.csv", arrived)
    shop.put("late <b>.csv", [f"late,{day(LAST - 1)},tea,north,7,1.00,late"])
    shop.run_chain(day(number), day(number))
    text = text_of(shop, number)
    assert f"late <b>.csv 1 row; touches {day(LAST - 1):%-d %b}" in text
    assert "New series: 1 new tea @ north" in text
    assert "Rows that could not be used 1 ×" in text
    assert metadata_of(shop, day(number))["late_batches"] == 1


def test_a_shop_that_never_sold_has_a_page_that_says_so(new_shop: Callable[..., Shop], at: Callable):
    shop = new_shop("duckdb", **SETTINGS)
    shop.put("empty.csv", [])
    with at(day(2)):
        shop.run_chain(day(0), day(1))
    text = text_of(shop, 1)
    assert "Nothing was sold." in text and "No published forecast has met its sales yet" in text
    assert "0 series published" in text


def test_a_day_that_was_never_published_is_refused_by_name(new_shop: Callable[..., Shop], at: Callable):
    shop = new_shop("duckdb", **SETTINGS)
    shop.put("history.csv", [line for number in range(3) for line in lines(number)])
    with at(day(3)):
        shop.run_facts(day(0), day(2))
        with pytest.raises(Exception, match="error_sums, which is not materialized for 2026-01-03"):
            shop.run(["daily_report"], day(2), day(2))
    assert not path_of(shop, 2).exists()


class TestCommand:
    """``forecast-platform report`` over a folder of reports."""

    @pytest.fixture
    def reports(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "reports" / "demo"
        folder.mkdir(parents=True)
        for number in (3, 4, 7):
            (folder / f"{day(number)}.html").write_text(f"<p>{day(number)}</p>")
        monkeypatch.setenv("FORECAST_REPORTS", (tmp_path / "reports").as_uri())
        monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        return folder

    def run(self, *arguments: str):
        return CliRunner().invoke(main, ["report", *arguments])

    def test_says_where_the_newest_is_or_the_one_of_a_day(self, reports: Path):
        assert self.run("--tenant", "demo").output.strip() == str(reports / f"{day(7)}.html")
        result = self.run("--tenant", "demo", "--day", f"{day(4)}", "--no-open")
        assert (result.exit_code, result.output.strip()) == (0, str(reports / f"{day(4)}.html"))

    def test_copies_it_to_a_file(self, reports: Path, tmp_path: Path):
        result = self.run("--tenant", "demo", "--output", str(tmp_path / "mine.html"))
        assert result.output.strip() == str(tmp_path / "mine.html")
        assert (tmp_path / "mine.html").read_text() == f"<p>{day(7)}</p>"

    def test_a_day_without_a_report_is_told_with_those_that_have_one(self, reports: Path):
        result = self.run("--tenant", "demo", "--day", f"{day(5)}")
        assert result.exit_code == 2
        assert f"demo has no report of {day(5)}; there are reports of {day(3)} to {day(4)}, {day(7)}" in result.output

    def test_without_any_it_says_how_to_make_one_and_an_unknown_tenant_is_named(self, reports: Path):
        for file in reports.iterdir():
            file.unlink()
        result = self.run("--tenant", "demo")
        assert result.exit_code == 2 and "--select daily_report" in result.output
        result = self.run("--tenant", "nobody")
        assert result.exit_code == 2 and "tenant 'nobody' is unknown" in result.output

    def test_reports_of_any_store_can_be_copied(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        import fsspec

        files = fsspec.filesystem("memory")
        files.pipe(f"/told/demo/{day(3)}.html", b"<p>kept elsewhere</p>")
        monkeypatch.setenv("FORECAST_REPORTS", "memory://told")
        monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        assert self.run("--tenant", "demo", "--no-open").output.strip() == f"memory://told/demo/{day(3)}.html"
        self.run("--tenant", "demo", "--output", str(tmp_path / "copy.html"))
        assert (tmp_path / "copy.html").read_bytes() == b"<p>kept elsewhere</p>"
