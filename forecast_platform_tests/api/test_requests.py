"""What holds for every request: problems in one form, bounded bodies, an id, a line in the log, origins that are
named.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Annotated

import pytest
from fastapi import Body
from fastapi.testclient import TestClient

from forecast_platform.api import app as application
from forecast_platform.api.answers import matches, to_json
from forecast_platform.api.keys import Scope
from forecast_platform.api.routing import api_router
from forecast_platform_tests.api.conftest import Served

router = api_router(Scope.WRITE, tags=["test"])


@router.post("/echo", operation_id="echo", summary="Says what it was told")
def echo(rows: Annotated[list[dict[str, float]], Body()]) -> int:
    """Counts rows."""
    return len(rows)


@router.get("/broken", operation_id="broken", summary="Fails")
def broken() -> None:
    """Fails with what nobody must read."""
    raise ValueError("password=hunter2 in /etc/secret")


@pytest.fixture
def client(shop: Served, open_app: Callable, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(application, "ROUTERS", (*application.ROUTERS, router))
    return open_app(shop.settings, api_body_bytes=10_000)[1](shop.key(Scope.READ, Scope.WRITE))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/nothing", 404), ("DELETE", "/api/v1/forecasts/sku 1", 405), ("POST", "/health", 405)],
)
def test_what_the_framework_refuses_is_a_problem_too(client: TestClient, method: str, path: str, status: int):
    answer = client.request(method, path)
    assert answer.status_code == status == answer.json()["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", "body"),
        (b"[{]", "body"),
        (b'[{"a": "x"}]', "body.0.a"),
        (b'[{"a": 1}, 7]', "body.1"),
        (b"null", "body"),
        (b"[" * 5000, "body"),
        (b"\xff\xfe", None),
    ],
)
def test_a_wrong_body_is_refused_where_it_is_wrong_and_not_repeated(client: TestClient, body: bytes, where: str | None):
    answer = client.post("/api/v1/echo", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json" and "input" not in answer.text
    if where and answer.status_code == 422:
        assert answer.json()["errors"][0]["where"].startswith(where)


def test_many_wrong_values_are_counted_and_some_are_named(client: TestClient):
    answer = client.post("/api/v1/echo", json=[{"a": "x"}] * 500)
    assert (
        answer.status_code == 422 and len(answer.json()["errors"]) == 50 and answer.json()["detail"].startswith("500")
    )


def test_a_body_beyond_the_limit_is_refused_whatever_its_length_says(client: TestClient):
    big = json.dumps([{"a": 1.0}] * 2000).encode()
    assert client.post("/api/v1/echo", content=big).status_code == 413

    def chunks() -> Iterator[bytes]:
        yield from (big[begin : begin + 1000] for begin in range(0, len(big), 1000))

    answer = client.post("/api/v1/echo", content=chunks())
    assert answer.status_code == 413 and answer.json()["type"].endswith("body-too-large")
    assert client.post("/api/v1/echo", json=[{"a": 1.0}]).json() == 1


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity"])
def test_a_compressed_body_is_never_unpacked(client: TestClient, coding: str):
    answer = client.post("/api/v1/echo", content=b"\x1f\x8b" + b"0" * 100, headers={"Content-Encoding": coding})
    assert answer.status_code == 415 and "uncompressed" in answer.json()["detail"]


def test_a_failure_of_ours_tells_nothing_and_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture):
    answer = client.get("/api/v1/broken")
    assert answer.status_code == 500 and "hunter2" not in answer.text
    assert answer.json()["request_id"] in answer.json()["detail"]
    told = [each for each in caplog.records if each.exc_info]
    assert told and told[0].request_id == answer.json()["request_id"]


def test_a_request_keeps_the_id_it_came_with_if_it_is_one(client: TestClient):
    given = "from-the-gateway-1"
    assert client.get("/health", headers={"X-Request-Id": given}).headers["x-request-id"] == given
    for wrong in ("short", "a" * 65, "with blanks in", "<script>"):
        assert client.get("/health", headers={"X-Request-Id": wrong}).headers["x-request-id"] != wrong


def test_the_log_has_who_asked_and_no_secret(shop: Served, open_app: Callable, caplog: pytest.LogCaptureFixture):
    key = shop.key()
    with caplog.at_level(logging.INFO, logger="forecast_platform.api"):
        client = open_app(shop.settings)[1](key)
        client.get("/api/v1/forecasts/sku 1", params={"token": "s3cr3t"})
        client.get("/api/v1/forecasts/sku 1", headers={"Authorization": f"Bearer {key[:-1]}"})
    lines = [vars(each) for each in caplog.records if each.name == "forecast_platform.api.requests"]
    assert [each["status"] for each in lines] == [200, 401]
    assert lines[0]["subject"] == f"key {key.split('_')[1]}" and lines[0]["tenant"] == shop.tenant
    assert lines[0]["route"] == "/api/v1/forecasts/{sku}"
    said = str([vars(each) for each in caplog.records]) + caplog.text
    assert key not in said and key[-20:-1] not in said and "s3cr3t" not in said


def test_a_page_of_another_origin_may_call_only_if_it_is_named(shop: Served, open_app: Callable):
    asked = {"Origin": "https://planning.example", "Access-Control-Request-Method": "GET"}
    none, named = open_app(shop.settings)[1](), open_app(shop.settings, api_origins=" https://planning.example ")[1]()
    assert "access-control-allow-origin" not in none.options("/api/v1/forecasts/x", headers=asked).headers
    allowed = named.options("/api/v1/forecasts/x", headers=asked)
    assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == asked["Origin"]
    other = named.options("/api/v1/forecasts/x", headers=asked | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_json_is_always_valid():
    assert to_json({"a": float("nan"), "b": float("inf")}) == b'{"a":null,"b":null}'
    assert matches('W/"x", "y"', '"y"') and matches("*", '"y"') and matches('W/"y"', '"y"')
    assert not matches(None, '"y"') and not matches('"yy"', '"y"')
