"""The demo's published forecasts keep their accuracy: a change that costs it is seen before it lands.

Bounds are what was measured when they were recorded, with the room that a change of a library's last bits may take.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time

from forecast_platform_tests.pipeline.shop import Shop, day

HISTORY, CALIBRATION, HELD_OUT, HORIZON = 56, 28, 14, 14
FIRST_ORIGIN = HISTORY
LAST_ORIGIN = HISTORY + CALIBRATION + HELD_OUT - 1
CLOSED = LAST_ORIGIN + HORIZON

PUBLISHED = """
    select p.origin_date, f.series_id, f.horizon, f.mean, i.q025, i.q10, i.q50, i.q90, i.q975, s.scale_sq,
      v.model, n.mean as naive, coalesce(cast(d.units as double precision), 0) as actual
    from publications p
    join forecast_versions v on v.version_id = p.version_id
    join forecasts f on f.origin_date = p.origin_date and f.version_id = p.version_id and f.series_id = p.series_id
    join forecast_intervals i on i.origin_date = f.origin_date and i.version_id = f.version_id
      and i.series_id = f.series_id and i.horizon = f.horizon and i.calibration_id = p.calibration_id
    join forecast_versions nv on nv.origin_date = p.origin_date and nv.model = 'seasonal_naive_7'
    join forecasts n on n.origin_date = f.origin_date and n.version_id = nv.version_id and n.series_id = f.series_id
      and n.horizon = f.horizon
    left join series_scales s on s.as_of = p.origin_date and s.series_id = p.series_id
    left join daily_sales d on d.sale_date = f.origin_date + f.horizon and d.series_id = f.series_id
    where p.origin_date between :first and :last
"""


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What was published from the last two weeks of origins, beside what sold."""
    folder: Path = tmp_path_factory.mktemp("kept")
    settings = {
        "timezone": "Europe/Berlin",
        "country": "DE",
        "horizon": HORIZON,
        "training_window": 56,
        "inactive_after_days": 84,
        "source": {"kind": "demo", "seed": 7, "opens": day(0).isoformat()},
    }
    shop = Shop(folder, f"duckdb:///{folder / 'files'}", name="kept", settings=settings)
    with freeze_time(datetime.combine(day(CLOSED + 1), datetime.min.time(), UTC) + timedelta(hours=12)):
        shop.run_facts(day(0), day(CLOSED))
        shop.run(shop.chain.forecasts, day(FIRST_ORIGIN), day(LAST_ORIGIN))
        shop.run_accuracy(day(FIRST_ORIGIN + 1), day(LAST_ORIGIN))
    asked = {"first": day(LAST_ORIGIN - HELD_OUT + 1), "last": day(LAST_ORIGIN)}
    rows = shop.warehouse.read(PUBLISHED, asked)
    assert rows["origin_date"].nunique() == HELD_OUT and rows["horizon"].nunique() == HORIZON
    return rows


def wape(rows: pd.DataFrame, forecast: str) -> float:
    return float((rows[forecast] - rows["actual"]).abs().sum() / rows["actual"].sum())


def mean_rmsse(rows: pd.DataFrame, forecast: str) -> float:
    scaled = (rows[forecast] - rows["actual"]) ** 2 / rows["scale_sq"].where(rows["scale_sq"] > 0)
    return float(np.sqrt(scaled.groupby(rows["series_id"]).mean()).mean())


@pytest.mark.slow
def test_published_forecasts_are_as_accurate_as_they_were(held_out: pd.DataFrame):
    assert (wape(held_out, "mean"), mean_rmsse(held_out, "mean")) == pytest.approx((0.3665, 0.6048), abs=0.01)
    assert abs((held_out["mean"] - held_out["actual"]).sum() / held_out["actual"].sum()) < 0.05


@pytest.mark.slow
def test_published_forecasts_are_worth_more_than_seasonal_naive(held_out: pd.DataFrame):
    assert wape(held_out, "mean") < 0.9 * wape(held_out, "naive")
    assert mean_rmsse(held_out, "mean") < 0.9 * mean_rmsse(held_out, "naive")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quantile", "level"), [("q025", 0.025), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q975", 0.975)]
)
def test_published_quantiles_cover_what_they_say(held_out: pd.DataFrame, quantile: str, level: float):
    below = (held_out["actual"] < held_out[quantile]).mean()
    at_or_below = (held_out["actual"] <= held_out[quantile]).mean()
    assert below - 0.02 <= level <= at_or_below + 0.02, (quantile, below, at_or_below)
