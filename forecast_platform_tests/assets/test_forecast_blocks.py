"""Forecasts made block by block: the same rows to the bit, whatever failed, changed or was on record meanwhile."""

# Annotations are not postponed here: Dagster reads the type of an asset's context from them.
import dataclasses
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from dagster._core.test_utils import freeze_time

from forecast_platform.assets import forecast_blocks, staged_forecasts
from forecast_platform.assets.forecasts import build_forecasts_asset
from forecast_platform.assets.scope import TenantScope
from forecast_platform.assets.staged_forecasts import KEPT, PlanMissing, Staging, sweep
from forecast_platform.forecasting.parts import Part
from forecast_platform.io_managers import retries
from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform_tests.assets.test_model_artifacts import LAST, START, run, scope_of, sell
from forecast_platform_tests.pipeline.content import assert_same, contents

BLOCKS = 3
FIRST = LAST - timedelta(days=1)
MODELS = {
    "sba": "PanelStatsForecast()",
    "theirs": "NaiveForecaster(strategy='mean', window_length=14)",
    "linear": "LagRegression()",
    "weekday_profile": "WeekdayProfile()",
    "broken": "RecursiveTabularRegressionForecaster(estimator=Ridge(), window_length=500)",
}
FEW = {name: MODELS[name] for name in ("theirs", "linear")}
STEPS = ["plan", *(f"block_{n:02}" for n in range(BLOCKS)), "pooled", "ledger"]


def scope_in(warehouse: Warehouse, folder: Path, *, blocks: int, models: dict[str, str] = MODELS) -> TenantScope:
    """A tenant with features on record, forecast in so many blocks."""
    sell(warehouse)
    scope = scope_of(warehouse, folder)
    return again(scope, models=models, forecast_blocks=blocks)


def again(scope: TenantScope, **settings) -> TenantScope:
    """The same tenant and warehouse under other settings."""
    given = TenantScope(scope.name, scope.tenant.model_copy(update=settings), scope.settings)
    given.__dict__["warehouse"] = scope.warehouse
    return given


@pytest.fixture
def cut(duckdb_warehouse: Warehouse, tmp_path: Path) -> TenantScope:
    return scope_in(duckdb_warehouse, tmp_path / "cut", blocks=BLOCKS, models=FEW)


@pytest.fixture
def whole(tenant: str, tmp_path: Path) -> TenantScope:
    """The twin of ``cut`` that is forecast in one step, in a warehouse of its own."""
    opened = open_warehouse(f"duckdb:///{tmp_path / 'whole'}", f"{tenant}_whole")
    opened.migrate()
    return scope_in(opened, tmp_path / "whole", blocks=1, models=FEW)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that asks to be tried again is tried again without a pause."""
    monkeypatch.setattr(retries.random, "uniform", lambda low, high: 0.0)


def forecast(scope: TenantScope, first: date = FIRST, **options) -> dg.ExecuteInProcessResult:
    return run(scope, build_forecasts_asset, first, LAST, **options)


def staged(scope: TenantScope) -> set[str]:
    folder = Path(scope.settings.staging_url.removeprefix("file://")) / scope.name
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def steps(result: dg.ExecuteInProcessResult) -> list[str]:
    return [event.step_key.rpartition(".")[2] for event in result.get_step_success_events()]


def asked(scope: TenantScope) -> list[tuple]:
    rows = scope.warehouse.read("select origin_date, model, outcome, appended, fallbacks, ended_at from forecast_runs")
    rows = rows.sort_values(["origin_date", "model", "outcome"])
    return [(*row[:-1], pd.notna(row[-1])) for row in rows.itertuples(index=False)]


def assert_same_ledger(one: TenantScope, other: TenantScope) -> None:
    """Rows, versions with their digests, what the log says of the days, and who asked: equal to the bit."""
    ledgers = [contents(scope.warehouse, only={"forecasts", "forecast_versions"}) for scope in (one, other)]
    assert not ledgers[0]["forecasts"].empty
    assert_same(*ledgers, tolerance=0.0)
    log = "select day, rows, digest from partition_log where asset = 'forecasts' order by day"
    pd.testing.assert_frame_equal(*(scope.warehouse.read(log) for scope in (one, other)))


def test_a_range_in_blocks_leaves_what_it_leaves_in_one_step(warehouse: Warehouse, whole: TenantScope, tmp_path: Path):
    whole = again(whole, models=MODELS)
    cut = scope_in(warehouse, tmp_path / "cut", blocks=BLOCKS)
    assert steps(forecast(whole)) == [f"{whole.name}__forecasts"]
    assert sorted(steps(forecast(cut))) == sorted(STEPS)
    assert_same_ledger(whole, cut)
    assert asked(whole) == asked(cut)
    broken = {row[2] for row in asked(cut) if row[1] == "broken"}
    assert len(broken) == 1 and broken.pop().startswith("failed: EverySeriesFailed: ")
    assert staged(cut) == set()


@pytest.mark.slow
def test_one_day_more_in_other_blocks_is_on_record_as_if_made_in_one_step(whole: TenantScope, cut: TenantScope):
    forecast(whole, FIRST - timedelta(days=1))
    forecast(cut)
    assert forecast(again(cut, forecast_blocks=2), FIRST - timedelta(days=1)).success
    assert_same_ledger(whole, cut)


def test_what_is_on_record_is_not_computed_again(cut: TenantScope, monkeypatch: pytest.MonkeyPatch):
    forecast(cut)
    monkeypatch.setattr(forecast_blocks, "forecast_part", lambda *given, **more: pytest.fail("computed again"))
    monkeypatch.setattr(forecast_blocks, "read_block", lambda *given, **more: pytest.fail("read again"))
    assert forecast(cut).success
    assert {row[2] for row in asked(cut)} == {"appended", "on record"}


@pytest.mark.slow
def test_a_block_that_is_tried_again_changes_nothing(
    whole: TenantScope, cut: TenantScope, at_once, monkeypatch: pytest.MonkeyPatch
):
    read, tries = forecast_blocks.read_block, []

    def away_once(*given, block, **more):
        tries.append(block)
        if tries.count(1) == 1 and block == 1:
            raise ConnectionError("the server is away")
        return read(*given, block=block, **more)

    monkeypatch.setattr(forecast_blocks, "read_block", away_once)
    forecast(whole)
    assert forecast(cut).success
    assert sorted(tries) == [0, 1, 1, 2]
    assert_same_ledger(whole, cut)
    repeated = [row for row in asked(cut) if row[2].startswith("failed, to be tried again: ConnectionError")]
    assert len(repeated) == 2 * (len(FEW) + 2)


def test_a_block_that_fails_leaves_nothing_in_the_ledger_and_says_so(cut: TenantScope, monkeypatch: pytest.MonkeyPatch):
    make, made = forecast_blocks.forecast_part, []

    def dies(panel, model, **more):
        made.append(model.name)
        if len(made) == 5:
            raise SystemError("out of luck")
        return make(panel, model, **more)

    monkeypatch.setattr(forecast_blocks, "forecast_part", dies)
    with dg.DagsterInstance.ephemeral() as instance:
        assert not forecast(cut, instance=instance, raise_on_error=False).success
        assert cut.warehouse.read("select * from forecasts").empty
        assert {row[2] for row in asked(cut)} == {"failed: SystemError: out of luck"}
        assert all(row[-1] for row in asked(cut))
        left = staged(cut)
        assert len(left) > 4
        # The files are there for a run that resumes this one, and go when nobody has for a while.
        assert sweep(cut, instance) == [] and staged(cut) == left
        with freeze_time(pd.Timestamp.now("UTC").to_pydatetime() + KEPT + timedelta(minutes=1)):
            monkeypatch.setattr(forecast_blocks, "forecast_part", make)
            assert forecast(cut, instance=instance).success
    assert staged(cut) == set()


@pytest.mark.slow
def test_sales_that_change_after_the_blocks_were_made_count(
    whole: TenantScope, cut: TenantScope, monkeypatch: pytest.MonkeyPatch
):
    offer = forecast_blocks.candidates

    def late_sale(*given, **more):
        sell(cut.warehouse, more=2, since=LAST)
        return offer(*given, **more)

    monkeypatch.setattr(forecast_blocks, "candidates", late_sale)
    sell(whole.warehouse, more=2, since=LAST)
    forecast(whole)
    assert forecast(cut).success
    assert_same_ledger(whole, cut)


@pytest.mark.slow
def test_staged_files_that_are_gone_are_made_again(
    whole: TenantScope, cut: TenantScope, monkeypatch: pytest.MonkeyPatch
):
    offer = forecast_blocks.candidates

    def swept(context, scope, models, asking, staging):
        staging.remove()
        return offer(context, scope, models, asking, staging)

    monkeypatch.setattr(forecast_blocks, "candidates", swept)
    forecast(whole)
    assert forecast(cut).success
    assert_same_ledger(whole, cut)


def test_the_asset_is_the_same_to_everybody_else_whatever_its_steps(cut: TenantScope):
    one, graph = (build_forecasts_asset(again(cut, forecast_blocks=blocks)) for blocks in (1, 512))
    (mine,), (theirs,) = one.specs, graph.specs
    assert mine.key == theirs.key and graph.partitions_def == one.partitions_def
    mappings = [{dep.asset_key: dep.partition_mapping for dep in spec.deps} for spec in (mine, theirs)]
    assert mappings[0] == mappings[1] and len(mappings[0]) > 0
    assert list(mine.owners) == list(theirs.owners)
    for name in ("code_version", "description", "group_name", "kinds"):
        assert getattr(mine, name) == getattr(theirs, name), name
    own, other = (
        {name: value for name, value in spec.metadata.items() if "io_manager" not in name} for spec in (mine, theirs)
    )
    assert own == other
    assert one.backfill_policy == graph.backfill_policy


def test_only_the_step_that_writes_waits_for_the_tenants_pool_on_postgresql(cut: TenantScope):
    pools = {
        backend: {
            node.definition.name.rpartition("__")[2]: node.definition.pool
            for node in build_forecasts_asset(
                TenantScope(cut.name, cut.tenant, dataclasses.replace(cut.settings, warehouse=f"{backend}:///x"))
            ).node_def.nodes
        }
        for backend in ("duckdb", "postgresql")
    }
    assert set(pools["duckdb"]) == set(STEPS)
    assert set(pools["duckdb"].values()) == {cut.pool}
    assert {step for step, pool in pools["postgresql"].items() if pool} == {"ledger"}


@pytest.mark.parametrize(
    "part",
    [
        Part(mean=np.array([[1.5, np.nan], [-0.0, np.inf]]), tried=2, failed=1, first=(1, "E: é"), seconds=0.25),
        Part(mean=np.empty((0, 7))),
        Part(mean=None, error="ValueError: no", seconds=1.0),
    ],
)
def test_a_part_comes_back_as_it_was_staged(part: Part, tmp_path: Path, duckdb_warehouse: Warehouse):
    staging = Staging(scope_of(duckdb_warehouse, tmp_path), dg.DagsterRun(job_name="j", run_id="one"))
    assert staging.get("d") is None and not staging.holds("d")
    staging.put("d", part)
    back = staging.get("d")
    assert staging.holds("d")
    assert {**vars(back), "mean": None} == {**vars(part), "mean": None}
    if part.mean is not None:
        assert back.mean.tobytes() == part.mean.tobytes() and back.mean.shape == part.mean.shape


def test_a_block_without_a_plan_says_what_to_look_at(tmp_path: Path, duckdb_warehouse: Warehouse):
    with pytest.raises(PlanMissing, match="FORECAST_STAGING must be one place"):
        Staging(scope_of(duckdb_warehouse, tmp_path), dg.DagsterRun(job_name="j", run_id="one")).plan()


def test_files_are_swept_once_their_run_and_those_that_resume_it_are_over(tmp_path: Path, duckdb_warehouse: Warehouse):
    scope = scope_of(duckdb_warehouse, tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        status = dg.DagsterRunStatus
        root = staged_forecasts.ROOT_RUN_ID_TAG
        for run_id, state, tags in (
            ("going", status.STARTED, {}),
            ("done", status.SUCCESS, {}),
            ("failed", status.FAILURE, {}),
            ("resumed", status.FAILURE, {}),
            ("resuming", status.STARTED, {root: "resumed"}),
        ):
            instance.add_run(dg.DagsterRun(job_name="j", run_id=run_id, status=state, tags=tags))
        for run_id in ("going", "done", "failed", "resumed", "unknown"):
            Staging(scope, dg.DagsterRun(job_name="j", run_id=run_id)).put_plan({START: ["naive"]})
        assert sweep(scope, instance) == ["done"]
        with freeze_time(pd.Timestamp.now("UTC").to_pydatetime() + KEPT + timedelta(minutes=1)):
            assert sweep(scope, instance) == ["failed", "unknown"]
    assert staged(scope) == {"going/plan.json", "resumed/plan.json"}
