"""Sessions that follow each other may keep DuckDB's file open, and let go of it as soon as somebody waits for it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from forecast_platform.io_managers.file_lock import mark_of
from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform.tables import series
from forecast_platform_tests.sales_frames import DAY

INSERT = "insert into series values (:id, 'a' || :id, 'all', :day)"
COUNT = sa.select(sa.func.count()).select_from(series)

OPEN = """
import duckdb, sys
from pathlib import Path
from forecast_platform.io_managers.file_lock import retry_while_locked
path = Path(sys.argv[1])
connection = retry_while_locked(path, lambda: duckdb.connect(str(path)), patience=float(sys.argv[2]))
print(connection.execute("select count(*) from series").fetchone()[0])
"""


@pytest.fixture
def shop(tmp_path: Path) -> Warehouse:
    warehouse = open_warehouse(f"duckdb:///{tmp_path}", "shop")
    warehouse.migrate()
    return warehouse


def another(shop: Warehouse, *, patience: float) -> subprocess.Popen:
    """A process that opens the file, and says how many series it sees there."""
    command = [sys.executable, "-c", OPEN, str(shop.path), str(patience)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_transaction_is_what_it_is_whether_the_file_is_kept_open_or_not(warehouse: Warehouse):
    with warehouse.kept_open():
        with warehouse.transaction() as session:
            session.execute(INSERT, {"id": 1, "day": DAY})
        with pytest.raises(ZeroDivisionError), warehouse.transaction() as session:
            session.execute(INSERT, {"id": 2, "day": DAY})
            raise ZeroDivisionError
        with pytest.raises(Exception, match="read-only"), warehouse.reading() as session:
            session.execute(INSERT, {"id": 3, "day": DAY})
        with warehouse.kept_open(), warehouse.reading() as session:
            assert session.scalar(COUNT) == 1
    assert len(warehouse.read(sa.select(series))) == 1


def test_between_sessions_the_file_stays_open_and_at_the_end_it_is_closed(shop: Warehouse):
    with shop.kept_open():
        with shop.transaction() as session:
            session.execute(INSERT, {"id": 1, "day": DAY})
        assert "Still locked" in another(shop, patience=0.0).communicate()[1]
    assert another(shop, patience=0.0).communicate()[0] == "1\n"
    assert shop.path.with_name("shop.duckdb.wal").exists() is False


def test_who_waits_gets_in_after_the_session_that_is_open(shop: Warehouse):
    with shop.kept_open():
        with shop.transaction() as session:
            session.execute(INSERT, {"id": 1, "day": DAY})
            waiting = another(shop, patience=60.0)
            while not mark_of(shop.path).exists():
                time.sleep(0.01)
            assert waiting.poll() is None
        assert waiting.communicate()[0] == "1\n"
        with shop.transaction() as session:
            session.execute(INSERT, {"id": 2, "day": DAY})
        assert not mark_of(shop.path).exists()
        assert "Still locked" in another(shop, patience=0.0).communicate()[1]
    assert another(shop, patience=0.0).communicate()[0] == "2\n"
