"""Two real workers of Celery share origins on PostgreSQL: the ledger is that of one process, even if one is killed."""

from __future__ import annotations

import threading
import time
from datetime import date, timedelta

import pytest

from forecast_platform.io_managers.warehouse import open_warehouse
from forecast_platform_tests.celery_platform import CeleryPlatform, celery_platform, settings_of_models
from forecast_platform_tests.pipeline.content import assert_same, contents

pytestmark = pytest.mark.slow
LAST = date(2026, 5, 20)
FIRST = LAST - timedelta(days=1)
MODELS = {"ets": "PanelStatsForecast(model='AutoETS')", "linear": "LagRegression()"}
SERIES = 240
LEDGER = {"forecasts", "forecast_versions"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, postgres_url: str):
    with celery_platform(tmp_path_factory.mktemp("celery"), postgres_url) as platform:
        platform.add_tenant("alone", LAST, series=SERIES, **settings_of_models(MODELS, blocks=1))
        for name in ("shared", "killed"):
            platform.add_tenant(name, LAST, series=SERIES, **settings_of_models(MODELS, blocks=4))
        platform.run("in_process", "alone", FIRST, LAST)
        yield platform


def assert_same_ledger(platform: CeleryPlatform, tenant: str) -> None:
    alone, shared = (contents(open_warehouse(platform.warehouse_url, name), only=LEDGER) for name in ("alone", tenant))
    assert len(alone["forecasts"]) == SERIES * 28 * 4 * 2
    assert_same(alone, shared, tolerance=0.0)


def staged(platform: CeleryPlatform, tenant: str) -> list[str]:
    return [path.name for path in (platform.folder / "home" / "staging" / tenant).rglob("*") if path.is_file()]


def workers_of(platform: CeleryPlatform, tenant: str) -> set[str]:
    """The workers that executed a run's steps, by what Celery said in their logs."""
    done = {}
    for log in platform.folder.glob("worker-*.log"):
        done[log.name] = log.read_text().count(f"{tenant}__forecasts.block_")
    return {name for name, count in done.items() if count}


def test_two_workers_make_what_one_process_makes(platform: CeleryPlatform):
    with platform.workers(2):
        platform.run("celery", "shared", FIRST, LAST)
        assert len(workers_of(platform, "shared")) == 2
    assert_same_ledger(platform, "shared")
    assert staged(platform, "shared") == []


def test_a_worker_that_is_killed_in_a_block_changes_nothing(platform: CeleryPlatform):
    with platform.workers(2) as workers:
        killed = []

        def kill_in_a_block() -> None:
            while len(staged(platform, "killed")) < 2:  # the plan, and the first model of a block
                time.sleep(0.05)
            for child in workers[0].children():
                killed.append(child.pid)
                child.kill()

        thread = threading.Thread(target=kill_in_a_block)
        thread.start()
        platform.run("celery", "killed", FIRST, LAST)
        thread.join(60)
    assert killed
    assert_same_ledger(platform, "killed")
    assert staged(platform, "killed") == []
