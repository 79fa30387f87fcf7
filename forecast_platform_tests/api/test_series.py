"""What is on record of a SKU and of the models: facts as they are, accuracy as anybody would compute it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from forecast_platform.accuracy.buckets import horizon_bucket
from forecast_platform_tests.api.conftest import HISTORY, LAST_ORIGIN, Served
from forecast_platform_tests.api.paging import all_items, without_cursor
from forecast_platform_tests.pipeline.shop import day

HISTORY_OF, ACCURACY_OF, LEADERBOARD = "/api/v1/series/{}/history", "/api/v1/series/{}/accuracy", "/api/v1/accuracy"
FIGURES = ("wape", "mape", "mape_coverage", "mae", "rmse", "bias")
BOTH_DAYS = {"from": day(HISTORY + 1), "to": LAST_ORIGIN}


def test_a_history_is_what_is_on_record(client: TestClient, served: Served):
    rows = served.warehouse.read("select * from daily_sales where sku = 'sku 2' order by sale_date, location")
    found = all_items(client, HISTORY_OF.format("sku 2"), limit=25)
    assert len(found) == len(rows) > 50
    assert [each["location"] for each in found] == rows["location"].astype(str).tolist()
    assert [each["day"] for each in found] == [each.date().isoformat() for each in rows["sale_date"]]
    for name in ("units", "units_sold", "units_returned", "revenue"):
        assert [each[name] for each in found] == rows[name].astype(float).tolist()
    assert [each["price"] for each in found] == [None if math.isnan(price) else price for price in rows["avg_price"]]
    for name in ("orders", "on_promotion", "in_stock"):
        assert [each[name] for each in found] == rows[name].tolist()


def test_a_history_is_of_some_days_and_places(client: TestClient):
    asked = {"from": day(5), "to": day(7), "location": "south"}
    found = without_cursor(client, HISTORY_OF.format("sku 1"), **asked)
    assert [each["day"] for each in found] == [day(n).isoformat() for n in (5, 6, 7)]
    assert {each["location"] for each in found} == {"south"}


@pytest.mark.parametrize("path", [HISTORY_OF, ACCURACY_OF])
def test_a_sku_or_place_that_never_sold_is_not_found(client: TestClient, path: str):
    unknown = client.get(path.format("x' or '1'='1"))
    assert unknown.status_code == 404 and unknown.json()["type"].endswith("unknown-sku")
    nowhere = client.get(path.format("sku 1"), params={"location": "nowhere"})
    assert nowhere.status_code == 404 and nowhere.json()["type"].endswith("unknown-location")


@pytest.mark.parametrize("path", [HISTORY_OF, ACCURACY_OF, LEADERBOARD])
@pytest.mark.parametrize(
    "asked",
    [
        {"from": "2026-02-02", "to": "2026-02-01"},
        {"from": "1990-01-01"},
        {"to": "soon"},
        {"from": "0001-01-01", "to": "9999-12-31"},
    ],
)
def test_a_period_that_cannot_be_is_refused(client: TestClient, path: str, asked: dict):
    answer = client.get(path.format("sku 1"), params=asked)
    assert answer.status_code == 422 and answer.json()["type"].endswith("invalid-request")


@pytest.mark.parametrize("asked", [{"to": "0001-01-01"}, {"from": "9990-01-01", "to": "9990-01-02"}])
def test_a_period_without_sales_has_no_rows(client: TestClient, asked: dict):
    for path in (HISTORY_OF, ACCURACY_OF, LEADERBOARD):
        assert without_cursor(client, path.format("sku 1"), **asked) == []


def errors_on_record(served: Served) -> pd.DataFrame:
    """Every forecast that met its actual, of the newest version of its origin, model and series."""
    rows = served.warehouse.read(
        "select e.*, v.model, s.sku, s.location, c.scale_abs, c.scale_sq from forecast_errors e"
        " join forecast_versions v on v.version_id = e.version_id join series s on s.series_id = e.series_id"
        " left join series_scales c on c.as_of = e.origin_date and c.series_id = e.series_id"
    ).astype({"model": str, "sku": str, "location": str})
    key = ["target_date", "origin_date", "model", "series_id"]
    rows = rows.sort_values("version_id").drop_duplicates(key, keep="last")
    rows["horizon_bucket"] = horizon_bucket(rows["horizon"].to_numpy())
    return pd.concat([rows, rows.assign(horizon_bucket="all")])


def computed(errors: pd.DataFrame) -> dict[str, float | None]:
    """The metrics of some errors, by their definitions."""
    actual, error = errors["actual"], errors["error"]
    sold, positive = actual.sum(), actual > 0
    ape = (error.abs() / actual)[positive]
    return {
        "scored": len(errors),
        "mape_skipped": int((~positive).sum()),
        "out_of_stock": int((~errors["in_stock"]).sum()),
        "wape": error.abs().sum() / sold if sold else None,
        "mape": ape.mean() if positive.any() else None,
        "mape_coverage": positive.mean(),
        "mae": error.abs().mean(),
        "rmse": math.sqrt((error**2).mean()),
        "bias": error.sum() / sold if sold else None,
    }


def require_same(answer: Mapping, errors: pd.DataFrame, floor: pd.DataFrame) -> None:
    expected, of_floor = computed(errors), computed(floor)
    assert {name: answer[name] for name in expected} == {
        name: value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12) for name, value in expected.items()
    }
    for name in ("wape", "mae", "rmse"):
        added = None
        if len(errors) >= 0.9 * len(floor) and None not in (of_floor[name], expected[name]):
            added = pytest.approx(of_floor[name] - expected[name], rel=1e-9, abs=1e-12)
        assert answer[f"fva_{name}"] == added


def test_the_leaderboard_is_what_the_errors_come_to(client: TestClient, served: Served):
    errors = errors_on_record(served)
    found = [each for each in without_cursor(client, LEADERBOARD, **BOTH_DAYS) if each["model"] != "published"]
    assert len(found) == errors.groupby(["model", "horizon_bucket"]).ngroups == 18
    for each in found:
        of_bucket = errors[errors["horizon_bucket"] == each["horizon_bucket"]]
        floor = of_bucket[of_bucket["model"] == "seasonal_naive_7"]
        require_same(each, of_bucket[of_bucket["model"] == each["model"]], floor)


def test_the_leaderboard_equals_the_view_of_the_same_days(client: TestClient, served: Served):
    view = served.warehouse.read("select * from forecast_accuracy where as_of = :day", {"day": LAST_ORIGIN})
    view = view.astype({"model": str, "horizon_bucket": str}).set_index(["window_days", "model", "horizon_bucket"])
    for window in (7, 28, 90):
        first = LAST_ORIGIN - timedelta(days=window - 1)
        found = without_cursor(client, LEADERBOARD, **{"from": first, "to": LAST_ORIGIN})
        for each in found:
            if each["model"] == "published":
                continue
            row = view.loc[(window, each["model"], each["horizon_bucket"])]
            assert each["scored"] == row["n"] and each["out_of_stock"] == row["n_out_of_stock"]
            for name in (*FIGURES, "fva_wape"):
                assert each[name] == pytest.approx(row[name], rel=1e-9, abs=1e-12), (window, name, each)


def test_what_was_published_is_scored_beside_the_models(client: TestClient, served: Served):
    rows = served.warehouse.read(
        "select model, n, wape, bias from published_accuracy where horizon_bucket = 'all' and model = 'published'"
    )
    found = without_cursor(client, LEADERBOARD, model="published", horizon_bucket="all")
    assert len(found) == len(rows) == 1
    assert found[0]["scored"] == rows["n"].iloc[0] > 0
    assert found[0]["wape"] == pytest.approx(rows["wape"].iloc[0]) and found[0]["bias"] == pytest.approx(
        rows["bias"].iloc[0]
    )


@pytest.mark.parametrize("sort", ["wape", "mape", "mae", "rmse", "bias"])
def test_the_best_model_of_each_bucket_comes_first(client: TestClient, sort: str):
    found = without_cursor(client, LEADERBOARD, sort=sort)
    assert list(dict.fromkeys(each["horizon_bucket"] for each in found)) == ["all", "1", "2-7"]
    for bucket in ("all", "1", "2-7"):
        values = [abs(each[sort]) for each in found if each["horizon_bucket"] == bucket]
        assert values == sorted(values) and len(values) == 7


def test_days_add_up_to_the_period(client: TestClient):
    asked = {"model": "ensemble", "horizon_bucket": "all"}
    days = without_cursor(client, LEADERBOARD, by="day", **asked)
    together = without_cursor(client, LEADERBOARD, **asked)
    assert [each["day"] for each in days] == [(LAST_ORIGIN - timedelta(days=back)).isoformat() for back in (1, 0)]
    assert together[0]["day"] is None and sum(each["scored"] for each in days) == together[0]["scored"]
    single = without_cursor(client, LEADERBOARD, **asked, **{"from": days[0]["day"], "to": days[0]["day"]})
    assert {**single[0], "day": days[0]["day"]} == days[0]


def test_the_accuracy_of_a_sku_is_what_its_errors_come_to(client: TestClient, served: Served):
    errors = errors_on_record(served)
    errors = errors[errors["sku"] == "sku 2"]
    answer = client.get(ACCURACY_OF.format("sku 2"), params=BOTH_DAYS).json()
    found = [each for each in answer["items"] if each["model"] != "published"]
    assert len(found) == errors.groupby(["location", "model", "horizon_bucket"]).ngroups == 36
    for each in found:
        scope = errors[(errors["location"] == each["location"]) & (errors["horizon_bucket"] == each["horizon_bucket"])]
        own, floor = (scope[scope["model"] == model] for model in (each["model"], "seasonal_naive_7"))
        require_same(each, own, floor)
        scaled = own[own["scale_sq"] > 0]
        assert each["mase"] == pytest.approx((scaled["error"].abs() / scaled["scale_abs"]).mean())
        assert each["rmsse"] == pytest.approx(math.sqrt((scaled["error"] ** 2 / scaled["scale_sq"]).mean()))
        assert each["unscaled"] == len(own) - len(scaled)


def test_the_accuracy_of_a_sku_is_of_one_place_model_and_bucket(client: TestClient):
    asked = {"location": "south", "model": "published", "horizon_bucket": "1"}
    found = without_cursor(client, ACCURACY_OF.format("sku 1"), **asked)
    assert [(each["location"], each["model"], each["horizon_bucket"]) for each in found] == [
        ("south", "published", "1")
    ]
    assert found[0]["scored"] == 2


def test_no_period_asked_for_is_that_of_the_newest_scores(client: TestClient):
    answer = client.get(LEADERBOARD).json()
    assert answer["to"] == LAST_ORIGIN.isoformat()
    assert date.fromisoformat(answer["to"]) - date.fromisoformat(answer["from"]) == timedelta(days=27)
