"""Jobs as the API has them: what the settings and the data allow, and what all requests of a process share for them.

What becomes of a job is in ``forecast_platform.jobs``; requests and answers are in ``routes.jobs``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from datetime import date, timedelta

import dagster as dg

from forecast_platform.api.problems import Problem, unavailable
from forecast_platform.api.reading import Readings, TenantReading
from forecast_platform.api.reading.series_names import (
    Numbered,
    appended_rows,
    days_on_record,
    known_series,
    of_names,
    of_skus,
)
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between, in_words
from forecast_platform.forecasting import model_specs
from forecast_platform.io_managers.warehouse import WarehouseUnavailable
from forecast_platform.jobs import advancing
from forecast_platform.jobs.cutting import Name, blocks_of
from forecast_platform.jobs.dagster_side import Targets, targets_of
from forecast_platform.jobs.record import Asked, Job, JobBatch, Jobs
from forecast_platform.jobs.states import Status
from forecast_platform.state import State

log = logging.getLogger(__name__)

MOST_OPEN = 20
"""Jobs of a tenant that may wait or work at once: each is a run of its whole chain."""

MOST_DAYS = 400
MOST_SKUS = 1_000


class JobDesk:
    """Takes jobs, looks at them and ends them; one a process.

    Args:
        instance: gives Dagster's instance; ``None`` where this process knows of none.
    """

    def __init__(self, state: State, readings: Readings, instance: Callable[[], dg.DagsterInstance] | None) -> None:
        self.jobs = Jobs(state)
        self._readings = readings
        self._instance = instance
        self._opened: dg.DagsterInstance | None = None
        self.targets_of_tenants: dict[str, Targets] = {}
        self._guard = threading.RLock()

    @property
    def knows_dagster(self) -> bool:
        return self._instance is not None

    def submit(self, scope: TenantScope, asked: Asked, wanted: list[Numbered], *, now) -> Job:
        """Record a job and launch its first run.

        Raises:
            Problem: too many jobs of the tenant wait already, or Dagster's instance is not known here.
        """
        instance = self.instance()
        targets = self.targets(scope)
        if len([each for each in self.jobs.unsettled(scope.name) if not each.status.final]) >= MOST_OPEN:
            raise Problem(409, "too-many-jobs", f"{MOST_OPEN} jobs of this tenant wait or work; wait, or cancel one")
        job = self.jobs.add(scope.name, asked, blocks_of(wanted, scope.tenant.forecast_blocks), now=now)
        return advancing.advance(self.jobs, job, instance=instance, targets=lambda: targets)

    def advance(self, scope: TenantScope, job: Job) -> Job:
        """A job as Dagster says that it is now."""
        if job.settled:
            return job
        after = advancing.advance(self.jobs, job, instance=self.instance(), targets=lambda: self.targets(scope))
        if after.status.final:
            self.count_rows(scope, after)
        return after

    def cancel(self, scope: TenantScope, job: Job) -> Job:
        """End a job; see ``advancing.cancel``.

        Raises:
            Problem: it is over already.
        """
        self.advance(scope, job)
        try:
            return advancing.cancel(self.jobs, job, instance=self.instance())
        except advancing.JobIsOver as over:
            raise Problem(409, "job-is-over", f"this job is {over.status} already") from over

    def count_rows(self, scope: TenantScope, job: Job) -> list[JobBatch]:
        """A job's batches; those that have completed with the rows that they appended, as soon as these can be read."""
        batches = self.jobs.batches(job.job_id)
        open_ones = [each for each in batches if each.status is Status.COMPLETED and each.rows is None and each.run_id]
        if not open_ones:
            return batches
        try:
            with self._readings.of(scope.name).session() as session:
                for run_id in dict.fromkeys(each.run_id for each in open_ones):
                    of_run = [each for each in open_ones if each.run_id == run_id]
                    days, blocks = of_run[0].batch, scope.tenant.forecast_blocks
                    rows = appended_rows(session, [str(run_id)], days.first, days.last, blocks=blocks)
                    with self.jobs.state.transaction() as connection:
                        for each in of_run:
                            self.jobs.change_batch(connection, each.batch_id, rows=rows.get(each.batch.block, 0))
        except WarehouseUnavailable as error:
            log.info("rows of job %s are not counted yet: %s", job.job_id, error)
        return self.jobs.batches(job.job_id)

    def instance(self) -> dg.DagsterInstance:
        """Dagster's instance.

        Raises:
            Problem: this process knows of none.
        """
        if self._instance is None:
            raise unavailable("jobs need Dagster's instance: start the server with DAGSTER_HOME", kind="no-dagster")
        with self._guard:
            if self._opened is None:
                self._opened = self._instance()
            return self._opened

    def targets(self, scope: TenantScope) -> Targets:
        """What jobs of a tenant make. The first time its definitions are built, which takes some seconds."""
        with self._guard:
            if scope.name not in self.targets_of_tenants:
                from forecast_platform.pipeline import build_assets

                self.targets_of_tenants[scope.name] = targets_of(scope, build_assets(scope))
            return self.targets_of_tenants[scope.name]


def require_days(scope: TenantScope, first: date, last: date) -> None:
    """Refuse days that no forecast can be made of.

    Raises:
        Problem: they are not in order, too many, before the tenant's first day, or not closed.
    """
    closed = scope.today() - timedelta(days=1)
    if first > last:
        raise Problem(422, "invalid-request", "first_day is after last_day")
    if (last - first).days >= MOST_DAYS:
        raise Problem(422, "invalid-request", f"a job makes up to {MOST_DAYS} days; ask for the others by another job")
    if first < scope.tenant.start or last > closed:
        raise Problem(422, "invalid-request", f"days that can be made are {scope.tenant.start} to {closed}")


def require_horizon(scope: TenantScope, horizon: int | None) -> None:
    """Refuse another horizon than the tenant's: all that is scored and planned counts on it.

    Raises:
        Problem: it is another.
    """
    if horizon is not None and horizon != scope.tenant.horizon:
        raise Problem(
            422,
            "horizon-fixed",
            f"forecasts of this tenant reach {scope.tenant.horizon} days ahead, by its settings; leave horizon out, and"
            " read fewer days with ?horizon=",
        )


def require_models(scope: TenantScope, models: list[str] | None) -> tuple[str, ...] | None:
    """The models that are asked for, in the order in which they run.

    Raises:
        Problem: one of them is none of the tenant's.
    """
    if models is None:
        return None
    known = [each.name for each in model_specs(scope.tenant.models)]
    if set(models) - set(known):
        raise Problem(422, "unknown-model", f"models of this tenant are {', '.join(known)}")
    return tuple(name for name in known if name in models)


def wanted_series(
    reading: TenantReading,
    first: date,
    last: date,
    *,
    skus: list[str] | None,
    first_series: int | None,
    some_models: bool,
) -> list[Numbered]:
    """The series of a job.

    Raises:
        Problem: there is none, a SKU is unknown, or some series or models are asked for on days that were not made
            over all: such a day would count as made, and nothing else would make the others.
    """
    some = skus is not None or first_series is not None or some_models
    with reading.session() as session:
        known = known_series(session, last)
        made = days_on_record(session, first, last) if some else set()
    if not known:
        raise Problem(409, "no-series", f"nothing was sold by {last}; load the tenant first: forecast-platform run")
    if some:
        _require_made(first, last, made)
    if skus is None and first_series is None:
        return known
    if skus is None:
        return known[:first_series]
    found, unknown = of_skus(known, skus)
    if unknown:
        places = ", ".join(str(each + 1) for each in unknown[:10])
        raise Problem(404, "unknown-sku", f"{len(unknown)} of skus were never sold by {last}: number {places}")
    return found


def again(reading: TenantReading, last: date, names: Collection[Name]) -> list[Numbered]:
    """The series of what is tried again, by the names that were on record when it was first asked for."""
    with reading.session() as session:
        return of_names(known_series(session, last), names)


def _require_made(first: date, last: date, made: set[date]) -> None:
    lacking = [day for day in days_between(first, last) if day not in made]
    if lacking:
        raise Problem(
            422,
            "not-made-over-all",
            "some series or models can be forecast again where all were forecast before;"
            f" {in_words(lacking)[:200]} were not: ask for those days without skus, first_series and models",
        )
