"""``GET /forecasts/{sku}``: what is answered is what was published, in either warehouse."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from forecast_platform.assets.served_forecasts import LEVELS
from forecast_platform_tests.api.conftest import LAST_ORIGIN, ORIGINS, Served

SKU, NOT_OVERRIDDEN, AWKWARD = "sku 1", "sku 3", "größe 41/42 & co"


def on_record(served: Served, origin=LAST_ORIGIN, sku: str = SKU):
    rows = served.warehouse.read("select * from published_forecasts")
    rows = rows[(rows["sku"] == sku) & (rows["origin_date"].dt.date == origin)]
    return {location: days.sort_values("horizon") for location, days in rows.groupby("location")}


def require_same(answer: dict, rows) -> None:
    assert answer["mean"] == rows["mean"].round(4).tolist() and len(answer["mean"]) == 7
    for name, level in LEVELS.items():
        assert answer["quantiles"][level] == rows[name].round(4).tolist()
    assert answer["dates"] == [day.date().isoformat() for day in rows["target_date"]]
    assert answer["status"] == rows["status"].tolist()
    assert answer["version"] == rows["version_digest"].iloc[0] and answer["model"] == rows["model"].iloc[0]
    assert answer["confidence"] == round(rows["confidence"].iloc[0], 4)


def test_the_newest_publication_is_answered_by_location(client: TestClient, served: Served):
    answer = client.get(f"/api/v1/forecasts/{SKU}")
    assert answer.status_code == 200
    published = on_record(served)
    assert [each["location"] for each in answer.json()["forecasts"]] == ["north", "south"] == sorted(published)
    for each in answer.json()["forecasts"]:
        require_same(each, published[each["location"]])
        assert each["origin"] == LAST_ORIGIN.isoformat() and each["explanation"].strip()


def test_the_old_path_gives_the_same(client: TestClient):
    assert client.get(f"/api/forecast/{SKU}").content == client.get(f"/api/v1/forecasts/{SKU}").content


@pytest.mark.parametrize("days", [1, 3, 7, 300])
def test_a_horizon_cuts_the_days(client: TestClient, days: int):
    whole = client.get(f"/api/v1/forecasts/{SKU}").json()["forecasts"][0]
    cut = client.get(f"/api/v1/forecasts/{SKU}", params={"horizon": days}).json()["forecasts"][0]
    assert cut["horizon"] == min(days, 7) == len(cut["dates"])
    assert cut["mean"] == whole["mean"][:days] and cut["quantiles"]["0.9"] == whole["quantiles"]["0.9"][:days]
    last = (LAST_ORIGIN + timedelta(days=days)).isoformat()
    assert cut["overrides"] == [each for each in whole["overrides"] if each["target_date"] <= last]
    of_days = ("dates", "mean", "quantiles", "status", "horizon", "overrides")
    assert {**whole, **dict.fromkeys(of_days)} == {**cut, **dict.fromkeys(of_days)}


def test_a_location_is_one_of_them(client: TestClient):
    answer = client.get(f"/api/v1/forecasts/{SKU}", params={"location": "south"}).json()
    assert [each["location"] for each in answer["forecasts"]] == ["south"]
    assert client.get(f"/api/v1/forecasts/{SKU}", params={"location": "nowhere"}).status_code == 404


@pytest.mark.parametrize("back", range(ORIGINS))
def test_the_publication_of_a_past_origin_is_answered_as_it_was(client: TestClient, served: Served, back: int):
    origin = LAST_ORIGIN - timedelta(days=back)
    answer = client.get(f"/api/v1/forecasts/{SKU}", params={"origin": origin.isoformat()}).json()
    published = on_record(served, origin)
    for each in answer["forecasts"]:
        require_same(each, published[each["location"]])
        assert each["origin"] == origin.isoformat()


def test_what_the_hot_read_and_the_record_say_is_equal(client: TestClient):
    newest = client.get(f"/api/v1/forecasts/{NOT_OVERRIDDEN}").json()
    recorded = client.get(f"/api/v1/forecasts/{NOT_OVERRIDDEN}", params={"origin": LAST_ORIGIN.isoformat()}).json()
    assert newest == recorded


def test_as_of_a_moment_is_what_was_published_then(client: TestClient, served: Served):
    times = served.warehouse.read("select origin_date, max(published_at) as at from publications group by 1 order by 1")
    first, second = times["at"].iloc[0], times["at"].iloc[1]
    # Under one clock for the whole run, the newest origin is what was published at that moment.
    expected = LAST_ORIGIN if first == second else times["origin_date"].iloc[0].date()
    answer = client.get(f"/api/v1/forecasts/{SKU}", params={"as_of": first.isoformat()}).json()
    assert {each["origin"] for each in answer["forecasts"]} == {expected.isoformat()}
    before = first - timedelta(seconds=1)
    assert client.get(f"/api/v1/forecasts/{SKU}", params={"as_of": before.isoformat()}).status_code == 404


def test_another_model_answers_for_itself(client: TestClient, served: Served):
    rows = served.warehouse.read(
        "select f.*, v.model from forecasts f join forecast_versions v using (version_id)"
        " join series s using (series_id) where s.sku = 'sku 1' and s.location = 'north' order by horizon"
    )
    rows = rows[(rows["model"] == "seasonal_naive_7") & (rows["origin_date"].dt.date == LAST_ORIGIN)]
    answer = client.get(f"/api/v1/forecasts/{SKU}", params={"model": "seasonal_naive_7", "location": "north"}).json()
    assert answer["forecasts"][0]["mean"] == rows["mean"].round(4).tolist() != []
    assert answer["forecasts"][0]["model"] == "seasonal_naive_7"
    assert client.get(f"/api/v1/forecasts/{SKU}", params={"model": "oracle"}).status_code == 404


@pytest.mark.parametrize("slash", ["%2F", "%2f"])
def test_a_sku_of_any_letters_is_found_and_a_slash_is_one_of_them(client: TestClient, slash: str):
    escaped = quote(AWKWARD, safe="/").replace("/", slash)
    for path in ("forecasts/{}", "forecasts/{}/audit", "series/{}/history", "series/{}/accuracy", "inventory/{}"):
        answer = client.get(f"/api/v1/{path.format(escaped)}")
        assert answer.status_code == 200 and answer.json()["sku" if path != "series/{}/history" else "items"], path
        if "sku" in answer.json():
            assert answer.json()["sku"] == AWKWARD
    none = client.get(f"/api/v1/forecasts/no{slash}such")
    assert none.status_code == 404 and none.json()["instance"] == "/api/v1/forecasts/no%2Fsuch"
    assert client.get(f"/api/v1/forecasts/{AWKWARD}").status_code == 404


@pytest.mark.parametrize("sku", ["nothing", "sku 1' or '1'='1", "../../etc/passwd", "%2e%2e", ";drop table series"])
def test_a_sku_that_is_none_is_not_found(client: TestClient, sku: str):
    answer = client.get(f"/api/v1/forecasts/{sku}")
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "asked",
    [
        {"horizon": "0"},
        {"horizon": "many"},
        {"origin": "yesterday"},
        {"as_of": "2026-01-01"},
        {"as_of": "2026-01-01T00:00:00"},
        {"as_of": "2026-01-01T00:00:00Z", "model": "ensemble"},
        {"location": "\0"},
        {"model": "x" * 1000},
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(client: TestClient, asked: dict[str, str]):
    answer = client.get(f"/api/v1/forecasts/{SKU}", params=asked)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("invalid-request") and answer.json()["detail"]


def test_a_cache_asks_whether_its_answer_still_holds(client: TestClient):
    first = client.get(f"/api/v1/forecasts/{SKU}")
    again = client.get(f"/api/v1/forecasts/{SKU}", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content and again.headers["etag"] == first.headers["etag"]
    assert "private" in first.headers["cache-control"] and "Authorization" in first.headers["vary"]
    other = client.get(f"/api/v1/forecasts/{SKU}", headers={"If-None-Match": '"something"'})
    assert other.status_code == 200
