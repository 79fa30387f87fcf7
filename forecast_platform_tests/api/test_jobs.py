"""``/jobs``: what is asked for becomes a backfill of Dagster's, and its statuses are what Dagster's record says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._core.test_utils import create_run_for_test
from fastapi.testclient import TestClient

from forecast_platform.api.app import create_app
from forecast_platform.api.keys import Keys, Scope
from forecast_platform.io_managers.fence import RunEnded, run_fence
from forecast_platform.jobs.dagster_side import Targets
from forecast_platform.state import State
from forecast_platform_tests.api.conftest import LAST_ORIGIN, ORIGINS, Served, in_days
from forecast_platform_tests.pipeline.shop import START

LOCATION = RegisteredCodeLocationOrigin("forecast_platform")
TARGETS: dict[str, Targets] = {}
"""What the shop's jobs make, built once for all servers."""

RUNNING, QUEUED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED
ENDS = {
    "completed": (BulkActionStatus.COMPLETED_SUCCESS, dg.DagsterRunStatus.SUCCESS),
    "failed": (BulkActionStatus.COMPLETED_FAILED, dg.DagsterRunStatus.FAILURE),
    "cancelled": (BulkActionStatus.CANCELED, dg.DagsterRunStatus.CANCELED),
}


@dataclass
class Desk:
    """A served shop with a state and a Dagster instance of its own, whose daemon is the test."""

    served: Served
    instance: dg.DagsterInstance
    serve: Callable[[], TestClient]
    earlier: frozenset[str]

    def ask(self, client: TestClient, **wanted: Any) -> dict[str, Any]:
        days = {"first_day": f"{LAST_ORIGIN}", "last_day": f"{LAST_ORIGIN}"}
        answer = client.post("/api/v1/jobs", json=days | wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def backfills(self) -> list[PartitionBackfill]:
        return [each for each in self.instance.get_backfills() if each.backfill_id not in self.earlier][::-1]

    def run(self, backfill: PartitionBackfill, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        tags = {BACKFILL_ID_TAG: backfill.backfill_id, **backfill.tags}
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(LOCATION, "__repository__"), "__ASSET_JOB")
        return create_run_for_test(
            self.instance, job_name="__ASSET_JOB", status=status, tags=tags, remote_job_origin=origin
        )

    def end(self, backfill: PartitionBackfill, how: str) -> dg.DagsterRun:
        ended, run = ENDS[how]
        made = self.run(backfill, run)
        self.instance.update_backfill(backfill.with_status(ended))
        return made


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as made:
        yield made


@contextmanager
def opened(served: Served, tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Desk]:
    settings = replace(served.settings, state=f"sqlite:///{tmp_path / 'state.db'}")
    key = Keys(State(settings.state_url)).create(served.tenant, name="test", scopes=set(Scope))[1]
    with ExitStack() as servers:

        def serve() -> TestClient:
            app = create_app(settings, remembered_seconds=0, dagster=lambda: instance)
            app.state.platform.jobs.targets_of_tenants = TARGETS
            return servers.enter_context(TestClient(app, headers={"Authorization": f"Bearer {key}"}))

        earlier = frozenset(each.backfill_id for each in instance.get_backfills())
        yield Desk(served, instance, serve, earlier)


@pytest.fixture
def desk(shop: Served, tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Desk]:
    with opened(shop, tmp_path, instance) as made:
        yield made


@pytest.fixture(scope="module")
def quiet(
    loaded_duckdb: Served, tmp_path_factory: pytest.TempPathFactory, instance: dg.DagsterInstance
) -> Iterator[TestClient]:
    """A server that takes no job."""
    with opened(loaded_duckdb, tmp_path_factory.mktemp("quiet"), instance) as made:
        yield made.serve()


@pytest.fixture
def either_desk(served: Served, tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Desk]:
    with opened(served, tmp_path, instance) as made:
        yield made


def test_what_is_asked_for_is_launched_as_a_backfill_and_found_again(desk: Desk):
    client, first = desk.serve(), LAST_ORIGIN - timedelta(days=1)
    answer = client.post(
        "/api/v1/jobs", json={"first_day": f"{first}", "last_day": f"{LAST_ORIGIN}", "reason": "prices"}
    )
    job = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == f"/api/v1/jobs/{job['job_id']}"
    assert job["status"] == "queued" and job["series"] == 9 and job["requested_by"].startswith("key ")
    (backfill,) = desk.backfills()
    tags = {name.rpartition("/")[2]: value for name, value in backfill.tags.items()}
    assert tags["job"] == job["job_id"] and tags["reason"] == "prices" and tags["requested_by"] == job["requested_by"]
    keys = {key.path[-1] for key in backfill.asset_selection}
    assert {"forecasts", "publications", "serving"} <= keys and not keys & {"raw_sales", "features"}
    data = backfill.asset_backfill_data
    target = data.target_subset.get_partitions_subset(dg.AssetKey([desk.served.tenant, "forecasts"]))
    assert set(target.get_partition_keys()) == {f"{first}", f"{LAST_ORIGIN}"}
    assert client.get(f"/api/v1/jobs/{job['job_id']}").json() == job
    (batch,) = client.get(f"/api/v1/jobs/{job['job_id']}/batches").json()["items"]
    assert batch["backfill_id"] == backfill.backfill_id and batch["stage"] == "waiting" and batch["rows"] is None
    assert ["größe 41/42 & co", "north"] in batch["series_names"] and len(batch["series_names"]) == 9


def test_the_same_request_asks_for_one_job(desk: Desk):
    days = {"first_day": f"{LAST_ORIGIN}", "last_day": f"{LAST_ORIGIN}"}
    client, named = desk.serve(), {"Idempotency-Key": "planner-7"}
    first = client.post("/api/v1/jobs", json=days, headers=named)
    client.post(f"/api/v1/jobs/{first.json()['job_id']}/cancel")
    again = desk.serve().post("/api/v1/jobs", json=days, headers=named)
    assert first.status_code == again.status_code == 201 and again.json() == first.json()
    assert again.headers["location"] == first.headers["location"] and again.headers["idempotency-replayed"] == "true"
    other = client.post("/api/v1/jobs", json=days | {"reason": "x"}, headers=named)
    assert other.status_code == 422 and other.json()["type"].endswith("idempotency-key-reused")
    refused = client.post("/api/v1/jobs", json=days | {"horizon": 14}, headers={"Idempotency-Key": "wrong"})
    assert refused.status_code == 422 and len(desk.backfills()) == 1
    assert client.post("/api/v1/jobs", json=days, headers={"Idempotency-Key": "another"}).status_code == 201


def test_facts_are_made_too_where_a_backfill_is_asked_for(desk: Desk):
    desk.ask(desk.serve(), kind="backfill")
    keys = {key.path[-1] for key in desk.backfills()[0].asset_selection}
    assert {"raw_sales", "sales_rejects", "daily_sales", "features", "forecasts", "serving"} <= keys


@pytest.mark.parametrize("end", ENDS)
def test_a_job_is_at_what_dagster_has_on_record_and_a_final_status_stays(desk: Desk, end: str):
    client = desk.serve()
    job = desk.ask(client)["job_id"]
    (backfill,) = desk.backfills()
    run = desk.run(backfill, QUEUED)
    (batch,) = client.get(f"/api/v1/jobs/{job}/batches").json()["items"]
    assert (batch["status"], batch["stage"], batch["run_id"]) == ("queued", "queued", run.run_id)
    desk.instance.delete_run(run.run_id)
    run = desk.run(backfill, RUNNING)
    assert client.get(f"/api/v1/jobs/{job}").json()["status"] == "processing"
    desk.instance.delete_run(run.run_id)
    desk.end(backfill, end)
    assert client.get("/api/v1/jobs").json()["items"][0]["status"] == end
    for other in ENDS:
        desk.end(backfill, other)
        assert desk.serve().get(f"/api/v1/jobs/{job}").json()["status"] == end
    (batch,) = client.get(f"/api/v1/jobs/{job}/batches").json()["items"]
    assert batch["status"] == end and batch["ended_at"] is not None
    assert (batch["error"] is not None) is (end == "failed")


def test_a_server_that_is_started_again_has_forgotten_nothing(desk: Desk):
    job = desk.ask(desk.serve())["job_id"]
    desk.end(desk.backfills()[0], "completed")
    told = desk.serve().get(f"/api/v1/jobs/{job}").json()
    assert told["status"] == "completed" and told["batches"]["completed"] == 1


def test_a_long_range_is_made_run_after_run(desk: Desk):
    client = desk.serve()
    job = desk.ask(client, kind="backfill", first_day=f"{START}")["job_id"]
    batches = client.get(f"/api/v1/jobs/{job}/batches").json()["items"]
    assert [each["run"] for each in batches] == [0, 1] and batches[0]["first_day"] == f"{START}"
    assert batches[1]["last_day"] == f"{LAST_ORIGIN}"
    (first,) = desk.backfills()
    desk.end(first, "completed")
    client.get(f"/api/v1/jobs/{job}")
    assert client.get(f"/api/v1/jobs/{job}").json()["status"] == "processing"
    second = next(each for each in desk.backfills() if each.backfill_id != first.backfill_id)
    assert second.backfill_id == batches[1]["backfill_id"]
    desk.end(second, "completed")
    assert client.get(f"/api/v1/jobs/{job}").json()["status"] == "completed"


def test_what_comes_after_a_run_that_failed_is_not_begun(desk: Desk):
    client = desk.serve()
    job = desk.ask(client, kind="backfill", first_day=f"{START}")["job_id"]
    desk.end(desk.backfills()[0], "failed")
    assert client.get(f"/api/v1/jobs/{job}").json()["status"] == "failed"
    statuses = [each["status"] for each in client.get(f"/api/v1/jobs/{job}/batches").json()["items"]]
    assert statuses == ["failed", "cancelled"] and len(desk.backfills()) == 1


def test_what_is_cancelled_can_commit_nothing_whoever_still_runs(desk: Desk):
    client = desk.serve()
    job = desk.ask(client)["job_id"]
    (backfill,) = desk.backfills()
    waiting, working = desk.run(backfill, QUEUED), desk.run(backfill, RUNNING)
    for run in (waiting, working):
        run_fence(desk.instance, run.run_id)()
    answer = client.post(f"/api/v1/jobs/{job}/cancel")
    assert answer.status_code == 202 and answer.json()["status"] == "cancelled"
    late = desk.run(backfill, RUNNING)  # the daemon was launching it just then
    for run in (waiting, working, late):
        with pytest.raises(RunEnded):
            run_fence(desk.instance, run.run_id)()
    again = client.post(f"/api/v1/jobs/{job}/cancel")
    assert again.status_code == 409 and again.json()["type"].endswith("job-is-over")
    desk.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert client.get(f"/api/v1/jobs/{job}").json()["status"] == "cancelled"


def test_a_batch_that_failed_is_tried_again_as_a_job_of_its_own(desk: Desk):
    client = desk.serve()
    job = desk.ask(client, reason="prices")["job_id"]
    batch = client.get(f"/api/v1/jobs/{job}/batches").json()["items"][0]["batch_id"]
    retry = f"/api/v1/jobs/{job}/batches/{batch}/retry"
    assert client.post(retry).status_code == 409
    desk.end(desk.backfills()[0], "failed")
    answer = client.post(retry)
    assert answer.status_code == 201 and answer.headers["location"] == f"/api/v1/jobs/{answer.json()['job_id']}"
    other = answer.json()
    assert (other["retry_of"], other["reason"], other["series"]) == (batch, "prices", 9)
    assert client.get(f"/api/v1/jobs/{job}").json()["status"] == "failed" and len(desk.backfills()) == 2
    assert client.post(retry.replace(batch, "batch_" + "0" * 20)).status_code == 404


def test_jobs_are_listed_by_pages_the_newest_first(desk: Desk):
    client = desk.serve()
    made = [desk.ask(client)["job_id"] for _ in range(3)]
    client.post(f"/api/v1/jobs/{made[1]}/cancel")
    first = client.get("/api/v1/jobs", params={"limit": 2}).json()
    rest = client.get("/api/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [each["job_id"] for each in first["items"] + rest["items"]] == made[::-1] and rest["next_cursor"] is None
    ended = client.get("/api/v1/jobs", params={"status": "cancelled"}).json()["items"]
    assert [each["job_id"] for each in ended] == [made[1]]


def test_some_series_and_models_are_fixed_when_they_are_asked_for(either_desk: Desk):
    client = either_desk.serve()
    some = either_desk.ask(client, skus=["sku 1", "sku 2"], models=["naive"])
    assert (some["series"], some["models"]) == (4, ["naive"])
    few = either_desk.ask(client, first_series=3)
    batches = client.get(f"/api/v1/jobs/{few['job_id']}/batches").json()["items"]
    assert sum(each["series"] for each in batches) == 3 == few["series"]
    days = {"first_day": f"{in_days(-ORIGINS)}", "last_day": f"{LAST_ORIGIN}"}
    for only in ({"first_series": 2}, {"models": ["naive"]}):
        assert client.post("/api/v1/jobs", json=days | only).json()["type"].endswith("not-made-over-all")
    days = {"first_day": f"{LAST_ORIGIN}", "last_day": f"{LAST_ORIGIN}", "skus": ["sku 1", "nothing"]}
    assert client.post("/api/v1/jobs", json=days).json()["type"].endswith("unknown-sku")


def test_the_rows_of_a_job_are_those_that_its_run_has_appended(either_desk: Desk):
    runs = either_desk.served.warehouse.read(
        "select run_id, sum(appended) as series from forecast_runs group by run_id"
    )
    (run_id,) = runs["run_id"]
    client = either_desk.serve()
    job = either_desk.ask(client, first_day=f"{LAST_ORIGIN - timedelta(days=ORIGINS - 1)}")["job_id"]
    (backfill,) = either_desk.backfills()
    tags = {BACKFILL_ID_TAG: backfill.backfill_id}
    create_run_for_test(either_desk.instance, run_id=run_id, status=dg.DagsterRunStatus.SUCCESS, tags=tags)
    either_desk.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    told = client.get(f"/api/v1/jobs/{job}").json()
    rows = int(either_desk.served.warehouse.read("select count(*) as rows from forecasts")["rows"].iloc[0])
    assert told["status"] == "completed" and told["rows"] == rows > 0
    (batch,) = client.get(f"/api/v1/jobs/{job}/batches").json()["items"]
    assert batch["rows"] == rows and batch["stage"] == "done"


@pytest.mark.parametrize(
    ("wanted", "status", "kind"),
    [
        ({"first_day": f"{in_days(0)}", "last_day": f"{in_days(-1)}"}, 422, "invalid-request"),
        ({"last_day": "2999-01-01"}, 422, "invalid-request"),
        ({"first_day": "2020-01-01"}, 422, "invalid-request"),
        ({"horizon": 14}, 422, "horizon-fixed"),
        ({"models": ["oracle"]}, 422, "unknown-model"),
        ({"skus": ["nothing"]}, 404, "unknown-sku"),
        ({"skus": ["sku 1"], "first_series": 2}, 422, "invalid-request"),
        ({"skus": ["sku 1"], "kind": "backfill"}, 422, "invalid-request"),
        ({"skus": [f"s{n}" for n in range(10_000)]}, 422, "invalid-request"),
        ({"skus": ["a\0"]}, 422, "invalid-request"),
        ({"unknown": 1}, 422, "invalid-request"),
        ({"kind": "everything"}, 422, "invalid-request"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_kept(
    quiet: TestClient, wanted: dict[str, Any], status: int, kind: str
):
    days = {"first_day": f"{LAST_ORIGIN}", "last_day": f"{LAST_ORIGIN}"}
    answer = quiet.post("/api/v1/jobs", json=days | wanted)
    assert answer.status_code == status and answer.json()["type"].endswith(kind), answer.text
    assert not quiet.get("/api/v1/jobs").json()["items"]


def test_more_jobs_than_can_wait_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("forecast_platform.api.jobs.MOST_OPEN", 1)
    client = desk.serve()
    desk.ask(client)
    days = {"first_day": f"{LAST_ORIGIN}", "last_day": f"{LAST_ORIGIN}"}
    assert client.post("/api/v1/jobs", json=days).json()["type"].endswith("too-many-jobs")


def test_a_job_that_is_none_is_not_found(desk: Desk):
    client, nothing = desk.serve(), "job_" + "0" * 20
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/batches")):
        answer = client.request(method, f"/api/v1/jobs/{nothing}{path}")
        assert answer.status_code == 404 and answer.json()["type"].endswith("unknown-job")
    assert client.get("/api/v1/jobs", params={"cursor": "no page gave this"}).status_code == 422


def test_a_server_without_dagster_says_so(shop: Served, tmp_path: Path):
    settings = replace(shop.settings, state=f"sqlite:///{tmp_path / 'state.db'}")
    key = Keys(State(settings.state_url)).create(shop.tenant, name="test", scopes=set(Scope))[1]
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as client:
        days = {"first_day": f"{LAST_ORIGIN}", "last_day": f"{LAST_ORIGIN}"}
        answer = client.post("/api/v1/jobs", json=days)
        assert answer.status_code == 503 and answer.json()["type"].endswith("no-dagster")
        assert client.get("/api/v1/jobs").json() == {"items": [], "next_cursor": None}
