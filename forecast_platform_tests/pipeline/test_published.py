"""What is made from publications, in both warehouses: weeks, levels that add up, and explanations of each forecast."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines
from forecast_platform_tests.test_text_generator import saying_of, server

ASSETS = ("weekly_forecasts", "hierarchy_forecasts", "forecast_explanations")
LEDGER = {*ASSETS, "publications"}
HISTORY, ORIGINS = 56, 4
SETTINGS = {"horizon": 14, "training_window": 56, "inactive_after_days": 60}
QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]


def with_sales(shop: Shop, days: int = HISTORY + ORIGINS) -> Shop:
    lines = sales_lines(day(0), day(days - 1))
    # One series begins a few days before the last origin, and one sold once, long ago.
    lines += [f"n{n},{day(days - n)},new,north,2,1.00,n{n}" for n in (2, 3, 5)]
    lines += [f"o1,{day(20)},once,south,1,1.00,o1"]
    shop.put("history.csv", lines)
    return shop


def run(shop: Shop, at: Callable, *, days: int = HISTORY + ORIGINS, first: int = HISTORY) -> Shop:
    with at(day(days)):
        shop.run_facts(day(0), day(days - 1))
        shop.run(["forecasts", *shop.chain.accuracy], day(first), day(days - 1))
    return shop


@pytest.fixture
def made(new_shop: Callable[..., Shop], backend: str, at: Callable) -> Shop:
    return run(with_sales(new_shop(backend, **SETTINGS)), at)


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_what_is_made_from_publications_agrees_with_them(made: Shop, at: Callable):
    means = made.warehouse.read(
        "select p.origin_date, p.series_id, p.version_id, f.horizon, f.mean, s.sku, s.location"
        " from publications p join forecasts f using (origin_date, version_id, series_id)"
        " join series s using (series_id)"
    )
    assert means.groupby("origin_date").size().tolist() == [10 * 14] * ORIGINS
    weeks_add_up(made, means)
    levels_add_up(made, means)
    explanations_add_up(made, means)

    first = contents(made.warehouse, only=LEDGER)
    counted = made.warehouse.read("select asset, count(*) as n from ledger_batches group by asset order by asset")
    with at(day(HISTORY + ORIGINS)):
        made.run(ASSETS, day(HISTORY), day(HISTORY + ORIGINS - 1))
    assert_same(first, contents(made.warehouse, only=LEDGER))
    again = made.warehouse.read("select asset, count(*) as n from ledger_batches group by asset order by asset")
    assert counted.equals(again)


def weeks_add_up(shop: Shop, means: pd.DataFrame) -> None:
    weeks = shop.warehouse.read("select * from weekly_forecasts")
    target = pd.to_datetime(means["origin_date"]) + pd.to_timedelta(means["horizon"].astype(int), unit="D")
    ending = target + pd.to_timedelta((5 - target.dt.weekday) % 7, unit="D")
    sums = (
        means.assign(week_ending=ending)
        .groupby(["origin_date", "series_id", "week_ending"])["mean"]
        .agg(["sum", "size"])
    )
    whole = sums[sums["size"] == 7]["sum"]
    found = weeks.assign(week_ending=pd.to_datetime(weeks["week_ending"])).set_index(whole.index.names)
    assert set(found.index) == set(whole.index) and len(found) >= 10 * ORIGINS
    assert np.abs(found["mean"].astype(float) - whole.reindex(found.index)).max() < 1e-9
    quantiles = found[["q025", "q10", "q50", "q90", "q975"]].astype(float).to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all() and (quantiles >= 0).all()
    # All sales of this shop are of whole units.
    assert (quantiles == np.floor(quantiles)).all()
    assert quantiles[:, 4].max() > quantiles[:, 0].max()


def levels_add_up(shop: Shop, means: pd.DataFrame) -> None:
    nodes = shop.warehouse.read("select origin_date, level, node, horizon, mean from latest_hierarchy_forecasts")
    expected = means.groupby(["origin_date", "horizon"])["mean"].sum()
    assert set(nodes["level"]) == {"location", "category", "total"}
    for _, rows in nodes.groupby("level"):
        sums = rows.groupby(["origin_date", "horizon"])["mean"].sum()
        assert np.abs(sums - expected).max() < 1e-6
    by_location = means.groupby(["origin_date", "location", "horizon"])["mean"].sum()
    found = nodes[nodes["level"] == "location"].set_index(["origin_date", "node", "horizon"])["mean"]
    assert np.abs(found - by_location.reindex(found.index)).max() < 1e-6
    assert set(nodes.loc[nodes["level"] == "category", "node"]) == {"(no category)"}


def explanations_add_up(shop: Shop, means: pd.DataFrame) -> None:
    rows = shop.warehouse.read(
        "select e.*, v.model from forecast_explanations e join forecast_versions v using (version_id)"
    )
    published = means.sort_values("horizon").groupby(["origin_date", "version_id", "series_id"])["mean"].agg(list)
    assert len(rows) == len(published) == 10 * ORIGINS
    for row in rows.itertuples():
        held = json.loads(row.contributions)
        assert held["mean"] == published[row.origin_date, row.version_id, row.series_id]
        assert np.abs(np.sum(list(held["parts"].values()), axis=0) - held["mean"]).max() < 1e-9
        numbers = [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*(?:\.\d+)?", row.summary)]
        assert numbers == [abs(figure) for figure in held["figures"].values()] and row.summary == held["sentence"]
        assert held["model"] == row.model and "changed since" not in held["parts"]


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
@pytest.mark.slow
def test_a_range_equals_single_days_in_order(new_shop: Callable[..., Shop], backend: str, at: Callable):
    whole, single = (with_sales(new_shop(backend, **SETTINGS)) for _ in range(2))
    run(whole, at)
    with at(day(HISTORY + ORIGINS)):
        single.run_facts(day(0), day(HISTORY + ORIGINS - 1))
        for offset in range(HISTORY, HISTORY + ORIGINS):
            single.run(["forecasts", *single.chain.accuracy], day(offset), day(offset))
    assert_same(contents(whole.warehouse, only=LEDGER), contents(single.warehouse, only=LEDGER))


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_reconciled_levels_add_up_to_reconciled_series(new_shop: Callable[..., Shop], backend: str, at: Callable):
    shop = run(with_sales(new_shop(backend, **SETTINGS, reconciliation="mint_shrink")), at, first=HISTORY + ORIGINS - 1)
    nodes = shop.warehouse.read("select * from latest_hierarchy_forecasts")
    sums = nodes.groupby(["level", "horizon"])["mean"].sum().unstack("level")
    assert set(sums.columns) == {"location", "category", "total", "series"}
    for level in ("location", "category", "series"):
        assert np.abs(sums[level] - sums["total"]).max() < 1e-6
    series = nodes[nodes["level"] == "series"]
    names = {tuple(json.loads(node)) for node in series["node"]}
    assert ("new", "north") in names and len(names) == 10
    method = shop.warehouse.read("select inputs from ledger_batches where asset = 'hierarchy_forecasts'")["inputs"]
    assert {json.loads(text)["method"] for text in method} == {"mint_shrink"}


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_weeks_are_scored_once_they_are_over(made: Shop, at: Callable):
    with at(day(HISTORY + 20)):
        made.put("after.csv", sales_lines(day(HISTORY + ORIGINS), day(HISTORY + 19)))
        made.run_facts(day(HISTORY + ORIGINS), day(HISTORY + 19))
        made.run(["forecasts"], day(HISTORY + ORIGINS), day(HISTORY + 19))
        made.run(["forecast_errors", "error_sums"], day(HISTORY + 1), day(HISTORY + 19))
    scored = made.warehouse.read("select * from weekly_accuracy order by week_ending, weeks_ahead")
    weeks = made.warehouse.read(
        "select w.*, coalesce(s.units, 0) as actual from weekly_forecasts_by_sku w"
        " left join weekly_sales s using (week_ending, sku, location)"
    )
    weeks["actual"] = weeks["actual"].astype(float)
    assert len(scored) and set(scored["weeks_ahead"]) >= {0, 1}
    for row in scored.itertuples():
        own = weeks[weeks["week_ending"] == row.week_ending]
        own = own if row.weeks_ahead == 0 else own[own["weeks_ahead"] == row.weeks_ahead]
        error = own["mean"] - own["actual"]
        assert row.n == len(own)
        assert row.wape == pytest.approx(error.abs().sum() / own["actual"].sum())
        assert row.bias == pytest.approx(error.sum() / own["actual"].sum())
        assert row.coverage_80 == pytest.approx(own["actual"].between(own["q10"], own["q90"]).mean())
        assert row.coverage_95 == pytest.approx(own["actual"].between(own["q025"], own["q975"]).mean())
    ahead = (pd.to_datetime(weeks["week_ending"]) - pd.to_datetime(weeks["origin_date"])).dt.days
    assert (weeks["weeks_ahead"] == ahead // 7).all() and (ahead >= 7).all()


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_a_late_sale_appends_what_it_moves_and_words_are_asked_for_once(
    new_shop: Callable[..., Shop], backend: str, at: Callable
):
    """One series is corrected: its forecast is explained anew, and what the generator said of the others stays."""
    last = day(HISTORY + ORIGINS - 1)
    with server(saying_of(lambda sentence: f"In short: {sentence}")) as (url, asked):
        generator = {"url": url, "model": "m", "series": 3, "timeout_seconds": 30.0}
        models = {"moving_average_7": "MovingAverage(window=7)"}
        shop = run(
            with_sales(new_shop(backend, **SETTINGS, models=models, text_generator=generator)),
            at,
            first=HISTORY + ORIGINS - 1,
        )
        before = explanations(shop)
        assert len(asked) == 3 == before["summary"].str.startswith("In short: ").sum()
        largest = shop.warehouse.read(
            "select sku, location from forecasts_by_sku where horizon = 1 and model = 'moving_average_7'"
            " order by mean desc, sku, location limit 1"
        ).iloc[0]
        shop.put("late.csv", [f"late,{day(HISTORY)},{largest['sku']},{largest['location']},40,1.00,late"])
        with at(day(HISTORY + ORIGINS)):
            shop.run_facts(day(HISTORY), last)
            shop.run(["forecasts", *shop.chain.accuracy], last, last)
        assert len(asked) == 4 and asked[-1]["messages"][-1]["content"] != asked[0]["messages"][-1]["content"]
        with at(day(HISTORY + ORIGINS)):
            shop.run(ASSETS, last, last)
        assert len(asked) == 4
    after = explanations(shop)
    kept = after.merge(before, on=["sku", "location", "summary", "contributions"])
    assert len(kept) == len(before)
    appended = after.iloc[len(before) :]
    # The new series has its group's weekday pattern, which the sale moved; the others are as they were.
    moved = {(largest["sku"], largest["location"]), ("new", "north")}
    assert set(zip(appended["sku"], appended["location"], strict=True)) == moved and len(appended) == 2
    batches = shop.warehouse.read("select asset, rows from ledger_batches order by batch_id")
    newest = batches.groupby("asset")["rows"].last()
    assert newest["forecast_explanations"] == newest["publications"] == 2
    nodes = shop.warehouse.read("select level, mean from latest_hierarchy_forecasts where horizon = 1")
    assert nodes.groupby("level")["mean"].sum().std() < 1e-6


def explanations(shop: Shop) -> pd.DataFrame:
    rows = shop.warehouse.read(
        "select sku, location, summary, contributions from forecast_explanations join series using (series_id)"
        " order by batch_id, sku, location"
    )
    return rows.astype(str)
