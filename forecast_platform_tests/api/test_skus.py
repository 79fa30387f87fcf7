"""``GET /skus`` and ``GET /me``: what there is to be looked at, and by whom."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from forecast_platform.api.keys import Scope
from forecast_platform_tests.api.conftest import SETTINGS, TODAY, Served


def found(client: TestClient, **asked) -> list[str]:
    answer = client.get("/api/v1/skus", params=asked)
    assert answer.status_code == 200
    return [each["sku"] for each in answer.json()["items"]]


def test_all_skus_are_found_in_the_order_of_their_codes(client: TestClient, served: Served):
    there = served.warehouse.read("select sku, count(*) as locations from series group by sku order by sku")
    answer = client.get("/api/v1/skus").json()["items"]
    assert [(each["sku"], each["locations"]) for each in answer] == list(there.itertuples(index=False, name=None))


@pytest.mark.parametrize("text", ["sku 1", "SKU 1", " sku 1 ", "1"])
def test_a_part_of_the_code_finds_it_whatever_its_case(client: TestClient, text: str):
    assert "sku 1" in found(client, text=text)


def test_what_begins_with_the_text_comes_first(client: TestClient):
    assert found(client, text="größe")[:1] == ["größe 41/42 & co"]
    assert found(client, text="41") == ["größe 41/42 & co"] and found(client, text="no such thing") == []


@pytest.mark.parametrize("text", ["%", "_", "'", "\\", "' or 1=1 --", ":text"])
def test_signs_of_the_database_are_signs_like_any(client: TestClient, text: str):
    assert all(text in sku for sku in found(client, text=text))


def test_as_many_as_are_asked_for(client: TestClient):
    assert len(found(client, limit=2)) == 2
    assert client.get("/api/v1/skus", params={"limit": 0}).status_code == 422
    assert client.get("/api/v1/skus", params={"text": "a\0"}).status_code == 422


def test_who_asks_is_told_who_it_is(served: Served, open_app):
    from datetime import UTC, datetime, time

    from dagster._core.test_utils import freeze_time

    _, client = open_app(served.settings)
    with freeze_time(datetime.combine(TODAY, time(12), tzinfo=UTC)):
        answer = client(served.key(Scope.READ, Scope.JOBS)).get("/api/v1/me").json()
    assert answer["tenant"] == served.tenant and answer["scopes"] == ["jobs", "read"]
    assert answer["subject"].startswith("key ") and answer["today"] == TODAY.isoformat()
    assert answer["horizon"] == SETTINGS["horizon"] and "seasonal_naive_7" in answer["models"]
    assert answer["timezone"] == "UTC" and answer["source"] == "files"
    assert answer["plans_stock"] == served.shop.scope.plans_stock
