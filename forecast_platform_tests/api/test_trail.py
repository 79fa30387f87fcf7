"""``GET /forecasts/{sku}/audit``: what the platform's own audit tells, as far as it is served."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from forecast_platform.audit import audit
from forecast_platform_tests.api.conftest import LAST_ORIGIN, ORIGINS, Served

TRAIL = "/api/v1/forecasts/{}/audit"
FIRST_ORIGIN = LAST_ORIGIN - timedelta(days=ORIGINS - 1)


@pytest.mark.parametrize("origin", [FIRST_ORIGIN, LAST_ORIGIN])
def test_a_trail_is_the_audit_of_the_platform(client: TestClient, served: Served, origin):
    asked = {"location": "north", "origin": origin.isoformat()}
    found = client.get(TRAIL.format("sku 1"), params=asked).json()
    expected = audit(served.shop.scope, "sku 1", origin, location="north")
    for name in ("sku", "location", "origin", "champion", "explanation", "landed"):
        assert found[name] == expected[name] is not None, name
    assert [each["model"] for each in found["versions"]] == [each["model"] for each in expected["versions"]]
    for version, whole in zip(found["versions"], expected["versions"], strict=True):
        assert version["forecasts"] == [
            {**day, "error": pytest.approx(day["error"]) if day["error"] is not None else None}
            for day in whole["forecasts"]
        ]
        for name in ("digest", "published", "requested_by", "made_at", "inputs"):
            assert version[name] == whole[name]
    known = [day["error"] for day in found["versions"][0]["forecasts"] if day["error"] is not None]
    assert len(known) == (LAST_ORIGIN - origin).days
    for name in ("runs", "publications"):
        for each, whole in zip(found[name], expected[name], strict=True):
            assert each and {part: whole[part] for part in each} == each
    assert len(found["runs"]) == 6 and found["not_served"]


def test_without_an_origin_it_is_that_of_the_newest_publication(client: TestClient):
    found = client.get(TRAIL.format(quote("größe 41/42 & co", safe=""))).json()
    assert (found["origin"], found["location"]) == (LAST_ORIGIN.isoformat(), "north")
    assert [each["published"] for each in found["versions"]].count(True) == 1


def test_a_model_has_its_own_trail(client: TestClient):
    found = client.get(TRAIL.format("sku 2"), params={"location": "south", "model": "linear"}).json()
    assert {each["model"] for each in found["versions"]} == {each["model"] for each in found["runs"]} == {"linear"}


def test_a_sku_of_several_locations_needs_one(client: TestClient):
    answer = client.get(TRAIL.format("sku 1"))
    assert answer.status_code == 422 and answer.json()["locations"] == ["north", "south"]


@pytest.mark.parametrize(
    ("sku", "asked"),
    [
        ("nothing", {}),
        ("sku 1", {"location": "nowhere"}),
        ("sku 1", {"location": "north", "origin": "2020-01-01"}),
        ("sku 1", {"location": "north", "model": "oracle"}),
    ],
)
def test_what_is_not_on_record_has_no_trail(client: TestClient, sku: str, asked: dict):
    answer = client.get(TRAIL.format(sku), params=asked)
    assert answer.status_code == 404 and answer.json()["type"].endswith("unknown-forecast")
