"""``/actuals``: a total that was given counts instead of the day's events, and all that rests on the day follows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time
from fastapi.testclient import TestClient

from forecast_platform.api.keys import Scope
from forecast_platform.assets.arrivals import take_in
from forecast_platform.runs import make_waiting
from forecast_platform.sources.inbox import waiting
from forecast_platform_tests.api.conftest import HISTORY, LAST_ORIGIN, SETTINGS, TODAY, Served
from forecast_platform_tests.api.tills import known_to_the_api, sent_to
from forecast_platform_tests.pipeline.conftest import new_shop, parsed_projects
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

__all__ = ["new_shop", "parsed_projects"]

PATH = "/api/v1/actuals"
TAKEN = {"facts": {"actual_overrides": {"kind": "events"}}}
NOON = datetime.combine(TODAY, time(12), tzinfo=UTC)
SKU, LOCATION, DAY = "sku 3", "north", LAST_ORIGIN
GIVEN = {"sku": SKU, "location": LOCATION, "day": str(DAY), "units": 50}
SOLD = (
    "select units, units_sold, revenue from daily_sales where sku = 'sku 3' and location = 'north' and sale_date = :day"
)
ERRORS = """
    select e.origin_date, v.model, e.horizon, e.forecast, e.actual, e.error from forecast_errors e
    join forecast_versions v on v.version_id = e.version_id join series s on s.series_id = e.series_id
    where s.sku = 'sku 3' and s.location = 'north' and e.target_date = :day order by 1, 2, 3
"""
BELIEVED = "select * from forecasts where origin_date < :day order by origin_date, version_id, series_id, horizon"


@pytest.fixture(params=["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)])
def scored(request: pytest.FixtureRequest, new_shop: Callable[..., Shop]) -> Served:
    """A shop of some scored origins that takes totals."""
    shop = new_shop(request.param, **SETTINGS, **TAKEN)
    shop.put("history.csv", sales_lines(day(0), LAST_ORIGIN))
    with freeze_time(NOON):
        shop.run_facts(day(0), LAST_ORIGIN)
        shop.run(["forecasts", *shop.chain.accuracy], day(HISTORY), LAST_ORIGIN)
    return known_to_the_api(shop)


def read(served: Served, query: str, at: date = DAY) -> pd.DataFrame:
    with served.warehouse.reading() as session:
        return session.frame(query, {"day": at})


def follow(served: Served) -> None:
    """What the run does that the sensor starts: land, note the days, make what follows."""
    shop = served.shop
    for asset in shop.scope.fed_assets():
        take_in(shop.scope, asset, log=logging.getLogger("test"))
    make_waiting(shop.scope, lambda step: shop.run(step.assets, step.first, step.last))


def test_a_total_counts_until_it_is_withdrawn_and_everything_follows(scored: Served, open_app: Callable):
    client = open_app(scored.settings)[1](scored.key(Scope.READ, Scope.WRITE))
    sold, errors, believed = (read(scored, query) for query in (SOLD, ERRORS, BELIEVED))
    assert len(errors) and float(sold["units"].iloc[0]) != 50
    with freeze_time(NOON):
        answer = client.post(PATH, json={"items": [GIVEN], "reason": "recounted", "author": "Ada"})
        assert answer.status_code == 202, answer.text
        entry = answer.json()["items"][0]
        assert entry["units"] == 50.0 and entry["author"] == "Ada"
        follow(scored)
    assert waiting(scored.shop.scope.landing, "actual_overrides").files == 0
    now = read(scored, SOLD)
    assert float(now["units"].iloc[0]) == 50 and now["units_sold"].equals(sold["units_sold"])
    told = read(scored, ERRORS)
    assert len(told) == len(errors) and set(told["actual"].astype(float)) == {50.0}
    assert (told["error"] - (told["forecast"] - 50)).abs().max() < 1e-9
    pd.testing.assert_frame_equal(read(scored, BELIEVED), believed)
    # The newest origin saw another day and says something else; the day after is scored by nothing yet.
    versions = "select count(*) as n from forecast_versions where origin_date = :day"
    assert read(scored, versions)["n"].iloc[0] > read(scored, versions, DAY - timedelta(days=1))["n"].iloc[0]

    listed = client.get(f"{PATH}/{SKU}").json()
    assert listed == {"items": [entry], "next_cursor": None}

    with freeze_time(NOON + timedelta(minutes=1)):
        gone = client.delete(f"{PATH}/{SKU}/{DAY}", params={"location": LOCATION, "reason": "was right before"})
        assert gone.status_code == 202 and gone.json()["items"][0]["units"] is None
        follow(scored)
    pd.testing.assert_frame_equal(read(scored, SOLD), sold)
    pd.testing.assert_frame_equal(read(scored, ERRORS), errors)
    first = client.get(f"{PATH}/{SKU}", params={"limit": 1}).json()
    assert first["items"] == gone.json()["items"] and first["next_cursor"] == first["items"][0]["entry"]
    assert client.get(f"{PATH}/{SKU}", params={"limit": 1, "cursor": first["next_cursor"]}).json() == listed
    assert client.get(f"{PATH}/{SKU}", params={"to": str(DAY - timedelta(days=1))}).json()["items"] == []
    refuses_what_would_count_for_nothing(client, scored)


def refuses_what_would_count_for_nothing(client: TestClient, served: Served) -> None:
    def give(*items: dict, **body):
        with freeze_time(NOON):
            return client.post(PATH, json={"items": list(items), "reason": "x", **body})

    for changed, status, kind in [
        ({"sku": "nothing"}, 404, "unknown-series"),
        ({"location": "nowhere"}, 404, "unknown-series"),
        ({"day": str(TODAY)}, 422, "no-such-day"),
        ({"day": str(day(0) - timedelta(days=400))}, 422, "no-such-day"),
        ({"units": -1}, 422, "invalid-request"),
        ({"units": 0.00001}, 422, "invalid-request"),
        ({"units": 10**7}, 422, "invalid-request"),
        ({"unit": 1}, 422, "invalid-request"),
        ({"sku": "\ud800"}, 422, "invalid-request"),
    ]:
        answer = give(GIVEN, {**GIVEN, **changed}) if "\ud800" not in changed.values() else give({**GIVEN, "sku": "\0"})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (status, kind), answer.text
    assert give(GIVEN, reason=" ").status_code == 422 and give().status_code == 422
    assert client.delete(f"{PATH}/nothing/{DAY}", params={"reason": "x"}).status_code == 404
    for wrong in ("0236-07-04", "9999-12-31"):
        gone = client.delete(f"{PATH}/{SKU}/{wrong}", params={"reason": "x", "location": LOCATION})
        assert gone.status_code == 422 and gone.json()["type"].endswith("no-such-day")
    assert waiting(served.shop.scope.landing, "actual_overrides").files == 0
    for _ in range(2):
        with freeze_time(NOON):
            again = client.post(PATH, json={"items": [GIVEN], "reason": "x"}, headers={"Idempotency-Key": "k"})
        assert again.status_code == 202
    assert waiting(served.shop.scope.landing, "actual_overrides").files == 1


def test_a_tenant_that_takes_none_says_how_it_would(new_shop: Callable, open_app: Callable):
    served = sent_to(new_shop, "duckdb")
    client = open_app(served.settings)[1](served.key(Scope.READ, Scope.WRITE))
    for answer in (
        client.post(PATH, json={"items": [GIVEN], "reason": "x"}),
        client.delete(f"{PATH}/{SKU}/{DAY}", params={"reason": "x"}),
        client.get(f"{PATH}/{SKU}"),
    ):
        assert answer.status_code == 409 and "actual_overrides" in answer.json()["detail"]
