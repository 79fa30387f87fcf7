"""PostgreSQL keeps the large ledgers by month: what was there before stays, and what keeps them append-only holds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import psycopg2
import pytest
import sqlalchemy as sa
from alembic import command

from forecast_platform import migrations, tables
from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform.migrations import tenants
from forecast_platform_tests.conftest import drop_tenant, run_autocommitted
from forecast_platform_tests.io_managers.test_ledger import DAY, A, B, append, candidate, know_series

PARTITIONS = "select cast(relid as text) from pg_partition_tree('forecasts') where isleaf order by 1"


def upgrade_to(url: str, schema: str, revision: str) -> None:
    """What ``migrations.upgrade_postgres`` does, as far as an older release did it."""
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        tenants.create(connection, schema)
        connection.execute(sa.text(f'set local search_path to "{schema}"'))
        config = migrations.configuration()
        config.attributes.update(connection=connection, schema=schema)
        command.upgrade(config, revision)
        for name in ("forecasts", "series"):
            connection.execute(sa.text(f'grant select, insert on {name} to "{schema}"'))


def test_what_was_on_record_moves_into_months_below_the_same_views(postgres_url: str, tenant: str):
    upgrade_to(postgres_url, tenant, "0002")
    run_autocommitted(
        postgres_url,
        f"""
        set search_path to "{tenant}";
        insert into forecasts
          select date '2025-12-30' + n, 1, 1, 1, n + 0.25, 'it''s 100%' from generate_series(0, 40) n;
        set role "{tenant}";
        create view by_day as select origin_date, mean, status, ':x' as label from forecasts;
        create view of_that as select count(*) as n, sum(mean) as mean, max(status) as status from by_day;
        comment on view by_day is 'read: by people';
        grant select on of_that to pg_monitor;
        """,
    )
    moved = open_warehouse(postgres_url, tenant)
    try:
        with moved.reading() as session:
            assert session.execute("select * from of_that") == [(41, 830.25, "it's 100%")]
            assert session.execute(PARTITIONS) == [
                (f"forecasts_{month}",) for month in ("2025_12", "2026_01", "2026_02")
            ]
            assert session.scalar("select obj_description('by_day'::regclass)") == "read: by people"
            assert session.scalar("select has_table_privilege('pg_monitor', 'of_that', 'select')")
            owners = session.execute("select viewowner from pg_views where viewname in ('by_day', 'of_that')")
            assert owners == [(tenant,), (tenant,)]
        with moved.transaction() as session:
            session.execute(
                "create or replace view of_that as select 2 * count(*) as n, 0.0::float8 as mean, '' as status"
            )
    finally:
        drop_tenant(postgres_url, tenant)


def test_a_month_is_made_as_its_first_origin_is_written(postgres_warehouse: Warehouse):
    know_series(postgres_warehouse)
    for origin in (DAY, date(2027, 2, 28), date(2027, 3, 1)):
        append(postgres_warehouse, replace(candidate(A, str(origin)), origin_date=origin))
    parts = [name for (name,) in postgres_warehouse.read(PARTITIONS).itertuples(index=False)]
    assert parts == [f"forecasts_{DAY:%Y_%m}", "forecasts_2027_02", "forecasts_2027_03"]
    with postgres_warehouse.reading() as session:
        plan = str(session.execute("explain select * from forecasts where origin_date = date '2027-03-01'"))
    assert "forecasts_2027_03" in plan and "forecasts_2027_02" not in plan


def test_writers_that_need_one_month_at_once_make_it_once(postgres_warehouse: Warehouse):
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        with postgres_warehouse.transaction() as session:
            barrier.wait()
            session.months(tables.forecasts, [date(2027, 5, 1 + number)])
            session.execute(
                "insert into forecasts values (:day, 1, :number, 1, 1.0, 'model')",
                {"day": date(2027, 5, 1 + number), "number": number},
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert postgres_warehouse.read("select count(*) as n from forecasts")["n"].tolist() == [4]


def test_a_reader_is_not_kept_out_while_a_month_is_made(postgres_warehouse: Warehouse):
    with postgres_warehouse.transaction() as session:
        session.months(tables.forecasts, [date(2027, 5, 1)])
        with postgres_warehouse.reading() as reader:
            reader.execute("set local lock_timeout to '1s'")
            assert reader.scalar("select count(*) from forecasts") == 0


@pytest.mark.parametrize("statement", ["update {} set mean = 0", "delete from {}", "truncate {}"])
def test_a_month_is_as_append_only_as_the_ledger(postgres_warehouse: Warehouse, postgres_url: str, statement: str):
    know_series(postgres_warehouse)
    append(postgres_warehouse, candidate(A, "a"))
    part = f"forecasts_{DAY:%Y_%m}"
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), postgres_warehouse.transaction() as session:
        session.execute(statement.format(part))
    with pytest.raises(psycopg2.errors.RestrictViolation, match="append-only"):
        run_autocommitted(postgres_url, statement.format(f'"{postgres_warehouse.schema}".{part}'))


@pytest.mark.parametrize("statement", ["alter table forecasts detach partition {0}", "drop table {0}"])
def test_the_tenants_role_may_not_take_a_month_away(postgres_warehouse: Warehouse, statement: str):
    know_series(postgres_warehouse)
    append(postgres_warehouse, candidate(A, "a"))
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), postgres_warehouse.transaction() as session:
        session.execute(statement.format(f"forecasts_{DAY:%Y_%m}"))


@pytest.mark.parametrize("function", ["ledger_month", "ledger_blocks"])
def test_the_functions_for_months_are_for_ledgers_alone(postgres_warehouse: Warehouse, function: str):
    with pytest.raises(psycopg2.errors.InvalidParameterValue, match="no ledger"), postgres_warehouse.transaction() as s:
        s.execute(f"select {function}('series', date '2026-01-01')")


@pytest.mark.parametrize("before", [False, True], ids=["written now", "written by an older release"])
def test_a_day_ahead_is_found_in_the_blocks_that_have_it(postgres_url: str, tenant: str, before: bool):
    """The scoring of a day asks each origin for one horizon, also of what was written a moment before."""
    if before:
        upgrade_to(postgres_url, tenant, "0009")
    warehouse = open_warehouse(postgres_url, tenant)
    try:
        if before:
            run_autocommitted(
                postgres_url,
                f"""set search_path to "{tenant}";
                select ledger_month('forecasts', '2026-03-01');
                insert into forecasts select date '2026-03-01', 1, series_id, horizon, 1.5, 'model'
                  from generate_series(1, 28) horizon, generate_series(1, 3000) series_id""",
            )
        else:
            horizons, series = np.divmod(np.arange(28 * 3000), 3000) + np.ones((2, 1), int)
            values = {"origin_date": pd.Timestamp("2026-03-01"), "version_id": 1, "mean": 1.5, "status": "model"}
            with warehouse.transaction() as session:
                session.append(tables.forecasts, pd.DataFrame({"series_id": series, "horizon": horizons, **values}))
        with warehouse.reading() as session:
            session.execute("set local enable_seqscan to off")
            query = "select * from forecasts where origin_date = date '2026-03-01' and horizon = 5"
            assert len(session.execute(query)) == 3000
            (plan,) = session.execute(f"explain (analyze, format json) {query}")
            pages = session.scalar("select pg_relation_size('forecasts_2026_03') / current_setting('block_size')::int")
        scan = plan[0][0]["Plan"]
        assert scan["Node Type"] == "Bitmap Heap Scan"
        assert 0 < scan["Lossy Heap Blocks"] <= 64 < pages / 8
    finally:
        drop_tenant(postgres_url, tenant)


def test_a_vacuum_keeps_no_writer_waiting(postgres_warehouse: Warehouse, postgres_url: str):
    know_series(postgres_warehouse)
    append(postgres_warehouse, candidate(A, "a"))
    with closing(psycopg2.connect(postgres_url)) as other, other.cursor() as cursor:
        # What a vacuum holds for as long as it goes on.
        part = f'"{postgres_warehouse.schema}".forecasts_{DAY:%Y_%m}'
        cursor.execute(f"lock table {part} in share update exclusive mode")
        append(postgres_warehouse, candidate(B, "b"))
    assert postgres_warehouse.read("select count(distinct version_id) as n from forecasts")["n"].tolist() == [2]
