"""A run over some series or models: the numbers that a run over all would give them, and in nobody's way."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.assets.scope import JOB_TAG
from forecast_platform.assets.wanted import JobGone, wanted_of
from forecast_platform.forecasting import model_specs
from forecast_platform.jobs.advancing import cancel
from forecast_platform.jobs.record import Asked, Job, Jobs
from forecast_platform.runs import RunFailed, Step, run_step
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

HISTORY = 30
ORIGIN = day(HISTORY - 1)
SOME = (("sku 1", "north"), ("sku 3", "south"))
MODELS = {"weekday_profile": "WeekdayProfile()"}
RUN = {"naive", "seasonal_naive_7", "weekday_profile"}
LEDGER = """
    select v.version_id, v.model, v.digest, v.series, s.sku, s.location, f.horizon, f.mean, f.status
    from forecast_versions v left join forecasts f on f.version_id = v.version_id and f.origin_date = v.origin_date
    left join series s on s.series_id = f.series_id order by v.version_id, s.sku, s.location, f.horizon
"""


def shop_in(folder: Path, blocks: int) -> Shop:
    return Shop(folder, f"duckdb:///{folder / 'warehouse'}", settings={"models": MODELS, "forecast_blocks": blocks})


def loaded(folder: Path, blocks: int) -> Shop:
    shop = shop_in(folder, blocks)
    shop.put("history.csv", sales_lines(day(0), ORIGIN))
    shop.run_facts(day(0), ORIGIN)
    return shop


def job_of(shop: Shop, **only) -> Job:
    asked = Asked("forecast", ORIGIN, ORIGIN, "test", **only)
    return Jobs(shop.scope.state).add(shop.name, asked, {0: SOME}, now=pd.Timestamp.now(tz="UTC").to_pydatetime())


def run(shop: Shop, job: Job | None) -> None:
    step = Step(("forecasts",), ORIGIN, ORIGIN)
    tags = {} if job is None else {JOB_TAG: job.job_id}
    run_step(shop.definitions, shop.scope, step, instance=shop.instance, reason="test", tags=tags)


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 3])
def test_some_series_get_the_numbers_that_they_have_among_all(tmp_path: Path, blocks: int):
    shop = loaded(tmp_path, blocks)
    shutil.copytree(tmp_path / "warehouse", tmp_path / "control" / "warehouse")
    # That others have no forecast yet stops what would follow: nothing of the day is published.
    with pytest.raises(RunFailed, match="forecasts_complete"):
        run(shop, job_of(shop, only_series=SOME))
    some = shop.warehouse.read(LEDGER)
    assert set(zip(some["sku"], some["location"], strict=True)) == set(SOME)
    assert set(some["model"]) == RUN and set(some["series"]) == {2}

    run(shop, None)
    whole = shop.warehouse.read(LEDGER)
    later = whole[~whole["version_id"].isin(some["version_id"])]
    assert not set(zip(later["sku"], later["location"], strict=True)) & set(SOME) and set(later["series"]) == {6}

    control = shop_in(tmp_path / "control", 1)
    run(control, None)
    expected = control.warehouse.read(LEDGER)
    key = ["model", "sku", "location", "horizon"]
    for rows in (whole, expected):
        rows.sort_values(key, inplace=True, ignore_index=True)
    pd.testing.assert_frame_equal(whole[[*key, "mean", "status"]], expected[[*key, "mean", "status"]])

    run(shop, job_of(shop, only_series=SOME))
    again = shop.warehouse.read("select model, outcome from forecast_runs order by started_at, model")
    assert set(again["outcome"].iloc[-3:]) == {"on record"}


@pytest.mark.slow
def test_some_models_are_run_and_no_others(tmp_path: Path):
    shop = loaded(tmp_path, 1)
    run(shop, job_of(shop, only_models=("naive",)))
    assert set(shop.warehouse.read(LEDGER)["model"]) == {"naive"}
    run(shop, None)
    assert set(shop.warehouse.read(LEDGER)["model"]) == RUN


class Context:
    """What ``wanted_of`` reads of a step."""

    def __init__(self, job_id: str) -> None:
        self.run = dg.DagsterRun(job_name="job", tags={JOB_TAG: job_id})


def test_a_run_of_a_job_that_is_gone_or_was_cancelled_makes_nothing(tmp_path: Path):
    shop = Shop(tmp_path, f"duckdb:///{tmp_path / 'warehouse'}")
    models = model_specs(shop.tenant.models)
    with pytest.raises(JobGone, match="not on record"):
        wanted_of(Context("job_none"), shop.scope, models)
    job = job_of(shop, only_series=SOME)
    assert wanted_of(Context(job.job_id), shop.scope, models).series == frozenset(SOME)
    cancel(Jobs(shop.scope.state), job, instance=shop.instance)
    with pytest.raises(JobGone, match="cancelled"):
        wanted_of(Context(job.job_id), shop.scope, models)
