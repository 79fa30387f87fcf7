"""Champions and publications in both warehouses: the same whatever was run before, and a pin survives."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from forecast_platform.runs import RunFailed
from forecast_platform.tables import model_pins
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

HISTORY, ORIGINS = 30, 14
FIRST, LAST = day(HISTORY), day(HISTORY + ORIGINS - 1)
QUICK = {"champion_window": 14, "publication": {"rolling_days": 7, "for_days": 2, "margin": 0.0, "min_errors": 20}}
MADE = {"demand_classes", "champions", "publications", "published_latest"}
QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]


def with_ledger(shop: Shop) -> Shop:
    """A shop with forecasts, errors and intervals of ``ORIGINS`` days, nothing chosen yet."""
    shop.put("sales.csv", sales_lines(day(0), LAST))
    shop.run_facts(day(0), LAST)
    chosen = {"champions", "publications"}
    following = [name for name in shop.chain.accuracy if name not in chosen and "published" not in name]
    scored = ["forecast_errors", "error_sums", "forecast_intervals"]
    shop.run(["forecasts", *(name for name in following if name in scored)], FIRST, LAST)
    return shop


def pin(shop: Shop, pin_id: int, model: str | None, *, sku: str = "all", location: str = "all", since: date = FIRST):
    row = {
        "pin_id": [pin_id],
        "valid_from": [pd.Timestamp(since)],
        "sku": [sku],
        "location": [location],
        "model": [model],
        "reason": ["a promotion the models do not know"],
        "set_by": ["planner"],
        "set_at": [pd.Timestamp(datetime.now(UTC)).as_unit("us")],
    }
    with shop.warehouse.transaction() as session:
        session.append(model_pins, pd.DataFrame(row))


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_champions_are_the_same_by_range_one_by_one_or_again_in_any_order(
    new_shop: Callable[..., Shop], backend: str, at: Callable
):
    with at(day(HISTORY + ORIGINS)):
        shop = with_ledger(new_shop(backend, **QUICK))
        shop.run(["champions", "publications"], FIRST, LAST)
        whole = contents(shop.warehouse, only=MADE)
        assert len(whole["champions"]) == ORIGINS * 8 and len(whole["publications"]) == ORIGINS * 8
        assert whole["champions"]["model"].nunique() > 1

        days = list(range(HISTORY, HISTORY + ORIGINS))
        random.Random(2).shuffle(days)
        for offset in days:
            shop.run(["champions", "publications"], day(offset), day(offset))
        assert_same(whole, contents(shop.warehouse, only=MADE))
        # From an empty table, too: nothing is read of what was chosen before.
        with shop.warehouse.transaction() as session:
            session.execute("delete from champions")
        for offset in sorted(days)[-3:]:
            shop.run(["champions"], day(offset), day(offset))
        once_more = contents(shop.warehouse, only={"champions"})["champions"]
        kept = whole["champions"]["as_of"].isin(set(once_more["as_of"]))
        pd.testing.assert_frame_equal(once_more, whole["champions"][kept].reset_index(drop=True), check_exact=True)


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_a_pin_wins_survives_a_run_again_and_says_so(new_shop: Callable[..., Shop], backend: str, at: Callable):
    with at(day(HISTORY + ORIGINS)):
        shop = with_ledger(new_shop(backend, **QUICK))
        shop.run(["champions", "publications"], LAST, LAST)
        before = shop.warehouse.read("select series_id, model from champions").set_index("series_id")["model"]
        pin(shop, 1, "naive")
        pin(shop, 2, "moving_average_7", sku="sku 1")
        pin(shop, 3, "linear", sku="sku 1", location="north")
        pin(shop, 4, "linear", sku="sku 2", since=day(HISTORY + ORIGINS + 1))
        for _ in range(2):
            shop.run(["champions", "publications"], LAST, LAST)
            rows = shop.warehouse.read(
                "select sku, location, model, reason from champions join series using (series_id)"
            )
            model = {(sku, location): name for sku, location, name, _ in rows.itertuples(index=False)}
            assert model["sku 1", "north"] == "linear" and model["sku 1", "south"] == "moving_average_7"
            assert {name for (sku, _), name in model.items() if sku != "sku 1"} == {"naive"}
            assert rows["reason"].str.startswith("pinned by planner for ").all()
            assert rows["reason"].str.contains("; the errors chose ").all()
        published = shop.warehouse.read(
            """select sku, location, v.model, p.batch_id from publications p
               join series using (series_id) join forecast_versions v using (version_id) order by p.batch_id"""
        )
        newest = published.drop_duplicates(["sku", "location"], keep="last")
        assert {(sku, place): name for sku, place, name, _ in newest.itertuples(index=False)} == model
        assert published["batch_id"].nunique() == 2

        pin(shop, 5, None)
        shop.run(["champions"], LAST, LAST)
        after = shop.warehouse.read("select series_id, sku, model from champions join series using (series_id)")
        after = after[after["sku"] != "sku 1"].set_index("series_id")["model"]
        assert after.to_dict() == before.loc[after.index].to_dict()


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_a_champion_without_a_forecast_is_stood_in_for_by_the_default(
    new_shop: Callable[..., Shop], backend: str, at: Callable
):
    with at(day(HISTORY + ORIGINS)):
        shop = with_ledger(new_shop(backend, **QUICK))
        pin(shop, 1, "gone", sku="sku 1")
        result = shop.run(["champions", "publications"], LAST, LAST)
        rows = shop.warehouse.read(
            """select sku, v.model, confidence from publications
               join series using (series_id) join forecast_versions v using (version_id)"""
        )
        stand_ins = rows[rows["sku"] == "sku 1"]
        assert set(stand_ins["model"]) == {"ensemble"} and np.all(stand_ins["confidence"] == 0.0)
        (made,) = result.get_asset_materialization_events()[-1:]
        assert made.asset_key.path[-1] == "publications"
        assert made.materialization.metadata["stand_ins"].value == 2


def test_a_forecast_without_quantiles_is_not_published(new_shop: Callable[..., Shop], at: Callable):
    with at(day(HISTORY + ORIGINS)):
        shop = new_shop("duckdb", **QUICK)
        shop.put("sales.csv", sales_lines(day(0), LAST))
        shop.run_facts(day(0), LAST)
        shop.run(["forecasts", "forecast_errors", "error_sums", "champions"], FIRST, LAST)
        with pytest.raises(RunFailed, match="forecast_intervals"):
            shop.run(["publications"], LAST, LAST)
