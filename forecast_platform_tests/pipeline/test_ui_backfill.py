"""A backfill from the UI: a real webserver and daemon on a fresh instance, spoken to as the browser speaks to them.

Fourteen days of every asset of two tenants are launched at once; the days before them were made by the command line's
code with an instance of its own. What the daemon makes of a launch (how it maps days between assets, how many runs it
takes) is decided by Dagster and by our partition mapping together, so only the real daemon can say.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between
from forecast_platform.pipeline import build_tenant, load_tenant
from forecast_platform.runs import Step, chain_of, progress_logger, run_step
from forecast_platform.settings import load
from forecast_platform_tests.conftest import drop_tenant
from forecast_platform_tests.pipeline.running_instance import AssetPath, RunningInstance, running_instance
from forecast_platform_tests.pipeline.shop import HEADER, sales_lines

pytestmark = pytest.mark.slow

TENANTS = ("first_shop", "second_shop")
HISTORY = 34
DAYS = 14
AGAIN = 5
"""Days that are launched a second time, in the other forms that the UI has."""
NO_TABLES = {"daily_report", "serving"}
"""Assets whose partitions are no rows of a table."""
LOCK_TROUBLE = re.compile(r"\block(s|ed)?\b|IO Error|deadlock|could not serialize|another process", re.IGNORECASE)


@dataclass
class Backfill:
    """A backfill that has ended, and what its runs say of themselves."""

    state: dict[str, Any]
    events: dict[str, list[dict[str, Any]]]

    @property
    def materializations(self) -> list[dict[str, Any]]:
        return [each for run in self.events.values() for each in run if each["__typename"] == "MaterializationEvent"]

    def made(self) -> dict[AssetPath, Counter[str]]:
        """How often each partition of each asset was materialized."""
        made: dict[AssetPath, Counter[str]] = defaultdict(Counter)
        for each in self.materializations:
            made[tuple(each["assetKey"]["path"])][each["partition"]] += 1
        return dict(made)


@dataclass
class Platform:
    """Two tenants with a history, an instance that is up, and the backfills that were launched on it.

    ``backfills`` holds the first of each tenant, ``later`` those of some of the days again: of one root with what
    follows it, and of the tenant's job. ``ledger_rows`` counts the first tenant's forecasts between the two.
    """

    instance: RunningInstance
    scopes: dict[str, TenantScope]
    before: list[date]
    days: list[date]
    backfills: dict[str, Backfill] = field(default_factory=dict)
    later: dict[str, Backfill] = field(default_factory=dict)
    ledger_rows: int = 0

    @property
    def keys(self) -> list[str]:
        return [day.isoformat() for day in self.days]

    def assets(self, tenant: str) -> list[AssetPath]:
        return sorted(path for path in self.instance.assets() if path[0] == tenant)

    def downstream(self, root: AssetPath) -> list[AssetPath]:
        """``root`` and everything after it: what the selection ``root+`` of the lineage page shows."""
        nodes = self.instance.assets()
        found = {root}
        while more := {
            path
            for path, node in nodes.items()
            if path not in found and any(tuple(key["path"]) in found for key in node["dependencyKeys"])
        }:
            found |= more
        return sorted(found)

    def all_ended(self, launched: dict[str, str]) -> dict[str, Backfill]:
        return {name: self.ended(backfill) for name, backfill in launched.items()}

    def rows_in_ledger(self, tenant: str) -> int:
        return self.scopes[tenant].warehouse.read("select count(*) as n from forecasts")["n"].item()

    def ended(self, backfill: str) -> Backfill:
        state = self.instance.wait_for(backfill)
        return Backfill(state, {run["id"]: self.instance.events(run["id"]) for run in state["runs"]})


def write_tenant(folder: Path, name: str, start: date, last: date) -> None:
    """A tenant's folder, and the sales in its drop folder."""
    drop = folder / "drop" / name
    drop.mkdir(parents=True)
    skus = 2 + TENANTS.index(name)
    (drop / "sales.csv").write_text(HEADER + "".join(f"{line}\n" for line in sales_lines(start, last, skus=skus)))
    attributes = {
        "start": start.isoformat(),
        "horizon": 7,
        "training_window": 28,
        "inactive_after_days": 40,
        "automation": {"running": False},
        "source": {
            "kind": "files",
            "url": str(drop),
            "pattern": "*.csv",
            "settle_seconds": 0,
            "columns": {
                "sale_date": "day",
                "sku": "sku",
                "location": "shop",
                "quantity": "quantity",
                "unit_price": "price",
                "order_id": "order",
                "event_id": "id",
            },
        },
    }
    tenant = folder / "tenants" / name
    tenant.mkdir(parents=True)
    document = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": attributes}
    (tenant / "defs.yaml").write_text(yaml.safe_dump(document))


def make_history(scope: TenantScope, first: date, last: date) -> None:
    """The facts of the days before the backfill, without the instance that the backfill will find."""
    loggers = dg.Definitions(loggers={"progress": progress_logger(lambda _progress: None)})
    definitions = dg.Definitions.merge(build_tenant(scope), loggers)
    step = Step(chain_of(definitions, scope).facts, first, last)
    with dg.DagsterInstance.ephemeral() as instance:
        run_step(definitions, scope, step, instance=instance, reason="history")


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Both tenants' fourteen days, asked for at once on a fresh instance, when both backfills have ended."""
    folder = tmp_path_factory.mktemp(f"ui_{request.param}")
    on_postgres = request.param == "postgresql"
    warehouse = request.getfixturevalue("postgres_url") if on_postgres else f"duckdb:///{folder / 'warehouse'}"
    environment = {
        "FORECAST_HOME": str(folder / "home"),
        "FORECAST_WAREHOUSE": warehouse,
        "FORECAST_LANDING": (folder / "landing").as_uri(),
        "FORECAST_TENANTS": str(folder / "tenants"),
    }
    # Two days back: whatever the tenant's zone and however late the test runs, every day that is asked for is closed.
    last = date.today() - timedelta(days=2)
    start = last - timedelta(days=HISTORY + DAYS - 1)
    for name in TENANTS:
        write_tenant(folder, name, start, last)
    scopes = {name: load_tenant(name, load(environment)) for name in TENANTS}
    days = days_between(start, last)
    for scope in scopes.values():
        make_history(scope, days[0], days[HISTORY - 1])
    with running_instance(folder, environment) as instance:
        platform = Platform(instance, scopes, before=days[:HISTORY], days=days[HISTORY:])
        platform.backfills = platform.all_ended(
            {name: instance.launch_backfill(platform.assets(name), platform.keys) for name in TENANTS}
        )
        first, second = TENANTS
        platform.ledger_rows = platform.rows_in_ledger(first)
        platform.later = platform.all_ended(
            {
                "root": instance.launch_backfill(platform.downstream((first, "raw_sales")), platform.keys[:AGAIN]),
                "job": instance.launch_backfill(platform.assets(second), platform.keys[-AGAIN:], job=f"{second}__day"),
            }
        )
        yield platform
    if on_postgres:
        for name in TENANTS:
            drop_tenant(warehouse, name)


def logged_days(scope: TenantScope, asset: str, days: Sequence[date]) -> set[date]:
    return set(scope.warehouse.logged(asset, days[0], days[-1]))


def assert_calm(backfill: Backfill) -> None:
    """It succeeded in at most two runs, nothing was tried twice, and nobody stumbled over a lock."""
    assert backfill.state["status"] == "COMPLETED_SUCCESS", backfill.state
    assert 1 <= len(backfill.state["runs"]) <= 2
    assert {run["status"] for run in backfill.state["runs"]} == {"SUCCESS"}
    for events in backfill.events.values():
        kinds = {event["__typename"] for event in events}
        assert not kinds & {"ExecutionStepUpForRetryEvent", "ExecutionStepFailureEvent", "RunFailureEvent"}
        assert [event["message"] for event in events if event.get("level") in {"ERROR", "CRITICAL"}] == []
        assert [str(event) for event in events if LOCK_TROUBLE.search(str(event))] == []


def assert_made_exactly(backfill: Backfill, assets: Sequence[AssetPath], days: Sequence[str]) -> None:
    """Each of the assets was materialized for each of the days, once, and nothing else was."""
    assert backfill.made() == {path: Counter(days) for path in assets}


@pytest.mark.parametrize("tenant", TENANTS)
def test_both_tenants_backfills_succeed_at_once_in_few_runs_without_a_lock_error(platform: Platform, tenant: str):
    assert_calm(platform.backfills[tenant])


@pytest.mark.parametrize("tenant", TENANTS)
def test_exactly_the_days_that_were_asked_for_are_materialized(platform: Platform, tenant: str):
    assets = platform.assets(tenant)
    assert len(assets) == 19
    assert_made_exactly(platform.backfills[tenant], assets, platform.keys)
    for path in assets:
        assert platform.instance.materialized(path) == set(platform.keys), path


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_partition_log_has_the_days_that_were_asked_for_and_those_before(platform: Platform, tenant: str):
    scope = platform.scopes[tenant]
    every = days_between(scope.tenant.start, scope.today())
    forecast = platform.downstream((tenant, "forecasts"))
    for path in platform.assets(tenant):
        asset = path[-1]
        expected = {*platform.days, *(() if path in forecast else platform.before)}
        assert logged_days(scope, asset, every) == expected, asset


@pytest.mark.parametrize("tenant", TENANTS)
def test_each_partition_carries_its_own_row_count_and_not_the_total(platform: Platform, tenant: str):
    shown: dict[str, dict[str, int]] = defaultdict(dict)
    for each in platform.backfills[tenant].materializations:
        entries = {entry["label"]: entry.get("intValue") for entry in each["metadataEntries"]}
        assert "dagster/row_count" not in entries
        asset = each["assetKey"]["path"][-1]
        assert ("dagster/partition_row_count" in entries) == (asset not in NO_TABLES), asset
        if asset not in NO_TABLES:
            shown[asset][each["partition"]] = entries["dagster/partition_row_count"]
    for asset in {path[-1] for path in platform.assets(tenant)} - NO_TABLES:
        logged = platform.scopes[tenant].warehouse.logged(asset, platform.days[0], platform.days[-1])
        assert shown[asset] == {day.isoformat(): state.rows for day, state in logged.items()}, asset
    scored = [shown["forecast_errors"][key] for key in platform.keys]
    assert scored[0] == 0 and scored[1] > 0 and scored[-1] > scored[1]


def test_one_root_and_what_follows_it_take_the_same_days(platform: Platform):
    tenant, backfill = TENANTS[0], platform.later["root"]
    made = [*platform.downstream((tenant, "raw_sales")), (tenant, "sales_rejects")]
    assert_calm(backfill)
    assert_made_exactly(backfill, made, platform.keys[:AGAIN])
    assert sorted(made) == platform.assets(tenant)


def test_days_that_were_made_again_append_nothing_to_the_ledger(platform: Platform):
    assert platform.rows_in_ledger(TENANTS[0]) == platform.ledger_rows > 0


def test_the_tenants_job_launched_for_a_range_takes_the_same_days(platform: Platform):
    assert_calm(platform.later["job"])
    assert_made_exactly(platform.later["job"], platform.assets(TENANTS[1]), platform.keys[-AGAIN:])


def test_one_day_is_launched_as_one_run_of_that_day(platform: Platform):
    tenant, day = TENANTS[0], platform.keys[-1]
    run = platform.instance.launch_run(platform.assets(tenant), day)
    ended = Backfill({"status": platform.instance.wait_for_run(run)}, {run: platform.instance.events(run)})
    assert ended.state["status"] == "SUCCESS", ended.events
    assert_made_exactly(ended, platform.assets(tenant), [day])
