"""Two real workers of Celery share origins on PostgreSQL: the ledger is that of one process, even if one is killed."""

from __future__ import annotations

import threading
import time
from datetime import date, timedelta

import pandas as pd
import pytest

from forecast_platform.io_managers.warehouse import open_warehouse
from forecast_platform_tests.celery_platform import CeleryPlatform, celery_platform, settings_of_models
from forecast_platform_tests.pipeline.content import assert_same, contents

pytestmark = pytest.mark.slow
LAST = date(2026, 5, 20)
SECOND = LAST - timedelta(days=1)
FIRST = SECOND - timedelta(days=1)
MODELS = {"ets": "PanelStatsForecast(model='AutoETS')", "linear": "LagRegression()"}
SERIES = 120
LEDGER = {"forecasts", "forecast_versions"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, postgres_url: str):
    with celery_platform(tmp_path_factory.mktemp("celery"), postgres_url) as platform:
        platform.add_tenant("alone", LAST, series=SERIES, **settings_of_models(MODELS, blocks=1))
        platform.add_tenant("shared", LAST, series=SERIES, **settings_of_models(MODELS, blocks=4))
        platform.run("in_process", "alone", FIRST, LAST)
        yield platform


def assert_same_ledger(platform: CeleryPlatform, first: date, last: date) -> None:
    """What workers have appended of the origins ``first`` .. ``last`` is what one process has, to the bit."""
    origins = pd.date_range(first, last)
    alone, shared = (
        {
            name: frame[pd.to_datetime(frame["origin_date"]).isin(origins)].reset_index(drop=True)
            for name, frame in contents(open_warehouse(platform.warehouse_url, tenant), only=LEDGER).items()
        }
        for tenant in ("alone", "shared")
    )
    assert len(alone["forecasts"]) == SERIES * 28 * (len(MODELS) + 2) * len(origins)
    assert_same(alone, shared, tolerance=0.0)


def staged(platform: CeleryPlatform) -> list[str]:
    return [path.name for path in (platform.folder / "home" / "staging" / "shared").rglob("*") if path.is_file()]


def workers_of_blocks(platform: CeleryPlatform) -> set[str]:
    """The logs of the workers that have executed a block's step."""
    return {log.name for log in platform.folder.glob("worker-*.log") if "__forecasts.block_" in log.read_text()}


def test_two_workers_make_what_one_process_makes(platform: CeleryPlatform):
    with platform.workers(2):
        platform.run("celery", "shared", FIRST, SECOND)
        assert len(workers_of_blocks(platform)) == 2
    assert_same_ledger(platform, FIRST, SECOND)
    assert staged(platform) == []


def test_a_worker_that_is_killed_in_a_block_changes_nothing(platform: CeleryPlatform):
    with platform.workers(2) as workers:
        killed = []

        def kill_in_a_block() -> None:
            while len(staged(platform)) < 2:  # the plan, and the first model of a block
                time.sleep(0.05)
            for child in workers[0].children():
                killed.append(child.pid)
                child.kill()

        thread = threading.Thread(target=kill_in_a_block)
        thread.start()
        platform.run("celery", "shared", LAST, LAST)
        thread.join(60)
    assert killed
    assert_same_ledger(platform, LAST, LAST)
    assert staged(platform) == []
