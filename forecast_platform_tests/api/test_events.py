"""``GET /events``: pages and streams say the same, in order, to the tenant's own listeners."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from forecast_platform.api.app import create_app
from forecast_platform.api.keys import Keys, Scope
from forecast_platform.api.routes import events as routes
from forecast_platform.jobs.events import Events
from forecast_platform.settings import Settings
from forecast_platform.state import State
from forecast_platform_tests.api.conftest import Served


@dataclass
class Channel:
    """A state with two servers over it."""

    tenant: str
    settings: Settings
    key: str

    @property
    def events(self) -> Events:
        return Events(State(self.settings.state_url))

    def tell(self, number: int, tenant: str | None = None) -> int:
        with State(self.settings.state_url).transaction() as connection:
            return Events.add(connection, tenant or self.tenant, "batch", f"batch {number}", {"number": number})

    @contextmanager
    def server(self) -> Iterator[httpx.Client]:
        sent = {"Authorization": f"Bearer {self.key}"}
        with (
            serving(create_app(self.settings, remembered_seconds=0)) as url,
            httpx.Client(base_url=url, headers=sent, timeout=10) as client,
        ):
            yield client


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application on a port of its own: a stream that does not end cannot be read from it within its process."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture
def channel(shop: Served, tmp_path: Path) -> Channel:
    settings = replace(shop.settings, state=f"sqlite:///{tmp_path / 'state.db'}")
    key = Keys(State(settings.state_url)).create(shop.tenant, name="test", scopes={Scope.READ})[1]
    return Channel(shop.tenant, settings, key)


@contextmanager
def listening(client: httpx.Client, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    with client.stream("GET", "/events", headers={"Accept": "text/event-stream", **headers}) as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
        yield told(answer.iter_lines())


def told(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream; ``{}`` for a comment."""
    event: dict[str, Any] = {}
    for line in lines:
        if line.startswith(":"):
            yield {}
        elif line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif "data" in event:
            yield {"id": int(event["id"]), "event": event["event"], **json.loads(event["data"])["data"]}
            event = {}


def test_pages_give_every_event_once_in_order_and_none_of_others(channel: Channel):
    ids = [channel.tell(number) for number in range(5)]
    channel.tell(99, tenant="other")
    with channel.server() as client:
        first = client.get("/events", params={"limit": 3}).json()
        rest = client.get("/events", params={"limit": 3, "cursor": first["next_cursor"]}).json()
        end = client.get("/events", params={"cursor": rest["next_cursor"]}).json()
    assert [each["id"] for each in first["items"] + rest["items"]] == ids
    assert [each["data"]["number"] for each in first["items"]] == [0, 1, 2]
    assert end == {"items": [], "next_cursor": str(ids[-1])}


def test_a_listener_is_told_live_and_goes_on_at_another_server_where_it_was(channel: Channel):
    channel.tell(0)
    with channel.server() as one, channel.server() as other:
        with listening(one) as events:
            assert next(events) == {}
            begun = time.monotonic()
            channel.tell(99, tenant="other")
            channel.tell(1)
            heard = next(events)
            assert heard["number"] == 1 and time.monotonic() - begun < 5
        channel.tell(2)
        channel.tell(3)
        with listening(other, **{"Last-Event-ID": str(heard["id"])}) as events:
            assert [next(events).get("number") for _ in range(3)] == [None, 2, 3]


def test_a_quiet_stream_has_a_heartbeat(channel: Channel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(routes, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(routes, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(routes, "LONGEST_SECONDS", 1.0)
    with channel.server() as client, listening(client) as events:
        assert len([each for each in events if each == {}]) >= 3


def test_there_are_no_more_listeners_than_may_be(channel: Channel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(routes, "LISTENERS", routes.Listeners(most=1))
    monkeypatch.setattr(routes, "LOOK_SECONDS", 0.05)
    with channel.server() as client:
        with listening(client) as events:
            next(events)
            refused = client.get("/events", headers={"Accept": "text/event-stream"})
            assert refused.status_code == 429 and refused.headers["retry-after"]
            assert client.get("/events").status_code == 200
        deadline = time.monotonic() + 5
        while routes.LISTENERS.open and time.monotonic() < deadline:
            time.sleep(0.05)
        with listening(client) as events:
            assert next(events) == {}


def test_a_stream_ends_with_the_credential_that_opened_it(channel: Channel):
    keys = Keys(State(channel.settings.state_url))
    with channel.server() as client, listening(client) as events:
        next(events)
        keys.disable(channel.key.split("_")[1])
        time.sleep(1)  # an answer that was under way is on its way
        channel.tell(1)
        assert not list(events), "it ends, and tells nothing more"


def test_what_is_served_anew_is_told_once(channel: Channel):
    events = channel.events
    for moment in ("2026-02-01T02:00:00", "2026-02-01T02:00:00", "2026-02-01T01:00:00", "2026-02-02T02:00:00"):
        events.add_newer(channel.tenant, "publication", moment, {"at": moment})
    told_of = [each.subject for each in events.after(channel.tenant, 0, most=10)]
    assert told_of == ["2026-02-01T02:00:00", "2026-02-02T02:00:00"]


def test_a_run_that_publishes_tells_of_it(shop: Served):
    told_of = Events(shop.shop.scope.state).after(shop.tenant, 0, most=10)
    published = shop.warehouse.read("select max(origin_date) as origin from publications")["origin"].iloc[0]
    assert [each.kind for each in told_of] == ["publication"]
    assert told_of[0].data["origin"] == str(published)[:10] and told_of[0].data["series"] == 9
