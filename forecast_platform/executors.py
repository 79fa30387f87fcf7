"""How a run's steps are executed: ``FORECAST_EXECUTOR`` as an executor of Dagster, and what Celery is told.

One executor is imported, the one that was chosen. Reading the environment is the business of ``settings``; the
application that Celery's workers run is in ``celery_app``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from forecast_platform.settings import Settings, SettingsError

ELSEWHERE = frozenset({"K8sRunLauncher", "CeleryK8sRunLauncher", "DockerRunLauncher", "EcsRunLauncher"})
"""Dagster's run launchers that start a run in a container or on another machine."""

LONGEST_STEP = 4 * 3600
"""Seconds that a step may take before a broker that counts them gives it to another worker; ``dagster.yaml`` ends the
run by then (``max_runtime_seconds``)."""


def executor_of(settings: Settings, instance_file: Path | None = None) -> dg.ExecutorDefinition:
    """The executor that the settings choose, configured by them.

    Args:
        instance_file: the instance's ``dagster.yaml``, where this process can see it.

    Raises:
        SettingsError: its package is not installed, or the instance starts runs where DuckDB's file is not.
    """
    _refuse_launcher(settings, instance_file)
    limit = {} if settings.steps_at_once is None else {"max_concurrent": settings.steps_at_once}
    if settings.executor == "in_process":
        return dg.in_process_executor
    if settings.executor == "multiprocess":
        return dg.multiprocess_executor.configured(limit)
    if settings.executor == "celery":
        return _celery().configured(celery_options(settings))
    return _k8s().configured(limit)


def celery_options(settings: Settings) -> dict[str, Any]:
    """What Celery is told, the same for the executor and for every worker: ``broker``, ``backend``, ``config_source``.

    A step is taken off the queue once it has ended, so that one whose worker was killed is done by another; steps may
    be repeated, since what they write is the same. (A ``filesystem`` broker gives nothing a second time.)
    """
    broker, results = settings.celery_broker or "", settings.celery_results or ""
    transport: dict[str, Any] = {"visibility_timeout": LONGEST_STEP}
    if results.startswith("file:///"):
        Path(results.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
    if broker.startswith("filesystem:///"):
        broker, folder = "filesystem://", Path(broker.removeprefix("filesystem://"))
        for name in ("queue", "control", "processed"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        transport = {
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "processed_folder": str(folder / "processed"),
            "control_folder": str(folder / "control"),
        }
    return {
        "broker": broker,
        "backend": results,
        "config_source": {
            "broker_connection_retry_on_startup": True,
            "broker_transport_options": transport,
            "task_acks_late": True,
            "task_reject_on_worker_lost": True,
            # One that waits in a busy worker's memory cannot be taken by an idle one.
            "worker_prefetch_multiplier": 1,
        },
    }


def _celery() -> dg.ExecutorDefinition:
    try:
        from dagster_celery import celery_executor
    except ImportError as error:
        raise _missing("celery", error) from error
    return celery_executor


def _k8s() -> dg.ExecutorDefinition:
    try:
        from dagster_k8s import k8s_job_executor
    except ImportError as error:
        raise _missing("k8s", error) from error
    return k8s_job_executor


def _missing(extra: str, error: ImportError) -> SettingsError:
    return SettingsError(
        f"FORECAST_EXECUTOR={extra} needs a package that is not installed ({error}):"
        f" pip install 'forecast-platform[{extra}]'"
    )


def _refuse_launcher(settings: Settings, instance_file: Path | None) -> None:
    """Refuse DuckDB, a file on one machine, where the instance starts runs in containers or on other machines."""
    if settings.backend != "duckdb" or instance_file is None:
        return
    launcher = (yaml.safe_load(instance_file.read_text()) or {}).get("run_launcher") or {}
    name = launcher.get("class")
    if name in ELSEWHERE:
        raise SettingsError(
            f"{instance_file} has the run launcher {name}, whose runs need not see the file of"
            f" FORECAST_WAREHOUSE={settings.warehouse}: take run_launcher out, or set FORECAST_WAREHOUSE to a"
            " postgresql:// URL"
        )
