"""``POST /uploads``: a dry run says what a file would be read as; kept, it is landed as a dropped one is, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dagster._core.test_utils import freeze_time
from fastapi.testclient import TestClient

from forecast_platform.api.keys import Scope
from forecast_platform.automation.updating import _arrived
from forecast_platform.sources.uploads import uploaded
from forecast_platform_tests.api.conftest import Served
from forecast_platform_tests.api.tills import NOON, sent_to
from forecast_platform_tests.pipeline.conftest import backend, new_shop, parsed_projects
from forecast_platform_tests.pipeline.shop import HEADER, day

__all__ = ["backend", "new_shop", "parsed_projects"]

UPLOADS = "/api/v1/uploads"


def line(name: str, offset: int = 3, quantity: object = 1) -> str:
    return f"{name},{day(offset)},tea,north,{quantity},2.50,o-{name}\n"


@pytest.fixture
def till(new_shop: Callable, backend: str) -> Served:
    return sent_to(new_shop, backend)


@pytest.fixture
def small(new_shop: Callable) -> Served:
    return sent_to(new_shop, "duckdb")


@pytest.fixture
def open_client(open_app: Callable) -> Callable[[Served], TestClient]:
    return lambda served: open_app(served.settings)[1](served.key(Scope.WRITE))


def send(
    client: TestClient,
    content: str | bytes,
    *,
    kind: str = "text/csv",
    holds: str = "sales",
    key: str | None = None,
    **asked,
):
    headers = {"Content-Type": kind, **({"Idempotency-Key": key} if key else {})}
    return client.post(UPLOADS, content=content, headers=headers, params={"kind": holds, **asked})


def sold(served: Served) -> dict[str, float]:
    rows = served.warehouse.read("select event_id, quantity from raw_sales order by event_id")
    return dict(zip(rows["event_id"], rows["quantity"].astype(float), strict=True))


@freeze_time(NOON)
def test_a_dry_run_says_what_is_wrong_and_keeps_nothing(small: Served, open_client: Callable):
    bad = line("c", quantity="two") + line("d", quantity="three") + line("e", offset=40) + "x,y\n"
    answer = send(open_client(small), HEADER + line("a") + line("b", 4) + bad, dry_run=True)
    told = answer.json()
    assert answer.status_code == 200 and (told["dry_run"], told["kept"]) == (True, False)
    assert (told["rows"], told["good"], told["bad"], told["ignored"]) == (6, 2, 4, 0)
    assert told["days"] == [str(day(3)), str(day(4))] and told["days_touched"] == 2
    first = told["reasons"][0]
    assert (first["rows"], first["numbers"]) == (2, [3, 4]) and first["example"]["quantity"] == "two"
    assert sum(each["rows"] for each in told["reasons"]) == 4
    assert uploaded(small.shop.scope.landing, "raw_sales") == []


@freeze_time(NOON)
def test_a_file_becomes_sales_once_however_often_it_comes(till: Served, open_client: Callable):
    client, content = open_client(till), HEADER + line("a") + line("b", quantity=2) + line("c", quantity="two")
    answer = send(client, content, name="../../märz.csv")
    assert answer.status_code == 202 and answer.json()["kept"] and answer.json()["bad"] == 1
    assert send(client, content, name="again.csv").json()["digest"] == answer.json()["digest"]
    landing = till.shop.scope.landing
    assert [each.name for each in uploaded(landing, "raw_sales")] == ["../../märz.csv", "again.csv"]
    assert _arrived(till.shop.scope), "the sensor does not see it"
    till.shop.make()
    assert sold(till) == {"a": 1.0, "b": 2.0}
    assert uploaded(landing, "raw_sales") == [] and not _arrived(till.shop.scope)
    batches = till.warehouse.read("select name, rows from landed_batches")
    assert batches["name"].tolist() == ["uploads/../../märz.csv"]
    send(client, content, name="again.csv")
    till.shop.make()
    assert len(till.warehouse.read("select * from landed_batches")) == 1
    assert uploaded(landing, "raw_sales") == []
    send(client, HEADER + line("b", quantity=5))
    till.shop.make()
    assert sold(till) == {"a": 1.0, "b": 5.0}


@freeze_time(NOON)
@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + HEADER + line("a", quantity=3),
        (HEADER + line("a", quantity=3)).replace(",", ";"),
        "\ufeff" + (HEADER + line("a", quantity=3)).replace(",", ";").replace("\n", "\r\n"),
        (HEADER + 'a;2026-01-04;"te;a, green";north;3;2.50;o\n').replace(",", ";", 6),
    ],
)
def test_files_as_spreadsheets_write_them_are_read(small: Served, open_client: Callable, content: str):
    answer = send(open_client(small), content)
    assert answer.status_code == 202 and answer.json()["good"] == 1, answer.text
    small.shop.make()
    assert sold(small) == {"a": 3.0}


@freeze_time(NOON)
def test_a_decimal_comma_is_read_only_where_the_settings_say_so(new_shop: Callable, open_client: Callable):
    content = (HEADER + line("a")).replace(",", ";").replace("2.50", "2,50")
    plain = sent_to(new_shop, "duckdb")
    refused = send(open_client(plain), content)
    assert refused.status_code == 422 and "2,50" in refused.json()["errors"][0]["message"]
    source = {**plain.shop.attributes["source"], "decimal": ","}
    assert send(open_client(sent_to(new_shop, "duckdb", source=source)), content).status_code == 202


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "text/csv", 422),
        (b"a,b\n1,2\n", "text/csv", 422),
        (HEADER.encode(), "text/csv", 422),
        (b"PK\x03\x04 a spreadsheet", "application/vnd.ms-excel", 422),
        (b"\x1f\x8b" + b"\0" * 50, "text/csv", 415),
        ((HEADER.replace(",", ";") + 'a;"unclosed\n').encode(), "text/csv", 422),
        (HEADER.encode() + b"\xff\xfe,,,,,,\n", "text/csv", 422),
        (b"{}", "application/json", 415),
    ],
)
def test_what_is_no_such_file_is_refused_and_not_kept(
    small: Served, open_client: Callable, content: bytes, kind: str, status: int
):
    with freeze_time(NOON):
        answer = send(open_client(small), content, kind=kind)
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json", answer.text
    assert uploaded(small.shop.scope.landing, "raw_sales") == []


@freeze_time(NOON)
def test_each_kind_goes_to_its_own_source(new_shop: Callable, open_client: Callable, tmp_path):
    columns = {"sku": "item", "on_hand": "count", "snapshot_date": "day"}
    stock = {"kind": "files", "url": str(tmp_path), "columns": columns}
    shop = sent_to(new_shop, "duckdb", facts={"inventory_levels": stock})
    client = open_client(shop)
    answer = send(client, f"item,day,count\ntea,{day(3)},7\n", holds="stock")
    assert answer.status_code == 202, answer.text
    shop.shop.make("inventory_levels")
    assert shop.warehouse.read("select on_hand from inventory_levels")["on_hand"].astype(float).tolist() == [7.0]
    assert send(client, "sku,valid_from\n", holds="items").status_code == 409
    assert send(client, "x", holds="raw sales").status_code == 422


@freeze_time(NOON)
def test_a_key_names_the_file_and_what_was_asked_of_it(small: Served, open_client: Callable):
    client, content = open_client(small), HEADER + line("a")
    assert send(client, content, key="k").status_code == 202
    again = send(client, content, key="k")
    assert again.status_code == 202 and again.headers["Idempotency-Replayed"] == "true"
    assert send(client, content, key="k", dry_run=True).status_code == 422
    assert len(uploaded(small.shop.scope.landing, "raw_sales")) == 1


@freeze_time(NOON)
def test_tenants_whose_sales_are_no_csv_files_take_none(new_shop: Callable, open_client: Callable):
    answer = send(open_client(sent_to(new_shop, "duckdb", source={"kind": "events"})), HEADER + line("a"))
    assert answer.status_code == 409 and "/sales" in answer.json()["detail"]
