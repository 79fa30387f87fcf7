"""``POST /sales`` and ``POST /inventory``: what is answered 202 becomes facts once, whatever comes beside or again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from dagster._core.test_utils import freeze_time
from fastapi.testclient import TestClient

from forecast_platform.api import idempotency
from forecast_platform.api.keys import Scope
from forecast_platform.sources.inbox import waiting
from forecast_platform.sources.store import Store
from forecast_platform_tests.api.conftest import Served
from forecast_platform_tests.api.tills import NOON, sent_to
from forecast_platform_tests.pipeline.conftest import backend, new_shop, parsed_projects
from forecast_platform_tests.pipeline.shop import day

__all__ = ["backend", "new_shop", "parsed_projects"]

EVENTS = {"source": {"kind": "events"}, "facts": {"inventory_levels": {"kind": "events"}}}
SALES = "/api/v1/sales"


def sale(name: str, offset: int = 3, quantity: object = 1, **fields) -> dict[str, object]:
    return {"event_id": name, "sold_at": f"{day(offset)}T15:00:00Z", "sku": "tea", "quantity": quantity, **fields}


@pytest.fixture
def till(new_shop: Callable, backend: str) -> Served:
    return sent_to(new_shop, backend, **EVENTS)


@pytest.fixture
def small(new_shop: Callable) -> Served:
    """One warehouse is enough where nothing is made from what was sent."""
    return sent_to(new_shop, "duckdb", **EVENTS)


@pytest.fixture
def open_client(open_app: Callable) -> Callable[[Served], TestClient]:
    return lambda served: open_app(served.settings)[1](served.key(Scope.WRITE))


def sold(served: Served) -> dict[str, Decimal]:
    rows = served.warehouse.read("select event_id, quantity, unit_price from raw_sales order by event_id")
    return dict(zip(rows["event_id"], rows["quantity"], strict=True))


@freeze_time(NOON)
def test_events_become_sales_once_and_a_bad_one_stops_no_other(till: Served, open_client: Callable):
    client = open_client(till)
    events = [
        sale("a", unit_price=0.10000000000000001),
        sale("b", quantity=5, updated_at="2026-01-05T10:00:00Z"),
        sale("b", quantity=2, updated_at="2026-01-05T11:00:00Z"),
        sale("c", quantity="two"),
        "no event",
        sale("d", quantity=2**70),
        {"type": "end_of_day", "day": str(day(3))},
    ]
    answer = client.post(SALES, json=events)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert (told["accepted"], told["duplicates"], told["rejected"]) == (2, 1, 3)
    assert [(each["number"], each["event_id"]) for each in told["rejects"]] == [(4, "c"), (5, None), (6, None)]
    assert "quantity" in told["rejects"][0]["reason"] and "64 bits" in told["rejects"][2]["reason"]
    assert told["closed"] == [str(day(3))] and str(day(3)) in told["days"]
    again = client.post(SALES, json=events[:2])
    assert again.json()["accepted"] == 2
    till.shop.make()
    assert sold(till) == {"a": 1, "b": 2}
    rejects = till.warehouse.read("select reason from sales_rejects where reason not like 'ignored%'")
    assert len(rejects) == 3


@freeze_time(NOON)
def test_lines_are_as_good_as_an_array_and_numbers_keep_their_digits(small: Served, open_client: Callable):
    lines = [json.dumps(sale(name)) for name in "ab"] + ["", '{"event_id": 1, oops', json.dumps([1])]
    told = open_client(small).post(SALES, content="\n".join(lines), headers={"Content-Type": "application/x-ndjson"})
    assert told.status_code == 202 and told.json()["accepted"] == 2
    assert [each["number"] for each in told.json()["rejects"]] == [3, 4]
    written = f'[{{"event_id": 7, "sold_at": "{day(3)}", "sku": "tea", "quantity": 1, "unit_price": 1.10}}]'
    assert open_client(small).post(SALES, content=written, headers={"Content-Type": "application/json"}).is_success
    store = small.shop.scope.landing.store("raw_sales")
    newest = max(store.names("inbox"))
    with store.open(f"inbox/{newest}") as stream:
        assert b",1.10," in stream.read()


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"{}", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[1", "application/json; charset=utf-8", 422),
        (b"\n \n", "application/x-ndjson", 422),
        (b"1\n" * 10_001, "application/x-ndjson", 422),
        (b"a,b\n1,2\n", "text/csv", 415),
        (b"[{}]", None, 415),
    ],
)
def test_a_body_that_is_none_is_refused_whole(
    small: Served, open_client: Callable, content: bytes, kind: str | None, status: int
):
    answer = open_client(small).post(SALES, content=content, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"
    assert waiting(small.shop.scope.landing).files == 0


@pytest.mark.parametrize(
    "event",
    [
        {"type": "\ud800"},
        {"event_id": "\ud800", "sku": "\0"},
        {"\ud800": 1},
        {"event_id": float("nan"), "sold_at": "2026", "sku": "x" * 20_000, "quantity": float("inf")},
        {"sku": [[[]]], "quantity": True},
        {"event_id": "../../x", "sku": "'; drop table raw_sales; --", "sold_at": "2026-01-04", "quantity": 1e300},
    ],
)
def test_whatever_an_event_holds_it_is_answered(small: Served, open_client: Callable, event: dict):
    body = json.dumps([event])
    with freeze_time(NOON):
        answer = open_client(small).post(SALES, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 202 and answer.json()["rejected"] == 1, answer.text


@freeze_time(NOON)
def test_a_key_gives_the_recorded_answer_and_lands_once(small: Served, open_client: Callable):
    client, body = open_client(small), [sale("a"), sale("b", quantity="two")]
    first = client.post(SALES, json=body, headers={"Idempotency-Key": "k-1"})
    again = client.post(SALES, json=body, headers={"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (202, 202) and first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first.headers
    assert waiting(small.shop.scope.landing).files == 1
    other = client.post(SALES, json=[sale("c")], headers={"Idempotency-Key": "k-1"})
    assert other.status_code == 422 and other.json()["type"].endswith("idempotency-key-reused")
    assert client.post(
        "/api/v1/inventory", json=[{"sku": "tea", "on_hand": 1}], headers={"Idempotency-Key": "k-1"}
    ).is_success
    assert client.post(SALES, json=body, headers={"Idempotency-Key": "a b"}).status_code == 422


@freeze_time(NOON)
def test_of_many_at_once_under_one_key_one_is_done(small: Served, open_client: Callable):
    client, start = open_client(small), threading.Barrier(8)

    def send(_: int):
        start.wait()
        return client.post(SALES, json=[sale("a")], headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert {answer.status_code for answer in answers} <= {202, 409} and any(answer.is_success for answer in answers)
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 409)
    assert waiting(small.shop.scope.landing).files == 1


def test_a_key_is_given_back_when_nothing_could_be_kept(
    small: Served, open_client: Callable, monkeypatch: pytest.MonkeyPatch
):
    client = open_client(small)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with freeze_time(NOON):
        with monkeypatch.context() as patch:
            patch.setattr(Store, "put", full)
            answer = client.post(SALES, json=[sale("a")], headers={"Idempotency-Key": "k"})
            assert answer.status_code == 503 and answer.headers["Retry-After"]
            assert waiting(small.shop.scope.landing).files == 0
        assert client.post(SALES, json=[sale("a")], headers={"Idempotency-Key": "k"}).status_code == 202
    assert waiting(small.shop.scope.landing).files == 1


def test_a_key_that_nobody_answers_for_is_taken_over_and_an_old_one_forgotten(
    state_url: str, monkeypatch: pytest.MonkeyPatch
):
    from forecast_platform.api.problems import Problem
    from forecast_platform.state import State

    requests = idempotency.Requests(State(state_url), "shop", "sales")
    assert requests.begin("k", b"body") is None
    with pytest.raises(Problem) as refused:
        requests.begin("k", b"body")
    assert refused.value.status_code == 409
    monkeypatch.setattr(idempotency, "IN_FLIGHT", timedelta(0))
    assert requests.begin("k", b"body") is None
    requests.end("k", idempotency.Answered(202, b"{}"))
    assert requests.begin("k", b"body") == idempotency.Answered(202, b"{}")
    assert idempotency.Requests(State(state_url), "another", "sales").begin("k", b"other") is None
    monkeypatch.setattr(idempotency, "KEPT", timedelta(0))
    assert requests.begin("k", b"other") is None


@freeze_time(NOON)
def test_a_tenant_whose_sales_are_files_says_where_they_go(new_shop: Callable, open_client: Callable):
    client = open_client(sent_to(new_shop, "duckdb"))
    for path in (SALES, "/api/v1/inventory"):
        answer = client.post(path, json=[sale("a")])
        assert answer.status_code == 409 and "kind: events" in answer.json()["detail"]


def test_who_may_only_read_sends_nothing(small: Served, open_app: Callable):
    answer = open_app(small.settings)[1](small.key(Scope.READ)).post(SALES, json=[sale("a")])
    assert answer.status_code == 403 and waiting(small.shop.scope.landing).files == 0


@freeze_time(NOON)
def test_counts_become_the_stock_of_their_day_and_the_newest_holds(till: Served, open_client: Callable):
    client = open_client(till)
    count = {"snapshot_date": str(day(3)), "sku": "tea", "location": "north", "on_hand": 4, "on_order": 2}
    told = client.post("/api/v1/inventory", json=[count, count | {"on_hand": "many"}, count | {"sku": "oil"}])
    assert told.status_code == 202 and (told.json()["accepted"], told.json()["rejected"]) == (2, 1)
    client.post("/api/v1/inventory", json=[count | {"on_hand": 3}])
    mark = client.post("/api/v1/inventory", json=[{"type": "end_of_day", "day": str(day(3))}])
    assert mark.json()["rejected"] == 1 and mark.json()["closed"] == []
    landing = till.shop.scope.landing
    assert waiting(landing, "inventory_levels").files == 3
    till.shop.make("inventory_levels")
    rows = till.warehouse.read("select sku, on_hand, on_order from inventory_levels order by sku")
    assert [tuple(row) for row in rows.itertuples(index=False)] == [("oil", 4, 2), ("tea", 3, 2)]
    assert waiting(landing, "inventory_levels").files == 0
