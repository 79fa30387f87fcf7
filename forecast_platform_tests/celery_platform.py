"""The platform with Celery on one machine: PostgreSQL for warehouse and instance, a broker in a folder, real workers.

Shared by the test that compares what workers make with what one process makes, and by the benchmark that measures it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import psutil
import sqlalchemy as sa
import yaml

from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform.pipeline import PROJECT
from forecast_platform.settings import PREFIX
from forecast_platform_tests.conftest import drop_tenant, run_autocommitted
from forecast_platform_tests.features_on_record import put_features

START = date(2026, 1, 1)
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


@dataclass
class CeleryPlatform:
    """Tenants of features alone, and what runs them. Made by ``celery_platform``."""

    folder: Path
    warehouse_url: str
    instance_url: str
    tenants: list[str] = field(default_factory=list)

    def environment(self, executor: str) -> dict[str, str]:
        """Of every process: the code location, the command that runs it, and the workers."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return {
            **inherited,
            **ONE_THREAD,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "INSTANCE_URL": self.instance_url,
            "FORECAST_HOME": str(self.folder / "home"),
            "FORECAST_TENANTS": str(self.folder / "tenants"),
            "FORECAST_WAREHOUSE": self.warehouse_url,
            "FORECAST_EXECUTOR": executor,
            "FORECAST_CELERY_BROKER": f"filesystem://{self.folder / 'broker'}",
            "FORECAST_CELERY_RESULTS": (self.folder / "results").as_uri(),
        }

    def add_tenant(self, name: str, last: date, *, series: int, **settings) -> Warehouse:
        """A tenant with features of its series on record up to ``last``."""
        source = {"kind": "files", "url": str(self.folder), "columns": dict(sale_date="d", sku="s", quantity="q")}
        attributes = {"start": START.isoformat(), "source": source, **settings}
        defs = self.folder / "tenants" / name / "defs.yaml"
        defs.parent.mkdir(parents=True)
        component = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": attributes}
        defs.write_text(yaml.safe_dump(component))
        self.tenants.append(name)
        warehouse = open_warehouse(self.warehouse_url, name)
        warehouse.migrate()
        put_features(warehouse, START, last, series=series)
        return warehouse

    def command(self, tenant: str, first: date, last: date) -> list[str]:
        """What makes the forecasts of a range of origins, in one run."""
        return [
            *("dagster", "asset", "materialize", "-m", "forecast_platform.definitions"),
            *("--select", f"key:{tenant}/forecasts", "--partition-range", f"{first}...{last}"),
        ]

    def run(self, executor: str, tenant: str, first: date, last: date) -> None:
        """Make forecasts in a process of their own, and wait for it."""
        with (self.folder / f"{tenant}-{executor}.log").open("w") as log:
            done = subprocess.run(
                self.command(tenant, first, last), env=self.environment(executor), stdout=log, stderr=log, timeout=1800
            )
        assert done.returncode == 0, (self.folder / f"{tenant}-{executor}.log").read_text()[-6000:]

    @contextmanager
    def workers(self, count: int) -> Iterator[list[psutil.Process]]:
        """Celery workers, ready, with one process for steps each; stopped at the end."""
        with ExitStack() as started:
            processes = [started.enter_context(self._worker(number)) for number in range(count)]
            for number, process in enumerate(processes):
                self._wait_until_ready(number, process)
            yield processes

    @contextmanager
    def _worker(self, number: int) -> Iterator[psutil.Process]:
        options = ("worker", "--concurrency=1", "-lINFO", f"-n{number}@%h")
        command = ["celery", "-A", "forecast_platform.celery_app", *options]
        with self._log(number).open("w") as log:
            process = subprocess.Popen(
                command, env=self.environment("celery"), stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        try:
            yield psutil.Process(process.pid)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _log(self, number: int) -> Path:
        return self.folder / f"worker-{number}.log"

    def _wait_until_ready(self, number: int, worker: psutil.Process) -> None:
        deadline = time.monotonic() + 120
        while " ready." not in self._log(number).read_text():
            going = worker.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline
            assert going, self._log(number).read_text()[-3000:]
            time.sleep(0.2)


@contextmanager
def celery_platform(folder: Path, postgres_url: str) -> Iterator[CeleryPlatform]:
    """The platform in ``folder``; its databases are dropped at the end."""
    name = f"dagster_{uuid.uuid4().hex[:8]}"
    run_autocommitted(postgres_url, f"create database {name}")
    instance_url = sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    platform = CeleryPlatform(folder, postgres_url, instance_url)
    home = folder / "dagster"
    home.mkdir(parents=True)
    instance = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    instance["storage"] = {"postgres": {"postgres_url": {"env": "INSTANCE_URL"}}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(instance))
    try:
        subprocess.run(
            ["dagster", "instance", "migrate"], env=platform.environment("in_process"), check=True, capture_output=True
        )
        yield platform
    finally:
        for tenant in platform.tenants:
            drop_tenant(postgres_url, tenant)
        run_autocommitted(postgres_url, f"drop database {name} with (force)")
        shutil.rmtree(home, ignore_errors=True)


def cpu_seconds(worker: psutil.Process) -> float:
    """CPU time of a worker and of the processes under it, so far."""
    every = [each.cpu_times() for each in (worker, *worker.children(recursive=True))]
    return sum(times.user + times.system for times in every)


def settings_of_models(models: Mapping[str, str], *, blocks: int) -> dict:
    """A tenant's settings for these models, short of everything else."""
    return {"models": dict(models), "forecast_blocks": blocks, "training_window": 120, "horizon": 28}
