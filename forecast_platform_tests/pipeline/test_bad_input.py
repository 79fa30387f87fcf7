"""Bad files and bad rows: said clearly, kept with reason and row number, and in the way of nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from forecast_platform.cli import main
from forecast_platform_tests.pipeline.command_line import command_line_of
from forecast_platform_tests.pipeline.shop import HEADER, Shop, Till, day, sales_lines

TODAY = 10
GOOD = [f"g{n},{day(2)},good,north,{n + 1},1.50,o{n}" for n in range(3)]
BAD_ROWS = {
    "b1,not a day,bad,north,1,1.00,o": "date",
    f"b2,{day(2)},bad,north,many,1.00,o": "quantity",
    f"b3,{day(2)},bad,north,inf,1.00,o": "quantity",
    f"b4,{day(2)},bad,north,nan,1.00,o": "quantity",
    f"b5,{day(2)},bad,north,1000000000000,1.00,o": "max_quantity",
    f"b6,{day(2)},,north,1,1.00,o": "sku",
    f"b7,{day(2)},bad,north,1,cheap,o": "price",
    f"b8,{day(2)},bad": "fields",
}
REFUSED = {
    "missing column.csv": f"id,day,sku,shop,price,order\nx,{day(2)},bad,north,1.00,o\n",
    "empty.csv": "",
    "semicolons.csv": (HEADER + f"x,{day(2)},bad,north,1,1.00,o\n").replace(",", ";"),
    "not text.csv": "\x00\x01\x02 PNG \x89",
}


def drop_everything_bad(shop: Shop) -> None:
    shop.put("mixed.csv", [*GOOD[:2], *BAD_ROWS, GOOD[2]])
    shop.put("duplicate of mixed.csv", [*GOOD[:2], *BAD_ROWS, GOOD[2]])
    for name, text in REFUSED.items():
        (shop.drop / name).write_text(text, encoding="latin-1")
    (shop.drop / "half written.csv.part").write_text(HEADER + f"x,{day(2)},half,nor")
    shop.put("header only.csv", [])


def command(shop: Shop, monkeypatch: pytest.MonkeyPatch, *arguments: str):
    """Run a command in this process, as the terminal would."""
    commands = command_line_of(shop)
    own = {"FORECAST_TENANTS": str(commands.tenants), "DAGSTER_HOME": str(commands.home)}
    for name, value in {**shop.environment, **own}.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(main, [*arguments], catch_exceptions=False)


@pytest.mark.parametrize("backend", ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_good_rows_arrive_and_bad_ones_are_told_with_reason_and_row_number(
    new_shop: Callable[..., Shop], backend: str, at: Callable, monkeypatch: pytest.MonkeyPatch
):
    shop = new_shop(backend)
    stored = sales_lines(day(0), day(TODAY - 1))
    run = ("run", "--tenant", shop.name, "--from", str(day(0)), "--to", str(day(TODAY)), "--select", "raw_sales")
    with at(day(TODAY)):
        shop.put("good.csv", stored)
        before = command(shop, monkeypatch, *run)
        assert before.exit_code == 0 and "check " not in before.output, before.output
        drop_everything_bad(shop)
        told = command(shop, monkeypatch, *run)
        assert told.exit_code == 0, told.output

    sales = shop.warehouse.read("select event_id, sku from raw_sales")
    assert sorted(sales["event_id"]) == sorted(line.split(",")[0] for line in [*stored, *GOOD])

    rejects = shop.warehouse.read("select * from sales_rejects order by source, row_number")
    mixed = rejects[rejects["source"].str.startswith("mixed.csv@") | rejects["source"].str.startswith("duplicate")]
    assert mixed["row_number"].tolist() == list(range(3, 3 + len(BAD_ROWS)))
    for (line, reason), found in zip(BAD_ROWS.items(), mixed.itertuples(), strict=True):
        assert reason in found.reason, (line, found.reason)
        # A row without a readable day is kept under the day it arrived on.
        readable = "not a day" not in line and reason != "fields"
        assert found.sale_date == pd.Timestamp(day(2) if readable else day(TODAY)), line

    refused = shop.warehouse.read("select name, refused from landed_batches where refused is not null order by name")
    assert refused["name"].tolist() == sorted(REFUSED)
    said = dict(zip(refused["name"], refused["refused"], strict=True))
    assert "quantity" in said["missing column.csv"] and "empty" in said["empty.csv"]
    for name, reason in said.items():
        (line,) = [each for each in told.output.splitlines() if f"{name} was refused" in each]
        assert reason in line
    assert "check arrivals_readable: raw_sales: " in told.output
    good = sum(f",{day(2)}," in line for line in [*stored, *GOOD])
    assert f"check reject_share: {day(2)}: 6 bad rows beside {good} good ones" in told.output
    landed = set(shop.warehouse.read("select name from landed_batches")["name"])
    assert "half written.csv.part" not in landed
    assert len(landed & {"mixed.csv", "duplicate of mixed.csv"}) == 1


def test_a_file_that_is_still_being_written_is_left_for_the_next_time(
    new_shop: Callable[..., Shop], backend: str, at: Callable
):
    till = new_shop(backend, Till)
    till.settings["source"] = till.attributes["source"] | {"settle_seconds": 60}
    noon = datetime(*day(TODAY).timetuple()[:3], 12, tzinfo=UTC).timestamp()

    def sales_after(path: Path, written: float) -> int:
        os.utime(path, (written, written))
        with at(day(TODAY)):
            till.run(["raw_sales"], day(0), day(TODAY))
        return len(till.warehouse.read("select * from raw_sales"))

    whole = sales_lines(day(0), day(2))
    path = till.put("export.csv", whole)
    path.write_text(path.read_text()[:-9])
    assert sales_after(path, noon - 30) == 0
    path = till.put("export.csv", whole)
    assert sales_after(path, noon - 90) == len(whole)


def test_nothing_that_was_stored_is_lost_to_a_bad_new_version_of_its_file(till: Shop, at: Callable):
    with at(day(TODAY)):
        path = till.put("export.csv", sales_lines(day(0), day(4)))
        till.run(["raw_sales"], day(0), day(TODAY))
        before = till.warehouse.read("select * from raw_sales order by sale_date, event_id")
        for text in ("", HEADER.replace("quantity", "qty"), "\x00" * 100):
            path.write_text(text)
            till.run(["raw_sales"], day(0), day(TODAY))
            after = till.warehouse.read("select * from raw_sales order by sale_date, event_id")
            pd.testing.assert_frame_equal(before, after)
    assert sum("was refused" in (each.message or "") for each in till.told) == 3


@pytest.mark.slow
def test_a_line_of_100_mb_is_one_reject_and_the_rows_around_it_arrive(till: Shop, at: Callable):
    long = f"long,{day(2)},{'x' * (100 << 20)},north,1,1.00,o"
    with at(day(TODAY)):
        till.put("long.csv", [GOOD[0], long, GOOD[1]])
        till.run(["raw_sales"], day(0), day(TODAY))
    assert till.warehouse.read("select event_id from raw_sales order by event_id")["event_id"].tolist() == ["g0", "g1"]
    reject = till.warehouse.read("select row_number, reason, payload from sales_rejects").to_dict("records")
    assert [each["row_number"] for each in reject] == [2]
    assert "max_line_bytes" in reject[0]["reason"] and len(reject[0]["payload"]) < 10_000
