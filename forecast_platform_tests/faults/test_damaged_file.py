"""A DuckDB file torn, damaged, or copied without its WAL: whole states only, and an error that says what to do.

A WAL is there only where a process died between its COMMIT and the end of its session; closing a file empties it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forecast_platform.io_managers.duckdb_dialect import DuckDBWarehouse
from forecast_platform.io_managers.warehouse import WarehouseError, WarehouseUnavailable, open_warehouse
from forecast_platform.pipeline import PROJECT
from forecast_platform_tests.faults import children
from forecast_platform_tests.faults.invariants import Contents, assert_sound, contents
from forecast_platform_tests.faults.test_kill import FIRST, LAST, intended_partitions, replace
from forecast_platform_tests.io_managers.test_ledger import A, B, append, candidate, know_series
from forecast_platform_tests.sales_frames import days, sales


@pytest.fixture
def before(duckdb_warehouse: DuckDBWarehouse) -> Contents:
    """What the warehouse held before the last commit, which a killed process left in the WAL."""
    know_series(duckdb_warehouse)
    append(duckdb_warehouse, candidate(A, "a"))
    replace(duckdb_warehouse, sales(days(3), rows=40))
    old = contents(duckdb_warehouse)
    assert not wal_of(duckdb_warehouse).exists()
    arguments = (url_of(duckdb_warehouse), duckdb_warehouse.tenant, sales(days(3), rows=50, tag="new"), FIRST, LAST)
    assert children.run(children.replace_sales, *arguments, crash_at="after_commit") == children.KILLED
    return old


def url_of(warehouse: DuckDBWarehouse) -> str:
    return f"duckdb:///{warehouse.path.parent}"


def wal_of(warehouse: DuckDBWarehouse) -> Path:
    return warehouse.path.with_name(f"{warehouse.path.name}.wal")


@pytest.mark.parametrize("lost", [7, 5_000])
def test_a_wal_whose_end_is_torn_off_gives_the_state_before_that_commit(duckdb_warehouse, before: Contents, lost: int):
    wal = wal_of(duckdb_warehouse)
    os.truncate(wal, wal.stat().st_size - lost)
    assert contents(duckdb_warehouse) == before
    frame = sales(days(3), rows=60, tag="newer")
    intended = intended_partitions(duckdb_warehouse, frame)
    arguments = (url_of(duckdb_warehouse), duckdb_warehouse.tenant, frame, FIRST, LAST)
    # What is committed behind a torn end must not be lost with it.
    assert children.run(children.replace_sales, *arguments, crash_at="after_commit") == children.KILLED
    assert {key: contents(duckdb_warehouse).partitions[key] for key in intended} == intended
    assert_sound(duckdb_warehouse)


def test_a_file_copied_without_its_wal_is_whole_but_lacks_the_last_commit(
    duckdb_warehouse: DuckDBWarehouse, before: Contents, tmp_path: Path
):
    copied = open_warehouse(f"duckdb:///{tmp_path / 'copy'}", duckdb_warehouse.tenant)
    copied.path.parent.mkdir()
    shutil.copy(duckdb_warehouse.path, copied.path)
    assert contents(copied) == before != contents(duckdb_warehouse)
    assert_sound(copied)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def damage_the_header(warehouse: DuckDBWarehouse) -> None:
    flip(warehouse.path, 10)


def damage_the_catalogue(warehouse: DuckDBWarehouse) -> None:
    flip(warehouse.path, 5_000)


def damage_the_wal(warehouse: DuckDBWarehouse) -> None:
    flip(wal_of(warehouse), wal_of(warehouse).stat().st_size // 2)


def empty_the_file(warehouse: DuckDBWarehouse) -> None:
    wal_of(warehouse).unlink()
    warehouse.path.write_bytes(b"\n")


def put_an_older_file_beside_the_wal(warehouse: DuckDBWarehouse) -> None:
    older = warehouse.path.read_bytes()
    assert contents(warehouse).partitions  # the session's end takes the WAL into the file
    arguments = (url_of(warehouse), warehouse.tenant, sales(days(3), rows=9), FIRST, LAST)
    assert children.run(children.replace_sales, *arguments, crash_at="after_commit") == children.KILLED
    warehouse.path.write_bytes(older)


@pytest.mark.parametrize(
    "damage",
    [damage_the_header, damage_the_catalogue, damage_the_wal, empty_the_file, put_an_older_file_beside_the_wal],
)
def test_a_damaged_file_is_named_with_the_way_out_by_the_first_session(duckdb_warehouse, before: Contents, damage):
    damage(duckdb_warehouse)
    fresh = open_warehouse(url_of(duckdb_warehouse), duckdb_warehouse.tenant)
    for use in (fresh.migrate, lambda: fresh.read("select 1"), lambda: replace(fresh, sales(days(3)))):
        with pytest.raises(WarehouseError, match=r"(?s)is damaged.*last backup.*deploy/README.md") as failure:
            use()
        assert str(fresh.path) in str(failure.value)
        assert not isinstance(failure.value, WarehouseUnavailable), "waiting would not mend it"


def test_damage_that_shows_only_when_rows_are_read_is_named_too(duckdb_warehouse, before: Contents):
    replace(duckdb_warehouse, sales(days(3), rows=50))
    content = bytearray(duckdb_warehouse.path.read_bytes())
    # Behind the headers and the catalogue's first block of 256 KB.
    for position in range(3 * 4096 + 262_144 + 500, len(content), 4096):
        content[position] ^= 0xFF
    duckdb_warehouse.path.write_bytes(content)
    with pytest.raises(WarehouseError, match=rf"{duckdb_warehouse.path} is damaged"):
        contents(duckdb_warehouse)


def test_a_path_that_is_no_file_is_named_at_once_whatever_its_name(tmp_path: Path):
    # Not waited for: the word "lock" in a name or a message is no lock.
    warehouse = open_warehouse(f"duckdb:///{tmp_path}", "clocks")
    warehouse.path.mkdir()
    with pytest.raises(WarehouseError, match=r"clocks\.duckdb cannot be opened"):
        warehouse.read("select 1")


def backup_command() -> list[str]:
    """The command of the deployment notes, as it stands there."""
    section = (PROJECT / "deploy" / "README.md").read_text().split("## Backup")[1]
    return shlex.split(re.search(r"```sh\n(.*?)\n```", section, re.DOTALL)[1])


def test_a_backup_as_documented_restores_everything_that_was_committed(
    duckdb_warehouse: DuckDBWarehouse, before: Contents, tmp_path: Path
):
    *python, original, copy = backup_command()
    assert (python[0], original, copy) == ("python", "acme.duckdb", "acme.backup.duckdb")
    kept = tmp_path / copy
    subprocess.run([sys.executable, *python[1:], str(duckdb_warehouse.path), str(kept)], check=True)
    held = contents(duckdb_warehouse)
    assert held.partitions != before.partitions, "the last commit was in the WAL"

    damage_the_catalogue(duckdb_warehouse)
    shutil.copy(kept, duckdb_warehouse.path)
    restored = open_warehouse(url_of(duckdb_warehouse), duckdb_warehouse.tenant)
    assert contents(restored) == held
    assert_sound(restored)
    append(restored, candidate(B, "b"))
    with pytest.raises(Exception, match="append-only"), restored.transaction() as session:
        session.execute("delete from forecasts")


def test_a_backup_waits_for_nobody_and_is_refused_while_a_run_writes(duckdb_warehouse: DuckDBWarehouse, tmp_path: Path):
    *python, _, _ = backup_command()
    with duckdb_warehouse.transaction():
        arguments = [sys.executable, *python[1:], str(duckdb_warehouse.path), str(tmp_path / "copy.duckdb")]
        refused = subprocess.run(arguments, capture_output=True, text=True)
    assert refused.returncode == 1 and "Could not set lock" in refused.stderr
    assert not (tmp_path / "copy.duckdb").exists()
