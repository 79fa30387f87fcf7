"""A run that was ended commits nothing more, whoever carries on writing for it."""

from __future__ import annotations

import dagster as dg
import pytest

from forecast_platform.io_managers.fence import RunEnded, run_fence
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.tables import raw_sales
from forecast_platform_tests.faults.invariants import contents
from forecast_platform_tests.sales_frames import DAY, sales


@dg.job
def nothing():
    pass


def started_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)


@pytest.mark.parametrize("end", ["report_run_failed", "report_run_canceled"])
def test_an_orphans_commit_is_refused_after_its_run_was_ended(warehouse: Warehouse, end: str):
    with dg.instance_for_test() as instance:
        run = started_run(instance)
        before = contents(warehouse)
        fence = run_fence(instance, run.run_id)
        with pytest.raises(RunEnded, match=run.run_id), warehouse.transaction(fence=fence) as session:
            session.replace_days(raw_sales, sales(), DAY, DAY, asset="raw_sales", run_id=run.run_id)
            getattr(instance, end)(run)
        assert contents(warehouse) == before


def test_a_run_that_goes_on_commits(warehouse: Warehouse):
    with dg.instance_for_test() as instance:
        run = started_run(instance)
        with warehouse.transaction(fence=run_fence(instance, run.run_id)) as session:
            session.replace_days(raw_sales, sales(), DAY, DAY, asset="raw_sales", run_id=run.run_id)
    assert warehouse.logged("raw_sales", DAY, DAY)[DAY].run_id == run.run_id


def test_a_run_that_dagster_does_not_know_is_not_held_back():
    run_fence(dg.DagsterInstance.ephemeral(), "unknown")()
