"""``GET /forecasts``: every published forecast once, by day or week, summed up, in pages or as a table."""

from __future__ import annotations

import base64
import io
from datetime import date

import orjson
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from forecast_platform.assets.served_forecasts import LEVELS
from forecast_platform_tests.api.conftest import LAST_ORIGIN, Served
from forecast_platform_tests.api.paging import all_items, without_cursor

LIST = "/api/v1/forecasts"
CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"


def published(served: Served) -> pd.DataFrame:
    rows = served.warehouse.read(
        "select * from published_forecasts where origin_date = :origin order by sku, location, horizon",
        {"origin": LAST_ORIGIN},
    )
    return rows.astype({"sku": str, "location": str, "model": str, "status": str})


def nodes(served: Served, level: str) -> dict[str, list[float]]:
    rows = served.warehouse.read(
        "select node, mean from latest_hierarchy_forecasts where origin_date = :origin and level = :level"
        " order by node, horizon",
        {"origin": LAST_ORIGIN, "level": level},
    )
    return {str(node): means.round(4).tolist() for node, means in rows.groupby("node")["mean"]}


@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_pages_give_every_series_once_and_as_it_is_given_alone(client: TestClient, served: Served, limit: int):
    listed = all_items(client, LIST, limit=limit) if limit < 9 else without_cursor(client, LIST, limit=limit)
    rows = published(served)
    names = [(item["sku"], item["location"]) for item in listed]
    assert sorted(names) == sorted(set(zip(rows["sku"], rows["location"], strict=True))) and len(set(names)) == len(
        names
    )
    alone = client.get(f"{LIST}/sku 1").json()["forecasts"]
    for each in alone:
        del each["overrides"]  # what planners expect instead stands beside the forecast of one SKU only
    assert [each for each in listed if each["sku"] == "sku 1"] == [
        {"level": "series", "sku": "sku 1", **each} for each in alone
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"location": "south"}, {("sku 0", "south"), ("sku 1", "south"), ("sku 2", "south"), ("sku 3", "south")}),
        (
            {"sku": ["sku 2", "größe 41/42 & co", "none"]},
            {("sku 2", "north"), ("sku 2", "south"), ("größe 41/42 & co", "north")},
        ),
        ({"category": "cold"}, {("sku 0", "north"), ("sku 0", "south")}),
        ({"category": "warm", "location": "south"}, {("sku 1", "south"), ("sku 2", "south")}),
        ({"status": "stock unknown"}, {("sku 3", "north"), ("sku 3", "south")}),
        ({"model": "oracle"}, set()),
        ({"category": "cold", "status": "stock unknown"}, set()),
    ],
)
@pytest.mark.parametrize("granularity", ["day", "week"])
def test_filters_are_of_the_series(client: TestClient, asked: dict, expected: set, granularity: str):
    found = without_cursor(client, LIST, **asked, granularity=granularity)
    assert {(each["sku"], each["location"]) for each in found} == expected


def test_a_model_filters_what_is_published(client: TestClient, served: Served):
    rows = published(served)
    for model, of_model in rows.groupby("model"):
        found = without_cursor(client, LIST, model=model)
        assert {(each["sku"], each["location"]) for each in found} == set(
            zip(of_model["sku"], of_model["location"], strict=True)
        )


def test_weeks_are_those_on_record(client: TestClient, served: Served):
    rows = served.warehouse.read("select * from weekly_forecasts_by_sku where origin_date = :o", {"o": LAST_ORIGIN})
    listed = all_items(client, LIST, limit=3, granularity="week")
    assert len(listed) == len(rows) == 9
    for row in rows.to_dict("records"):
        item = next(each for each in listed if (each["sku"], each["location"]) == (row["sku"], row["location"]))
        assert item["dates"] == [row["week_ending"].date().isoformat()] and item["mean"] == [round(row["mean"], 4)]
        assert {level: item["quantiles"][level] for level in LEVELS.values()} == {
            level: [round(row[name], 4)] for name, level in LEVELS.items()
        }
        assert (item["model"], item["origin"]) == (row["model"], LAST_ORIGIN.isoformat())


@pytest.mark.parametrize("level", ["location", "category", "total"])
def test_sums_are_those_on_record_and_add_up(client: TestClient, served: Served, level: str):
    listed = all_items(client, LIST, limit=1, level=level)
    assert {each["node"]: each["mean"] for each in listed} == nodes(served, level)
    total = sum(sum(each["mean"]) for each in listed)
    assert total == pytest.approx(published(served)["mean"].sum(), abs=0.01)
    # The newest origin is a Saturday: its seven days are one whole week.
    weeks = all_items(client, LIST, limit=1, level=level, granularity="week")
    assert [each["node"] for each in weeks] == [each["node"] for each in listed]
    for week, days in zip(weeks, listed, strict=True):
        assert week["dates"] == [days["dates"][-1]]
        assert week["mean"] == [pytest.approx(sum(days["mean"]), abs=0.001)]


def test_one_node_is_asked_for_by_its_name(client: TestClient):
    assert [each["node"] for each in without_cursor(client, LIST, level="location", location="south")] == ["south"]
    assert [each["node"] for each in without_cursor(client, LIST, level="category", category="cold")] == ["cold"]
    assert without_cursor(client, LIST, level="category", category="nothing") == []


@pytest.mark.parametrize("form", [CSV, PARQUET])
def test_a_table_holds_the_whole_of_what_is_published(
    client: TestClient, served: Served, form: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("forecast_platform.api.reading.listed_forecasts.BLOCK", 4)
    answer = client.get(LIST, headers={"Accept": form})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(form)
    table = pd.read_csv(io.BytesIO(answer.content)) if form == CSV else pd.read_parquet(io.BytesIO(answer.content))
    rows = published(served)
    key = ["sku", "location", "target_date"]
    table, rows = (each.assign(target_date=pd.to_datetime(each["target_date"])) for each in (table, rows))
    table, rows = (each.sort_values(key, ignore_index=True) for each in (table, rows))
    assert len(table) == len(rows) == 9 * 7
    for name in (*key, "model", "status"):
        assert table[name].tolist() == rows[name].tolist()
    for name in ("mean", *LEVELS, "confidence"):
        assert table[name].tolist() == rows[name].round(4).tolist()


def test_weeks_and_sums_are_tables_too(client: TestClient):
    accept = {"Accept": PARQUET}
    weeks = client.get(LIST, headers=accept, params={"granularity": "week", "sku": "sku 1"})
    table = pd.read_parquet(io.BytesIO(weeks.content))
    listed = without_cursor(client, LIST, granularity="week", sku="sku 1")
    assert table["mean"].tolist() == [each["mean"][0] for each in listed] and len(table) == 2
    total = client.get(LIST, headers=accept, params={"level": "total", "horizon": 3})
    table = pd.read_parquet(io.BytesIO(total.content))
    assert table["mean"].tolist() == without_cursor(client, LIST, level="total")[0]["mean"][:3]
    assert table.columns.tolist() == ["level", "node", "origin_date", "target_date", "mean"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.4", CSV),
        ("text/*", CSV),
        ("application/json;q=0, text/csv", CSV),
        ("text/csv;q=nonsense, application/json", "application/json"),
    ],
)
def test_the_preferred_form_is_answered(client: TestClient, accept: str, form: str):
    answer = client.get(LIST, headers={"Accept": accept}, params={"sku": "sku 1"})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(form)


def test_a_form_that_there_is_none_of_is_refused(client: TestClient):
    answer = client.get(LIST, headers={"Accept": "image/png"})
    assert answer.status_code == 406 and answer.json()["type"].endswith("not-acceptable")


@pytest.mark.parametrize("form", ["application/json", CSV, PARQUET])
def test_a_cache_asks_whether_its_list_still_holds(client: TestClient, form: str):
    first = client.get(LIST, headers={"Accept": form})
    etag = first.headers["etag"]
    again = client.get(LIST, headers={"Accept": form, "If-None-Match": etag})
    assert again.status_code == 304 and not again.content and again.headers["etag"] == etag
    other = client.get(LIST, headers={"Accept": form, "If-None-Match": etag}, params={"horizon": 2})
    assert other.status_code == 200 and "Accept" in other.headers["vary"]


def changed(cursor: str, place: int, value: object) -> str:
    parts = orjson.loads(base64.urlsafe_b64decode(cursor))
    parts[place] = value
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def test_a_cursor_of_another_publication_says_so(client: TestClient):
    cursor = client.get(LIST, params={"limit": 2}).json()["next_cursor"]
    answer = client.get(LIST, params={"cursor": changed(cursor, 0, "of the day before")})
    assert answer.status_code == 410 and answer.json()["type"].endswith("cursor-outdated")


def test_a_cursor_that_was_not_given_out_is_refused(client: TestClient):
    cursor = client.get(LIST, params={"limit": 2}).json()["next_cursor"]
    wrong = [changed(cursor, 2, 7), changed(cursor, 2, "\0"), changed(cursor, 3, None), "abc", "aaaa", "W10="]
    for each in wrong:
        assert client.get(LIST, params={"cursor": each}).status_code == 422, each
    other_filters = client.get(LIST, params={"cursor": cursor, "location": "south"})
    assert other_filters.status_code == 422 and "other parameters" in other_filters.json()["detail"]


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0},
        {"limit": 1001},
        {"level": "galaxy"},
        {"granularity": "month"},
        {"granularity": "week", "horizon": 3},
        {"level": "total", "sku": "sku 1"},
        {"level": "category", "location": "north"},
        {"sku": [str(n) for n in range(101)]},
        {"sku": "a\0"},
        {"category": "x" * 300},
    ],
)
def test_a_list_that_cannot_be_is_refused(client: TestClient, asked: dict):
    answer = client.get(LIST, params=asked)
    assert answer.status_code == 422 and answer.json()["detail"]


def test_days_count_from_the_origin(client: TestClient, served: Served):
    item = without_cursor(client, LIST, sku="sku 1", horizon=2)[0]
    assert len(item["mean"]) == len(item["quantiles"]["0.9"]) == item["horizon"] == 2
    assert item["age_days"] == (served.shop.scope.today() - date.fromisoformat(item["origin"])).days
