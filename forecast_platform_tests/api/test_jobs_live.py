"""Jobs by a real daemon: launched over HTTP, watched at every stage, ended for good, remembered by the next server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
import pytest
import yaml
from fastapi.testclient import TestClient

from forecast_platform.api.app import create_app
from forecast_platform.api.keys import Keys, Scope
from forecast_platform.settings import Settings, load
from forecast_platform.state import State
from forecast_platform_tests.api.conftest import SECRET
from forecast_platform_tests.pipeline.running_instance import running_instance
from forecast_platform_tests.pipeline.shop import Shop, day

pytestmark = pytest.mark.slow

SERIES, BLOCKS, HISTORY = 1_000, 4, 32
ORIGIN = day(HISTORY - 1)
STAGES = ["waiting", "queued", "starting", "preparing", "forecasting", "forecast", "recording", "publishing", "done"]


@dataclass
class Live:
    """A shop of a thousand series whose daemon runs, and servers for it."""

    shop: Shop
    settings: Settings

    @contextmanager
    def server(self) -> Iterator[TestClient]:
        key = Keys(State(self.settings.state_url)).create(self.shop.name, name="test", scopes=set(Scope))[1]
        app = create_app(self.settings, remembered_seconds=0, dagster=dg.DagsterInstance.get)
        with TestClient(app, headers={"Authorization": f"Bearer {key}"}) as client:
            yield client

    def rows(self) -> int:
        return int(self.shop.warehouse.read("select count(*) as rows from forecasts")["rows"].iloc[0])


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("jobs_live")
    shop = Shop(folder, f"duckdb:///{folder / 'warehouse'}", name="live", settings={"forecast_blocks": BLOCKS})
    for offset in range(HISTORY + 2):
        on = day(offset)
        sold = [f"{on}-{n},{on},sku {n:04},all,{1 + (n + offset) % 5},2.00,o" for n in range(SERIES)]
        shop.put(f"{on}.csv", sold)
    shop.run_facts(day(0), day(HISTORY + 1))
    shop.run(["forecasts", *shop.chain.accuracy], ORIGIN, ORIGIN)
    defs = folder / "tenants" / "live" / "defs.yaml"
    defs.parent.mkdir(parents=True)
    kind = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": shop.attributes}
    defs.write_text(yaml.safe_dump(kind))
    environment = shop.environment | {
        "FORECAST_TENANTS": str(folder / "tenants"),
        "FORECAST_API_ENVIRONMENT": "development",
        "FORECAST_API_SECRET": SECRET,
    }
    with running_instance(folder, environment), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder / "dagster_home"))
        yield Live(shop, load(environment))


def ask(client: TestClient, first: date, last: date, **more: Any) -> str:
    answer = client.post("/api/v1/jobs", json={"first_day": f"{first}", "last_day": f"{last}", **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['job_id']}"
    return answer.json()["job_id"]


def until_final(client: TestClient, job_id: str, *, seconds: float = 1500) -> tuple[dict, list[dict]]:
    """The job once it is over, and everything that was seen of its batches on the way."""
    seen, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = client.get(f"/api/v1/jobs/{job_id}").json()
        batches = client.get(f"/api/v1/jobs/{job_id}/batches").json()["items"]
        seen.append({each["block"]: (each["status"], each["stage"]) for each in batches})
        if job["status"] in ("completed", "failed", "cancelled"):
            return job, seen
        time.sleep(0.2)
    raise AssertionError(f"{job_id} did not end: {job}, {seen[-1]}")


def test_a_thousand_series_are_seen_at_every_stage_and_counted_whoever_serves(live: Live):
    before = live.rows()
    with live.server() as client:
        job_id = ask(client, day(HISTORY), day(HISTORY), reason="test")
        fixed = client.get(f"/api/v1/jobs/{job_id}/batches", params={"series": "all"}).json()["items"]
    with live.server() as client:
        job, seen = until_final(client, job_id)
        assert (job["status"], job["error"], job["series"]) == ("completed", None, SERIES)
        batches = client.get(f"/api/v1/jobs/{job_id}/batches", params={"series": "all"}).json()["items"]
        told = client.get("/api/v1/events", params={"limit": 200}).json()["items"]
    for block in range(BLOCKS):
        stages = [STAGES.index(each[block][1]) for each in seen]
        assert stages == sorted(stages), [each[block] for each in seen]
        assert stages[-1] == STAGES.index("done") and len(set(stages)) >= 4, stages
    names = ("batch_id", "series_names", "first_day", "last_day", "backfill_id")
    assert [[each[name] for name in names] for each in batches] == [[each[name] for name in names] for each in fixed]
    assert sorted(sku for each in batches for sku, _ in each["series_names"]) == [f"sku {n:04}" for n in range(SERIES)]
    assert job["rows"] == sum(each["rows"] for each in batches) == live.rows() - before > 0
    assert all(each["rows"] == job["rows"] // BLOCKS and each["series"] == SERIES // BLOCKS for each in batches)
    kinds = [each["kind"] for each in told if each["data"].get("job_id") == job_id or each["kind"] == "publication"]
    assert kinds[-1] == "job" and "publication" in kinds and kinds.count("batch") >= BLOCKS * 3


def test_what_is_cancelled_writes_nothing_more_and_is_never_completed(live: Live):
    before = live.rows()
    with live.server() as client:
        job_id = ask(client, day(HISTORY + 1), day(HISTORY + 1))
        deadline = time.monotonic() + 420
        while _stage(client, job_id) not in ("forecasting", "forecast", "recording"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        asked_at = time.monotonic()
        cancelled = client.post(f"/api/v1/jobs/{job_id}/cancel")
        assert cancelled.status_code == 202 and cancelled.json()["status"] == "cancelled"
        assert time.monotonic() - asked_at < 5
        assert live.rows() == before
        assert client.post(f"/api/v1/jobs/{job_id}/cancel").status_code == 409
        instance, until = dg.DagsterInstance.get(), time.monotonic() + 45
        while time.monotonic() < until:
            assert client.get(f"/api/v1/jobs/{job_id}").json()["status"] == "cancelled"
            time.sleep(1)
        batch = client.get(f"/api/v1/jobs/{job_id}/batches").json()["items"][0]
        backfill = instance.get_backfill(batch["backfill_id"])
        assert backfill is not None and backfill.status.value in ("CANCELING", "CANCELED")
        assert instance.get_run_by_id(batch["run_id"]).status is dg.DagsterRunStatus.CANCELED
    assert live.rows() == before


def _stage(client: TestClient, job_id: str) -> str:
    return client.get(f"/api/v1/jobs/{job_id}/batches").json()["items"][0]["stage"]
