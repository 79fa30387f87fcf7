"""What nobody sends by mistake: it finds nothing, breaks nothing and costs little. (``test_requests`` has bodies that
are too large, compressed or no JSON, ``test_fuzz`` whatever a machine can make up.)"""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from forecast_platform.api.keys import Scope
from forecast_platform_tests.api.conftest import LAST_ORIGIN, Served

NAMES = (
    "x'; drop table series; --",
    "' or '1'='1",
    "sku 1' union select version_num from alembic_version --",
    "../../../../etc/passwd",
    "..\\..\\state.db",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "%(sku)s :sku $1 ?",
    "sku 1\u202e",
    "\U0001f4a3" * 60,
)
PATHS = ("forecasts/{}", "forecasts/{}/audit", "series/{}/history", "series/{}/accuracy", "inventory/{}")
LISTS = {
    "forecasts": ("location", "category"),
    "inventory": ("supplier", "category"),
    "skus": ("text",),
    "overrides": ("sku",),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_never_anything_but_a_name(client: TestClient, name: str):
    for path in PATHS:
        answer = client.get(f"/api/v1/{path.format(quote(name, safe=''))}")
        assert answer.status_code == 404 and "problem-type" in answer.json()["type"], answer.text
        assert client.get(f"/api/v1/{path.format('sku%201')}", params={"location": name}).status_code == 404
    for path, asked in LISTS.items():
        answer = client.get(f"/api/v1/{path}", params=dict.fromkeys(asked, name))
        assert answer.status_code in (200, 422) and not answer.json().get("items"), path
    assert client.get("/api/v1/forecasts/sku 1").status_code == 200


@pytest.mark.parametrize("wrong", ["%00", "%0a", "%7f", "x" * 300, "%ff%fe%00"])
def test_what_no_name_can_be_is_refused(client: TestClient, wrong: str):
    assert client.get(f"/api/v1/forecasts/{wrong}").status_code == 422


def test_ten_thousand_skus_in_a_query_are_refused(client: TestClient):
    begun = time.monotonic()
    answer = client.get("/api/v1/forecasts", params={"sku": ["a"] * 10_000})
    assert answer.status_code == 422 and len(answer.content) < 10_000 and time.monotonic() - begun < 5


@pytest.mark.parametrize("units", ["NaN", "Infinity", "1e999", "-1", "0.00001", "true", '"x"', "[]", "1" * 400])
def test_a_figure_that_is_none_is_refused(taking: tuple[Served, FastAPI], units: str):
    served, app = taking
    item = f'{{"sku": "sku 1", "location": "north", "day": "{LAST_ORIGIN}", "units": {units}}}'
    with TestClient(app, headers={"Authorization": f"Bearer {served.key(Scope.WRITE)}"}) as client:
        sent = f'{{"items": [{item}], "reason": "x"}}'
        answer = client.post("/api/v1/actuals", content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["type"].endswith("invalid-request")


@pytest.mark.parametrize("depth", [100, 100_000])
@pytest.mark.parametrize("path", ["sales", "inventory", "actuals"])
def test_a_deep_body_is_refused_or_kept_as_a_reject(taking: tuple[Served, FastAPI], path: str, depth: int):
    served, app = taking
    deep = b"[" * depth + b"]" * depth
    with TestClient(app, headers={"Authorization": f"Bearer {served.key(Scope.WRITE)}"}) as client:
        answer = client.post(f"/api/v1/{path}", content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) or answer.json()["accepted"] == 0, answer.text
