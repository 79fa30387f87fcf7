"""The environment: what is read, what is refused, and what follows from what."""

from __future__ import annotations

import pytest

from forecast_platform.settings import SettingsError, load


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


def test_several_processes_on_duckdb_are_refused_with_the_way_out():
    with pytest.raises(SettingsError, match="in_process"):
        load({"FORECAST_EXECUTOR": "multiprocess"})
    assert load({"FORECAST_EXECUTOR": "multiprocess", "FORECAST_WAREHOUSE": "postgresql://h/d"}).executor


def test_an_unknown_executor_names_those_there_are():
    with pytest.raises(SettingsError, match="in_process, multiprocess"):
        load({"FORECAST_EXECUTOR": "threads"})
