"""Dagster's daemon in this process, at a clock that the test moves: its own rounds of schedules, sensors and retries.

Runs are executed where they are launched, at the clock's time. A real daemon, with processes of its own, is in
``pipeline.running_instance``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
import yaml
from alembic.script import ScriptDirectory
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.storage import sql
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import consume_new_runs_for_automatic_reexecution
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

from forecast_platform import crash

MODULE = "forecast_platform.definitions"
INSTANCE = {
    "telemetry": {"enabled": False},
    "event_log_storage": {"module": "forecast_platform.event_log", "class": "BatchedSqliteEventLogStorage"},
    "run_launcher": {"module": __name__, "class": "InThisProcess"},
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    "concurrency": {"pools": {"default_limit": 1, "granularity": "op"}},
    "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
}
_log = logging.getLogger(__name__)


class ProcessKilled(BaseException):
    """The end of a run's process: what it had not committed is rolled back, and nobody says so to Dagster."""


class InThisProcess(SyncInMemoryRunLauncher):
    """Executes a run where it is launched. One that is killed stays as it is, until its end is noticed."""

    def launch_run(self, context: LaunchRunContext) -> None:
        try:
            super().launch_run(context)
        except ProcessKilled:
            run = self._instance.get_run_by_id(context.dagster_run.run_id)
            if run is not None and not run.is_finished:
                # What run monitoring does, after its poll interval, to a run whose process has gone.
                self._instance.report_run_failed(run, "The run's process is gone.")


@dataclass
class SimulatedDaemon:
    """Schedules, sensors and retries of the definitions that the environment names.

    Attributes:
        errors: what ticks raised; a test says what of it it expects.
        ticks: how many ticks of each sensor and schedule asked for a run.
    """

    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext
    now: datetime
    errors: list[str] = field(default_factory=list)
    kill_at: str | None = None

    def tick(self, now: datetime | None = None) -> None:
        """One round of every daemon, at ``now``."""
        # Dagster's SQLite keeps the clock without its zone, and takes it for UTC.
        self.now = (now or self.now).astimezone(UTC)
        with freeze_time(self.now), self._killing():
            self._collect(
                launch_scheduled_runs(
                    self.workspace, _log, end_datetime_utc=self.now, iteration_times={}, max_catchup_runs=5
                )
            )
            self._collect(execute_sensor_iteration(self.workspace, _log, None, None))
            failed = self.instance.get_run_records(dg.RunsFilter(statuses=[DagsterRunStatus.FAILURE]), limit=20)
            self._collect(consume_new_runs_for_automatic_reexecution(self.workspace, failed, _log))

    def until(self, end: datetime, *, every: timedelta) -> None:
        """Rounds up to ``end``, one each ``every``."""
        while self.now + every <= end:
            self.tick(self.now + every)

    def away_until(self, now: datetime) -> None:
        """The daemon is stopped, and comes back at ``now``: nothing ticks in between."""
        self.now = now

    def runs(self, job: str | None = None) -> list[dg.DagsterRun]:
        """Runs, oldest first."""
        return list(reversed(self.instance.get_runs(dg.RunsFilter(job_name=job) if job else None)))

    def _collect(self, rounds: Iterator) -> None:
        self.errors += [error.message.strip() for error in rounds if error is not None and hasattr(error, "message")]

    @contextmanager
    def _killing(self) -> Iterator[None]:
        """While ``kill_at`` names a crash point, the first run to pass it is killed there."""

        def crash_point(name: str) -> None:
            if name == self.kill_at:
                self.kill_at = None
                raise ProcessKilled(name)

        with pytest.MonkeyPatch.context() as patch:
            for module in list(_modules_with_crash_points()):
                patch.setattr(module, "crash_point", crash_point)
            yield


def _modules_with_crash_points() -> Iterator[object]:
    import sys

    for name, module in list(sys.modules.items()):
        if name.startswith("forecast_platform.") and getattr(module, "crash_point", None) is not None:
            yield module
    yield crash


class _RevisionsReadOnce:
    from_config = staticmethod(cache(ScriptDirectory.from_config))


@contextmanager
def simulated_daemon(folder: Path, environment: Mapping[str, str], start: datetime) -> Iterator[SimulatedDaemon]:
    """A daemon over the tenants of ``environment`` (``FORECAST_`` variables), whose clock begins at ``start``."""
    home = folder / "dagster_home"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(INSTANCE))
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name=MODULE, attribute="defs"), location_name="forecast_platform"
    )
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in {**environment, "DAGSTER_HOME": str(home)}.items():
            patch.setenv(name, value)
        # Dagster keeps the job that a process executed last, by name: a daemon before this one may have had it, too.
        ReconstructableJob.get_definition.cache_clear()
        ReconstructableJob.get_repository_definition.cache_clear()
        # Each tick opens storages of its own, which ask for Dagster's newest revision: 50 ms to read all of them.
        patch.setattr(sql, "ScriptDirectory", _RevisionsReadOnce)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        stack.enter_context(freeze_time(start))
        workspace = stack.enter_context(
            create_test_daemon_workspace_context(InProcessWorkspaceLoadTarget(origin), instance)
        )
        assert threading.current_thread() is threading.main_thread()
        yield SimulatedDaemon(instance, workspace, start)
