"""The inventory plan over HTTP: its rows, filtered and sorted; orders as the command writes them; totals."""

from __future__ import annotations

import io
from datetime import timedelta

import pandas as pd
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from forecast_platform.inventory_report import orders, write_orders
from forecast_platform_tests.api.conftest import LAST_ORIGIN, Served
from forecast_platform_tests.api.paging import all_items, without_cursor

PLAN, ORDERS, EXCEPTIONS, TOTALS = (
    "/api/v1/inventory",
    *(f"/api/v1/inventory/{name}" for name in ("orders", "exceptions", "totals")),
)
CSV = "text/csv"


def plan_on_record(served: Served) -> pd.DataFrame:
    rows = served.warehouse.read(
        "select p.*, d.abc, d.xyz from inventory_plan p left join series s on s.sku = p.sku and s.location = p.location"
        " left join demand_classes d on d.as_of = p.as_of and d.series_id = s.series_id where p.as_of = :day",
        {"day": LAST_ORIGIN},
    )
    texts = ("sku", "location", "status", "action", "supplier", "category", "abc", "xyz", "reason")
    rows = rows.astype(dict.fromkeys(texts, object)).sort_values(["sku", "location"], ignore_index=True)
    return rows.astype(object).where(rows.notna(), None)


def names(items: list[dict]) -> list[tuple[str, str]]:
    return [(each["sku"], each["location"]) for each in items]


def test_the_plan_is_listed_whole(client: TestClient, served: Served):
    rows = plan_on_record(served)
    found = sorted(all_items(client, PLAN, limit=3), key=lambda each: (each["sku"], each["location"]))
    assert names(found) == list(zip(rows["sku"], rows["location"], strict=True)) and len(found) == 10
    for item, row in zip(found, rows.to_dict("records"), strict=True):
        figures = ("on_hand", "demand_daily", "order_quantity", "reorder_point", "stockout_probability", "moq")
        texts = ("status", "action", "priority", "reason", "supplier", "abc", "xyz", "stocked")
        for name in (*figures, *texts):
            assert item[name] == row[name], name
        assert item["as_of"] == LAST_ORIGIN.isoformat() and set(item["defaults"].values()) <= {"tenant", "supplier"}


@pytest.mark.parametrize(
    "sort", ["-order_value", "order_value", "days_of_inventory", "priority", "-stockout_probability", "-on_hand"]
)
def test_a_sorted_plan_goes_on_page_by_page(client: TestClient, served: Served, sort: str):
    found = all_items(client, PLAN, limit=2, sort=sort)
    assert sorted(names(found)) == sorted(zip(*(plan_on_record(served)[n] for n in ("sku", "location")), strict=True))
    column = sort.removeprefix("-")
    values = [each[column] for each in found]
    known = [value for value in values if value is not None]
    assert values == sorted(known, reverse=sort.startswith("-")) + [None] * (len(values) - len(known))


@pytest.mark.parametrize(
    ("asked", "column", "kept"),
    [
        ({"status": ["understocked", "out of stock"]}, "status", {"understocked", "out of stock"}),
        ({"action": "none"}, "action", {"none"}),
        ({"supplier": "=s"}, "supplier", {"=s"}),
        ({"category": "warm"}, "category", {"warm"}),
        ({"abc": ["A", "B"]}, "abc", {"A", "B"}),
        ({"xyz": "Z"}, "xyz", {"Z"}),
        ({"location": "south"}, "location", {"south"}),
        ({"sku": ["sku 1", "=warmer"]}, "sku", {"sku 1", "=warmer"}),
    ],
)
def test_filters_keep_what_is_asked_for(client: TestClient, served: Served, asked: dict, column: str, kept: set):
    rows = plan_on_record(served)
    expected = rows[rows[column].isin(kept)]
    found = without_cursor(client, PLAN, **asked)
    assert sorted(names(found)) == sorted(zip(expected["sku"], expected["location"], strict=True))


def test_a_sku_is_found_by_a_part_of_it(client: TestClient):
    assert {each["sku"] for each in without_cursor(client, PLAN, q="GRÖSSE")} == set()
    assert {each["sku"] for each in without_cursor(client, PLAN, q="KU 1")} == {"sku 1"}
    assert without_cursor(client, PLAN, q="%") == []


def test_the_plan_of_a_sku(client: TestClient):
    answer = client.get(f"{PLAN}/sku 1").json()
    assert names(answer["items"]) == [("sku 1", "north"), ("sku 1", "south")]
    assert answer["items"] == without_cursor(client, PLAN, sku="sku 1")
    one = client.get(f"{PLAN}/sku 1", params={"location": "south"}).json()["items"]
    assert names(one) == [("sku 1", "south")]
    before = LAST_ORIGIN - timedelta(days=1)
    assert client.get(f"{PLAN}/sku 1", params={"day": before.isoformat()}).json()["day"] == before.isoformat()


@pytest.mark.parametrize("path", [PLAN, f"{PLAN}/sku 1", ORDERS, EXCEPTIONS])
def test_a_day_without_a_plan_is_not_found(client: TestClient, path: str):
    answer = client.get(path, params={"day": "2020-01-01"})
    assert answer.status_code == 404 and answer.json()["type"].endswith("no-inventory-plan")


@pytest.mark.parametrize("sku", ["nothing", "'; drop table inventory_plan; --"])
def test_a_sku_without_a_row_is_not_found(client: TestClient, sku: str):
    answer = client.get(f"{PLAN}/{sku}")
    assert answer.status_code == 404 and answer.json()["type"].endswith("unknown-sku")


@pytest.mark.parametrize("form", [CSV, "application/vnd.apache.parquet"])
def test_the_plan_is_a_table_too(client: TestClient, served: Served, form: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("forecast_platform.api.routes.inventory.BLOCK", 3)
    answer = client.get(PLAN, headers={"Accept": form}, params={"sort": "-demand_daily"})
    table = pd.read_csv(io.BytesIO(answer.content)) if form == CSV else pd.read_parquet(io.BytesIO(answer.content))
    rows = plan_on_record(served)
    assert len(table) == len(rows) and table["demand_daily"].is_monotonic_decreasing
    assert sorted(table["order_quantity"]) == sorted(rows["order_quantity"])
    # A spreadsheet would run the name as a formula.
    assert ("'=warmer" if form == CSV else "=warmer") in set(table["sku"])


@pytest.mark.parametrize("can_wait", [False, True])
def test_the_file_of_orders_is_the_one_that_the_command_writes(
    client: TestClient, served: Served, can_wait: bool, monkeypatch: pytest.MonkeyPatch
):
    answer = client.get(ORDERS, headers={"Accept": CSV}, params={"can_wait": can_wait})
    out = io.StringIO()
    write_orders(orders(served.shop.scope, LAST_ORIGIN, can_wait=can_wait), out)
    assert answer.content.decode() == out.getvalue() and len(out.getvalue().splitlines()) > 3
    assert "\n'=s,sku 0,north," in out.getvalue()
    for name, value in {**served.shop.environment, "FORECAST_TENANTS": str(served.folder / "tenants")}.items():
        monkeypatch.setenv(name, value)
    from forecast_platform.inventory_cli import inventory

    told = CliRunner().invoke(inventory, ["orders", "--tenant", served.tenant, *(["--can-wait"] if can_wait else [])])
    assert told.exit_code == 0 and told.stdout == answer.content.decode()


def test_orders_are_listed_by_supplier(client: TestClient, served: Served):
    expected = orders(served.shop.scope, LAST_ORIGIN)
    found = all_items(client, ORDERS, limit=1)
    assert {(each["sku"], each["location"], each["quantity"]) for each in found} == set(
        zip(expected["sku"], expected["location"], expected["quantity"], strict=True)
    )
    assert [each["supplier"] or "" for each in found] == sorted(each["supplier"] or "" for each in found)
    assert all(each["order_date"] == LAST_ORIGIN.isoformat() for each in found)


def test_exceptions_come_the_most_urgent_first(client: TestClient, served: Served):
    rows = served.warehouse.read(
        "select * from inventory_exceptions where as_of = :day order by priority, order_value desc nulls last,"
        " inventory_value desc nulls last, sku, location",
        {"day": LAST_ORIGIN},
    )
    found = all_items(client, EXCEPTIONS, limit=2)
    assert names(found) == list(zip(rows["sku"], rows["location"], strict=True)) and len(found) >= 4
    assert [each["exception"] for each in found] == rows["exception"].tolist()
    counts = client.get(EXCEPTIONS).json()["counts"]
    assert counts == rows["exception"].value_counts().to_dict()
    of_kind = without_cursor(client, EXCEPTIONS, exception="count")
    assert len(of_kind) == counts["count"] and {each["exception"] for each in of_kind} == {"count"}


def test_totals_show_a_trend(client: TestClient, served: Served):
    rows = served.warehouse.read("select * from inventory_totals order by as_of")
    found = without_cursor(client, TOTALS)
    assert [each["as_of"] for each in found] == [each.date().isoformat() for each in rows["as_of"]]
    for name in ("inventory_value", "out_of_stock", "stockout_risk", "to_order", "value_to_order"):
        assert [each[name] for each in found] == pytest.approx(rows[name].tolist())
    last = without_cursor(client, TOTALS, **{"from": LAST_ORIGIN, "to": LAST_ORIGIN})
    assert last == found[-1:]


@pytest.mark.parametrize(
    "asked",
    [{"sort": "reason"}, {"abc": "D"}, {"limit": 0}, {"q": ""}, {"status": ["x"] * 21}, {"day": "today"}],
)
def test_a_plan_that_cannot_be_asked_for_is_refused(client: TestClient, asked: dict):
    assert client.get(PLAN, params=asked).status_code == 422
