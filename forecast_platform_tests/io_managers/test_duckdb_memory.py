"""DuckDB's memory is bounded: by default, or by what the URL says."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast_platform.io_managers.warehouse import WarehouseError, open_warehouse


@pytest.mark.parametrize(("option", "limit"), [("", "3.7 GiB"), ("?memory=512MiB", "512.0 MiB")])
def test_every_connection_has_the_limit_of_the_url(tmp_path: Path, option: str, limit: str):
    warehouse = open_warehouse(f"duckdb:///{tmp_path}{option}", "shop")
    warehouse.migrate()
    for opened in (warehouse.reading, warehouse.transaction):
        with opened() as session:
            assert session.scalar("select current_setting('memory_limit')") == limit
    assert warehouse.path == tmp_path / "shop.duckdb"


def test_dbt_has_the_same_limit(tmp_path: Path):
    warehouse = open_warehouse(f"duckdb:///{tmp_path}?memory=2GB", "shop")
    assert warehouse.dbt_environment()["PIPELINE_DUCKDB_MEMORY"] == "2GB"


@pytest.mark.parametrize("option", ["memory", "memory=", "memory=4", "memory=-1GB", "threads=2", "memory=1GB&x=2"])
def test_an_option_that_is_not_understood_is_refused_with_what_would_do(tmp_path: Path, option: str):
    with pytest.raises(WarehouseError, match=r"there is memory, as \?memory=16GB"):
        open_warehouse(f"duckdb:///{tmp_path}?{option}", "shop")
