"""A window is replaced whole or not at all, and never without its days being named."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest

from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.conftest import run_autocommitted
from forecast_platform_tests.dbt.shop import (
    MODELS,
    PROJECT,
    Dbt,
    DbtError,
    Event,
    Version,
    contents,
    day,
    days_of,
    open_shop,
    put_events,
    rows,
)
from forecast_platform_tests.dbt.test_incremental import a_month

CRASH_POINTS = ("dbt_after_delete", "dbt_after_insert", "dbt_before_commit")


def test_a_run_without_days_is_refused_and_says_what_to_pass(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(0, 3, "tag:staging", "daily_sales")
    before = contents(warehouse, ["daily_sales"])

    bad = {
        (): "no days given. Pass --event-time-start <first day> and --event-time-end <day after the last>",
        ("--event-time-start", "2024-03-01", "--event-time-end", "2024-03-01 12:00:00"): "partitions are whole days",
        (
            "--event-time-start",
            "2024-02-24",
            "--event-time-end",
            "2024-02-26",
        ): "2024-02-24 is before the tenant's first day",
    }
    for arguments, message in bad.items():
        with pytest.raises(DbtError, match=message):
            dbt("run", "--select", "daily_sales", *arguments)
    with pytest.raises(Exception, match="must be less than"):
        dbt("run", "--select", "daily_sales", "--event-time-start", "2024-03-01", "--event-time-end", "2024-03-01")
    with pytest.raises(Exception, match="`--event-time-end` must also be present"):
        dbt("run", "--select", "daily_sales", "--event-time-start", "2024-03-01")
    assert contents(warehouse, ["daily_sales"]) == before


def test_the_first_run_holds_only_its_days_and_a_full_refresh_drops_nothing(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(3, 4, "tag:staging", "daily_sales")
    days = "select distinct sale_date from daily_sales"
    assert rows(warehouse, days) == [(day(3),), (day(4),)]
    dbt("run", "--full-refresh", "--select", "daily_sales", *days_of(9, 9))
    assert rows(warehouse, days) == [(day(3),), (day(4),), (day(9),)]


def test_days_that_were_never_materialized_are_named(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse, raw_days=5)
    put_events(warehouse, a_month())
    with pytest.raises(DbtError) as refused:
        dbt.build(6, 6, "tag:staging", "daily_sales")
    assert "reads 2 days of raw_sales that are not materialized: 2024-03-01, 2024-03-02" in str(refused.value)

    # The days before the tenant's first are not asked for; a gap further back than the window neither.
    dbt.build(0, 4, "tag:staging", "daily_sales")
    with pytest.raises(DbtError, match=r"series_scales of .* reads 1 days of daily_sales .*: 2024-03-01"):
        dbt.build(4, 5, "series_scales")
    assert rows(warehouse, "select count(*) from partition_log where asset = 'series_scales'") == [(0,)]


def test_errors_wait_for_the_scales_of_their_origins(warehouse: Warehouse, dbt: Dbt, versions: list[Version]) -> None:
    open_shop(warehouse, versions=versions)
    put_events(warehouse, a_month())
    dbt.build(0, 15, "tag:staging", "daily_sales")
    dbt.build(4, 4, "series_scales")
    with pytest.raises(DbtError, match=r"error_sums of .* reads 2 days of series_scales .*: 2024-02-27, 2024-02-28"):
        dbt.build(5, 5, "forecast_errors", "error_sums")


def test_an_error_between_delete_and_insert_leaves_the_old_partition(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(0, 15, "tag:staging", "daily_sales", "series_scales")
    before = contents(warehouse, MODELS[:2])

    # A sale of a series that nobody numbered is no row that the contract lets in.
    put_events(warehouse, [*a_month(), Event("x", day(5), 99, Decimal(1))])
    with pytest.raises(DbtError, match="series_id"):
        dbt.build(5, 5, "daily_sales", "series_scales")
    assert contents(warehouse, MODELS[:2]) == before

    put_events(warehouse, [*a_month(), Event("x", day(5), 1, Decimal(1000))])
    dbt.build(5, 5, "daily_sales", "series_scales")
    assert rows(warehouse, "select max(units) > 900 from daily_sales") == [(True,)]


def test_a_kill_in_the_transaction_leaves_the_old_partition_and_the_next_run_succeeds(
    warehouse: Warehouse, dbt: Dbt
) -> None:
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(0, 8, "tag:staging", "daily_sales")
    before = contents(warehouse, ["daily_sales"])
    put_events(warehouse, [*a_month(), Event("late", day(2), 4, Decimal(77))])

    for point in CRASH_POINTS:
        killed = dbt.child("run", "--select", "daily_sales", *days_of(0, 8), FORECAST_CRASH_AT=point)
        output, _ = killed.communicate(timeout=60)
        assert killed.returncode == -9, output
        assert contents(warehouse, ["daily_sales"]) == before, point

    dbt.build(0, 8, "daily_sales")
    late = "select units_sold >= 77 from daily_sales where series_id = 4 and sale_date = :d"
    assert rows(warehouse, late, {"d": day(2)}) == [(True,)]


@pytest.mark.slow
def test_a_kill_after_commit_is_followed_by_the_same_content(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(0, 0, "tag:staging")
    # The first run of all, so that the table itself is made in the transaction that the kill follows.
    killed = dbt.child("run", "--select", "daily_sales", *days_of(0, 8), FORECAST_CRASH_AT="dbt_after_commit")
    output, _ = killed.communicate(timeout=60)
    assert killed.returncode == -9, output
    committed = contents(warehouse, ["daily_sales"])
    assert committed["daily_sales"] and len(committed["log"]) == 9
    dbt.build(0, 8, "daily_sales")
    assert contents(warehouse, ["daily_sales"]) == committed


def test_a_table_of_another_shape_is_refused_before_anything_is_deleted(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(0, 3, "tag:staging", "daily_sales")
    with warehouse.transaction() as session:
        session.execute("alter table daily_sales drop column avg_price")
    before = contents(warehouse, ["daily_sales"])
    with pytest.raises(DbtError, match=r"daily_sales in the warehouse has the columns .* Nothing was changed; migrate"):
        dbt.build(0, 3, "daily_sales")
    assert contents(warehouse, ["daily_sales"]) == before


def test_two_runs_of_one_partition_at_once_end_as_if_one_after_the_other(
    postgres_warehouse: Warehouse, tmp_path: Path
) -> None:
    warehouse, dbt = postgres_warehouse, Dbt(postgres_warehouse, tmp_path / "target")
    open_shop(warehouse)
    put_events(warehouse, a_month())
    dbt.build(0, 0, "tag:staging")

    def race(*windows: tuple[int, int]) -> list[tuple[object, ...]]:
        """Let children meet at the lock, which the test holds until all wait; returns the rows they leave."""
        with warehouse.transaction() as session:
            session.lock("daily_sales")
            children = [
                dbt.child(
                    "run", "--select", "daily_sales", *days_of(*window), DBT_TARGET_PATH=f"{dbt.target_path}-{number}"
                )
                for number, window in enumerate(windows)
            ]
            waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            while session.scalar(waiting) < len(children):
                assert all(child.poll() is None for child in children), [child.communicate() for child in children]
        for child in children:
            output, _ = child.communicate(timeout=60)
            assert child.returncode == 0, output
        return rows(warehouse, "select * from daily_sales")

    # From nothing, where both would create the table; then a range against one of its days.
    created = race((0, 15), (0, 15))
    dbt.build(0, 15, "daily_sales")
    assert created == rows(warehouse, "select * from daily_sales") != []
    assert race((0, 15), (7, 7)) == created


def test_replacing_a_view_leaves_the_views_that_stand_on_it(warehouse: Warehouse, dbt: Dbt) -> None:
    open_shop(warehouse)
    dbt.build(0, 0, "forecasts_by_sku", "latest_forecasts")
    with warehouse.transaction() as session:
        session.execute("comment on view forecasts_by_sku is 'an older text'")
    dbt.build(0, 0, "forecasts_by_sku")
    assert rows(warehouse, "select count(*) from latest_forecasts") == [(0,)]


def test_the_project_parses_with_nothing_set(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "DBT_TARGET_PATH": str(tmp_path), "DBT_LOG_PATH": str(tmp_path)}

    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "forecast_platform.dbt_child",
            "parse",
            "--project-dir",
            PROJECT,
            "--profiles-dir",
            PROJECT,
        ],
        cwd=PROJECT.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


def test_postgresql_joins_by_hash_in_models_and_in_their_tests(
    postgres_warehouse: Warehouse, postgres_url: str, tmp_path: Path, versions: list[Version]
) -> None:
    """Statistics do not know what was written a moment before, and the loops that are planned for one row take hours.

    Every model, and the test that joins, reads the log, which here lets nobody in who would be given loops."""
    open_shop(postgres_warehouse, versions=versions)
    put_events(postgres_warehouse, a_month())
    schema = postgres_warehouse.tenant
    run_autocommitted(
        postgres_url,
        f"""
        set search_path to "{schema}";
        create function by_hash() returns boolean language plpgsql as $$ begin
          if 'on' in (current_setting('enable_nestloop'), current_setting('enable_mergejoin')) then
            raise exception 'not joined by hash alone';
          end if;
          return true;
        end $$;
        alter table partition_log enable row level security;
        create policy by_hash on partition_log using (by_hash()) with check (by_hash());
        """,
    )
    dbt = Dbt(postgres_warehouse, tmp_path / "target")
    dbt.build(0, 15)
    dbt("test", "--select", "daily_sales,test_type:data")
    assert len(rows(postgres_warehouse, "select day from partition_log where asset = 'interval_scores'")) == 16
    with pytest.raises(psycopg2.errors.RaiseException, match="not joined by hash alone"):
        run_autocommitted(postgres_url, f'set role "{schema}"; select count(*) from "{schema}".partition_log')
