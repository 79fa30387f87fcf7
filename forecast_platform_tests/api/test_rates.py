"""The rate of a credential: over all processes never more than its requests of a period are answered, and no fewer."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from forecast_platform.api import rates as module
from forecast_platform.api.app import create_app
from forecast_platform.api.keys import Keys, Scope
from forecast_platform.api.problems import Problem
from forecast_platform.api.rates import KEPT_SECONDS, PORTIONS, Rate, Rates, take
from forecast_platform.settings import SettingsError, load
from forecast_platform.state import State, spent_requests
from forecast_platform_tests.api.conftest import Served

DAY = 86_400.0
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()

PROCESS = """
import sys, anyio
from forecast_platform.api.problems import Problem
from forecast_platform.api.rates import Rate, Rates
from forecast_platform.state import State

async def main(url, requests, tries):
    rates, let_through = Rates(State(url, pooled=True), Rate(requests, 86_400.0)), 0

    async def ask():
        nonlocal let_through
        try:
            await rates.spend("shop key a")
        except Problem:
            return
        let_through += 1

    sys.stdin.readline()
    for _ in range(tries // 20):
        async with anyio.create_task_group() as several:
            for _ in range(20):
                several.start_soon(ask)
    print(let_through)

anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
"""


def spend(rates: Rates, times: int, credential: str = "shop key a") -> int:
    """How many of so many requests are let through."""

    async def ask() -> int:
        let_through = 0
        for _ in range(times):
            try:
                await rates.spend(credential)
            except Problem as refused:
                assert refused.status_code == 429
                continue
            let_through += 1
        return let_through

    return anyio.run(ask)


def test_two_processes_let_through_what_there_is_and_not_one_more(state_url: str):
    requests, tries = 1000, 1500
    asked = [sys.executable, "-c", PROCESS, state_url, str(requests), str(tries)]
    processes = [
        subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(2)
    ]
    for each in processes:
        each.stdin.write("go\n")
        each.stdin.flush()
    let_through = [int(each.communicate(timeout=120)[0]) for each in processes]
    assert sum(let_through) == requests, let_through


def test_two_servers_answer_what_there_is_and_refuse_the_rest(shop: Served, state_url: str, monkeypatch):
    # The period of these settings, and one that does not end meanwhile.
    monkeypatch.setattr(Rate, "of", lambda per_minute, burst: Rate(burst, DAY * per_minute))
    settings = replace(shop.settings, state=state_url, api_rate=30, api_burst=40)
    key, other = (Keys(State(state_url)).create(shop.tenant, name="x", scopes={Scope.READ})[1] for _ in range(2))
    answers = []
    with TestClient(create_app(settings)) as first, TestClient(create_app(settings)) as second:

        def ask(number: int):
            return (first, second)[number % 2].get("/api/v1/forecasts/sku 1", headers={"X-API-Key": key})

        with ThreadPoolExecutor(8) as several:
            answers = list(several.map(ask, range(60)))
        free = first.get("/api/v1/forecasts/sku 1", headers={"X-API-Key": other})
    assert sorted(each.status_code for each in answers) == [200] * 40 + [429] * 20
    refused = next(each for each in answers if each.status_code == 429)
    assert 0 < int(refused.headers["retry-after"]) <= DAY * 30 and refused.json()["type"].endswith("rate-limited")
    assert refused.headers["content-type"] == "application/problem+json"
    assert free.status_code == 200, "each credential has its own"


def test_a_new_period_has_its_own_requests_and_the_rows_of_the_old_one_go(state_url: str):
    now = [NOON]
    state, rate = State(state_url), Rate(requests=10, seconds=20.0)
    rates = Rates(state, rate, clock=lambda: now[0])
    assert (spend(rates, 15), spend(rates, 3, "shop key b")) == (10, 3)
    now[0] += 19.9
    assert spend(rates, 5) == 0
    now[0] += 0.1
    assert spend(rates, 15) == 10
    now[0] += KEPT_SECONDS + 40
    assert spend(rates, 1) == 1
    with state.reading() as connection:
        assert connection.execute(sa.select(spent_requests.c.credential, spent_requests.c.taken)).all() == [
            ("shop key a", 1)
        ]


def test_requests_ask_the_state_seldom_and_refused_ones_not_again(state_url: str, monkeypatch: pytest.MonkeyPatch):
    taken = []

    def counting(*asked) -> int:
        taken.append(take(*asked))
        return taken[-1]

    monkeypatch.setattr(module, "take", counting)
    rates = Rates(State(state_url), Rate(requests=1000, seconds=DAY), clock=lambda: NOON)
    assert spend(rates, 3000) == 1000
    assert len(taken) == PORTIONS + 1 and sum(taken) == 1000


def test_of_a_portion_that_reaches_beyond_the_end_only_what_there_is_is_given(state_url: str):
    state, rate = State(state_url, pooled=True), Rate(requests=301, seconds=DAY)
    got = [take(state, "shop key a", 1, rate) for _ in range(103)]
    state.close()
    assert rate.portion == 3 and got == [3] * 100 + [1, 0, 0]


def test_waiting_requests_share_one_portion(state_url: str, monkeypatch: pytest.MonkeyPatch):
    entered, go_on, taken = threading.Event(), threading.Event(), []

    def slow(*asked) -> int:
        entered.set()
        go_on.wait(30)
        taken.append(1)
        return take(*asked)

    monkeypatch.setattr(module, "take", slow)
    rates = Rates(State(state_url), Rate(requests=1000, seconds=DAY), clock=lambda: NOON)

    async def main() -> None:
        async with anyio.create_task_group() as several:
            for _ in range(10):
                several.start_soon(rates.spend, "shop key a")
            await anyio.to_thread.run_sync(entered.wait, 30)
            go_on.set()

    anyio.run(main)
    assert taken == [1]


@pytest.mark.parametrize(
    ("per_minute", "burst", "rate"),
    [
        (0, None, None),
        (6000, None, Rate(6000, 60.0)),
        (6000, 500, Rate(500, 5.0)),
        (60, 600, Rate(60, 60.0)),
        (1, None, Rate(1, 60.0)),
    ],
)
def test_a_burst_is_what_comes_at_once_and_the_minute_is_kept(per_minute: int, burst: int | None, rate: Rate | None):
    assert Rate.of(per_minute, burst) == rate


def test_no_limit_asks_nothing_of_the_state():
    anyio.run(Rates(State("sqlite:////no/such/folder/state.db"), None).spend, "shop key a")


@pytest.mark.parametrize(("name", "value"), [("RATE", "many"), ("BURST", "0"), ("BURST", "-5")])
def test_a_rate_that_cannot_be_is_refused(name: str, value: str):
    with pytest.raises(SettingsError, match=f"FORECAST_API_{name}"):
        load({f"FORECAST_API_{name}": value})
