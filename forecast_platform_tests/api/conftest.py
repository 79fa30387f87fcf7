"""One shop for all tests of the API, loaded once in either warehouse, and clients that call the application."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import freeze_time
from fastapi import FastAPI
from fastapi.testclient import TestClient

from forecast_platform.api.app import create_app
from forecast_platform.api.keys import Keys, Scope
from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform.settings import Settings, load
from forecast_platform.sources.overrides import keep
from forecast_platform.state import State
from forecast_platform_tests.api.planners import requests
from forecast_platform_tests.conftest import drop_tenant, worker
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

HISTORY, ORIGINS = 35, 3
SETTINGS = {"horizon": 7, "training_window": 28, "inactive_after_days": 40}
LAST_ORIGIN = day(HISTORY + ORIGINS - 1)
TODAY = day(HISTORY + ORIGINS)
SECRET = "0f6a2c9b41d87e35" * 2

STOCK = {
    "inventory_levels": ("snapshot_date", "sku", "location", "on_hand"),
    "items": ("valid_from", "sku", "location", "category", "supplier", "unit_cost", "moq", "service_level", "policy"),
    "suppliers": ("valid_from", "supplier", "order_days", "transit_days", "transit_std_days", "review_period_days"),
    "open_orders": ("known_from", "order_id", "sku", "location", "quantity", "ordered_on", "expected_on"),
}
"""Facts of stock, and the columns that are told of each."""


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


def stock_facts(folder: Path) -> dict[str, dict]:
    """Sources of stock, items, suppliers and open orders, told of once."""
    counted, told = day(HISTORY), day(0)
    rows = {
        "inventory_levels": [
            *((counted, f"sku {n}", place, 9 + 40 * n) for n in range(4) for place in ("north", "south") if n + 1 < 4),
            *((day(HISTORY + 1), f"sku {n}", "north", 2 + n) for n in range(2)),
            (counted, "größe 41/42 & co", "north", 0),
            (counted, "=warmer", "north", 7),
        ],
        "items": [
            (told, "sku 0", "all", "cold", "=s", 2, 12, 0.9, ""),
            (told, "sku 1", "all", "warm", "t", 3, "", "", "fixed_quantity"),
            (told, "sku 2", "all", "warm", "t", 1.5, "", 0.8, "newsvendor"),
            (told, "größe 41/42 & co", "all", "warm", "", 4, 5, "", ""),
        ],
        "suppliers": [(told, "=s", 1, 3, 1.5, 3), (told, "t", 1, 1, "", 1)],
        "open_orders": [(counted, "late", "sku 0", "north", 3, counted, day(HISTORY + ORIGINS + 1))],
    }
    sources = {}
    for name, columns in STOCK.items():
        (folder / name).mkdir(parents=True)
        lines = [",".join(columns), *(",".join(map(str, row)) for row in rows[name])]
        (folder / name / "first.csv").write_text("\n".join(lines) + "\n")
        where = {"kind": "files", "url": str(folder / name), "pattern": "*.csv", "settle_seconds": 0}
        sources[name] = where | {"columns": {column: column for column in columns}}
    return sources


def load_shop(folder: Path, url: str, name: str) -> Served:
    """A shop with a few weeks of sales and three origins, made in one run as a command makes them."""
    planned = {"facts": stock_facts(folder / "stock"), "inventory": {"count_lasts_days": 30, "dead_stock_days": 20}}
    shop = Shop(folder, url, name=name, settings=SETTINGS | planned)
    lines = sales_lines(day(0), LAST_ORIGIN)
    lines += [f"u{n},{day(n)},größe 41/42 & co,north,2,1.00,u{n}" for n in range(HISTORY + ORIGINS)]
    shop.put("history.csv", lines)
    with freeze_time(datetime.combine(TODAY, time(12), tzinfo=UTC)):
        shop.run_facts(day(0), LAST_ORIGIN)
        for each in requests(day(HISTORY - 1), TODAY):
            keep(shop.scope.landing, each)
        shop.run(["forecasts", *shop.chain.accuracy], day(HISTORY), LAST_ORIGIN)
    write_settings(shop)
    return Served(shop, folder)


def write_settings(shop: Shop) -> None:
    """The file that the API reads a tenant's settings from."""
    file = shop.folder / "tenants" / shop.name / "defs.yaml"
    file.parent.mkdir(parents=True)
    kind = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": shop.attributes}
    file.write_text(yaml.safe_dump(kind))


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


TAKEN = {
    "source": {"kind": "events"},
    "facts": {name: {"kind": "events"} for name in ("inventory_levels", "actual_overrides")},
}


@pytest.fixture(scope="module")
def taking(loaded_duckdb: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FastAPI]]:
    """A copy of the loaded shop that takes whatever may be sent, and its application with a Dagster whose daemon never
    comes."""
    folder, loaded = tmp_path_factory.mktemp("taking"), loaded_duckdb
    for name in ("warehouse", "home/dbt"):
        shutil.copytree(loaded.folder / name, folder / name)
    settings = loaded.shop.settings | TAKEN | {"facts": loaded.shop.settings["facts"] | TAKEN["facts"]}
    shop = Shop(folder, f"duckdb:///{folder / 'warehouse'}", loaded.tenant, settings)
    served = Served(shop, folder)
    write_settings(shop)
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        settings = replace(served.settings, api_private_webhooks="allow")
        yield served, create_app(settings, remembered_seconds=60, dagster=lambda: instance)


@pytest.fixture
def serve_again() -> Callable[[Served], None]:
    """What a run does at its end: it takes in what planners have sent and serves it."""

    def serve(served: Served) -> None:
        assert served.shop.run(["serving"], LAST_ORIGIN, LAST_ORIGIN).success

    return serve


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


@pytest.fixture(scope="session")
def readers() -> Iterator[Callable[[Served], TestClient]]:
    """A client of each loaded shop, of one application for all tests: building it costs more than most requests."""
    made: dict[Path, TestClient] = {}
    with ExitStack() as opened:

        def of(served: Served) -> TestClient:
            if served.folder not in made:
                headers = {"Authorization": f"Bearer {served.key()}"}
                client = TestClient(create_app(served.settings), headers=headers, raise_server_exceptions=False)
                made[served.folder] = opened.enter_context(client)
            return made[served.folder]

        yield of


@pytest.fixture
def client(served: Served, readers: Callable[[Served], TestClient]) -> TestClient:
    """A client that may read the loaded shop."""
    return readers(served)


def in_days(count: int) -> date:
    """The day ``count`` days after the shop's newest origin."""
    return day(HISTORY + ORIGINS - 1 + count)
