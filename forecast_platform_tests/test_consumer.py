"""The consumer against a real NATS server: nothing missed, nothing done twice, poison set aside, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from forecast_platform.consumer import NoStream, Subscription, consume
from forecast_platform.sources.bundles import EventSource
from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.inbox import Receipt, closed_by_mark, post
from forecast_platform.sources.landing import Landing, land, landed_frame
from forecast_platform.sources.shapes import EventsSales

STREAM = "sales"
SOLD = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)


class Broker:
    """A NATS server with JetStream on a port of its own; its stream survives a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self._port}"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.fail("nats-server is missing: apt-get install -y nats-server (Debian's package of that name)")
        arguments = ["-js", "-sd", str(self._folder), "-a", "127.0.0.1", "-p", str(self._port)]
        self._process = subprocess.Popen([program, *arguments], stderr=(self._folder.parent / "broker.log").open("a"))
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return
            except OSError:
                assert time.monotonic() < until, (self._folder.parent / "broker.log").read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "jetstream").mkdir()
    broker = Broker(tmp_path / "jetstream")
    broker.start()
    yield broker
    broker.stop()


class Tenant:
    """The inbox of a tenant, and what would land of it."""

    def __init__(self, folder: Path) -> None:
        self.rows = EventsSales(kind="events")
        self.landing = Landing((folder / "landing").as_uri(), "till", "UTC")
        self.kept = 0

    def keep(self, messages: Sequence[bytes]) -> Receipt:
        self.kept += len(messages)
        return post(self.landing, self.rows, messages, datetime.now(UTC))

    def landed(self) -> tuple[dict[str, float], list[str]]:
        """Quantities by event, and the reasons of the rejects."""
        now = datetime.now(UTC)
        source = EventSource(name="raw_sales", rows=self.rows, landing=self.landing)
        batches = landed_frame(land(source, landed_frame([]), self.landing, now))
        days = {(now - timedelta(days=back)).date() for back in range(10)}
        facts, rejects = facts_of(source, days, batches, self.landing)
        bad = [reason for reason in rejects["reason"] if not reason.startswith("ignored")]
        return {name: float(q) for name, q in zip(facts["event_id"], facts["quantity"], strict=True)}, bad


def event(number: int, quantity: int = 1, *, version: int = 0) -> bytes:
    changed = SOLD + timedelta(minutes=version)
    sale = {"event_id": f"e{number}", "sold_at": SOLD.isoformat(), "sku": f"sku {number % 7}", "quantity": quantity}
    return json.dumps(sale | {"updated_at": changed.isoformat()}).encode()


async def publish(broker: Broker, messages: Sequence[bytes]) -> None:
    import nats

    client = await nats.connect(broker.url)
    stream = client.jetstream()
    await stream.add_stream(name=STREAM, subjects=["sales.>"])
    for start in range(0, len(messages), 200):
        await asyncio.gather(*(stream.publish("sales.shop", each) for each in messages[start : start + 200]))
    await client.close()


async def pending(broker: Broker, durable: str) -> int:
    """Messages that are not acknowledged; -1 before the consumer exists."""
    import nats
    from nats.js.errors import NotFoundError

    client = await nats.connect(broker.url)
    try:
        info = await client.jetstream().consumer_info(STREAM, durable)
        return info.num_pending + info.num_ack_pending
    except NotFoundError:
        return -1
    finally:
        await client.close()


async def until(condition: Callable[[], Coroutine[Any, Any, bool]], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it did not come about in time"
        await asyncio.sleep(0.1)


class Log:
    """What was logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


def consume_all(broker: Broker, tenant: Tenant, during: Coroutine | None = None, **options: Any) -> Log:
    """Consume in this process until nothing is left to acknowledge."""
    log = Log()
    subscription = Subscription(broker.url, STREAM, "reader", **{"max_wait": 0.3, "ack_wait": 3.0} | options)

    async def scenario() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(consume(subscription, tenant.keep, log, stop))

        async def drained() -> bool:
            if running.done():
                running.result()
            try:
                return await pending(broker, "reader") == 0
            except Exception:  # the broker is being restarted
                return False

        if during is not None:
            await during
        await until(drained)
        stop.set()
        await asyncio.wait_for(running, 20)

    asyncio.run(scenario())
    return log


@pytest.mark.slow
def test_messages_become_events_once_and_a_mark_closes_its_day(broker: Broker, tmp_path: Path):
    tenant = Tenant(tmp_path)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    mark = json.dumps({"type": "end_of_day", "day": yesterday.isoformat()}).encode()
    messages = [event(number) for number in range(300)]
    asyncio.run(publish(broker, [*messages, *messages[:20], event(5, 9, version=2), event(5, 3, version=1), mark]))
    log = consume_all(broker, tenant, batch=100)
    facts, rejects = tenant.landed()
    assert facts == {f"e{number}": 9.0 if number == 5 else 1.0 for number in range(300)}
    assert rejects == []
    assert closed_by_mark(tenant.landing) == yesterday
    assert sum(line["messages"] for line in log.of("posted")) == 323 == tenant.kept
    assert log.lines[-1]["event"] == "stopped"


@pytest.mark.slow
def test_poison_is_kept_as_a_reject_and_not_delivered_again(broker: Broker, tmp_path: Path):
    tenant = Tenant(tmp_path)
    poison = [b"\xff\x00 no text", b"[" * 9_000, b'{"event_id": "x", "sku": 1}']
    asyncio.run(publish(broker, [event(1), *poison, event(2)]))
    consume_all(broker, tenant)
    again = consume_all(broker, tenant, during=asyncio.sleep(4))
    assert again.of("posted") == []
    facts, rejects = tenant.landed()
    assert set(facts) == {"e1", "e2"}
    assert len(rejects) == 3


@pytest.mark.slow
def test_a_full_disk_loses_nothing(broker: Broker, tmp_path: Path):
    tenant = Tenant(tmp_path)
    keep, full = tenant.keep, [True, True]

    def sometimes(messages: Sequence[bytes]) -> Receipt:
        if full:
            full.pop()
            raise OSError(28, "No space left on device")
        return keep(messages)

    tenant.keep = sometimes
    asyncio.run(publish(broker, [event(number) for number in range(50)]))
    log = consume_all(broker, tenant)
    assert "No space left" in log.of("interrupted")[0]["error"]
    assert len(tenant.landed()[0]) == 50


@pytest.mark.slow
def test_a_stream_that_is_not_there_is_named(broker: Broker, tmp_path: Path):
    with pytest.raises(NoStream, match="no stream 'sales'"):
        consume_all(broker, Tenant(tmp_path))


def test_a_password_in_the_url_is_not_logged():
    subscription = Subscription("nats://user:hunter2@bus:4223,bus2", STREAM, "reader")
    assert subscription.broker == "bus:4223,bus2:4222"


@pytest.mark.slow
def test_a_broker_that_restarts_in_the_middle_costs_nothing(broker: Broker, tmp_path: Path):
    tenant = Tenant(tmp_path)
    messages = [event(number) for number in range(3_000)]
    random.Random(1).shuffle(messages)
    asyncio.run(publish(broker, messages))

    async def restarts() -> None:
        for _ in range(3):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(broker.stop)
            await asyncio.sleep(1)
            await asyncio.to_thread(broker.start)

    log = consume_all(broker, tenant, during=restarts(), batch=50)
    assert log.of("interrupted")
    facts, rejects = tenant.landed()
    assert (len(facts), rejects) == (3_000, [])


@pytest.mark.slow
def test_a_consumer_killed_again_and_again_misses_nothing_and_does_nothing_twice(broker: Broker, tmp_path: Path):
    (tmp_path / "tenants" / "till").mkdir(parents=True)
    settings = {"start": "2026-01-01", "source": {"kind": "events"}}
    text = yaml.safe_dump({"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": settings})
    (tmp_path / "tenants" / "till" / "defs.yaml").write_text(text)
    environment = os.environ | {
        "FORECAST_HOME": str(tmp_path / "home"),
        "FORECAST_LANDING": (tmp_path / "landing").as_uri(),
        "FORECAST_TENANTS": str(tmp_path / "tenants"),
    }
    command = [sys.executable, "-m", "forecast_platform.cli", "consume", broker.url, "--tenant", "till"]
    options = ["--batch", "40", "--max-wait", "0.2", "--ack-wait", "2"]
    draw = random.Random(3)
    messages = [event(number) for number in range(4_000)]
    messages += draw.sample(messages, 200)
    draw.shuffle(messages)
    asyncio.run(publish(broker, messages))
    logs = []

    def started() -> subprocess.Popen:
        logs.append(tmp_path / f"consumer-{len(logs)}.log")
        return subprocess.Popen([*command, *options], env=environment, stderr=logs[-1].open("w"))

    def posted(log: Path) -> int:
        return log.read_text().count('"event": "posted"')

    for _ in range(5):
        process = started()
        end = time.monotonic() + 90
        while posted(logs[-1]) < 2:
            assert process.poll() is None and time.monotonic() < end, logs[-1].read_text()
            time.sleep(0.02)
        time.sleep(draw.random() / 4)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = started()

    async def drained() -> bool:
        return await pending(broker, "forecast-till") == 0

    asyncio.run(until(drained, 120))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, logs[-1].read_text()
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines() if line.startswith("{")]
    assert lines[-1]["event"] == "stopped"
    facts, rejects = Tenant(tmp_path).landed()
    assert facts == {f"e{number}": 1.0 for number in range(4_000)}
    assert rejects == []
