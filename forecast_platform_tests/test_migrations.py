"""The revisions build what ``tables`` declares, in both databases, once, whoever starts them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import duckdb
import psycopg2
import pytest
import sqlalchemy as sa

from forecast_platform import migrations
from forecast_platform.io_managers.warehouse import Warehouse, WarehouseError, open_warehouse
from forecast_platform.migrations.tenants import reading_role
from forecast_platform.tables import APPEND_ONLY, WRITTEN, metadata
from forecast_platform_tests.conftest import run_autocommitted

COLUMNS = """
    select table_name, column_name, ordinal_position, data_type, is_nullable, numeric_precision, numeric_scale,
           column_default
    from information_schema.columns where table_schema = :schema and table_name in :tables
    order by 1, 3
"""


def names() -> list[str]:
    return [table.name for table in WRITTEN]


def columns_of(connection: sa.Connection, schema: str) -> list[tuple]:
    query = sa.text(COLUMNS).bindparams(sa.bindparam("tables", expanding=True))
    return [tuple(row) for row in connection.execute(query, {"schema": schema, "tables": names()})]


def constraints_of(connection: sa.Connection, schema: str) -> list[tuple]:
    if connection.dialect.name == "duckdb":
        query = (
            "select table_name, constraint_type, cast(constraint_column_names as text), cast(expression as text)"
            " from duckdb_constraints() where schema_name = :schema and constraint_type in ('PRIMARY KEY', 'UNIQUE',"
            " 'CHECK') and table_name <> 'alembic_version' order by 1, 2, 3, 4"
        )
    else:
        query = (
            "select relname, contype, pg_get_constraintdef(c.oid) from pg_constraint c join pg_class t on t.oid ="
            " conrelid join pg_namespace n on n.oid = relnamespace where nspname = :schema and contype in ('p', 'u',"
            " 'c') and relname <> 'alembic_version' order by 1, 2, 3"
        )
    return [tuple(row) for row in connection.execute(sa.text(query), {"schema": schema})]


def test_duckdb_revisions_build_the_declared_tables(duckdb_warehouse: Warehouse, tmp_path: Path):
    declared = sa.create_engine(f"duckdb:///{tmp_path / 'declared.duckdb'}", poolclass=sa.pool.NullPool)
    migrated = sa.create_engine(f"duckdb:///{duckdb_warehouse.path}", poolclass=sa.pool.NullPool)
    with declared.begin() as wanted, migrated.connect() as built:
        metadata.create_all(wanted, tables=WRITTEN)
        assert columns_of(built, "main") == columns_of(wanted, "main") != []
        assert constraints_of(built, "main") == constraints_of(wanted, "main") != []


def test_postgres_revisions_build_the_declared_tables(postgres_warehouse: Warehouse, postgres_url: str):
    schema = postgres_warehouse.schema
    engine = sa.create_engine(postgres_url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text("create schema declared"))
        connection.execute(sa.text("set search_path to declared"))
        metadata.create_all(connection, tables=WRITTEN)
        assert columns_of(connection, schema) == columns_of(connection, "declared") != []
        connection.execute(sa.text("set search_path to declared"))
        assert constraints_of(connection, schema) == constraints_of(connection, "declared") != []


def test_migrating_again_changes_nothing(warehouse: Warehouse, warehouse_url: str):
    with warehouse.transaction() as session:
        session.execute("insert into series values (1, 'sku', 'all', :day)", {"day": date(2026, 1, 1)})
    again = open_warehouse(warehouse_url, warehouse.tenant)
    again.migrate()
    again.migrate()
    assert again.read("select count(*) as n from series")["n"].tolist() == [1]


def test_sessions_bring_an_old_schema_to_head_by_themselves(warehouse_url: str, tenant: str):
    fresh = open_warehouse(warehouse_url, tenant)
    assert fresh.read("select version_num from alembic_version")["version_num"].tolist() == [migrations.head()]


def test_many_processes_may_start_on_an_empty_database(warehouse_url: str, tenant: str):
    opened = [open_warehouse(warehouse_url, tenant) for _ in range(6)]
    barrier = threading.Barrier(len(opened))

    def migrate(each: Warehouse) -> None:
        barrier.wait()
        each.migrate()

    with ThreadPoolExecutor(len(opened)) as pool:
        list(pool.map(migrate, opened))
    assert opened[0].read("select count(*) as n from alembic_version")["n"].tolist() == [1]


def test_a_migration_that_fails_half_way_leaves_nothing(duckdb_warehouse, tmp_path: Path, tenant: str, monkeypatch):
    from forecast_platform.migrations import protection

    fresh = open_warehouse(f"duckdb:///{tmp_path / 'other'}", tenant)
    monkeypatch.setattr(protection, "MESSAGE", "it's not a literal: {table}")
    with pytest.raises(sa.exc.ProgrammingError):
        fresh.migrate()
    monkeypatch.undo()
    with duckdb.connect(str(fresh.path)) as connection:
        assert connection.execute("select count(*) from duckdb_tables()").fetchone() == (0,)
    fresh.migrate()


@pytest.mark.parametrize("table", APPEND_ONLY, ids=lambda table: table.name)
def test_a_ledgers_rows_are_never_changed_or_taken_away(warehouse: Warehouse, table: sa.Table):
    name, column = table.name, table.columns[0].name
    statements = [
        f"update {name} set {column} = {column}",
        f"update {name} set {column} = {column} where 1 = 0",
        f"delete from {name}",
        f"delete from {name} where 1 = 0",
        f"truncate {name}",
        f"with gone as (select {column} from {name}) delete from {name} where {column} in (select {column} from gone)",
    ]
    for statement in statements:
        with pytest.raises(Exception, match=r"append-only|permission denied"), warehouse.transaction() as session:
            session.execute(statement)


@pytest.mark.parametrize("table", APPEND_ONLY, ids=lambda table: table.name)
def test_not_even_the_owner_of_a_postgres_ledger_changes_it(postgres_warehouse, postgres_url: str, table: sa.Table):
    qualified, column = f'"{postgres_warehouse.schema}".{table.name}', table.columns[0].name
    for statement in (
        f"update {qualified} set {column} = {column}",
        f"delete from {qualified}",
        f"truncate {qualified}",
    ):
        with pytest.raises(psycopg2.errors.RestrictViolation, match="append-only"):
            run_autocommitted(postgres_url, statement)


def test_a_postgres_session_may_neither_drop_a_ledger_nor_its_trigger(postgres_warehouse: Warehouse):
    for statement in (
        "drop table forecasts",
        "alter table forecasts disable trigger append_only",
        "drop trigger append_only on forecasts",
        "alter table forecasts rename to gone",
        "create or replace function refuse_change() returns trigger language plpgsql as 'begin return null; end'",
        "drop function refuse_change() cascade",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), postgres_warehouse.transaction() as session:
            session.execute(statement)


def test_a_postgres_session_may_create_tables_of_its_own(postgres_warehouse: Warehouse):
    with postgres_warehouse.transaction() as session:
        session.execute("create table of_dbt (day date)")
        session.execute("drop table of_dbt")


def test_one_tenants_session_does_not_see_anothers_rows(postgres_warehouse: Warehouse, postgres_url: str, tenant: str):
    other = open_warehouse(postgres_url, f"{tenant}_b")
    other.migrate()
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), other.reading() as session:
        session.execute(f'select * from "{postgres_warehouse.schema}".series')


@pytest.mark.parametrize("mean", ["NaN", "Infinity", "-Infinity"])
def test_the_database_itself_refuses_a_forecast_that_is_no_number(warehouse: Warehouse, mean: str):
    with pytest.raises(Exception, match=r"(?i)check constraint"), warehouse.transaction() as session:
        session.months(metadata.tables["forecasts"], [date(2026, 1, 1)])
        session.execute(
            "insert into forecasts values (:day, 1, 1, 1, cast(:mean as double precision), 'model')",
            {"day": date(2026, 1, 1), "mean": mean},
        )


def test_a_login_without_rights_is_told_what_an_administrator_must_run(postgres_url: str, tenant: str):
    login = f"{tenant}_login"
    run_autocommitted(postgres_url, f"create role {login} login")
    limited = sa.make_url(postgres_url).set(username=login).render_as_string(hide_password=False)
    with pytest.raises(WarehouseError, match=rf'create role "{tenant}" nologin; create role "{reading_role(tenant)}"'):
        open_warehouse(limited, tenant).migrate()
    run_autocommitted(
        postgres_url,
        f'create role "{tenant}" nologin',
        f'create role "{reading_role(tenant)}" nologin',
        f'grant "{tenant}", "{reading_role(tenant)}" to {login}',
        f'create schema "{tenant}" authorization {login}',
    )
    prepared = open_warehouse(limited, tenant)
    prepared.migrate()
    with prepared.transaction() as session:
        assert session.scalar("select current_user") == tenant
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), prepared.transaction() as session:
        session.execute("delete from forecasts")


def test_a_login_with_createrole_needs_nothing_prepared(postgres_url: str, tenant: str):
    login = f"{tenant}_maker"
    database = sa.make_url(postgres_url).database
    run_autocommitted(
        postgres_url, f"create role {login} login createrole", f'grant create on database "{database}" to {login}'
    )
    made = open_warehouse(sa.make_url(postgres_url).set(username=login).render_as_string(hide_password=False), tenant)
    assert made.read("select count(*) as n from series")["n"].tolist() == [0]


@pytest.mark.parametrize("name", ["public", "pg_temp", "information_schema"])
def test_a_tenant_may_not_have_a_name_that_postgres_keeps(postgres_url: str, name: str):
    with pytest.raises(WarehouseError, match=name):
        open_warehouse(postgres_url, name)


def test_a_tenant_may_not_have_the_name_of_a_login(postgres_url: str):
    login = sa.make_url(postgres_url).username
    assert login is not None
    with pytest.raises(WarehouseError, match="choose another name"):
        open_warehouse(postgres_url, login).migrate()
