"""Shops to run a pipeline on, one a test, in either warehouse."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from dagster._core.test_utils import freeze_time

from forecast_platform_tests.pipeline.shop import Shop, Till

_NAMES = (f"shop_{number}" for number in itertools.count(1))


@pytest.fixture
def new_shop(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Shop]:
    """Make a shop: ``new_shop("duckdb" | "postgresql", **settings)``; ``kind=Till`` for one of sales alone."""

    def make(backend: str, kind: type[Shop] = Shop, **settings) -> Shop:
        name = next(_NAMES)
        url = f"duckdb:///{tmp_path / name}" if backend == "duckdb" else request.getfixturevalue("postgres_url")
        return kind(tmp_path / name, url, name=name, settings=settings)

    return make


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
