"""Every statement that could change a forecast, by the tenant's session and by dbt's: refused by the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import duckdb
import psycopg2
import pytest

from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.faults.invariants import assert_whole, contents
from forecast_platform_tests.io_managers.test_ledger import A, append, candidate, know_series

SAME = "f.version_id = g.version_id and f.series_id = g.series_id and f.horizon = g.horizon"
STATEMENTS = [
    "update forecasts set mean = 0",
    "delete from forecasts",
    "truncate forecasts",
    f"merge into forecasts f using (select * from forecasts) g on {SAME} when matched then update set mean = 0",
    f"merge into forecasts f using (select * from forecasts) g on {SAME} when matched then delete",
    "insert into forecast_versions select * from forecast_versions on conflict (version_id) do update set model = 'x'",
]
REFUSED = r"append-only|permission denied|not supported on tables with triggers"
ONLY_THE_OWNERS = [
    "drop table forecasts",
    "drop table forecast_versions cascade",
    "alter table forecasts drop column mean",
    "alter table forecasts disable trigger all",
    "create trigger away before insert on forecasts for each statement execute function refuse_change()",
    "set session_replication_role = replica",
    'drop schema "{schema}" cascade',
]


@pytest.fixture
def ledger(warehouse: Warehouse) -> Warehouse:
    """A warehouse with forecasts on record."""
    know_series(warehouse)
    append(warehouse, candidate(A, "a"))
    return warehouse


@contextmanager
def connection_of_dbt(warehouse: Warehouse) -> Iterator[Any]:
    """A connection opened as ``dbt_project/profiles.yml`` has dbt open it."""
    told = warehouse.dbt_environment()
    if warehouse.backend == "duckdb":
        with duckdb.connect(told["PIPELINE_DUCKDB_PATH"]) as connection:
            yield connection
        return
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DATABASE"}
    with closing(psycopg2.connect(**{key: told[f"PIPELINE_PG_{name}"] for key, name in names.items()})) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'set role "{told["PIPELINE_ROLE"]}"')
            cursor.execute(f'set search_path to "{told["PIPELINE_SCHEMA"]}"')
            yield cursor


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_forecast_on_record_is_changed_by_no_statement_of_either_connection(ledger: Warehouse, statement: str):
    before = contents(ledger)
    with pytest.raises(Exception, match=REFUSED), ledger.transaction() as session:
        session.execute(statement)
    with connection_of_dbt(ledger) as connection, pytest.raises(Exception, match=REFUSED):
        connection.execute(statement)
    assert assert_whole(ledger, before=before, intended={}) == before


@pytest.mark.parametrize("statement", ONLY_THE_OWNERS)
def test_in_postgres_the_tenants_role_may_not_take_the_ledger_away(postgres_warehouse: Warehouse, statement: str):
    know_series(postgres_warehouse)
    append(postgres_warehouse, candidate(A, "a"))
    before, statement = contents(postgres_warehouse), statement.format(schema=postgres_warehouse.schema)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), postgres_warehouse.transaction() as session:
        session.execute(statement)
    with (
        connection_of_dbt(postgres_warehouse) as connection,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)
    assert contents(postgres_warehouse) == before
