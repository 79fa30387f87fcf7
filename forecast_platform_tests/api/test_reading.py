"""Reading for the API: nothing but the tenant's own, never half a publication, never in a run's way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import psycopg2
import pytest

from forecast_platform.api.reading import Readings, TenantReading, records
from forecast_platform.api.reading.copy import CopyReading
from forecast_platform.api.reading.postgres import MOST_CONNECTIONS, PostgresReading
from forecast_platform.io_managers import serving_copy
from forecast_platform.io_managers.serving_copy import MANIFEST, copy_folder, read_manifest, write_copy
from forecast_platform.io_managers.warehouse import Warehouse, WarehouseUnavailable, open_warehouse
from forecast_platform.tables import publications
from forecast_platform_tests.api.conftest import Served
from forecast_platform_tests.conftest import drop_tenant
from forecast_platform_tests.pipeline.content import ordered

VIEWS = (
    *("published_forecasts", "forecasts_by_sku", "forecast_accuracy", "forecast_accuracy_by_series"),
    *("weekly_accuracy", "interval_coverage", "published_accuracy", "daily_sales_total", "weekly_sales"),
    *("latest_hierarchy_forecasts", "weekly_forecasts_by_sku", "inventory_exceptions", "inventory_totals"),
)
EMPTY = ("weekly_accuracy",)
"""Views without rows in this shop: its origins are of one week."""

PUBLISHED = pd.Timestamp("2026-03-02T02:00:00Z").as_unit("us")
TABLES = ("daily_sales", "forecasts", "error_sums", "champions", "forecast_explanations", "series", "served_forecasts")


@pytest.fixture
def reading(served: Served) -> Iterator[TenantReading]:
    readings = Readings(served.settings)
    yield readings.of(served.tenant)
    readings.close()


@pytest.mark.parametrize("name", [*TABLES, *VIEWS])
def test_readers_see_what_the_pipeline_made(reading: TenantReading, served: Served, name: str):
    query = f"select * from {name}"
    with reading.session() as session:
        rows = session.frame(query)
    made = served.warehouse.read(query)
    assert len(rows) == len(made) and (len(made) > 0) == (name not in EMPTY)
    pd.testing.assert_frame_equal(ordered(rows[list(made.columns)]), ordered(made), rtol=1e-9)


def test_records_are_plain_values_by_name(reading: TenantReading):
    with reading.session() as session:
        query = "select sale_date, sku, units from daily_sales where sku = :sku order by sale_date, location"
        rows = records(session, query, {"sku": "sku 1"})
    assert rows and set(rows[0]) == {"sale_date", "sku", "units"}
    assert {type(value).__name__ for value in rows[0].values()} == {"date", "str", "Decimal"}


@pytest.mark.parametrize("statement", ["delete from series", "create table mine (a int)", "drop table series"])
def test_a_reader_can_change_nothing(reading: TenantReading, statement: str):
    refused = pytest.raises(Exception, match=r"(?i)read.only|permission|must be owner|not .* table|can only")
    with refused, reading.session() as session:
        session.execute(statement)
    with reading.session() as session:
        assert session.scalar("select count(*) from series") > 0


def test_the_copy_can_be_read_and_no_other_file(loaded_duckdb: Served):
    readings = Readings(loaded_duckdb.settings)
    for path in ("/etc/passwd", loaded_duckdb.warehouse.path):
        for query in (f"select * from read_text('{path}')", f"attach '{path}' as other"):
            with pytest.raises(duckdb.Error), readings.of(loaded_duckdb.tenant).session() as session:
                session.execute(query)
    readings.close()


def test_a_query_for_another_tenants_rows_finds_no_way_to_them(loaded_postgresql: Served, postgres_url: str):
    """Even one that names the other's schema: the database refuses it, not the query."""
    other = open_warehouse(postgres_url, f"{loaded_postgresql.tenant}_other")
    other.migrate()
    readings = Readings(loaded_postgresql.settings)
    try:
        for query in (
            f'select * from "{other.tenant}".series',
            f'set local search_path to "{other.tenant}"; select * from series',
        ):
            refused = pytest.raises(Exception, match=r"permission denied|does not exist|nothing to be read")
            with refused, readings.of(loaded_postgresql.tenant).session() as session:
                session.execute(query)
        with readings.of(loaded_postgresql.tenant).session() as session:
            assert session.scalar("select current_user") == f"forecast_read_{loaded_postgresql.tenant}"
    finally:
        readings.close()
        drop_tenant(postgres_url, other.tenant)


def test_a_connection_is_kept_for_the_next_one_and_ends_with_its_tenants_pool(loaded_postgresql: Served):
    readings = Readings(loaded_postgresql.settings)
    reading, pids = readings.of(loaded_postgresql.tenant), set()
    for _ in range(5):
        with reading.session() as session:
            pids.add(session.scalar("select pg_backend_pid()"))
    readings.close()
    assert len(pids) == 1


def test_who_finds_all_connections_in_use_is_told_to_come_again(
    loaded_postgresql: Served, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("forecast_platform.api.reading.postgres.PATIENCE_SECONDS", 0.1)
    reading = PostgresReading(open_warehouse(loaded_postgresql.settings.warehouse, loaded_postgresql.tenant))
    held = [reading.session() for _ in range(MOST_CONNECTIONS)]
    for each in held:
        each.__enter__()
    with pytest.raises(WarehouseUnavailable, match="in use"), reading.session():
        pass
    for each in held:
        each.__exit__(None, None, None)
    with reading.session() as session:
        assert session.scalar("select 1") == 1
    reading.close()


def test_a_connection_that_the_server_ended_is_replaced(loaded_postgresql: Served, postgres_url: str):
    reading = PostgresReading(open_warehouse(loaded_postgresql.settings.warehouse, loaded_postgresql.tenant))
    with reading.session() as session:
        pid = session.scalar("select pg_backend_pid()")
    with psycopg2.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s)", (pid,))
    connection.close()
    with pytest.raises(WarehouseUnavailable), reading.session() as session:
        session.scalar("select 1")
    with reading.session() as session:
        assert session.scalar("select pg_backend_pid()") != pid
    reading.close()


def test_a_tenant_without_data_is_not_to_be_had_yet(tmp_path: Path, postgres_url: str, served: Served):
    url = served.settings.warehouse if served.warehouse.backend == "postgresql" else f"duckdb:///{tmp_path}"
    readings = Readings(replace(served.settings, warehouse=url))
    with pytest.raises(WarehouseUnavailable), readings.of("nobody_yet").session() as session:
        session.scalar("select count(*) from series")
    with pytest.raises(WarehouseUnavailable):
        readings.of("nobody_yet").version()
    readings.close()


def put(warehouse: Warehouse, day: str, units: list[int], *, version: int) -> None:
    """One day of publications, on record as runs put them there."""
    rows = pd.DataFrame({"series_id": range(1, len(units) + 1), "confidence": [each / 1000 for each in units]})
    rows = rows.assign(
        origin_date=pd.Timestamp(day),
        version_id=version,
        calibration_id=1,
        batch_id=version,
        published_at=PUBLISHED,
    )
    with warehouse.transaction() as session:
        session.append(publications, rows)
        session.execute(
            "insert into partition_log values"
            " ('publications', cast(:day as date), :rows, :digest, 'r', current_timestamp)"
            " on conflict (asset, day) do update set digest = excluded.digest, written_at = excluded.written_at",
            {"day": day, "rows": len(units), "digest": f"{day} {version}"},
        )


def copy(warehouse: Warehouse) -> serving_copy.Manifest:
    with warehouse.reading() as session:
        return write_copy(session)


def test_a_day_that_has_not_changed_keeps_its_file(duckdb_warehouse: Warehouse):
    put(duckdb_warehouse, "2026-03-01", [1, 2], version=1)
    first = copy(duckdb_warehouse)
    put(duckdb_warehouse, "2026-03-02", [3, 4], version=2)
    second = copy(duckdb_warehouse)
    assert set(first.tables["publications"]) < set(second.tables["publications"])
    put(duckdb_warehouse, "2026-03-01", [5, 6], version=3)
    third = copy(duckdb_warehouse)
    assert len(set(third.tables["publications"]) - set(second.tables["publications"])) == 1
    assert copy(duckdb_warehouse) == third
    unchanged = set(third.tables) - {"publications", "partition_log"}
    assert {name: first.tables[name] for name in unchanged} == {name: third.tables[name] for name in unchanged}


def test_a_month_that_is_over_is_one_file(duckdb_warehouse: Warehouse):
    for number in range(1, 4):
        put(duckdb_warehouse, f"2026-02-0{number}", [number], version=number)
    assert len(copy(duckdb_warehouse).tables["publications"]) == 1 + 3
    put(duckdb_warehouse, "2026-03-01", [9], version=9)
    assert len(copy(duckdb_warehouse).tables["publications"]) == 1 + 1 + 1


def test_files_that_are_no_longer_served_go_when_no_reader_can_be_at_them(
    duckdb_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
):
    put(duckdb_warehouse, "2026-03-01", [1], version=1)
    (old,) = set(copy(duckdb_warehouse).tables["publications"][1:])
    put(duckdb_warehouse, "2026-03-01", [2], version=2)
    folder = copy_folder(duckdb_warehouse)
    copy(duckdb_warehouse)
    assert (folder / old).exists(), "a reader may be in the middle of it"
    monkeypatch.setattr(serving_copy, "KEPT_SECONDS", -1)
    left = copy(duckdb_warehouse)
    assert not (folder / old).exists() and not left.retired
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file()} == {
        MANIFEST,
        *(file for files in left.tables.values() for file in files),
    }


def test_a_copy_that_was_not_finished_is_never_seen(duckdb_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
    put(duckdb_warehouse, "2026-03-01", [1], version=1)
    first = copy(duckdb_warehouse)
    put(duckdb_warehouse, "2026-03-01", [2], version=2)
    with monkeypatch.context() as patch:
        renamed = os.replace

        def killed(source: Path, target: Path) -> None:
            if target.name == MANIFEST:
                raise KeyboardInterrupt
            renamed(source, target)

        patch.setattr(serving_copy.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            copy(duckdb_warehouse)
    assert read_manifest(copy_folder(duckdb_warehouse)) == first
    assert copy(duckdb_warehouse).tables["publications"] != first.tables["publications"]


def test_readers_go_on_while_publications_follow_each_other(duckdb_warehouse: Warehouse):
    """Each publication has one confidence for all of its series: a reader who ever saw two saw half of one."""

    def publish(version: int) -> None:
        put(duckdb_warehouse, "2026-03-01", [version] * 50, version=version)
        copy(duckdb_warehouse)

    newest = """
        select count(distinct confidence), max(batch_id), count(*) from publications p
        where batch_id = (select max(batch_id) from publications)
    """
    publish(1)
    seen, wrong, ended = set(), [], threading.Event()
    reading = CopyReading(open_warehouse(f"duckdb:///{duckdb_warehouse.path.parent}", duckdb_warehouse.tenant))

    def read() -> None:
        while not ended.is_set():
            try:
                with reading.session() as session:
                    kinds, version, rows = session.execute(newest)[0]
                    seen.add(version)
                    if (kinds, rows) != (1, 50):
                        wrong.append((kinds, version, rows))
            except Exception as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    for version in range(2, 21):
        publish(version)
    end = time.monotonic() + 20
    while 20 not in seen and time.monotonic() < end and not wrong:
        time.sleep(0.01)
    ended.set()
    for each in readers:
        each.join()
    assert not wrong, wrong[:3]
    assert 20 in seen and len(seen) > 2


def test_a_shop_made_anew_serves_nothing_of_the_one_before(tmp_path: Path, tenant: str):
    """The same content under other ids: what was written for the old warehouse must not be taken for the new one's."""
    url = f"duckdb:///{tmp_path / 'warehouse'}"
    old = open_warehouse(url, tenant)
    put(old, "2026-03-01", [1, 2, 3], version=1)
    copy(old)
    old.path.unlink()
    made = open_warehouse(url, tenant)
    put(made, "2026-03-01", [7, 8], version=1)
    copy(made)
    with CopyReading(made).session() as session:
        assert session.execute("select count(*), max(confidence) from publications") == [(2, 0.008)]
