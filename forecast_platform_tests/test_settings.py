"""The environment: what is read, what is refused, and what follows from what."""

from __future__ import annotations

import dataclasses
import re

import pytest

from forecast_platform.pipeline import PROJECT
from forecast_platform.settings import Settings, SettingsError, load


def test_the_defaults_are_an_embedded_warehouse_under_dagster_home(tmp_path):
    settings = load({"DAGSTER_HOME": str(tmp_path)})
    assert settings.warehouse == f"duckdb:///{tmp_path}/.forecast/warehouse"
    assert settings.landing == f"file://{tmp_path}/.forecast/landing"
    assert settings.executor == "in_process"


def test_home_moves_every_default(tmp_path):
    settings = load({"FORECAST_HOME": str(tmp_path / "h")})
    assert settings.warehouse.endswith("/h/warehouse") and settings.landing.endswith("/h/landing")


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(SettingsError, match="FORECAST_WAREHOUS;"):
        load({"FORECAST_WAREHOUS": "duckdb:///x"})


@pytest.mark.parametrize("url", ["mysql://x/y", "duckdb.db", "duckdb:relative"])
def test_a_warehouse_that_cannot_work_is_refused(url):
    with pytest.raises(SettingsError, match="FORECAST_WAREHOUSE"):
        load({"FORECAST_WAREHOUSE": url})


def test_the_state_is_sqlite_under_home_or_a_database_that_can_work():
    assert load({"FORECAST_HOME": "/h"}).state_url == "sqlite:////h/state.db"
    assert load({"FORECAST_STATE": "postgresql://h/d"}).state_url == "postgresql://h/d"
    with pytest.raises(SettingsError, match="FORECAST_STATE"):
        load({"FORECAST_STATE": "mysql://h/d"})


CELERY = {"FORECAST_CELERY_BROKER": "redis://h/0", "FORECAST_CELERY_RESULTS": "redis://h/1"}


@pytest.mark.parametrize("executor", ["multiprocess", "celery", "k8s"])
def test_several_processes_on_duckdb_are_refused_with_the_way_out(executor):
    with pytest.raises(SettingsError, match=f"{executor}.*FORECAST_EXECUTOR=in_process"):
        load({"FORECAST_EXECUTOR": executor} | CELERY)
    assert load({"FORECAST_EXECUTOR": executor, "FORECAST_WAREHOUSE": "postgresql://h/d"} | CELERY).executor == executor


@pytest.mark.parametrize("missing", CELERY)
def test_celery_needs_its_broker_and_its_results_named(missing):
    given = {"FORECAST_EXECUTOR": "celery", "FORECAST_WAREHOUSE": "postgresql://h/d"} | CELERY
    del given[missing]
    with pytest.raises(SettingsError, match=missing):
        load(given)


@pytest.mark.parametrize(
    ("executor", "steps", "reason"),
    [
        ("k8s", "many", "whole number"),
        ("k8s", "0", "at least 1"),
        ("multiprocess", "-1", "whole number"),
        ("in_process", "2", "no such limit"),
        ("celery", "2", "no such limit"),
    ],
)
def test_a_limit_of_steps_that_cannot_hold_is_refused(executor, steps, reason):
    given = {"FORECAST_EXECUTOR": executor, "FORECAST_WAREHOUSE": "postgresql://h/d"} | CELERY
    with pytest.raises(SettingsError, match=f"FORECAST_STEPS_AT_ONCE.*{reason}"):
        load(given | {"FORECAST_STEPS_AT_ONCE": steps})


def test_blocks_are_staged_under_home_or_where_every_worker_reaches_them():
    assert load({"FORECAST_HOME": "/h"}).staging_url == "file:///h/staging"
    assert load({"FORECAST_STAGING": "s3://bucket/staging"}).staging_url == "s3://bucket/staging"


def test_an_unknown_executor_names_those_there_are():
    with pytest.raises(SettingsError, match="in_process, multiprocess, celery, k8s"):
        load({"FORECAST_EXECUTOR": "threads"})


def test_the_example_lists_every_setting():
    listed = set(re.findall(r"^# (FORECAST_\w+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE))
    assert listed == {f"FORECAST_{field.name.upper()}" for field in dataclasses.fields(Settings)}
