"""Intervals over a run of days: every forecast has one, from what was known, and its scores are those of its rows."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from forecast_platform.accuracy.buckets import horizon_bucket
from forecast_platform.accuracy.intervals import QUANTILE_LEVELS, quantile_scores
from forecast_platform.runs import RunFailed
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

QUANTILES = list(QUANTILE_LEVELS)
OPENED, CLOSED = 28, 39
"""First origin, last closed day."""


def with_sales(shop: Shop) -> Shop:
    """Sales in whole pieces, and one SKU by weight."""
    shop.put("sales.csv", sales_lines(day(0), day(CLOSED), skus=3))
    lines = [f"w{n},{day(n)},by weight,north,{0.75 + n % 5 / 4},3,w{n}" for n in range(CLOSED + 1)]
    shop.put("weights.csv", lines)
    return shop


QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]


@pytest.fixture
def scored(shop: Shop, at: Callable) -> Shop:
    with_sales(shop)
    with at(day(CLOSED + 1)):
        shop.run_facts(day(0), day(CLOSED))
        shop.run(["forecasts", *shop.chain.accuracy], day(OPENED), day(CLOSED))
    return shop


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_every_forecast_has_an_interval_and_every_interval_is_scored(scored: Shop, at: Callable):
    warehouse = scored.warehouse
    rows = warehouse.read("select * from forecast_intervals_by_sku")
    forecasts = warehouse.read("select origin_date, version_id, series_id, horizon from forecasts")
    keys = ["origin_date", "version_id", "series_id", "horizon"]
    assert len(rows) == len(forecasts.merge(rows, on=keys)) == len(forecasts) > 0
    values = rows[QUANTILES].to_numpy()
    assert (values >= 0).all() and (np.diff(values, axis=1) >= 0).all()
    pieces = (rows["sku"] != "by weight").to_numpy()
    assert (values[pieces] == np.floor(values[pieces])).all()
    assert (values[~pieces] != np.floor(values[~pieces])).any()

    batches = warehouse.read("select * from ledger_batches where asset = 'forecast_intervals' order by batch_id")
    told = batches["inputs"].map(json.loads)
    first, last = (
        told[pd.to_datetime(batches["origin_date"]) == pd.Timestamp(day(n))].tolist() for n in (OPENED, CLOSED)
    )
    assert {each["method"] for each in first} == {"law"} and {each["method"] for each in last} == {"young"}
    assert {each["origins"] for each in last} == {CLOSED - OPENED}

    met = met_intervals(scored)
    scores = warehouse.read("select * from interval_scores")
    assert scores["n"].sum() == len(met) > 0
    by = ["target_date", "model", "horizon_bucket", "segment"]
    expected = quantile_scores(met, by=by)
    both = scores.assign(target_date=pd.to_datetime(scores["target_date"])).merge(expected, on=by, suffixes=("", "_"))
    assert len(both) == len(scores) == len(expected)
    for name in QUANTILES:
        for share in ("below", "upto"):
            counted = (both[f"n_{share}_{name}"] / both["n"]).to_numpy()
            assert counted == pytest.approx(both[f"{share}_{name}"].to_numpy()), (share, name)
    losses = both[[f"sum_pinball_{name}" for name in QUANTILES]].sum(axis=1) / 5 / both["n"]
    assert losses.to_numpy() == pytest.approx(both["pinball"].to_numpy(), rel=1e-9)
    assert (both["sum_width_80"] / both["n"]).to_numpy() == pytest.approx(both["width_80"].to_numpy(), rel=1e-9)

    rolling = warehouse.read(
        "select * from interval_coverage where as_of = :day and window_days = 7 and horizon_bucket = 'all'"
        " and segment = 'all' order by model",
        {"day": day(CLOSED)},
    )
    week = met[met["target_date"] > pd.Timestamp(day(CLOSED - 7))]
    of_week = quantile_scores(week, by=["model"])
    for name in ("below_q10", "upto_q90", "pinball", "width_95"):
        assert rolling[name].to_numpy() == pytest.approx(of_week[name].to_numpy(), rel=1e-9), name

    with at(day(CLOSED + 1)):
        scored.run(["forecast_intervals", "interval_scores"], day(CLOSED - 1), day(CLOSED))
    assert len(warehouse.read("select * from forecast_intervals")) == len(rows)
    assert len(warehouse.read("select * from ledger_batches where asset = 'forecast_intervals'")) == len(batches)


def met_intervals(shop: Shop) -> pd.DataFrame:
    """Each interval beside what was sold, with the demand class as of its origin."""
    met = shop.warehouse.read(
        "select i.*, c.demand_class as segment, coalesce(s.units, 0) as actual from forecast_intervals_by_sku i"
        " left join demand_classes c on c.as_of = i.origin_date and c.series_id = i.series_id"
        " left join daily_sales s on s.sale_date = i.target_date and s.series_id = i.series_id"
        " where i.target_date <= :closed",
        {"closed": day(CLOSED)},
    )
    return met.assign(
        target_date=pd.to_datetime(met["target_date"]),
        actual=met["actual"].astype(float),
        horizon_bucket=horizon_bucket(met["horizon"].to_numpy()),
    )


def test_errors_of_days_after_an_origin_leave_its_intervals_as_they_were(new_shop: Callable[..., Shop], at: Callable):
    honest, nonsense = (with_sales(new_shop("duckdb")) for _ in range(2))
    nonsense.put("more.csv", [f"x{n},{day(CLOSED)},sku {n},north,{10**4 + n},9,x" for n in range(3)])
    intervals = []
    for shop in (honest, nonsense):
        with at(day(CLOSED + 1)):
            shop.run_facts(day(0), day(CLOSED))
            shop.run(["forecasts", *shop.chain.accuracy], day(CLOSED - 5), day(CLOSED))
        rows = shop.warehouse.read(
            "select * from forecast_intervals_by_sku where origin_date < :day"
            " order by origin_date, model, sku, location, horizon",
            {"day": day(CLOSED)},
        )
        intervals.append(rows.drop(columns=["series_id", "version_id", "calibration_id"]))
    assert len(intervals[0]) > 0
    pd.testing.assert_frame_equal(*intervals)


def test_intervals_are_refused_where_a_day_of_errors_is_missing(new_shop: Callable[..., Shop], at: Callable):
    shop = with_sales(new_shop("duckdb"))
    with at(day(CLOSED + 1)):
        shop.run_facts(day(0), day(CLOSED))
        shop.run(["forecasts"], day(CLOSED - 5), day(CLOSED))
        for offset in (CLOSED - 4, CLOSED - 2):
            shop.run(["forecast_errors", "error_sums"], day(offset), day(offset))
        with pytest.raises(RunFailed, match=f"forecast_errors, which is not materialized for {day(CLOSED - 3)}"):
            shop.run(["forecast_intervals"], day(CLOSED - 2), day(CLOSED - 2))
