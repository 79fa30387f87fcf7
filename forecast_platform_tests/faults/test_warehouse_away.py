"""Commands and runs while the warehouse cannot be had: one clear error that names it; the same command works later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast_platform.io_managers import retries
from forecast_platform.runs import RunFailed
from forecast_platform_tests.conftest import PostgresServer
from forecast_platform_tests.pipeline.command_line import command_line_of
from forecast_platform_tests.pipeline.shop import Shop, Till, day, sales_lines

DAYS = ("--from", str(day(0)), "--to", str(day(2)))


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.mark.slow
def test_while_postgres_is_down_commands_say_so_in_a_few_lines_and_work_once_it_is_up(own_server, tmp_path: Path):
    shop = Shop(tmp_path, own_server.url)
    shop.put("sales.csv", sales_lines(day(0), day(2)))
    commands = command_line_of(shop)
    run = ("run", "--tenant", shop.name, *DAYS, "--select", "raw_sales")
    own_server.control("-m", "fast", "stop")
    for arguments in (("migrate",), ("status", "--tenant", shop.name), run):
        refused = commands.run(*arguments)
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr and len(refused.stderr.splitlines()) <= 6, refused.stderr
        assert "no connection to PostgreSQL at postgresql" in refused.stderr
        assert str(own_server.server.pgdata) in refused.stderr, "the socket's folder stands for the host"
    own_server.server.start()
    done = commands.run(*run)
    assert done.returncode == 0, done.stderr
    assert len(shop.warehouse.read("select * from raw_sales")) == len(sales_lines(day(0), day(2)))


def test_a_step_waits_out_a_server_that_comes_back_meanwhile(own_server, tmp_path: Path, monkeypatch):
    till = Till(tmp_path, own_server.url)
    till.put("sales.csv", sales_lines(day(0), day(2)))
    own_server.control("-m", "fast", "stop")
    begun = []

    def pause(low: float, high: float) -> float:
        begun.append(1)
        own_server.server.start()
        return 0.0

    monkeypatch.setattr(retries.random, "uniform", pause)
    till.run(["raw_sales"], day(0), day(2))
    assert begun == [1]
    assert len(till.warehouse.read("select * from raw_sales")) == len(sales_lines(day(0), day(2)))


def test_a_damaged_duckdb_file_fails_the_run_with_the_file_and_the_way_out(tmp_path: Path):
    till = Till(tmp_path, f"duckdb:///{tmp_path / 'warehouse'}")
    till.put("sales.csv", sales_lines(day(0), day(2)))
    path = till.warehouse.path
    path.parent.mkdir()
    path.write_bytes(b"no database\n" * 1000)
    with pytest.raises(RunFailed, match=rf"{path} is damaged: (?s:.*) put the last backup in its place"):
        till.run(["raw_sales"], day(0), day(2))
