"""The IO managers inside real Dagster runs: windows, ranges, per-partition figures, changed inputs, ended runs."""

# Annotations are not postponed here: Dagster reads the type of an asset's context from them.
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import date

import dagster as dg
import pandas as pd
import pytest

from forecast_platform.io_managers import build_io_managers
from forecast_platform.io_managers.ledger import VersionCandidate, VersionStream
from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform.partitions import BACKFILL_POLICY, DayWindow, daily_partitions
from forecast_platform.tables import raw_sales as raw_sales_table
from forecast_platform_tests.faults.invariants import assert_sound, contents
from forecast_platform_tests.io_managers.test_ledger import A, B, candidate, expected, newest
from forecast_platform_tests.sales_frames import DAY, days, sales

START = DAY
SHARED = {"partitions_def": daily_partitions(START, "America/New_York"), "backfill_policy": BACKFILL_POLICY}
Hook = Callable[[dg.AssetExecutionContext], None]


def nothing(context: dg.AssetExecutionContext) -> None:
    pass


class Pipeline:
    """``raw_sales``, a ``plan`` that copies its window's newest day, and a ledger, in one warehouse."""

    def __init__(self, warehouse: Warehouse, *, rows: int = 4, during_plan: Hook = nothing) -> None:
        self.rows, self.shift = rows, pd.Timedelta(0)
        self.seen: list[pd.DataFrame] = []
        self.streams: dict[date, Iterable[VersionCandidate]] = {}
        self.instance = dg.DagsterInstance.ephemeral()
        window = dg.AssetIn(["t", "raw_sales"], partition_mapping=DayWindow(-2, 0), input_manager_key="replace")

        def asset(name: str, day: str, **more):
            return dg.asset(key=["t", name], metadata={"partition_expr": day}, **SHARED, **more)

        @asset("raw_sales", "sale_date", io_manager_key="replace")
        def raw_sales(context: dg.AssetExecutionContext) -> pd.DataFrame:
            frame = sales(asked(context), rows=self.rows)
            return frame.assign(sale_date=frame["sale_date"] + self.shift)

        @asset("plan", "known_from", io_manager_key="replace", ins={"raw_sales": window})
        def plan(context: dg.AssetExecutionContext, raw_sales: pd.DataFrame) -> pd.DataFrame:
            self.seen.append(raw_sales)
            during_plan(context)
            here = raw_sales[raw_sales["sale_date"].isin(pd.to_datetime(asked(context)))]
            return here[["sku", "location"]].assign(
                known_from=here["sale_date"], target_date=here["sale_date"], on_promotion=None, price=None
            )

        @asset("forecasts", "origin_date", io_manager_key="ledger", ins={"raw_sales": window})
        def forecasts(context: dg.AssetExecutionContext, raw_sales: pd.DataFrame) -> VersionStream:
            return VersionStream([*self.streams[origin]] for origin in asked(context) if origin in self.streams)

        managers = build_io_managers(warehouse, start=START)
        self.job = dg.Definitions(
            [raw_sales, plan, forecasts], resources=managers
        ).resolve_implicit_global_asset_job_def()

    def run(self, first: date, last: date, *assets: str) -> dg.ExecuteInProcessResult:
        return self.job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(["t", asset]) for asset in assets],
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": first.isoformat(),
                "dagster/asset_partition_range_end": last.isoformat(),
            },
        )


def asked(context: dg.AssetExecutionContext) -> list[date]:
    return [date.fromisoformat(key) for key in context.partition_keys]


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = result.filter_events(lambda each: each.is_step_failure)
    error = event.step_failure_data.error
    while error.cause is not None:
        error = error.cause
    return error.message


def figures(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dict]:
    return {
        event.partition: {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key.path[-1] == asset
    }


def test_a_range_run_replaces_its_days_and_loads_the_union_of_their_windows(warehouse: Warehouse):
    pipeline = Pipeline(warehouse)
    assert pipeline.run(*days(6)[::5], "raw_sales").success
    assert pipeline.run(days(6)[3], days(6)[4], "plan").success
    loaded = pipeline.seen[-1]
    assert sorted(set(loaded["sale_date"].dt.date)) == days(6)[1:5]
    assert loaded.dtypes["quantity"] == "decimal128(18, 4)[pyarrow]"
    assert (
        warehouse.read("select distinct known_from from plan order by 1")["known_from"].dt.date.tolist() == days(6)[3:5]
    )
    assert_sound(warehouse)


def test_a_window_before_the_tenants_start_is_no_gap(warehouse: Warehouse):
    pipeline = Pipeline(warehouse)
    assert pipeline.run(START, START, "raw_sales", "plan").success
    assert set(pipeline.seen[-1]["sale_date"].dt.date) == {START}


def test_a_gap_in_the_window_fails_the_step_with_the_days_named(warehouse: Warehouse):
    pipeline = Pipeline(warehouse)
    pipeline.run(START, START, "raw_sales")
    pipeline.run(days(3)[2], days(3)[2], "raw_sales")
    result = pipeline.run(days(3)[2], days(3)[2], "plan")
    assert "plan looks back on" in failure(result) and "for 2026-01-06 (1 of 3 days)" in failure(result)
    assert warehouse.logged("plan", *days(3)[::2]) == {}


def test_each_partition_of_a_range_run_has_its_own_row_count(warehouse: Warehouse):
    pipeline = Pipeline(warehouse)
    result = pipeline.run(START, days(2)[1], "raw_sales", "plan")
    for asset in ("raw_sales", "plan"):
        shown = figures(result, asset)
        assert {day: each["dagster/partition_row_count"] for day, each in shown.items()} == {
            day.isoformat(): 4 for day in days(2)
        }
    assert "dagster/row_count" not in figures(result, "raw_sales")[START.isoformat()]


def test_the_log_names_the_run_that_wrote(warehouse: Warehouse):
    result = Pipeline(warehouse).run(START, START, "raw_sales")
    assert warehouse.logged("raw_sales", START, START)[START].run_id == result.run_id


def correct(url: str, tenant: str, day: date) -> Hook:
    """Another run that replaces the facts of ``day``, once."""
    done = []

    def change(context: dg.AssetExecutionContext) -> None:
        if not done:
            done.append(day)
            with open_warehouse(url, tenant).transaction() as session:
                frame = sales(day, rows=3, quantity="99")
                session.replace_days(raw_sales_table, frame, day, day, asset="raw_sales", run_id="other")

    return change


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are run again without a pause."""
    monkeypatch.setattr("forecast_platform.io_managers.retries.random.uniform", lambda low, high: 0)


def tries(result: dg.ExecuteInProcessResult) -> int:
    return 1 + len(result.filter_events(lambda each: each.is_step_restarted))


def test_a_step_whose_input_was_replaced_meanwhile_is_run_again_on_what_is_there_now(
    warehouse: Warehouse, warehouse_url: str, at_once: None
):
    pipeline = Pipeline(warehouse, during_plan=correct(warehouse_url, warehouse.tenant, days(3)[1]))
    pipeline.run(START, days(3)[2], "raw_sales")
    result = pipeline.run(days(3)[2], days(3)[2], "plan")
    assert result.success and tries(result) == 2
    old, new = (seen[seen["sale_date"] == pd.Timestamp(days(3)[1])]["quantity"].sum() for seen in pipeline.seen)
    assert (old, new) == (6, 297)
    assert_sound(warehouse)


def test_a_forecast_whose_input_was_replaced_meanwhile_is_made_again(
    warehouse: Warehouse, warehouse_url: str, at_once: None
):
    pipeline = Pipeline(warehouse)
    pipeline.run(START, START, "raw_sales")
    change, seen = correct(warehouse_url, warehouse.tenant, START), []

    class Stream:
        def __iter__(self) -> Iterator:
            yield candidate(A, "a")
            change(None)
            seen.append(warehouse.read("select model from forecast_versions")["model"].tolist())
            yield candidate(B, "b", model="linear")

    pipeline.streams = {START: Stream()}
    result = pipeline.run(START, START, "forecasts")
    assert result.success and tries(result) == 2
    # The models of an origin are committed together: the first try left none of them.
    assert seen == [[], []]
    assert newest(warehouse) == expected(A) and newest(warehouse, "linear") == expected(B)


def test_bad_input_is_not_tried_again(warehouse: Warehouse, at_once: None):
    pipeline = Pipeline(warehouse)
    result = pipeline.run(days(3)[2], days(3)[2], "plan")
    assert not result.success and tries(result) == 1


def test_a_run_that_was_ended_while_it_computed_writes_nothing(warehouse: Warehouse):
    def end(context: dg.AssetExecutionContext) -> None:
        context.instance.report_run_canceled(context.run)

    pipeline = Pipeline(warehouse, during_plan=end)
    pipeline.run(START, START, "raw_sales")
    result = pipeline.run(START, START, "plan")
    assert "has ended (CANCELED) while a step of it was still writing" in failure(result)
    assert warehouse.logged("plan", START, START) == {} and warehouse.read("select * from plan").empty


def test_a_frame_of_another_day_is_refused_and_the_old_rows_stay(warehouse: Warehouse):
    pipeline = Pipeline(warehouse)
    pipeline.run(START, START, "raw_sales")
    before = contents(warehouse)
    pipeline.shift = pd.Timedelta(days=1)
    result = pipeline.run(START, START, "raw_sales")
    assert "rows of 2026-01-06 do not belong to the partitions 2026-01-05 to 2026-01-05" in failure(result)
    assert contents(warehouse) == before


def test_an_append_shows_what_it_appended_on_each_origin(warehouse: Warehouse):
    pipeline = Pipeline(warehouse)
    pipeline.run(START, days(2)[1], "raw_sales")
    pipeline.streams = {
        START: [candidate(A, "a"), candidate(None, "x", model="linear", outcome="failed: singular")],
        days(2)[1]: [replace(candidate(B, "b"), origin_date=days(2)[1])],
    }
    shown = figures(pipeline.run(START, days(2)[1], "forecasts"), "forecasts")
    assert [shown[day.isoformat()]["dagster/partition_row_count"] for day in days(2)] == [12, 12]
    assert shown[START.isoformat()]["models_failed"] == 1
    assert warehouse.logged("forecasts", *days(2)).keys() == set(days(2))


def test_an_origin_that_no_model_could_forecast_fails_the_step_and_is_not_on_record(warehouse: Warehouse):
    pipeline = Pipeline(warehouse)
    pipeline.run(START, days(2)[1], "raw_sales")
    pipeline.streams = {
        START: [candidate(None, "a", outcome="failed: singular")],
        days(2)[1]: [replace(candidate(B, "b"), origin_date=days(2)[1])],
    }
    result = pipeline.run(START, days(2)[1], "forecasts")
    assert "no model made a forecast of 2026-01-05: failed: singular" in failure(result)
    assert warehouse.logged("forecasts", *days(2)).keys() == {days(2)[1]}
    assert warehouse.read("select outcome from forecast_runs order by outcome")["outcome"].tolist() == [
        "appended",
        "failed: singular",
    ]


def test_a_candidate_of_another_origin_is_refused(warehouse: Warehouse):
    pipeline = Pipeline(warehouse)
    pipeline.run(START, START, "raw_sales")
    pipeline.streams = {START: [replace(candidate(A, "a"), origin_date=days(2)[1])]}
    assert "origin 2026-01-06 is not among the partitions" in failure(pipeline.run(START, START, "forecasts"))
    assert warehouse.read("select * from forecast_versions").empty


def test_two_runs_of_one_origin_at_once_append_once(
    warehouse: Warehouse, warehouse_url: str, monkeypatch: pytest.MonkeyPatch, at_once: None
):
    barrier = threading.Barrier(2)

    def together(point: str) -> None:
        if point == "after_version":
            with suppress(threading.BrokenBarrierError):
                barrier.wait(0.5)

    monkeypatch.setattr("forecast_platform.io_managers.ledger.crash_point", together)
    pipelines = [Pipeline(open_warehouse(warehouse_url, warehouse.tenant)) for _ in range(2)]
    assert pipelines[0].run(START, START, "raw_sales").success
    for pipeline in pipelines:
        pipeline.streams = {START: [candidate(A, "a")]}
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda each: each.run(START, START, "forecasts"), pipelines))
    assert [(result.success, tries(result)) for result in results] == [(True, 1)] * 2
    assert warehouse.read("select series from forecast_versions")["series"].tolist() == [4]
    assert sorted(warehouse.read("select outcome from forecast_runs")["outcome"]) == ["appended", "on record"]
    assert_sound(warehouse)
