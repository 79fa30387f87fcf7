"""A real webserver and daemon over a folder of their own, spoken to as the UI speaks: GraphQL over HTTP on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast_platform.pipeline import PROJECT

LAUNCH = """
mutation LaunchPartitionBackfill($backfillParams: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfillParams) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionKeysNotFoundError { message }
    ... on UnauthorizedError { message }
  }
}
"""
LAUNCH_RUN = """
mutation LaunchRun($executionParams: ExecutionParams!) {
  launchPipelineExecution(executionParams: $executionParams) {
    __typename
    ... on LaunchRunSuccess { run { id } }
    ... on PythonError { message }
    ... on InvalidSubsetError { message }
  }
}
"""
RUN = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { id status } } }"
RUNS = "{ runsOrError(limit: 100) { ... on Runs { results { id status jobName endTime startTime } } } }"
BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill { status error { message } runs(limit: 50) { id status tags { key value } } }
  }
}
"""
ALL_ASSETS = "{ assetNodes { assetKey { path } isExecutable jobNames dependencyKeys { path } } }"
REQUIRED_TOO = """
query RequiredToo($keys: [AssetKeyInput!]!) { assetNodeAdditionalRequiredKeys(assetKeys: $keys) { path } }
"""
EVENTS = """
query Events($run: ID!, $after: String) {
  logsForRun(runId: $run, afterCursor: $after) {
    __typename
    ... on EventConnection {
      cursor
      hasMore
      events {
        __typename
        ... on MessageEvent { message level stepKey }
        ... on ErrorEvent { error { message causes { message } } }
        ... on MaterializationEvent {
          assetKey { path } partition metadataEntries { label ... on IntMetadataEntry { intValue } }
        }
      }
    }
  }
}
"""
MATERIALIZED = """
query Materialized($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      partitionKeys
      assetPartitionStatuses {
        ... on TimePartitionStatuses { ranges { startKey endKey status } }
      }
    }
  }
}
"""


AssetPath = tuple[str, ...]
LOCATION = "forecast_platform"
"""``location_name`` in ``workspace.yaml``."""


@dataclass(frozen=True)
class RunningInstance:
    """Webserver and daemon that are up; ``url`` is the webserver's."""

    url: str

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as refused:
            raise AssertionError(refused.read().decode()[:3000]) from refused
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def assets(self) -> dict[AssetPath, dict[str, Any]]:
        """Every asset that can be materialized, with its jobs and dependencies, as the lineage page gets them."""
        nodes = self.graphql(ALL_ASSETS)["assetNodes"]
        return {tuple(node["assetKey"]["path"]): node for node in nodes if node["isExecutable"]}

    def launch_backfill(self, assets: Sequence[AssetPath], days: Sequence[str], *, job: str | None = None) -> str:
        """Launch as the UI's *Materialize* dialog does: one list of partitions for all selected assets.

        From the lineage the dialog sends the assets alone; from the page of a ``job`` that somebody named it sends
        the job's partition set with them.
        """
        selector = {
            "partitionSetName": f"{job}_partition_set",
            "repositorySelector": {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"},
        }
        answer = self.graphql(
            LAUNCH,
            backfillParams={
                "assetSelection": [{"path": list(path)} for path in [*assets, *self._required_too(assets)]],
                "partitionNames": list(days),
                "fromFailure": False,
                "tags": [],
            }
            | ({"selector": selector} if job else {}),
        )["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def launch_run(self, assets: Sequence[AssetPath], day: str) -> str:
        """Launch one day as the dialog does when only one is chosen: a run, and no backfill."""
        answer = self.graphql(
            LAUNCH_RUN,
            executionParams={
                "mode": "default",
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": day}]},
                "runConfigData": "{}",
                "selector": {
                    "repositoryLocationName": LOCATION,
                    "repositoryName": "__repository__",
                    "pipelineName": "__ASSET_JOB",
                    "assetSelection": [{"path": list(path)} for path in assets],
                    "assetCheckSelection": [],
                },
            },
        )["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["id"]

    def wait_for_run(self, run: str, *, seconds: float = 180) -> str:
        """Status of the run once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.graphql(RUN, id=run)["runOrError"]["status"]
            if status in {"SUCCESS", "FAILURE", "CANCELED"}:
                return status
            time.sleep(1)
        raise AssertionError(f"run {run} did not end within {seconds} s: {status}")

    def runs(self) -> list[dict[str, Any]]:
        """Every run there is, the first one first."""
        return self.graphql(RUNS)["runsOrError"]["results"][::-1]

    def process_of(self, run: str, *, seconds: float = 120) -> int:
        """The process of a run, once its first step is at work."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            events = self.events(run)
            if any(event["__typename"] == "ExecutionStepStartEvent" for event in events):
                (pid,) = {m[1] for event in events if (m := re.search(r"pid: (\d+)", event.get("message") or ""))}
                return int(pid)
            time.sleep(0.2)
        raise AssertionError(f"run {run} has not begun")

    def _required_too(self, assets: Sequence[AssetPath]) -> list[AssetPath]:
        """Assets that come with the selected ones; the dialog names them and adds them when that is confirmed."""
        answer = self.graphql(REQUIRED_TOO, keys=[{"path": list(path)} for path in assets])
        return [tuple(key["path"]) for key in answer["assetNodeAdditionalRequiredKeys"]]

    def wait_for(self, backfill: str, *, seconds: float = 420) -> dict[str, Any]:
        """The backfill once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.graphql(BACKFILL, id=backfill)["partitionBackfillOrError"]
            if state["status"] not in {"REQUESTED", "CANCELING", "FAILING"}:
                return state
            time.sleep(1)
        raise AssertionError(f"backfill {backfill} did not end within {seconds} s: {state}")

    def events(self, run: str) -> list[dict[str, Any]]:
        """Everything that a run's page shows of it, in order."""
        events: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.graphql(EVENTS, run=run, after=after)["logsForRun"]
            assert page["__typename"] == "EventConnection", page
            events += page["events"]
            if not page["hasMore"]:
                return events
            after = page["cursor"]

    def materialized(self, path: AssetPath) -> set[str]:
        """Partition keys of an asset that are materialized and not failed."""
        node = self.graphql(MATERIALIZED, key={"path": list(path)})["assetNodeOrError"]
        keys = node["partitionKeys"]
        held: set[str] = set()
        for each in node["assetPartitionStatuses"]["ranges"]:
            if each["status"] == "MATERIALIZED":
                held.update(keys[keys.index(each["startKey"]) : keys.index(each["endKey"]) + 1])
        return held


@contextmanager
def running_instance(folder: Path, environment: Mapping[str, str]) -> Iterator[RunningInstance]:
    """Webserver and daemon on a fresh instance in ``folder``, which no run has seen; both are stopped at the end."""
    home = folder / "dagster_home"
    home.mkdir(parents=True)
    shutil.copy(PROJECT / "dagster.yaml", home)
    shutil.copy(PROJECT / "workspace.yaml", home)
    scripts = Path(sys.executable).parent
    env = {**os.environ, **environment, "DAGSTER_HOME": str(home), "PATH": f"{scripts}:{os.environ['PATH']}"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Two processes that both find an empty instance both write its revision, and no process can open it after that
    # ("more than one head"), on SQLite as on PostgreSQL. `dg dev` opens it before it starts the two.
    subprocess.run(
        [str(scripts / "dagster"), "instance", "migrate"], env=env, cwd=home, check=True, capture_output=True
    )
    workspace = ["-w", str(home / "workspace.yaml")]
    commands = {
        "webserver": [str(scripts / "dagster-webserver"), "-h", "127.0.0.1", "-p", str(port), *workspace],
        "daemon": [str(scripts / "dagster-daemon"), "run", *workspace],
    }
    processes = []
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("w") as log:
                processes.append(
                    subprocess.Popen(command, env=env, cwd=home, stdout=log, stderr=log, start_new_session=True)
                )
        instance = RunningInstance(f"http://127.0.0.1:{port}")
        _wait_until_serving(instance, folder)
        yield instance
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_until_serving(instance: RunningInstance, folder: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            instance.graphql("{ version }")
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the webserver did not start: " + (folder / "webserver.log").read_text()[-3000:])
