"""What models learn by date: learned once a refit day, kept whole, chosen by a tenant, and missed by one model only."""

# Annotations are not postponed here: Dagster reads the type of an asset's context from them.
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets import model_artifacts as asset
from forecast_platform.assets.forecasts import build_forecasts_asset
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between
from forecast_platform.forecasting.artifacts import refit_day
from forecast_platform.io_managers import build_io_managers
from forecast_platform.settings import Settings
from forecast_platform.tenant import Tenant
from forecast_platform_tests.features_on_record import put_features

pytest.importorskip("lightgbm")
START = date(2026, 1, 1)
LAST = date(2026, 3, 20)
EVERY = 14
SPEC = f"GlobalBoosting(refit_every={EVERY}, n_estimators=3, min_data_in_leaf=5)"


def scope_of(warehouse, tmp_path: Path, spec: str = SPEC) -> TenantScope:
    settings = Settings(home=str(tmp_path), warehouse="duckdb:///unused", landing=tmp_path.as_uri())
    given = {
        "start": START.isoformat(),
        "source": {"kind": "files", "url": str(tmp_path), "columns": {"sale_date": "d", "sku": "s", "quantity": "q"}},
        "models": {"trees": spec},
        "horizon": 7,
        "training_window": 28,
    }
    scope = TenantScope(warehouse.tenant, Tenant.model_validate(given), settings)
    scope.__dict__["warehouse"] = warehouse
    return scope


def sell(warehouse, *, more: int = 0, since: date = START) -> None:
    """Put features of five series on record, as days of sales make them; with ``more`` units a day ``since`` a day."""
    put_features(warehouse, START, LAST, more=more, since=since)


@pytest.fixture
def scope(warehouse, tmp_path: Path) -> TenantScope:
    sell(warehouse)
    return scope_of(warehouse, tmp_path)


def run(scope: TenantScope, build, first: date, last: date | None = None, **options) -> dg.ExecuteInProcessResult:
    managers = build_io_managers(scope.warehouse, start=START)
    resources = {scope.replace_key: managers["replace"], scope.ledger_key: managers["ledger"]}
    tags = {
        "dagster/asset_partition_range_start": first.isoformat(),
        "dagster/asset_partition_range_end": (last or first).isoformat(),
    }
    upstream = dg.AssetSpec(scope.key("features"), partitions_def=scope.partitions)
    return dg.materialize([upstream, build(scope)], tags=tags, resources=resources, **options)


def learn(scope: TenantScope, first: date, last: date | None = None) -> None:
    assert run(scope, asset.build_model_artifacts_asset, first, last).success


def used(scope: TenantScope) -> dict[date, str]:
    rows = scope.warehouse.read(sa.select(tables.artifact_days))
    return dict(zip(rows["as_of"].dt.date, rows["digest"], strict=True))


def kept(scope: TenantScope) -> pd.DataFrame:
    return scope.warehouse.read(sa.select(tables.model_artifacts).order_by(tables.model_artifacts.c.trained_to))


def test_a_tenant_without_such_a_model_has_no_such_asset(warehouse, tmp_path: Path):
    assert asset.build_model_artifacts_asset(scope_of(warehouse, tmp_path, "LagRegression()")) is None


def test_a_range_learns_each_refit_day_once_and_equals_single_days(scope: TenantScope):
    first, last = LAST - timedelta(days=20), LAST
    learn(scope, first, last)
    ranged = used(scope)
    refits = sorted({refit_day(day, EVERY) for day in days_between(first, last)})
    assert [day.date() for day in kept(scope)["trained_to"]] == refits
    assert set(ranged) == set(days_between(first, last))
    assert {refit_day(day, EVERY): digest for day, digest in ranged.items()} == dict(
        zip(refits, kept(scope)["digest"], strict=True)
    )
    folder = Path(scope.settings.home) / "artifacts"
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    for day in (last, first):
        learn(scope, day)
    assert used(scope) == ranged
    assert {path: path.stat().st_mtime_ns for path in files} == files
    with scope.warehouse.reading() as session:
        assert set(session.logged("model_artifacts", first, last)) == set(days_between(first, last))


def test_what_happens_after_the_refit_day_does_not_move_its_artefact_and_a_correction_before_it_does(
    scope: TenantScope,
):
    refit = refit_day(LAST, EVERY)
    learn(scope, LAST)
    before = used(scope)[LAST]
    sell(scope.warehouse, more=1, since=refit + timedelta(days=1))
    learn(scope, LAST)
    assert used(scope)[LAST] == before
    sell(scope.warehouse, more=1, since=refit - timedelta(days=5))
    learn(scope, LAST)
    assert used(scope)[LAST] != before
    assert len(kept(scope)) == 2


def test_days_before_the_first_refit_day_learn_from_the_first_day(scope: TenantScope):
    learn(scope, START)
    assert [day.date() for day in kept(scope)["trained_to"]] == [START]


def choose(scope: TenantScope, number: int, since: date, digest: str | None) -> None:
    row = {"choice_id": number, "valid_from": pd.Timestamp(since), "model": "trees", "digest": digest, "reason": None}
    row |= {"set_by": "a planner", "set_at": pd.Timestamp("2026-03-20", tz="UTC")}
    with scope.warehouse.transaction() as session:
        session.append(tables.artifact_choices, pd.DataFrame([row]))


def test_a_tenant_keeps_an_older_artefact_from_a_day_on_and_lets_it_go_again(scope: TenantScope):
    refit = refit_day(LAST, EVERY)
    older, newer = refit - timedelta(days=1), refit
    learn(scope, older, LAST)
    learned = used(scope)
    choose(scope, 1, newer + timedelta(days=1), learned[older])
    choose(scope, 2, newer + timedelta(days=3), None)
    learn(scope, older, LAST)
    assert used(scope) == learned | {newer + timedelta(days=n): learned[older] for n in (1, 2)}


def outcomes(scope: TenantScope) -> dict[str, str]:
    rows = scope.warehouse.read("select model, outcome from forecast_runs", like=tables.forecast_runs)
    return dict(zip(rows["model"], rows["outcome"], strict=True))


def test_a_forecast_uses_the_artefact_of_its_day_and_says_so(scope: TenantScope):
    learn(scope, LAST)
    assert run(scope, build_forecasts_asset, LAST).success
    assert set(outcomes(scope).values()) == {"appended"}
    versions = scope.warehouse.read(sa.select(tables.forecast_versions)).set_index("model")
    assert used(scope)[LAST] in versions.loc["trees", "inputs"]
    assert used(scope)[LAST] not in versions.loc["naive", "inputs"]


@pytest.mark.parametrize("lost", ["never learned", "file gone", "file damaged", "other settings"])
def test_a_missing_artefact_costs_its_own_model_only_and_says_what_to_do(scope: TenantScope, lost: str, tmp_path: Path):
    if lost != "never learned":
        learn(scope, LAST)
    files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    if lost == "file gone":
        files[0].unlink()
    if lost == "file damaged":
        files[0].write_bytes(b"half")
    if lost == "other settings":
        scope = scope_of(scope.warehouse, tmp_path, SPEC.replace("n_estimators=3", "n_estimators=4"))
    assert run(scope, build_forecasts_asset, LAST).success
    said = outcomes(scope)
    assert said["naive"] == said["seasonal_naive_7"] == "appended"
    assert said["trees"].startswith("failed: ArtifactMissing")
    wanted = {"file gone": "is gone", "file damaged": "is damaged"}
    assert wanted.get(lost, f"materialize partition {LAST} of {scope.name}/model_artifacts") in said["trees"]


def test_a_run_that_dies_before_its_row_is_committed_leaves_nothing_that_is_read(scope: TenantScope, monkeypatch):
    keep = asset._keep

    def dies(*arguments):
        keep(*arguments)
        raise SystemExit("killed")

    monkeypatch.setattr(asset, "_keep", dies)
    with pytest.raises(BaseException, match="killed"):
        run(scope, asset.build_model_artifacts_asset, LAST)
    assert kept(scope).empty and not used(scope)
    monkeypatch.undo()
    learn(scope, LAST)
    assert len(kept(scope)) == 1


def test_a_model_that_cannot_learn_leaves_the_day_without_an_artefact_and_the_run_whole(
    scope: TenantScope, monkeypatch
):
    def out_of_memory(*arguments):
        raise MemoryError("no room for the trees")

    monkeypatch.setattr(asset, "learn", out_of_memory)
    learn(scope, LAST)
    assert not used(scope)
