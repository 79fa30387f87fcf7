"""A second tenant is a second folder and nothing else, and what is wrong with one is not wrong with the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml

from forecast_platform.pipeline import PROJECT, build_tenant, load_tenant, tenant_names, tenants_tree
from forecast_platform.runs import RunFailed, Step, run_step
from forecast_platform.settings import load
from forecast_platform_tests.pipeline.command_line import TYPE, CommandLine
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines


@pytest.fixture
def two(new_shop: Callable[..., Shop], tmp_path: Path) -> tuple[CommandLine, Shop, Shop]:
    """Two tenants side by side in one warehouse and one landing."""
    good, bad = new_shop("duckdb"), new_shop("duckdb")
    commands = CommandLine(tmp_path / "both", good.environment)
    for shop in (good, bad):
        shop.put("sales.csv", sales_lines(day(0), day(2)))
        commands.add_tenant(shop.name, shop.attributes)
    return commands, good, bad


def settings_of(commands: CommandLine):
    return load(commands.environment | {"FORECAST_TENANTS": str(commands.tenants)})


def test_two_folders_are_two_tenants_and_one_whose_source_is_gone_fails_alone(
    two: tuple[CommandLine, Shop, Shop], at: Callable, monkeypatch: pytest.MonkeyPatch
):
    commands, good, bad = two
    gone = bad.attributes | {"source": bad.attributes["source"] | {"url": str(bad.folder / "no such folder")}}
    commands.add_tenant(bad.name, gone)
    settings = settings_of(commands)
    assert tenant_names(settings) == sorted([good.name, bad.name])
    scopes = {name: load_tenant(name, settings) for name in (bad.name, good.name)}
    definitions = dg.Definitions.merge(
        *(build_tenant(scope) for scope in scopes.values()),
        dg.Definitions(loggers=good.definitions.loggers),
    )
    instance = dg.DagsterInstance.ephemeral()
    step = Step(("raw_sales", "sales_rejects"), day(0), day(2))
    with at(day(3)):
        with pytest.raises(RunFailed, match="no such folder"):
            run_step(definitions, scopes[bad.name], step, instance=instance, reason="test")
        run_step(definitions, scopes[good.name], step, instance=instance, reason="test")
    assert len(good.warehouse.read("select * from raw_sales")) == len(sales_lines(day(0), day(2)))
    assert len(scopes[bad.name].warehouse.read("select * from raw_sales")) == 0

    for name, value in {**commands.environment, "FORECAST_TENANTS": str(commands.tenants)}.items():
        monkeypatch.setenv(name, value)
    location = tenants_tree(settings).build_defs()
    keys = {key.to_user_string() for key in location.resolve_asset_graph().get_all_asset_keys()}
    for shop in (good, bad):
        assert {f"{shop.name}/{asset}" for asset in ("raw_sales", "daily_sales", "forecasts", "error_sums")} <= keys
    assert {key.split("/")[0] for key in keys} == {good.name, bad.name}
    assert {f"{good.name}__day", f"{bad.name}__day"} <= {job.name for job in location.resolve_all_job_defs()}


def test_broken_yaml_of_one_tenant_does_not_stop_the_command_line_of_another(two: tuple[CommandLine, Shop, Shop]):
    commands, good, bad = two
    (commands.tenants / bad.name / "defs.yaml").write_text("type: [unfinished\n")
    other = commands.run("status", "--tenant", good.name)
    assert other.returncode == 0 and "never materialized" in other.stdout, other.stderr
    own = commands.run("status", "--tenant", bad.name)
    assert own.returncode == 2 and "defs.yaml" in own.stderr and "Traceback" not in own.stderr, own.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The smallest copy of this project that ``dg`` takes: its settings, its package, and one tenant."""
    copy = tmp_path / "project"
    copy.mkdir()
    shutil.copy(PROJECT / "pyproject.toml", copy)
    ignored = shutil.ignore_patterns("__pycache__", "defs")
    shutil.copytree(PROJECT / "forecast_platform", copy / "forecast_platform", ignore=ignored)
    (copy / "forecast_platform" / "defs" / "shop").mkdir(parents=True)
    (copy / "forecast_platform" / "defs" / "__init__.py").touch()
    return copy


def dg_check_yaml(project: Path, attributes: dict) -> subprocess.CompletedProcess[str]:
    path = project / "forecast_platform" / "defs" / "shop" / "defs.yaml"
    path.write_text(yaml.safe_dump({"type": TYPE, "attributes": attributes}))
    return subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "check", "yaml"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project), "DAGSTER_HOME": str(project), "DG_CLI_CONFIG": os.devnull},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_dg_check_yaml_passes_a_good_tenant_and_names_the_wrong_field_of_a_bad_one(
    project: Path, new_shop: Callable[..., Shop]
):
    good = new_shop("duckdb").attributes
    passed = dg_check_yaml(project, good)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    for field, value in {"horizont": 7, "horizon": 0, "start": "tomorrow"}.items():
        failed = dg_check_yaml(project, good | {field: value})
        assert failed.returncode != 0 and field in failed.stdout + failed.stderr, failed.stdout + failed.stderr
    misspelt = good | {"source": good["source"] | {"patern": "*.csv"}}
    failed = dg_check_yaml(project, misspelt)
    assert failed.returncode != 0 and "patern" in failed.stdout + failed.stderr, failed.stdout + failed.stderr
