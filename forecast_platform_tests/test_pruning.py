"""Retention: what may be pruned, what a shorter one than is read says, and that what is gone is named, not guessed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from forecast_platform.assets.scope import TenantScope
from forecast_platform.automation.pruning import build_prune_schedules
from forecast_platform.io_managers.warehouse import PartitionState, Warehouse
from forecast_platform.io_managers.windows import WindowIncomplete, materialized
from forecast_platform.pruning import old_days, prune
from forecast_platform.retention import PRUNABLE, needs
from forecast_platform.settings import load
from forecast_platform.tables import APPEND_ONLY, BY_MONTH, sales_rejects
from forecast_platform.tenant import FACTS, Tenant
from forecast_platform_tests.faults.invariants import assert_sound

KEPT = 400


def tenant(**given: Any) -> Tenant:
    return Tenant.model_validate({"start": "2024-01-01", "source": {"kind": "demo"}} | given)


@pytest.fixture
def scope(warehouse: Warehouse, warehouse_url: str, tmp_path: Path) -> TenantScope:
    """A tenant that keeps rejects and errors for a year and a bit, with both of 41 days around that age."""
    settings = load({"FORECAST_HOME": str(tmp_path / "home"), "FORECAST_WAREHOUSE": warehouse_url})
    found = TenantScope(warehouse.tenant, tenant(retention={"sales_rejects": KEPT, "forecast_errors": KEPT}), settings)
    with warehouse.transaction() as session:
        session.execute("create table forecast_errors (target_date date, error double precision)")
        for day in days(found):
            session.execute("insert into forecast_errors values (:day, 1)", {"day": day})
            session.execute("insert into sales_rejects values (:day, 'till', 1, 'no day', '{}')", {"day": day})
        first, last = days(found)[0], days(found)[-1]
        rows = session.frame("select * from sales_rejects", like=sales_rejects)
        session.replace_days(sales_rejects, rows, first, last, asset="sales_rejects", run_id="run")
        session.log_days("forecast_errors", {day: PartitionState(1, "digest", "run") for day in days(found)})
    return found


def days(scope: TenantScope) -> list[date]:
    limit = scope.today() - timedelta(days=KEPT)
    return [limit + timedelta(days=offset) for offset in range(-36, 5)]


def test_what_is_older_is_gone_with_its_record_and_nothing_else(scope: TenantScope):
    assert [(old.table, len(old.days), old.rows) for old in old_days(scope)] == [
        ("forecast_errors", 36, 36), ("sales_rejects", 36, 36)
    ]  # fmt: skip
    told: list[str] = []
    assert prune(scope, progress=told.append) == 72
    assert [line.partition(" days")[0] for line in told] == [
        "forecast_errors: 31", "forecast_errors: 5", "sales_rejects: 31", "sales_rejects: 5"
    ]  # fmt: skip
    for table, column in (("forecast_errors", "target_date"), ("sales_rejects", "sale_date")):
        with scope.warehouse.reading() as session:
            left = [day for (day,) in session.execute(f"select {column} from {table} order by 1")]
            assert left == sorted(session.logged(table, days(scope)[0], days(scope)[-1])) == days(scope)[36:]
    assert_sound(scope.warehouse)
    assert (prune(scope), old_days(scope)) == (0, [])


def test_a_later_run_names_what_was_pruned_and_computes_nothing_from_less(scope: TenantScope):
    asked = days(scope)[30:40]

    def look() -> int:
        with scope.warehouse.reading() as session:
            return len(materialized(session, "forecast_errors", asked, start=scope.tenant.start, young=True))

    assert look() == 10
    prune(scope)
    gone = f"{asked[0]} to {asked[5]}"
    with pytest.raises(WindowIncomplete, match=rf"not materialized for {gone} \(6 of 10 days\).*{gone} were pruned"):
        look()
    with scope.warehouse.transaction() as session:
        session.log_days("forecast_errors", {day: PartitionState(1, "digest", "again") for day in asked})
    assert look() == 10


def test_by_default_everything_is_kept(scope: TenantScope):
    unlimited = TenantScope(scope.name, tenant(), scope.settings)
    assert (old_days(unlimited), prune(unlimited)) == ([], 0)


def test_neither_facts_nor_ledgers_can_be_pruned():
    kept = {*FACTS, "raw_sales", "daily_sales", "series", *(table.name for table in (*APPEND_ONLY, *BY_MONTH))}
    assert not kept & set(PRUNABLE)
    for table in ("forecasts", "daily_sales"):
        with pytest.raises(ValidationError, match="retention"):
            tenant(retention={table: 4000})


@pytest.mark.parametrize("table", PRUNABLE)
def test_a_retention_shorter_than_what_reads_the_table_is_refused(table):
    need = needs(tenant(), table)
    assert tenant(retention={table: need.days}).retention == {table: need.days}
    with pytest.raises(ValidationError, match=rf"retention.{table} is {need.days - 1} days, and {need.days} are read"):
        tenant(retention={table: need.days - 1})


def test_the_window_that_reads_farthest_is_named_with_its_length():
    with pytest.raises(ValidationError, match=r"champion_window \(365 days\) \+ automation.rerun_days \(14\). Keep it"):
        tenant(champion_window=365, retention={"error_sums": 200})


def test_a_tenant_with_a_retention_is_pruned_by_schedule(scope: TenantScope):
    (schedule,) = build_prune_schedules(scope)
    assert schedule.cron_schedule == scope.tenant.automation.prune_cron
    assert schedule.job.execute_in_process().success
    assert old_days(scope) == []
    assert build_prune_schedules(TenantScope(scope.name, tenant(), scope.settings)) == []
