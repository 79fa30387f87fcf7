"""PostgreSQL that restarts, is away, or loses the answer to a COMMIT: a clean failure, and a repeat that is right."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
import sqlalchemy as sa

from forecast_platform.io_managers import postgres_dialect
from forecast_platform.io_managers.warehouse import Warehouse, WarehouseUnavailable, open_warehouse
from forecast_platform.tables import raw_sales
from forecast_platform_tests.conftest import PostgresServer
from forecast_platform_tests.faults.invariants import assert_whole, contents
from forecast_platform_tests.faults.test_kill import FIRST, LAST, intended_partitions, replace
from forecast_platform_tests.io_managers.test_ledger import A, B, append, candidate, expected, know_series, newest
from forecast_platform_tests.sales_frames import days, sales


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may restart."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.mark.parametrize("point", ["after_delete", "after_insert", "before_commit"])
def test_a_restart_in_the_middle_of_a_write_leaves_the_old_days(own_server, tenant: str, point: str, monkeypatch):
    warehouse = open_warehouse(own_server.url, tenant)
    replace(warehouse, sales(days(3)))
    frame = sales(days(3), rows=9, tag="new")
    before, intended = contents(warehouse), intended_partitions(warehouse, frame)

    def restart_at(name: str) -> None:
        if name == point:
            own_server.control("-m", "immediate", "restart")

    for module in ("replace", "warehouse"):
        monkeypatch.setattr(f"forecast_platform.io_managers.{module}.crash_point", restart_at)
    with pytest.raises(WarehouseUnavailable, match="connection to PostgreSQL was lost"):
        replace(warehouse, frame)
    monkeypatch.undo()
    now = assert_whole(warehouse, before=before, intended=intended)
    assert now.partitions == before.partitions
    replace(warehouse, frame)
    assert assert_whole(warehouse, before=before, intended=intended).partitions == intended


def test_a_server_that_is_away_is_named_without_its_password(tenant: str):
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    warehouse = open_warehouse(f"postgresql://user:secret@127.0.0.1:{port}/sales", tenant)
    with pytest.raises(
        WarehouseUnavailable, match=rf"no connection to PostgreSQL at .*127\.0\.0\.1:{port}/sales"
    ) as failure:
        warehouse.read("select 1")
    assert "secret" not in str(failure.value)


def test_a_server_that_does_not_answer_is_given_up(tenant: str, monkeypatch):
    monkeypatch.setattr(postgres_dialect, "CONNECT_TIMEOUT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        warehouse = open_warehouse(f"postgresql://user@127.0.0.1:{silent.getsockname()[1]}/sales", tenant)
        with pytest.raises(WarehouseUnavailable, match="timeout expired"):
            warehouse.read("select 1")


class LosingProxy:
    """Between client and server; once told so, it passes COMMIT on, waits for the answer, and hangs up instead."""

    def __init__(self, url: str) -> None:
        address = sa.make_url(url)
        folder = address.query.get("host")
        self.target: tuple[str, int] | str = (address.host or "127.0.0.1", address.port or 5432)
        if folder is not None and str(folder).startswith("/"):
            self.target = f"{folder}/.s.PGSQL.{address.query.get('port', address.port or 5432)}"
        self.listener = socket.create_server(("127.0.0.1", 0))
        query = {name: value for name, value in address.query.items() if name not in ("host", "port")}
        own = address.set(
            host="127.0.0.1", port=self.listener.getsockname()[1], query=query | {"gssencmode": "disable"}
        )
        self.url = own.render_as_string(hide_password=False)
        self.losing = False
        self.lost = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
            server.connect(self.target)
            committing = threading.Event()
            for source, sink, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, up, committing), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool, committing: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if up and self.losing and b"COMMIT\0" in data:
                    committing.set()
                elif not up and committing.is_set() and b"COMMIT\0" in data:
                    self.losing = False
                    self.lost += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[LosingProxy]:
    made = LosingProxy(postgres_url)
    yield made
    made.close()


def test_a_replace_whose_commit_is_not_answered_may_be_repeated(postgres_warehouse: Warehouse, proxy: LosingProxy):
    replace(postgres_warehouse, sales(days(3)))
    frame = sales(days(3), rows=9, tag="new")
    before, intended = contents(postgres_warehouse), intended_partitions(postgres_warehouse, frame)
    through = open_warehouse(proxy.url, postgres_warehouse.tenant)
    proxy.losing = True
    with (
        pytest.raises(WarehouseUnavailable, match="connection to PostgreSQL was lost"),
        through.transaction() as session,
    ):
        session.replace_days(raw_sales, frame, FIRST, LAST, asset="raw_sales", run_id="run")
    assert proxy.lost == 1
    assert assert_whole(postgres_warehouse, before=before, intended=intended).partitions == intended
    replace(through, frame)
    assert assert_whole(postgres_warehouse, before=before, intended=intended).partitions == intended


def test_an_append_whose_commit_is_not_answered_may_be_repeated(postgres_warehouse: Warehouse, proxy: LosingProxy):
    know_series(postgres_warehouse)
    append(postgres_warehouse, candidate(A, "a"))
    before = contents(postgres_warehouse)
    through = open_warehouse(proxy.url, postgres_warehouse.tenant)
    asked = candidate(B, "b")
    proxy.losing = True
    with pytest.raises(WarehouseUnavailable, match="connection to PostgreSQL was lost"):
        append(through, asked)
    assert proxy.lost == 1
    assert append(through, asked).outcome == "on record"
    assert_whole(postgres_warehouse, before=before, intended={})
    assert newest(postgres_warehouse) == expected(B)
    assert len(postgres_warehouse.read("select * from forecast_versions")) == 2
    assert len(postgres_warehouse.read("select * from forecast_runs")) == 2
