"""Fixtures of the dbt tests: a shop in each warehouse, and dbt on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.conftest import shared_folder
from forecast_platform_tests.dbt.shop import HORIZON, SERIES, Dbt, Version, day


@pytest.fixture
def tenant() -> str:
    """One name for all tests, whose warehouses are fresh: dbt's parse of the project serves all of them."""
    return "shop"


@pytest.fixture(scope="session", autouse=True)
def parses(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where dbt's parses of the project are kept, for all workers: one takes 12 CPU s, and 1.4 from another's file."""
    Dbt.parses = shared_folder(tmp_path_factory) / "dbt_parses"


@pytest.fixture
def dbt(warehouse: Warehouse, tmp_path: Path) -> Dbt:
    """dbt on ``warehouse``, with a target folder of its own."""
    return Dbt(warehouse, tmp_path / "target")


@pytest.fixture(scope="session")
def versions() -> list[Version]:
    """Two models at every origin from the 3rd day on; a newer version of two series at each even one."""
    random = np.random.default_rng(7)
    made: list[Version] = []
    for origin in range(2, 15):
        for model in ("seasonal_naive_7", "linear"):
            made.append(_version(len(made) + 1, origin, model, list(SERIES), random))
        if origin % 2 == 0:
            made.append(_version(len(made) + 1, origin, "linear", [1, 3], random))
    return made


def _version(number: int, origin: int, model: str, series: list[int], random: np.random.Generator) -> Version:
    keys = [(series_id, horizon) for series_id in series for horizon in range(1, HORIZON + 1)]
    return Version(number, day(origin), model, {key: float(random.gamma(2.0, 1.5)) for key in keys})
