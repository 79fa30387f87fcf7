"""The demo in DuckDB and in PostgreSQL: the same rows by name, and accuracy as pandas has it from the same errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time

from forecast_platform.assets.plan_reading import LEAST_ERRORS, error_deviations
from forecast_platform.assets.published import published_at, published_series
from forecast_platform.assets.simulation_reading import evenings_with, read_played
from forecast_platform.forecasting import DEFAULT_MODELS
from forecast_platform.inventory.simulation import simulate
from forecast_platform_tests.conftest import drop_tenant
from forecast_platform_tests.dbt import recomputation
from forecast_platform_tests.pipeline.content import VIEWS, assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day

CLOSED = 69
FIRST_ORIGIN = 56
FROM_PUBLICATIONS = ("weekly_forecasts", "hierarchy_forecasts", "forecast_explanations")
NAME = "demo_in_short"


def demo(shop: Shop) -> Shop:
    """The demo's chain, with few SKUs and days."""
    with freeze_time(datetime.combine(day(CLOSED + 1), datetime.min.time(), UTC) + timedelta(hours=12)):
        shop.run_facts(day(0), day(CLOSED))
        shop.run(["forecasts", *shop.chain.accuracy], day(FIRST_ORIGIN), day(CLOSED))
    return shop


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[dict[str, Shop]]:
    """The same tenant in both warehouses."""
    settings = {
        "timezone": "Europe/Berlin",
        "country": "DE",
        "inactive_after_days": 60,
        # So few days choose another champion now and then only if they ask for little.
        "champion_window": 14,
        "publication": {"rolling_days": 7, "for_days": 2, "margin": 0.0, "min_errors": 20},
        "source": {"kind": "demo", "seed": 7, "n_skus": 8, "opens": day(0).isoformat()},
    }
    folder = tmp_path_factory.mktemp("demos")
    urls = {"duckdb": f"duckdb:///{folder / 'files'}", "postgresql": postgres_url}
    yield {name: demo(Shop(folder / name, url, name=NAME, settings=settings)) for name, url in urls.items()}
    drop_tenant(postgres_url, NAME)


def test_both_warehouses_hold_the_same_rows_by_name(demos: dict[str, Shop]):
    one, other = (contents(demos[name].warehouse) for name in ("duckdb", "postgresql"))
    assert_same(one, other, tolerance=1e-9)
    # Not of nothing: everything that the demo has is there. No sales are overridden in it, and fewer origins are on
    # record than demand over a lead time is sampled from.
    empty = {name for name, frame in one.items() if frame.empty}
    assert empty <= {"plan", "covariates", "actual_overrides", "plan_paths"}
    assert {"daily_sales", "forecasts", "error_sums", "items", "sales_rejects"}.isdisjoint(empty)
    assert one["forecasts"]["origin_date"].nunique() == CLOSED - FIRST_ORIGIN + 1


def test_both_warehouses_say_the_same_through_their_views(demos: dict[str, Shop]):
    one, other = (contents(demos[name].warehouse, only=set(VIEWS)) for name in ("duckdb", "postgresql"))
    assert set(one) == set(VIEWS)
    assert [name for name, frame in one.items() if frame.empty] == []
    assert_same(one, other, tolerance=1e-9)


def test_both_warehouses_log_the_same_digests(demos: dict[str, Shop]):
    """All but those of sums of doubles, and of what is chosen by them: PostgreSQL keeps 15 digits of a double."""
    of_sums = (
        "error_sums",
        "interval_scores",
        "published_sums",
        "champions",
        "publications",
        *FROM_PUBLICATIONS,
        "inventory_plan",
        "inventory_simulation",
        "daily_report",
        "serving",
    )
    log = f"select asset, day, rows, digest from partition_log where asset not in {of_sums} order by asset, day"
    one, other = (demos[name].warehouse.read(log).set_index(["asset", "day"]) for name in ("duckdb", "postgresql"))
    assert len(one) > 10 * CLOSED
    pd.testing.assert_frame_equal(one, other)


def test_evenings_planned_again_by_the_same_terms_are_those_on_record(demos: dict[str, Shop]):
    shop = demos["duckdb"]
    with freeze_time(datetime.combine(day(CLOSED + 1), datetime.min.time(), UTC) + timedelta(hours=12)):
        with shop.warehouse.reading() as session:
            played = read_played(session, day(FIRST_ORIGIN + 1), day(CLOSED))
        again = evenings_with(shop.scope, played, lambda terms: terms)
        # Whoever asks for less service holds less.
        less = evenings_with(shop.scope, played, lambda terms: terms.changed(service=np.full_like(terms.service, 0.5)))
    assert len(played.sku) > 10 and len(again) == CLOSED - FIRST_ORIGIN
    for made, on_record, lower in zip(again, played.evenings, less, strict=True):
        np.testing.assert_array_equal(made.up_to, on_record.up_to)
        np.testing.assert_array_equal(made.point, on_record.point)
        assert np.nansum(lower.up_to) < np.nansum(made.up_to)
    rows = shop.warehouse.read("select * from inventory_simulation where as_of = :day", {"day": day(CLOSED)})
    assert set(rows["rule"]) == {"plan", "simple", "actual"} and set(rows["days"]) == {CLOSED - FIRST_ORIGIN}
    came = simulate(played.past, played.evenings)
    of_all = rows[rows["policy"] == "all"].set_index("rule")
    for rule, replayed in came.items():
        assert of_all.loc[rule, "met"] == replayed.met.sum() > 0


BUCKETS = [0, 1, 7, 14, 28, 365]
LABELS = ["1", "2-7", "8-14", "15-28", "29+"]


def counted_errors(shop: Shop) -> pd.DataFrame:
    """The errors that accuracy counts: the newest version's, with bucket and scaled forms."""
    warehouse = shop.warehouse
    errors = warehouse.read("select e.*, v.model from forecast_errors e join forecast_versions v using (version_id)")
    keys = ["target_date", "origin_date", "model", "series_id"]
    errors = errors.sort_values("version_id").drop_duplicates(keys, keep="last").reset_index(drop=True)
    scales = warehouse.read("select as_of as origin_date, series_id, scale_abs, scale_sq from series_scales")
    errors = errors.merge(scales, on=["origin_date", "series_id"], how="left")
    errors["horizon_bucket"] = pd.cut(errors["horizon"], BUCKETS, labels=LABELS).astype(str)
    errors["scaled_abs"] = errors["error"].abs() / errors["scale_abs"].replace(0, np.nan)
    errors["scaled_sq"] = errors["error"] ** 2 / errors["scale_sq"].replace(0, np.nan)
    errors["ape"] = (errors["error"].abs() / errors["actual"]).where(errors["actual"] > 0)
    return errors


def weights(shop: Shop, as_of: pd.Timestamp) -> dict[int, float]:
    """Revenue of each series in the 28 days up to ``as_of``, not below 0."""
    sales = shop.warehouse.read("select sale_date, series_id, revenue from daily_sales")
    recent = sales[pd.to_datetime(sales["sale_date"]).between(as_of - pd.Timedelta(days=27), as_of)]
    return (
        recent.assign(revenue=recent["revenue"].astype(float)).groupby("series_id")["revenue"].sum().clip(0).to_dict()
    )


def assert_equals(row: pd.Series, expected: dict[str, float], scope: object) -> None:
    for name, value in expected.items():
        found = math.nan if pd.isna(row[name]) else float(row[name])
        assert found == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), (scope, name)


@pytest.mark.parametrize("backend", ["duckdb", "postgresql"])
def test_accuracy_equals_pandas_on_the_same_errors(demos: dict[str, Shop], backend: str):
    shop = demos[backend]
    errors = counted_errors(shop)
    errors["target_date"] = pd.to_datetime(errors["target_date"])
    as_of = pd.Timestamp(day(CLOSED))
    held = weights(shop, as_of)
    assert (
        errors["model"].nunique() == len(DEFAULT_MODELS)
        and errors["horizon_bucket"].nunique() == 2
        and errors["ape"].isna().any()
    )

    views = {
        window: shop.warehouse.read(
            "select * from forecast_accuracy where as_of = :as_of and window_days = :window",
            {"as_of": as_of.date(), "window": window},
        )
        for window in (7, 28)
    } | {None: shop.warehouse.read("select * from forecast_accuracy_total")}
    for window, view in views.items():
        inside = errors if window is None else errors[errors["target_date"] > as_of - pd.Timedelta(days=window)]
        assert len(view) == len(DEFAULT_MODELS) * (1 + inside["horizon_bucket"].nunique())
        for row in view.to_dict("records"):
            bucket = inside["horizon_bucket"] == row["horizon_bucket"]
            scope = inside[(inside["model"] == row["model"]) & (bucket | (row["horizon_bucket"] == "all"))]
            assert_equals(row, recomputation.accuracy(scope, held), (window, row["model"], row["horizon_bucket"]))
            naive = view[(view["model"] == "seasonal_naive_7") & (view["horizon_bucket"] == row["horizon_bucket"])]
            assert row["fva_wape"] == pytest.approx(naive["wape"].item() - row["wape"], abs=1e-12)

    by_series = shop.warehouse.read(
        "select * from forecast_accuracy_by_series"
        " where as_of = :as_of and window_days = 28 and horizon_bucket = 'all'",
        {"as_of": as_of.date()},
    )
    assert len(by_series) == len(DEFAULT_MODELS) * errors["series_id"].nunique()
    for row in by_series.to_dict("records"):
        scope = errors[(errors["series_id"] == row["series_id"]) & (errors["model"] == row["model"])]
        assert_equals(row, recomputation.metrics(scope) | recomputation.series_metrics(scope), row["sku"])


@pytest.mark.parametrize("backend", ["duckdb", "postgresql"])
def test_deviations_of_the_plan_are_those_of_the_published_models_errors(demos: dict[str, Shop], backend: str):
    shop = demos[backend]
    with shop.warehouse.reading() as session:
        named = published_series(session, day(CLOSED), day(CLOSED))
        published = published_at(session, named, day(CLOSED), horizon=shop.tenant.horizon)
        found = error_deviations(session, shop.scope, published)
    squares = counted_errors(shop).assign(square=lambda rows: rows["error"] ** 2)
    of_model = squares.groupby(["series_id", "model"])["square"].agg(["mean", "size"])
    expected = of_model["mean"].where(of_model["size"] >= LEAST_ERRORS) ** 0.5
    wanted = pd.MultiIndex.from_arrays([published.series.series_id, published.model])
    np.testing.assert_allclose(found, expected.reindex(wanted).to_numpy(), rtol=1e-9)
    assert np.isfinite(found).sum() > 5
