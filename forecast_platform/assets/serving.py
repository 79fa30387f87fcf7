"""``serving[D]``: what is published reaches those who read outside of runs, once at the end of each run.

What planners have sent is taken in, and the rows that the API answers with are brought up to date in both warehouses;
on DuckDB, whose file lets in one process, the serving copy as well. It has no rows of its own to a day: its partition
says that day D is served.
"""

import time
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from forecast_platform.assets.catalog import add_figures
from forecast_platform.assets.daily_report import newest_follows
from forecast_platform.assets.planner_overrides import take_in
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.assets.served_accuracy import refresh_sums
from forecast_platform.assets.served_forecasts import refresh
from forecast_platform.assets.served_plan import keep_inputs, newest_inputs
from forecast_platform.days import days_between
from forecast_platform.io_managers.fence import run_fence
from forecast_platform.io_managers.retries import retrying
from forecast_platform.io_managers.warehouse import PartitionState, Session
from forecast_platform.jobs.events import Events
from forecast_platform.partitions import DayWindow
from forecast_platform.sources import overrides
from forecast_platform.tables import served_forecasts

NAME = "serving"
CODE_VERSION = "1"
"""Raise it with every change to what is served."""

INPUTS = (
    *("daily_sales", "demand_classes", "champions", "publications", "weekly_forecasts", "hierarchy_forecasts"),
    *("forecast_explanations", "forecast_errors", "error_sums", "interval_scores", "published_sums"),
)
"""What is made before it in the same run; where stock is planned, the plan as well."""

NEWEST = """
    select max(published_at) as published_at, max(origin_date) as origin, count(distinct series_id) as series
    from publications where origin_date between :first and :last
"""

PUBLISHED = "select count(distinct series_id) from publications where origin_date = :day"


def build_serving_asset(scope: TenantScope) -> dg.AssetsDefinition:
    read = [*INPUTS, *(("inventory_plan", "inventory_simulation") if scope.plans_stock else ())]

    @dg.asset(
        key=scope.key(NAME),
        deps=[dg.AssetDep(scope.key(name), partition_mapping=DayWindow(0, 0)) for name in read],
        metadata={"serves": served_forecasts.name},
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"python", scope.settings.backend},
        owners=scope.tenant.owners,
        automation_condition=newest_follows(),
        **scope.partitioned(),
    )
    def serving(context: dg.AssetExecutionContext) -> None:
        """What the API answers with, brought up to what this run has made: one row a series, ready to be sent.

        On DuckDB also the files that readers open instead of the warehouse; days that have not changed are kept as
        they are."""
        first, last = day_range(context)
        with retrying():
            _serve(context, scope, first, last)

    return serving


def _serve(context: dg.AssetExecutionContext, scope: TenantScope, first, last) -> None:
    begun, days, changed, scored = time.monotonic(), days_between(first, last), 0, 0
    newest: tuple[Any, ...] = (None, None, 0)
    inputs, taken = newest_inputs(scope), []

    def bring_up_to_date(session: Session) -> None:
        nonlocal changed, scored, newest, taken
        session.lock(NAME)
        taken = take_in(session, scope.landing)
        changed, scored = refresh(session), refresh_sums(session)
        (newest,) = session.execute(NEWEST, {"first": first, "last": last})
        if inputs is not None:
            keep_inputs(session, inputs)
        published = session.logged("publications", first, last)
        states = {}
        for day in days:
            rows = session.scalar(PUBLISHED, {"day": day}) if day in published else 0
            states[day] = PartitionState(rows, published[day].digest if rows else "", context.run_id)
        session.log_days(NAME, states)

    scope.warehouse.repeat(bring_up_to_date, fence=run_fence(context.instance, context.run_id))
    figures = {"series_changed": changed, "days_scored": scored}
    if scope.warehouse.backend == "duckdb":
        from forecast_platform.io_managers.serving_copy import write_copy

        with scope.warehouse.reading() as session:
            made = write_copy(session)
        figures |= {"files": sum(map(len, made.tables.values()))}
    # Not before readers are shown them: until then they wait, and ask for a run.
    overrides.settle(scope.landing, taken)
    _tell(scope, *newest)
    add_figures(context, scope.key(NAME), {last: figures | {"seconds": round(time.monotonic() - begun, 3)}})


def _tell(scope: TenantScope, published_at: datetime | None, origin: date | None, series: int) -> None:
    """Record that something new is served, for those who listen: after it is, so that they find it."""
    if published_at is None or origin is None:
        return
    moment = published_at.astimezone(UTC).isoformat(timespec="microseconds")
    told = {"origin": origin.isoformat(), "published_at": moment, "series": series}
    Events(scope.state).add_newer(scope.name, "publication", moment, told)
