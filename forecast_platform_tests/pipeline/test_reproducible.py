"""A published forecast recomputed in a new process, on another day, in another warehouse: the same bits."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time

from forecast_platform.days import days_between
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

LAST, ORIGINS = 50, (44, 50)
MODELS = {
    "linear": "LagRegression()",
    "weekday_profile": "WeekdayProfile()",
    "ensemble": "Ensemble()",
    "lightgbm": "GlobalBoosting(refit_every=7, n_estimators=20)",
}
PUBLISHED = """
    select p.origin_date, s.sku, s.location, v.digest, v.model, f.horizon, f.mean, f.status, i.q025, i.q50, i.q975,
      p.confidence
    from publications p
    join series s on s.series_id = p.series_id
    join forecast_versions v on v.version_id = p.version_id
    join forecasts f on f.origin_date = p.origin_date and f.version_id = p.version_id and f.series_id = p.series_id
    join forecast_intervals i on i.origin_date = f.origin_date and i.version_id = f.version_id
      and i.series_id = f.series_id and i.horizon = f.horizon and i.calibration_id = p.calibration_id
    order by 1, 2, 3, 6
"""
LEDGER = """
    select v.origin_date, v.model, v.digest, s.sku, s.location, f.horizon, f.mean
    from forecasts f join forecast_versions v using (version_id) join series s using (series_id)
    order by 1, 2, 4, 5, 6
"""


def made_on(folder: Path, when: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The whole chain in a warehouse of its own, by a clock that says ``when``."""
    shop = Shop(folder, f"duckdb:///{folder / 'files'}", settings={"models": MODELS})
    shop.put("sales.csv", sales_lines(day(0), day(LAST)))
    with freeze_time(when):
        shop.run_facts(day(0), day(LAST))
        shop.run(shop.chain.forecasts, *map(day, ORIGINS))
        shop.run_accuracy(day(ORIGINS[0] + 1), day(ORIGINS[1]))
    return shop.warehouse.read(LEDGER), shop.warehouse.read(PUBLISHED)


AGAIN = """
import sys
from datetime import datetime
from pathlib import Path
from forecast_platform_tests.pipeline.test_reproducible import made_on
folder = Path(sys.argv[1])
ledger, published = made_on(folder, datetime.fromisoformat(sys.argv[2]))
ledger.to_pickle(folder / "ledger.pickle")
published.to_pickle(folder / "published.pickle")
"""


@pytest.mark.slow
def test_another_process_on_another_day_publishes_the_same_bits(tmp_path: Path):
    folders = [tmp_path / name for name in ("one", "other")]
    noon = datetime.combine(day(LAST + 1), datetime.min.time(), UTC) + timedelta(hours=12)
    folders[1].mkdir()
    subprocess.run(
        [sys.executable, "-c", AGAIN, str(folders[1]), (noon + timedelta(days=40)).isoformat()], check=True, timeout=500
    )
    ledger, published = made_on(folders[0], noon)
    assert set(ledger["model"]) >= set(MODELS) and len(published) == 8 * 7 * len(days_between(*map(day, ORIGINS))[1:])
    pd.testing.assert_frame_equal(ledger, pd.read_pickle(folders[1] / "ledger.pickle"), check_exact=True)
    pd.testing.assert_frame_equal(published, pd.read_pickle(folders[1] / "published.pickle"), check_exact=True)
