"""``kill -9`` of the server under load, and its database restarted: what was answered 202 is a sale exactly once."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from forecast_platform.api.keys import Keys, Scope
from forecast_platform.state import State
from forecast_platform_tests.api.conftest import Served
from forecast_platform_tests.api.servers import Server
from forecast_platform_tests.api.tills import FactsShop, known_to_the_api
from forecast_platform_tests.conftest import PostgresServer

pytestmark = pytest.mark.slow

SENDERS, EVENTS, KILLS = 3, 40, 3
BATCHES_BETWEEN = 10
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


class Sender:
    """A till that sends batch after batch, each under a key, and again what was not answered."""

    def __init__(self, name: str, url: str, key: str, stop: threading.Event) -> None:
        self.name, self._url, self._stop = name, url, stop
        self._headers = {"Authorization": f"Bearer {key}"}
        self.answered: set[str] = set()
        self.sent: set[str] = set()
        self.statuses: Counter[int | str] = Counter()

    def run(self) -> None:
        number = 0
        with httpx.Client(headers=self._headers, timeout=300) as client:
            while not self._stop.is_set():
                number += 1
                self._send(client, f"{self.name}-{number}")

    def _send(self, client: httpx.Client, batch: str) -> None:
        sold = {"sold_at": YESTERDAY.isoformat(), "sku": "tea", "quantity": 1, "location": self.name}
        names = [f"{batch}-{at}" for at in range(EVENTS)]
        self.sent.update(names)
        while not self._stop.is_set():
            try:
                answer = client.post(
                    f"{self._url}/api/v1/sales",
                    json=[{"event_id": name, **sold} for name in names],
                    headers={"Idempotency-Key": batch},
                )
            except httpx.TransportError:
                self.statuses["away"] += 1
                time.sleep(0.5)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 202:
                assert answer.json()["accepted"] == EVENTS
                self.answered.update(names)
                return
            assert answer.status_code in (409, 503), answer.text
            if answer.status_code == 409:  # the process that had it in hand was killed; this till gives the batch up
                return
            time.sleep(0.05)


@pytest.fixture(params=["duckdb", "postgresql"])
def own_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer | None]:
    """A PostgreSQL of this test's own, which may be restarted; none where the warehouse is DuckDB."""
    server = PostgresServer() if request.param == "postgresql" else None
    yield server
    if server is not None:
        server.close()


@pytest.fixture
def till(own_server: PostgresServer | None, tmp_path: Path) -> Served:
    url = own_server.url if own_server else f"duckdb:///{tmp_path / 'warehouse'}"
    start = (YESTERDAY - timedelta(days=2)).date().isoformat()
    return known_to_the_api(FactsShop(tmp_path, url, settings={"source": {"kind": "events"}, "start": start}))


def test_what_was_answered_202_is_a_sale_exactly_once(till: Served, own_server: PostgresServer | None, tmp_path: Path):
    state = own_server.url if own_server else till.settings.state_url
    environment = till.shop.environment | {
        "FORECAST_TENANTS": str(till.settings.tenants),
        "FORECAST_API_ENVIRONMENT": "development",
        "FORECAST_STATE": state,
    }
    key = Keys(State(state)).create(till.tenant, name="till", scopes=[Scope.WRITE])[1]
    stop = threading.Event()
    with Server(environment, tmp_path / "server.log") as server, ThreadPoolExecutor(SENDERS) as pool:
        senders = [Sender(f"till{n}", server.url, key, stop) for n in range(SENDERS)]
        sending = [pool.submit(each.run) for each in senders]
        try:
            for _ in range(KILLS):
                _until_more_is_answered(senders)
                server.end(signal.SIGKILL)
                server.start()
            if own_server is not None:
                _until_more_is_answered(senders)
                own_server.control("-m", "immediate", "restart")
            _until_more_is_answered(senders)
        finally:
            stop.set()
        for each in sending:
            each.result()
    answered = {name for each in senders for name in each.answered}
    sent = {name for each in senders for name in each.sent}
    assert len(answered) > KILLS * EVENTS and sum(each.statuses["away"] for each in senders) >= KILLS
    assert till.shop.run(["raw_sales", "sales_rejects"], till.shop.tenant.start, _today()).success
    sales = till.warehouse.read("select event_id from raw_sales")["event_id"].tolist()
    assert len(sales) == len(set(sales))
    assert answered <= set(sales) <= sent
    # A batch that was kept and not answered came again: of its events one state each counts.
    assert till.warehouse.read("select * from sales_rejects where reason not like 'ignored%'").empty


def _until_more_is_answered(senders: Sequence[Sender]) -> None:
    """Wait until some batches more were answered, and then for any part of the next one."""
    before, until = sum(len(each.answered) for each in senders), time.monotonic() + 300
    while sum(len(each.answered) for each in senders) < before + BATCHES_BETWEEN * EVENTS:
        assert time.monotonic() < until, [each.statuses for each in senders]
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.1))


def _today() -> date:
    return datetime.now(UTC).date()
