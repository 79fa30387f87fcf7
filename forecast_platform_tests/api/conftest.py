"""One shop for all tests of the API, loaded once in either warehouse, and clients that call the application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path

import pytest
import yaml
from dagster._core.test_utils import freeze_time
from fastapi import FastAPI
from fastapi.testclient import TestClient

from forecast_platform.api.app import create_app
from forecast_platform.api.keys import Keys, Scope
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.settings import Settings, load
from forecast_platform.state import State
from forecast_platform_tests.conftest import drop_tenant, worker
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

HISTORY, ORIGINS = 35, 3
SETTINGS = {"horizon": 7, "training_window": 28, "inactive_after_days": 40}
LAST_ORIGIN = day(HISTORY + ORIGINS - 1)
TODAY = day(HISTORY + ORIGINS)
SECRET = "0f6a2c9b41d87e35" * 2


@dataclass
class Served:
    """A loaded shop that is served: two SKUs more than four are named as people name them, with what URLs escape."""

    shop: Shop
    folder: Path

    @property
    def tenant(self) -> str:
        return self.shop.name

    @property
    def warehouse(self) -> Warehouse:
        """The pipeline's own way to the data: what answers are compared with."""
        return self.shop.warehouse

    @cached_property
    def settings(self) -> Settings:
        environment = {
            "FORECAST_TENANTS": str(self.folder / "tenants"),
            "FORECAST_STATE": f"sqlite:///{self.folder / 'state.db'}",
            "FORECAST_API_ENVIRONMENT": "development",
            "FORECAST_API_SECRET": SECRET,
        }
        return load(self.shop.environment | environment)

    @cached_property
    def keys(self) -> Keys:
        return Keys(State(self.settings.state_url))

    def key(self, *scopes: Scope, **named) -> str:
        """The text of a new key of this tenant; without a scope named, one that may read."""
        return self.keys.create(self.tenant, name="test", scopes=scopes or (Scope.READ,), **named)[1]


def load_shop(folder: Path, url: str, name: str) -> Served:
    """A shop with a few weeks of sales and three origins, made in one run as a command makes them."""
    shop = Shop(folder, url, name=name, settings=SETTINGS)
    lines = sales_lines(day(0), LAST_ORIGIN)
    lines += [f"u{n},{day(n)},größe 41 & co,north,2,1.00,u{n}" for n in range(HISTORY + ORIGINS)]
    shop.put("history.csv", lines)
    with freeze_time(datetime.combine(TODAY, time(12), tzinfo=UTC)):
        shop.run_facts(day(0), LAST_ORIGIN)
        shop.run(["forecasts", *shop.chain.accuracy], day(HISTORY), LAST_ORIGIN)
    settings = folder / "tenants" / name / "defs.yaml"
    settings.parent.mkdir(parents=True)
    kind = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": shop.attributes}
    settings.write_text(yaml.safe_dump(kind))
    return Served(shop, folder)


@pytest.fixture(scope="session")
def loaded_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("api_duckdb")
    return load_shop(folder, f"duckdb:///{folder / 'warehouse'}", f"api_{worker()}")


@pytest.fixture(scope="session")
def loaded_postgresql(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = load_shop(tmp_path_factory.mktemp("api_postgresql"), postgres_url, f"api_{worker()}")
    yield made
    drop_tenant(postgres_url, made.tenant)


@pytest.fixture(params=["duckdb", "postgresql"])
def served(request: pytest.FixtureRequest) -> Served:
    """The loaded shop, once in either warehouse. It is shared: tests read it and change nothing."""
    return request.getfixturevalue(f"loaded_{request.param}")


@pytest.fixture
def shop(loaded_duckdb: Served) -> Served:
    """The loaded shop, for what does not depend on the warehouse: the one that is quicker to load."""
    return loaded_duckdb


@pytest.fixture
def open_app() -> Iterator[Callable[..., tuple[FastAPI, Callable[..., TestClient]]]]:
    """Start an application: ``app, client = open_app(settings)``; ``client(key)`` calls it with a key, or without."""
    with ExitStack() as opened:

        def start(settings: Settings, **changed) -> tuple[FastAPI, Callable[..., TestClient]]:
            # Credentials are looked at afresh, so that a test sees at once what it has disabled.
            app = create_app(replace(settings, **changed), remembered_seconds=0)

            def client(key: str | None = None) -> TestClient:
                headers = {"Authorization": f"Bearer {key}"} if key else {}
                return opened.enter_context(TestClient(app, headers=headers, raise_server_exceptions=False))

            return app, client

        yield start


@pytest.fixture
def client(served: Served, open_app: Callable) -> TestClient:
    """A client that may read the loaded shop."""
    return open_app(served.settings)[1](served.key())


def in_days(count: int) -> date:
    """The day ``count`` days after the shop's newest origin."""
    return day(HISTORY + ORIGINS - 1 + count)
