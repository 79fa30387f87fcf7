"""Outgoing webhooks: recorded with what they tell of, signed, sent again until they are taken, never inside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from standardwebhooks.webhooks import Webhook as Signature

from forecast_platform.api import delivery
from forecast_platform.api.app import create_app
from forecast_platform.api.delivery import AddressRefused, deliver, headers, is_public, require_public
from forecast_platform.api.keys import Keys, Scope
from forecast_platform.jobs.events import Events
from forecast_platform.jobs.states import Status
from forecast_platform.jobs.webhooks import MOST_ATTEMPTS, Due, Webhooks
from forecast_platform.settings import load
from forecast_platform.state import State, webhook_messages
from forecast_platform_tests.api.conftest import Served

PUBLISHED = {"origin": "2026-01-31", "published_at": "2026-02-01T02:00:00+00:00", "series": 9}


class Receiver(HTTPServer):
    """Another company's server: it keeps what it is sent, and answers as it is told to."""

    def __init__(self) -> None:
        self.status, self.got = 204, list[tuple[dict[str, str], bytes]]()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}/hooks?of=forecasts"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({**dict(self.headers), "path": self.path}, body))
        self.send_response(self.server.status)
        self.send_header("Location", "http://localhost:1/")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


def subscribe(state: State, url: str, *types: str) -> str:
    return Webhooks(state).add("shop", url, types or ("publication.created",), by="test", now=datetime.now(UTC))[1]


def publish(state: State, moment: str = "2026-02-01") -> None:
    Events(state).add_newer("shop", "publication", moment, PUBLISHED)


def make_due(state: State) -> None:
    """Let the pauses pass."""
    with state.transaction() as connection:
        connection.execute(sa.update(webhook_messages).values(next_try_at=datetime.now(UTC) - timedelta(seconds=1)))


def test_a_publication_is_told_with_a_signature_that_its_secret_verifies(state: State, receiver: Receiver):
    secret = subscribe(state, receiver.url)
    publish(state)
    assert deliver(Webhooks(state), private=True) == [] and deliver(Webhooks(state), private=True) == []
    ((told, body),) = receiver.got
    content = Signature(secret).verify(body, told)
    assert content["type"] == "publication.created" and content["data"] == {"tenant": "shop", **PUBLISHED}
    assert told["path"] == "/hooks?of=forecasts" and told["Host"] == f"localhost:{receiver.server_port}"
    with pytest.raises(Exception, match="No matching signature"):
        Signature(secret).verify(body.replace(b"9", b"8"), told)


def test_the_signature_is_that_of_the_specification():
    # The example of the specification's reference implementations.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"test": 2432232314}'
    due = Due(1, "wh", "", secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", body, 1)
    told = headers(due, datetime.fromtimestamp(1614265330, UTC))
    assert told["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert told["webhook-timestamp"] == "1614265330"


def test_what_is_not_taken_is_sent_again_under_the_same_id_after_a_pause(state: State, receiver: Receiver):
    subscribe(state, receiver.url)
    publish(state)
    receiver.status = 500
    assert "HTTP 500" in deliver(Webhooks(state), private=True)[0]
    assert deliver(Webhooks(state), private=True) == [] and len(receiver.got) == 1
    (held,) = Webhooks(state).list("shop")
    assert held.waiting == 1 and held.last_error == "HTTP 500"
    receiver.status = 302  # a POST that is redirected would arrive as something else
    make_due(state)
    assert "HTTP 302" in deliver(Webhooks(state), private=True)[0]
    receiver.status = 200
    make_due(state)
    assert deliver(Webhooks(state), private=True) == []
    assert len({told["webhook-id"] for told, _ in receiver.got}) == 1 and len(receiver.got) == 3
    (held,) = Webhooks(state).list("shop")
    assert held.waiting == 0 and held.last_error is None


def test_one_server_that_is_away_costs_no_other_its_messages(state: State, receiver: Receiver):
    subscribe(state, "http://localhost:1/")
    subscribe(state, receiver.url)
    for moment in ("2026-02-01", "2026-02-02"):
        publish(state, moment)
    assert len(deliver(Webhooks(state), private=True)) == 1 and len(receiver.got) == 2


def test_nobody_is_asked_for_ever(state: State):
    subscribe(state, "http://localhost:1/")
    publish(state)
    for _ in range(MOST_ATTEMPTS):
        assert len(deliver(Webhooks(state), private=True)) == 1
        make_due(state)
    assert deliver(Webhooks(state), private=True) == []


def test_only_ends_of_jobs_are_told_and_only_to_who_asked(state: State, receiver: Receiver):
    subscribe(state, receiver.url, "job.ended")
    publish(state)
    with state.transaction() as connection:
        for status in (Status.PROCESSING, Status.COMPLETED):
            Events.add(connection, "shop", "job", "job_1", {"job_id": "job_1", "status": status})
            Events.add(connection, "other", "job", "job_2", {"job_id": "job_2", "status": status})
    deliver(Webhooks(state), private=True)
    assert [b'"job_1"' in body and b'"completed"' in body for _, body in receiver.got] == [True]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1"),
        *("64:ff9b::a00:1", "2002:7f00:1::", "ff02::1"),
    ],
)
def test_an_address_of_ones_own_network_is_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8"])
def test_any_other_is(address: str):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("http://93.184.215.14/", "ftp://93.184.215.14/", "https://user:pass@93.184.215.14/", "https:///path"),
        *("https://127.0.0.1/", "https://[::1]/", "https://2130706433/", "https://0x7f.1/", "https://localhost/"),
        *("https://[::1/", "https://93.184.215.14:99999/", "https://no-such-host.invalid/"),
    ],
)
def test_a_url_that_leads_inside_or_nowhere_is_refused(url: str):
    with pytest.raises(AddressRefused):
        require_public(url, private=False)


def test_a_name_that_leads_inside_later_is_refused_when_it_is_sent(
    state: State, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(delivery.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 443))])
    subscribe(state, "https://erp.example/hooks")
    publish(state)
    assert "not public" in deliver(Webhooks(state), private=False)[0] and not receiver.got


@contextmanager
def client_of(served: Served, tmp_path: Path, scope: Scope = Scope.ADMIN, **changed) -> Iterator[TestClient]:
    settings = replace(served.settings, state=f"sqlite:///{tmp_path / 'state.db'}", **changed)
    key = Keys(State(settings.state_url)).create(served.tenant, name="test", scopes={scope})[1]
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as client:
        yield client


def test_a_webhook_is_made_listed_and_taken_away_and_its_secret_is_shown_once(shop: Served, tmp_path: Path):
    with client_of(shop, tmp_path, api_private_webhooks="allow") as client:
        made = client.post("/api/v1/webhooks", json={"url": "http://127.0.0.1:1/hooks", "types": ["job.ended"]})
        assert made.status_code == 201 and made.json()["secret"].startswith("whsec_")
        listed = client.get("/api/v1/webhooks")
        assert [each["webhook_id"] for each in listed.json()["items"]] == [made.json()["webhook_id"]]
        assert "whsec" not in listed.text and made.json()["secret"] not in listed.text
        where = made.headers["location"]
        assert client.delete(where).status_code == 204 and client.delete(where).status_code == 404
        assert client.get("/api/v1/webhooks").json()["items"] == []


def test_a_webhook_into_ones_own_network_is_refused_unless_the_settings_allow_it(shop: Served, tmp_path: Path):
    with client_of(shop, tmp_path) as client:
        answer = client.post("/api/v1/webhooks", json={"url": "https://169.254.169.254/latest"})
        assert answer.status_code == 422 and answer.json()["type"].endswith("url-refused")
        assert client.post("/api/v1/webhooks", json={"url": "javascript:alert(1)"}).status_code == 422
    with client_of(shop, tmp_path, Scope.JOBS) as client:
        assert client.get("/api/v1/webhooks").status_code == 403


def test_no_word_of_the_setting_is_guessed():
    with pytest.raises(ValueError, match="FORECAST_API_PRIVATE_WEBHOOKS"):
        load({"FORECAST_API_PRIVATE_WEBHOOKS": "yes"})
