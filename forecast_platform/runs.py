"""Running a tenant's assets from the command line: the same assets as in the UI, by range, in this process.

Which assets need which days is decided here; how an asset is made is not.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster._time import get_current_datetime
from dagster_shared.error import SerializableErrorInfo

from forecast_platform.assets.scope import REASON_TAG, REQUESTED_BY_TAG, TENANT_TAG, TenantScope
from forecast_platform.changes import ANYHOW, OPEN, ChangedDay
from forecast_platform.days import ranges
from forecast_platform.io_managers.fence import PARENT_RUN_TAG
from forecast_platform.io_managers.statements import days_listed
from forecast_platform.io_managers.warehouse import PartitionState
from forecast_platform.partitions import FACTS_OF_TODAY, FROM_FORECASTS, affected, membership_moved

WRAPPERS = ("Dagster", "RetryRequested")
"""How the names of the errors begin in which Dagster hands on those of a step."""


class RunFailed(RuntimeError):
    """A step failed. The message says which, for which days, and the first reason."""


@dataclass(frozen=True)
class Step:
    """Assets to make for one range of days, in one run."""

    assets: tuple[str, ...]
    first: date
    last: date


@dataclass(frozen=True)
class Chain:
    """The names of a tenant's assets, without the tenant: what forecasts read, the ledger, what scores it.

    ``made_by_dbt`` are those of all of them that dbt makes.
    """

    facts: tuple[str, ...]
    forecasts: tuple[str, ...]
    accuracy: tuple[str, ...]
    made_by_dbt: frozenset[str]

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.facts, *self.forecasts, *self.accuracy)


def chain_of(definitions: dg.Definitions, scope: TenantScope) -> Chain:
    """A tenant's assets in order of dependency; those of other tools that they depend on are no part of it."""
    graph = definitions.resolve_asset_graph()
    own = {key for key in graph.materializable_asset_keys if key.path[0] == scope.name}
    names = [key.path[-1] for level in graph.toposorted_asset_keys_by_level for key in sorted(level) if key in own]
    downstream = dg.AssetSelection.assets(scope.key("forecasts")).downstream(include_self=False)
    scored = {key.path[-1] for key in downstream.resolve(graph) & own}
    return Chain(
        facts=tuple(name for name in names if name not in scored and name != "forecasts"),
        forecasts=("forecasts",),
        accuracy=tuple(name for name in names if name in scored),
        made_by_dbt=frozenset(key.path[-1] for key in own if "dbt" in graph.get(key).kinds),
    )


@dataclass(frozen=True)
class Progress:
    """A step of a run began, ended after ``seconds``, or has a ``message`` for whoever asked for it."""

    step: str
    seconds: float | None = None
    message: str | None = None


FOLLOWING_SALES = (
    *("daily_sales", "series_scales", "features", "demand_classes", "model_artifacts"),
    *("forecasts", "forecast_errors", "error_sums", "interval_scores", "published_sums"),
    *("forecast_intervals", "champions", "publications"),
    *("weekly_forecasts", "hierarchy_forecasts", "forecast_explanations"),
    *("inventory_plan", "inventory_simulation", "daily_report", "serving"),
)
"""What is made again after ``raw_sales`` changed, in order of dependency; views follow by themselves. Scores come
before what is made from the newest origin: they read what earlier origins said, and that stays."""


OF_STOCK = ("inventory_levels", "open_orders", "suppliers")
"""Facts that decide what is ordered and not what is forecast."""

BESIDE_SALES = ("inventory_levels", "actual_overrides")
"""Facts of a day that ``daily_sales`` reads beside its sales: what they change, a changed sale does."""


def affected_steps(
    scope: TenantScope,
    days: Iterable[date],
    moved: Iterable[date],
    closed: date,
    assets: Sequence[str] = FOLLOWING_SALES,
    *,
    newest_again: bool = False,
    restocked: bool = False,
) -> list[Step]:
    """The runs that bring every asset up to date after the sales of ``days`` changed, in order of dependency.

    Only partitions on record are made again: one that was never made reads the corrected facts when it is made.
    Neighbouring assets with equal ranges share a run.

    Args:
        newest_again: whether the newest origin is forecast again even if sales have not changed: its plan has.
        restocked: whether the newest inventory plan is made again: stock, orders or terms have changed.
    """
    days, moved = tuple(days), tuple(moved)
    steps: list[Step] = []
    for asset in assets:
        touched = {
            each for day in days for each in affected(asset, day, closed=closed, windows=scope.windows, moved=moved)
        }
        if newest_again and asset in {"model_artifacts", "forecasts", *FROM_FORECASTS}:
            touched.add(closed)
        if asset == "inventory_plan" and (newest_again or restocked):
            touched |= {closed, closed + timedelta(days=1)}
        if asset in {"inventory_simulation", "daily_report", "serving"} and restocked:
            touched.add(closed)
        if asset == "serving" and newest_again:
            touched.add(closed)
        on_record = _logged(scope, asset, touched)
        for first, last in ranges(touched & on_record.keys()):
            if steps and (steps[-1].first, steps[-1].last) == (first, last):
                steps[-1] = Step((*steps[-1].assets, asset), first, last)
            else:
                steps.append(Step((asset,), first, last))
    return steps


SOLD_BEFORE = "select sku, location from daily_sales where sale_date = :day and units_sold > 0"
SOLD_NOW = "select distinct sku, location from raw_sales where sale_date = :day and quantity > 0"
NEAREST = """
    select sku, location,
      max(case when sale_date < :day then sale_date end), min(case when sale_date > :day then sale_date end)
    from raw_sales
    where quantity > 0 and sale_date between :first and :last and sale_date not in ({changed})
    group by sku, location
"""


def moved_days(scope: TenantScope, days: Collection[date]) -> set[date]:
    """Days whose membership moved because the sales of ``days`` changed.

    Ask after ``raw_sales`` of them is made and before ``daily_sales`` is: what the one says now is compared with
    what the other was made from.
    """
    if not days or scope.warehouse.last_day("daily_sales") is None:
        return set()  # nothing was ever made from sales, and dbt has not made the table
    # A sale of another changed day may be as new: it kept no series in. What stays as it was is made again for nothing.
    nearest = NEAREST.format(changed=days_listed(sorted(days)))
    return {each for day in days for each in _moved_by(scope, day, nearest)}


def _moved_by(scope: TenantScope, day: date, nearest_sales: str) -> set[date]:
    reach = timedelta(days=scope.tenant.inactive_after_days - 1)
    asked = {"day": day}
    with scope.warehouse.reading() as session:
        changed = set(session.execute(SOLD_BEFORE, asked)) ^ set(session.execute(SOLD_NOW, asked))
        if not changed:
            return set()
        sold = session.execute(nearest_sales, asked | {"first": day - reach, "last": day + reach})
    nearest = {(sku, location): around for sku, location, *around in sold}
    return {
        each
        for name in changed
        for each in membership_moved(
            day, *nearest.get(name, (None, None)), inactive_after_days=scope.tenant.inactive_after_days
        )
    }


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance under ``home`` (``DAGSTER_HOME``), opened by one process at a time.

    On an empty folder Dagster creates its SQLite tables without a lock: of two commands started together the second
    could die of "table kvs already exists". The folder itself is locked, so that nothing is left behind.
    """
    folder = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        instance = dg.DagsterInstance.get()
    finally:
        os.close(folder)
    with instance:
        yield instance


def make_changed(scope: TenantScope, days: Collection[date], make: Callable[[Step], object]) -> list[Step]:
    """Make again what changed sales of some closed days touch (``partitions.affected``), and nothing else.

    What was not made because a step failed waits (``scope.changes``): the same call, or the tenant's sensor, goes on.

    Args:
        days: closed days whose sales changed.
        make: makes one step; what it raises ends the work.

    Returns:
        The steps, in the order in which they were made.
    """
    asked = dict.fromkeys(days, ANYHOW)
    scope.changes.note("raw_sales", asked, reason="asked for", now=get_current_datetime())
    waiting = [each for each in scope.changes.waiting() if each.asset == "raw_sales" and each.day in asked]
    return _make_following(scope, waiting, make)


def make_waiting(scope: TenantScope, make: Callable[[Step], object]) -> list[Step]:
    """Make what the days that wait touch: of closed days everything, of the open one its facts.

    An open day whose day before is not made yet goes on waiting. One that has closed meanwhile is left to its own run.
    """
    today, waiting = scope.today(), scope.changes.waiting()
    made = _make_following(scope, [each for each in waiting if each.before != OPEN and each.day < today], make)
    was_open = [each for each in waiting if each.before == OPEN and each.day <= today]
    scope.changes.settle([each for each in was_open if each.day < today], made_from={})
    yesterday = today - timedelta(days=1)
    # After an end-of-day mark the open day is one that the clock has not begun, and Dagster has no partition of it yet.
    follows = today == scope.clock_day() and scope.warehouse.logged("features", yesterday, yesterday)
    if not follows or not any(each.day == today for each in was_open):
        return made
    step = Step(
        tuple(asset for asset in FACTS_OF_TODAY if asset != "inventory_plan" or scope.plans_stock), today, today
    )
    make(step)
    scope.changes.settle([each for each in was_open if each.day == today], made_from={("raw_sales", today): OPEN})
    return [*made, step]


def _make_following(scope: TenantScope, changes: Sequence[ChangedDay], make: Callable[[Step], object]) -> list[Step]:
    steps: list[Step] = []
    for asset in sorted({each.asset for each in changes}):
        again = ranges(each.day for each in changes if each.asset == asset)
        together = ("raw_sales", "sales_rejects") if asset == "raw_sales" else (asset,)
        steps += [Step(together, first, last) for first, last in again]
    for step in steps:
        make(step)
    digests = {
        (asset, day): state.digest
        for asset in {each.asset for each in changes}
        for day, state in _logged(scope, asset, [each.day for each in changes if each.asset == asset]).items()
    }
    differing = [each for each in changes if each.before != digests.get((each.asset, each.day))]
    sold = {each.day for each in differing if each.asset == "raw_sales"}
    moved = {day for each in differing for day in each.moved} | moved_days(scope, sold)
    # Once `daily_sales` is made, nothing tells any more who moved.
    scope.changes.moved(differing, moved)
    sold |= {each.day for each in differing if each.asset in BESIDE_SALES}
    planned = any(each.asset not in {"raw_sales", *BESIDE_SALES, *OF_STOCK} for each in differing)
    restocked = any(each.asset in OF_STOCK for each in differing)
    closed = scope.today() - timedelta(days=1)
    following = affected_steps(scope, sold, moved, closed, newest_again=planned, restocked=restocked)
    for step in following:
        make(step)
    scope.changes.settle(changes, made_from=digests)
    return [*steps, *following]


def _logged(scope: TenantScope, asset: str, days: Collection[date]) -> dict[date, PartitionState]:
    return scope.warehouse.logged(asset, min(days), max(days)) if days else {}


def run_step(
    definitions: dg.Definitions,
    scope: TenantScope,
    step: Step,
    *,
    instance: dg.DagsterInstance,
    reason: str,
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Make ``step.assets`` for ``step.first`` .. ``step.last`` in one run.

    Args:
        reason: why, for ``forecast_runs``.
        tags: of the run, over those that say that the command line asked; a run that starts others gives them
            ``scope.passed_on`` of its own.

    Raises:
        RunFailed: a step of the run failed; what the other steps had committed stays.
    """
    job = definitions.resolve_implicit_global_asset_job_def()
    keys = [scope.key(asset) for asset in step.assets]
    result = job.execute_in_process(
        asset_selection=_with_companions(definitions, keys),
        instance=instance,
        raise_on_error=False,
        run_config={"loggers": {"progress": {}}},
        tags={
            ASSET_PARTITION_RANGE_START_TAG: step.first.isoformat(),
            ASSET_PARTITION_RANGE_END_TAG: step.last.isoformat(),
            REQUESTED_BY_TAG: "cli",
            REASON_TAG: reason,
            TENANT_TAG: scope.name,
            **(tags or {}),
        },
    )
    if not result.success:
        raise RunFailed(_first_reason(result, scope, step))
    return result


def end_orphans(instance: dg.DagsterInstance, tenant: str) -> None:
    """End the runs of ``tenant`` inside runs that have ended: their process was killed, and nobody watches them."""
    for run in instance.get_runs(dg.RunsFilter(tags={TENANT_TAG: tenant}, statuses=IN_PROGRESS_RUN_STATUSES)):
        outer = instance.get_run_by_id(run.tags[PARENT_RUN_TAG]) if PARENT_RUN_TAG in run.tags else None
        if outer is not None and outer.is_finished:
            instance.report_run_failed(run, f"The run {outer.run_id} that it was part of has ended.")


def _with_companions(definitions: dg.Definitions, keys: Sequence[dg.AssetKey]) -> list[dg.AssetKey]:
    """``keys`` and those that one op makes only together with them (``raw_sales`` with ``sales_rejects``)."""
    graph = definitions.resolve_asset_graph()
    wanted = set(keys)
    for key in keys:
        wanted |= set(graph.get(key).execution_set_asset_keys)
    return sorted(wanted)


def _first_reason(result: dg.ExecuteInProcessResult, scope: TenantScope, step: Step) -> str:
    for event in result.filter_events(lambda each: each.is_step_failure):
        message = own_reason(event.step_failure_data.error)
        return f"{event.step_key} failed for {step.first} to {step.last} of {scope.name}: {message}"
    return f"the run of {', '.join(step.assets)} for {step.first} to {step.last} of {scope.name} failed"


def own_reason(error: SerializableErrorInfo | None) -> str:
    """What our own code said as a step failed: below Dagster's wrappers, with the way out. What caused that in turn
    says less."""
    while error is not None and error.cause is not None and (error.cls_name or "").startswith(WRAPPERS):
        error = error.cause
    return error.message.strip() if error else "no reason given"


def progress_logger(report: Callable[[Progress], None], *also: logging.Handler) -> dg.LoggerDefinition:
    """A Dagster logger that reports when steps begin and end, what the code warns of, and checks that do not pass.

    ``also``: handlers of everything that a run logs.
    """

    class Handler(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.started: dict[str, float] = {}

        def emit(self, record: logging.LogRecord) -> None:
            told = getattr(record, "dagster_meta", {})
            step, event = told.get("step_key"), told.get("dagster_event")
            if step is None:
                return
            if event is None:
                if record.levelno >= logging.WARNING:
                    report(Progress(step, message=told["orig_message"]))
            elif event.is_step_start:
                self.started[step] = time.monotonic()
                report(Progress(step))
            elif event.is_step_success:
                report(Progress(step, seconds=time.monotonic() - self.started.get(step, time.monotonic())))
            elif event.event_type_value == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed:
                check = event.asset_check_evaluation_data
                report(Progress(step, message=f"check {check.check_name}: {check.description or 'did not pass'}"))

    @dg.logger(description="Reports the steps of a run as they begin and end, with their warnings.")
    def progress(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("forecast_platform.progress", level=logging.DEBUG)
        for handler in (Handler(), *also):
            logger.addHandler(handler)
        return logger

    return progress
