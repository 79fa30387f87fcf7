"""Shops to run a pipeline on, one a test, in either warehouse."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from dagster._core.test_utils import freeze_time

from forecast_platform_tests.conftest import SERVER_GIVEN, drop_tenant, fresh_duckdb, shared_folder, worker
from forecast_platform_tests.pipeline.shop import Shop, Till


@pytest.fixture(scope="session")
def parsed_projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt's parses are kept: shops of one name and kind of warehouse share one, which takes 9 CPU s.

    So do all workers, whose shops have the same names in servers of their own.
    """
    folder = shared_folder(tmp_path_factory) / "parsed_projects"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def new_shop(
    tmp_path: Path, parsed_projects: Path, empty_duckdb: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Shop]]:
    """Make a shop: ``new_shop("duckdb" | "postgresql", **settings)``; ``kind=Till`` for one of sales alone."""
    numbers, made = itertools.count(1), []

    def make(backend: str, kind: type[Shop] = Shop, **settings) -> Shop:
        # Roles belong to a server, and workers may be given the same one.
        name = f"shop_{worker()}_{next(numbers)}" if SERVER_GIVEN else f"shop_{next(numbers)}"
        url = f"duckdb:///{tmp_path / name}" if backend == "duckdb" else request.getfixturevalue("postgres_url")
        home = tmp_path / name / "home"
        home.mkdir(parents=True)
        (home / "dbt").symlink_to(parsed_projects)
        if backend == "duckdb":
            fresh_duckdb(url, name, empty_duckdb)
        made.append(kind(tmp_path / name, url, name=name, settings=settings))
        return made[-1]

    yield make
    for shop in made:
        if shop.scope.settings.backend == "postgresql":
            drop_tenant(shop.warehouse_url, shop.name)


@pytest.fixture(params=["duckdb", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def shop(new_shop: Callable[..., Shop], backend: str) -> Shop:
    return new_shop(backend)


@pytest.fixture
def till(new_shop: Callable[..., Shop], backend: str) -> Shop:
    return new_shop(backend, Till)


@pytest.fixture
def at() -> Callable[[date], object]:
    """Set Dagster's clock: ``with at(day):`` makes ``day`` the open day."""
    return lambda open_day: freeze_time(datetime.combine(open_day, time(12), tzinfo=UTC))
