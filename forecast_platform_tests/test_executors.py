"""The executor by setting: the chosen one is imported and configured, no other; what cannot work is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from forecast_platform import settings as platform_settings
from forecast_platform.executors import celery_options, executor_of
from forecast_platform.settings import SettingsError, load

POSTGRES = {"FORECAST_WAREHOUSE": "postgresql://h/d"}
CELERY = POSTGRES | {
    "FORECAST_EXECUTOR": "celery",
    "FORECAST_CELERY_BROKER": "amqp://forecast:secret@broker//",
    "FORECAST_CELERY_RESULTS": "rpc://",
}
PACKAGES = {"celery": "dagster_celery", "k8s": "dagster_k8s"}


def settings(executor: str, **more: str) -> platform_settings.Settings:
    return load(CELERY | {"FORECAST_EXECUTOR": executor} | more)


@pytest.mark.parametrize("executor", ["in_process", "multiprocess", "celery", "k8s"])
def test_each_setting_gives_its_executor(executor):
    assert executor_of(settings(executor)).name == executor


@pytest.mark.parametrize("executor", ["multiprocess", "k8s"])
def test_a_limit_of_steps_reaches_the_executor(executor):
    chosen = executor_of(settings(executor, FORECAST_STEPS_AT_ONCE="3"))
    assert chosen.apply_config_mapping({"config": {}}).value["config"]["max_concurrent"] == 3


def test_the_executor_and_the_workers_of_celery_are_told_the_same():
    told = executor_of(settings("celery")).apply_config_mapping({"config": {}}).value["config"]
    options = celery_options(settings("celery"))
    assert {name: told[name] for name in options} == options
    assert told["broker"] == "amqp://forecast:secret@broker//" and told["backend"] == "rpc://"
    # A step whose worker dies goes back to the queue, and a slow one is not given to a second worker.
    assert told["config_source"]["task_acks_late"] and told["config_source"]["task_reject_on_worker_lost"]
    assert told["config_source"]["broker_transport_options"]["visibility_timeout"] >= 4 * 3600


def test_a_broker_in_a_folder_is_kept_where_its_url_says(tmp_path: Path):
    options = celery_options(settings("celery", FORECAST_CELERY_BROKER=f"filesystem://{tmp_path}/broker"))
    assert options["broker"] == "filesystem://"
    folders = options["config_source"]["broker_transport_options"]
    assert folders["data_folder_in"] == folders["data_folder_out"] == f"{tmp_path}/broker/queue"
    assert Path(folders["data_folder_in"]).is_dir()


@pytest.mark.parametrize("executor", PACKAGES)
def test_a_package_that_is_missing_is_named_with_its_extra(executor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, PACKAGES[executor], None)
    with pytest.raises(SettingsError, match=rf"forecast-platform\[{executor}\]"):
        executor_of(settings(executor))


def test_what_was_not_chosen_is_not_imported():
    code = (
        "import sys\n"
        "from forecast_platform.executors import executor_of\n"
        "from forecast_platform.settings import load\n"
        f"executor_of(load({POSTGRES | {'FORECAST_EXECUTOR': 'multiprocess'}}))\n"
        "assert {'celery', 'dagster_celery', 'kubernetes', 'dagster_k8s'}.isdisjoint(sys.modules), sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_duckdb_is_refused_where_the_instance_starts_runs_elsewhere(tmp_path: Path):
    instance = tmp_path / "dagster.yaml"
    instance.write_text("run_launcher:\n  module: dagster_k8s\n  class: K8sRunLauncher\n")
    embedded = load({"FORECAST_HOME": str(tmp_path)})
    with pytest.raises(SettingsError, match=r"K8sRunLauncher.*postgresql://"):
        executor_of(embedded, instance)
    assert executor_of(settings("k8s"), instance).name == "k8s"
    instance.write_text("telemetry:\n  enabled: false\n")
    assert executor_of(embedded, instance).name == "in_process"


def test_the_instance_of_this_process_is_looked_at_where_there_is_one(tmp_path: Path):
    assert platform_settings.instance_file({"DAGSTER_HOME": str(tmp_path)}) is None
    (tmp_path / "dagster.yaml").touch()
    assert platform_settings.instance_file({"DAGSTER_HOME": str(tmp_path)}) == tmp_path / "dagster.yaml"
    assert platform_settings.instance_file({}) is None
