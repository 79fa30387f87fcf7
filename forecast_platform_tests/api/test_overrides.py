"""``/overrides``: what planners expect is on record for good, shown beside the forecast, and scored like one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time
from fastapi import FastAPI
from fastapi.testclient import TestClient

from forecast_platform.api.keys import Scope
from forecast_platform.assets.planner_overrides import take_in
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.sources.batches import Landing
from forecast_platform.sources.overrides import keep, kept, settle, waiting
from forecast_platform_tests.api.conftest import LAST_ORIGIN, TODAY, Served
from forecast_platform_tests.api.paging import all_items
from forecast_platform_tests.api.planners import AUTHORS, requests
from forecast_platform_tests.pipeline.shop import day

PATH = "/api/v1/overrides"
NOON = datetime.combine(TODAY, time(12), tzinfo=UTC)
LATER = NOON + timedelta(days=1)
"""After everything that the shop's planners have sent."""

GIVEN = {"sku": "sku 1", "location": "north", "target_date": str(TODAY + timedelta(days=2)), "units": 25}


def table(served: Served, name: str) -> list[dict[str, Any]]:
    return served.warehouse.read(f"select * from {name}").astype(object).to_dict("records")


def expected_errors(served: Served) -> dict[str, dict[str, Any]]:
    """What ``override_errors`` must hold, by entry: by going through everything, one override after the other."""
    ledger, series = table(served, "planner_overrides"), table(served, "series")
    ids = {(row["sku"], row["location"]): row["series_id"] for row in series}
    closed = {row["day"] for row in table(served, "partition_log") if row["asset"] == "forecast_errors"}
    sold = {(row["sale_date"], row["series_id"]): float(row["units"]) for row in table(served, "daily_sales")}
    versions = {row["version_id"]: row for row in table(served, "forecast_versions")}
    points: dict[tuple, float] = {}
    for row in table(served, "forecasts"):
        points[row["origin_date"], row["version_id"], row["series_id"], row["horizon"]] = row["mean"]
    publications = table(served, "publications")
    found: dict[tuple, dict[str, Any]] = {}
    for row in sorted(ledger, key=lambda each: each["entry"]):
        target = row["target_date"]
        begins = target.tz_localize("UTC")
        gone = [each["received_at"] for each in ledger if each["withdraws"] == row["entry"]]
        if row["units"] is None or pd.isna(row["units"]) or target not in closed:
            continue
        if row["received_at"] >= begins or any(moment < begins for moment in gone):
            continue
        if not pd.isna(row["expires_at"]) and row["expires_at"] <= begins:
            continue
        found[row["sku"], row["location"], target] = row
    told = {}
    for (sku, location, target), row in found.items():
        number = ids[sku, location]
        known = [
            each
            for each in publications
            if each["series_id"] == number and each["origin_date"].date() < row["received_at"].date()
        ]
        newest = max(known, key=lambda each: (each["origin_date"], each["batch_id"]), default=None)
        published = naive = None
        if newest is not None:
            origin, horizon = newest["origin_date"], (target - newest["origin_date"]).days
            published = points.get((origin, newest["version_id"], number, horizon))
            of_naive = [
                version
                for version, each in versions.items()
                if each["model"] == "seasonal_naive_7" and (origin, version, number, horizon) in points
            ]
            naive = points[origin, max(of_naive), number, horizon] if of_naive else None
        actual = sold.get((target, number), 0.0)
        told[row["entry"]] = {
            "author": row["author"],
            "reason": row["reason"],
            "sku": sku,
            "all": "all",
            "actual": actual,
            "error": float(row["units"]) - actual,
            "published": None if published is None else abs(published - actual),
            "naive": None if naive is None else abs(naive - actual),
        }
    return told


def figures(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """Metrics of scored overrides, as design has them."""

    def ratio(part: float, whole: float) -> float | None:
        return part / whole if whole else None

    actual = sum(row["actual"] for row in rows)
    told = {
        "n": len(rows),
        "mae": sum(abs(row["error"]) for row in rows) / len(rows),
        "wape": ratio(sum(abs(row["error"]) for row in rows), actual),
        "bias": ratio(sum(row["error"] for row in rows), actual),
    }
    for other in ("published", "naive"):
        both = [row for row in rows if row[other] is not None]
        better = sum(row[other] - abs(row["error"]) for row in both)
        told[f"n_{other}"] = len(both)
        told[f"fva_mae_{other}"] = ratio(better, len(both))
        told[f"fva_wape_{other}"] = ratio(better, sum(row["actual"] for row in both))
    return told


def test_an_override_is_scored_by_what_held_when_its_day_began(served: Served):
    expected = expected_errors(served)
    errors = served.warehouse.read("select * from override_errors").astype(object)
    assert set(errors["entry"]) == set(expected) and len(expected) > 10
    for row in errors.to_dict("records"):
        other = expected[row["entry"]]
        assert row["error"] == pytest.approx(other["error"]) and row["abs_error"] == pytest.approx(abs(other["error"]))
        for name in ("published", "naive"):
            error = None if pd.isna(row[f"{name}_error"]) else abs(row[f"{name}_error"])
            assert error == (None if other[name] is None else pytest.approx(other[name])), (row, other)
    compared = [row["published"] is not None for row in expected.values()]
    assert any(compared) and not all(compared)


@pytest.mark.parametrize("by", ["all", "author", "sku", "reason"])
def test_accuracy_and_added_value_are_those_of_the_scored_ones(client: TestClient, served: Served, by: str):
    answer = client.get(f"{PATH}/accuracy", params={"by": by}).json()
    rows = list(expected_errors(served).values())
    groups = {name: figures([row for row in rows if row[by] == name]) for name in {row[by] for row in rows}}
    assert {each["name"] for each in answer["items"]} == set(groups)
    for each in answer["items"]:
        for name, value in groups[each["name"]].items():
            assert each[name] == (None if value is None else pytest.approx(value)), (each["name"], name)


def test_the_ledger_is_listed_whole_and_by_what_is_asked_for(client: TestClient, served: Served):
    rows = [row for row in table(served, "planner_overrides") if row["withdraws"] is None or pd.isna(row["withdraws"])]
    listed = all_items(client, PATH, limit=37)
    assert [each["entry"] for each in listed] == sorted((row["entry"] for row in rows), reverse=True)
    withdrawn = {row["withdraws"] for row in table(served, "planner_overrides")} - {None, pd.NA}
    assert {each["entry"] for each in listed if each["withdrawn_at"]} == {name for name in withdrawn if name}
    asked = {"sku": "sku 1", "location": "north", "author": AUTHORS[0], "from": f"{LAST_ORIGIN}", "to": f"{TODAY}"}
    some = client.get(PATH, params=asked).json()["items"]
    wanted = [
        each["entry"]
        for each in listed
        if (each["sku"], each["location"], each["author"]) == ("sku 1", "north", AUTHORS[0])
        and f"{LAST_ORIGIN}" <= each["target_date"] <= f"{TODAY}"
    ]
    assert [each["entry"] for each in some] == wanted


def held(served: Served, sku: str, location: str, moment: datetime) -> dict[str, str]:
    """By day after the newest origin, the entry on record that holds at a moment."""
    ledger = table(served, "planner_overrides")
    gone = {row["withdraws"] for row in ledger}
    return {
        f"{row['target_date'].date()}": row["entry"]
        for row in sorted(ledger, key=lambda each: each["entry"])
        if (row["sku"], row["location"]) == (sku, location)
        and row["target_date"].date() > LAST_ORIGIN
        and row["entry"] not in gone
        and not pd.isna(row["units"])
        and (pd.isna(row["expires_at"]) or row["expires_at"] > moment)
    }


def test_what_holds_is_shown_beside_the_forecast_and_changes_nothing_of_it(client: TestClient, served: Served):
    shown = 0
    for sku in ("sku 0", "sku 1", "sku 2"):
        plain = client.get(f"/api/v1/forecasts/{sku}", params={"origin": f"{LAST_ORIGIN}"}).json()
        for moment in (NOON, NOON + timedelta(days=2)):
            with freeze_time(moment):
                answer = client.get(f"/api/v1/forecasts/{sku}").json()
            for each, other in zip(answer["forecasts"], plain["forecasts"], strict=True):
                entries = {told["target_date"]: told["entry"] for told in each["overrides"]}
                assert entries == held(served, sku, each["location"], moment)
                assert {**each, "overrides": [], "age_days": 0} == {**other, "age_days": 0}
                shown += len(entries)
    assert shown


def test_what_is_sent_waits_for_the_run_is_taken_in_once_and_shown(
    taking: tuple[Served, FastAPI], serve_again: Callable[[Served], None]
):
    served, app = taking
    key = served.key(Scope.READ, Scope.WRITE)
    with TestClient(app, headers={"Authorization": f"Bearer {key}"}) as client, freeze_time(LATER):
        body = {"items": [GIVEN, {**GIVEN, "location": "south", "units": "3.25"}], "reason": "a school trip"}
        first, again = (client.post(PATH, json=body, headers={"Idempotency-Key": "trip"}) for _ in range(2))
        assert first.status_code == 202 and again.json() == first.json(), first.text
        made = first.json()["items"]
        assert [(each["units"], each["location"]) for each in made] == [(25.0, "north"), (3.25, "south")]
        assert {each["author"] for each in made} == {f"key {key.split('_')[1]}"}
        assert len(waiting(served.shop.scope.landing)) == 1
        assert made[0]["entry"] not in {each["entry"] for each in client.get(PATH).json()["items"]}
        serve_again(served)
        assert not waiting(served.shop.scope.landing)
        assert client.get(PATH, params={"limit": 2}).json()["items"] == made[::-1]
        mean = client.get("/api/v1/forecasts/sku 1").json()["forecasts"][0]
        (shown,) = [each for each in mean["overrides"] if each["target_date"] == GIVEN["target_date"]]
        assert (shown["entry"], shown["units"], shown["reason"]) == (made[0]["entry"], 25.0, "a school trip")
        serve_again(served)
        path = f"{PATH}/{made[0]['entry']}/withdraw"
        gone = client.post(path, json={"reason": "called off"})
        assert gone.status_code == 202 and gone.json()["withdrawn_at"], gone.text
        serve_again(served)
        assert client.post(path, json={"reason": "called off"}).json()["type"].endswith("override-withdrawn")
        after = client.get("/api/v1/forecasts/sku 1").json()["forecasts"][0]["overrides"]
        assert made[0]["entry"] not in {each["entry"] for each in after}
        listed = {each["entry"]: each["withdrawn_at"] for each in client.get(PATH, params={"limit": 2}).json()["items"]}
        assert listed[made[0]["entry"]] and not listed[made[1]["entry"]]


@pytest.mark.parametrize(
    ("changed", "body", "status", "kind"),
    [
        ({"sku": "nothing"}, {}, 404, "unknown-series"),
        ({"location": "nowhere"}, {}, 404, "unknown-series"),
        ({"target_date": str(LAST_ORIGIN)}, {}, 422, "no-such-day"),
        ({"target_date": "2999-01-01"}, {}, 422, "no-such-day"),
        ({"units": -1}, {}, 422, "invalid-request"),
        ({"units": None}, {}, 422, "invalid-request"),
        ({"author": "somebody else"}, {}, 422, "invalid-request"),
        ({}, {"author": "somebody else"}, 422, "invalid-request"),
        ({}, {"reason": " "}, 422, "invalid-request"),
        ({}, {"expires_at": NOON.isoformat()}, 422, "invalid-request"),
        ({}, {"expires_at": "2999-01-01T00:00:00"}, 422, "invalid-request"),
    ],
)
def test_what_can_hold_for_nothing_is_refused(
    taking: tuple[Served, FastAPI], changed: dict, body: dict, status: int, kind: str
):
    served, app = taking
    with TestClient(app, headers={"Authorization": f"Bearer {served.key(Scope.WRITE)}"}) as client, freeze_time(NOON):
        before = waiting(served.shop.scope.landing)
        answer = client.post(PATH, json={"items": [GIVEN, {**GIVEN, **changed}], "reason": "x", **body})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (status, kind), answer.text
        assert client.get(PATH).status_code == 403 and waiting(served.shop.scope.landing) == before


def test_today_may_still_be_overridden(taking: tuple[Served, FastAPI]):
    served, app = taking
    with TestClient(app, headers={"Authorization": f"Bearer {served.key(Scope.WRITE)}"}) as client, freeze_time(NOON):
        body = {"items": [{**GIVEN, "target_date": f"{TODAY}"}], "reason": "x"}
        assert client.post(PATH, json=body).status_code == 202
        none = client.post(f"{PATH}/{'0' * 24}/withdraw", json={"reason": "x"})
        assert none.status_code == 404 and none.json()["type"].endswith("unknown-override")


def test_a_request_that_comes_again_is_answered_as_before_though_its_day_is_over(taking: tuple[Served, FastAPI]):
    served, app = taking
    body = {"items": [GIVEN | {"target_date": str(TODAY)}], "reason": "r"}
    with TestClient(app, headers={"Authorization": f"Bearer {served.key(Scope.WRITE)}"}) as client:
        answers = []
        for moment in (NOON, LATER):
            with freeze_time(moment):
                answers.append(client.post(PATH, json=body, headers={"Idempotency-Key": "of-that-day"}))
        with freeze_time(LATER):
            new = client.post(PATH, json=body, headers={"Idempotency-Key": "another"})
    assert [each.status_code for each in answers] == [202, 202] and answers[0].content == answers[1].content
    assert answers[1].headers["idempotency-replayed"] == "true" and new.status_code == 422


def test_the_ledger_only_grows_and_a_new_warehouse_finds_all_of_it(warehouse: Warehouse, tmp_path):
    landing = Landing(tmp_path.as_uri(), "t", "UTC")
    sent = list(requests(day(0), day(3), count=6))
    for each in sent:
        keep(landing, each)
    count = sum(map(len, sent))

    def on_record() -> int:
        return warehouse.read("select count(*) as n from planner_overrides")["n"].iloc[0]

    for settled in (False, True, True):
        with warehouse.transaction() as session:
            names = take_in(session, landing)
        assert on_record() == count
        if settled:
            settle(landing, names)
    assert not waiting(landing) and len(kept(landing)) == len(sent)
    for change in ("update planner_overrides set units = 1", "delete from planner_overrides"):
        with pytest.raises(Exception, match=r"append-only|permission denied"), warehouse.transaction() as session:
            session.execute(change)
    assert on_record() == count


def test_a_new_warehouse_takes_in_what_was_kept(duckdb_warehouse: Warehouse, tmp_path):
    landing = Landing((tmp_path / "landing").as_uri(), "t", "UTC")
    sent = list(requests(day(0), day(3), count=4))
    for each in sent:
        keep(landing, each)
    settle(landing, waiting(landing))
    with duckdb_warehouse.transaction() as session:
        take_in(session, landing)
    rows = duckdb_warehouse.read("select entry from planner_overrides order by entry")
    assert list(rows["entry"]) == sorted(row.entry for each in sent for row in each)
