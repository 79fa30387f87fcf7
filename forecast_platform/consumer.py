"""A consumer of NATS JetStream: messages of a stream become posted events, acknowledged once they are on disk.

A message that is no event is kept as a reject and never delivered again. Killed between keeping and acknowledging,
the consumer gets messages twice; events have ids, and twice is once. What an event must look like is in
``sources.events``. One line of JSON is logged for whatever happens.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

from forecast_platform.settings import SettingsError
from forecast_platform.sources.inbox import Receipt

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before the first and any later attempt to connect again; each pause is twice the one before."""
SHOWN_REJECTS = 5
"""How many reasons of a batch's rejects are logged; all of them are among ``sales_rejects``."""

Keep = Callable[[Sequence[bytes]], Receipt]
Log = Callable[..., None]


class NoStream(SettingsError):
    """The broker has no such stream."""


@dataclass(frozen=True)
class Subscription:
    """What is consumed, and how much at once.

    Attributes:
        url: of the broker, as ``nats://host:4222``; several with commas between.
        stream: name of the stream.
        subject: only messages of this subject; None: all of the stream.
        durable: name under which the broker remembers how far this consumer is.
        batch: most messages kept at once.
        max_wait: seconds after which fewer are kept.
        ack_wait: seconds after which the broker delivers again what was not acknowledged; for a new durable.
        credentials: file of credentials.
    """

    url: str
    stream: str
    durable: str
    subject: str | None = None
    batch: int = 1_000
    max_wait: float = 1.0
    ack_wait: float = 60.0
    credentials: Path | None = None

    @property
    def broker(self) -> str:
        """The URL without a password."""
        hosts = (urlsplit(each if "//" in each else f"//{each}") for each in self.url.split(","))
        return ",".join(f"{host.hostname}:{host.port or 4222}" for host in hosts)


def json_log(out: TextIO, **always: Any) -> Log:
    """A log of one JSON object a line: the time, what happened, and its fields."""

    def log(event: str, **fields: Any) -> None:
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **always, **fields}
        out.write(json.dumps(line, default=str) + "\n")
        out.flush()

    return log


async def consume(subscription: Subscription, keep: Keep, log: Log, stop: asyncio.Event) -> None:
    """Consume until ``stop`` is set; what was taken by then is kept and acknowledged first.

    A broker that is not there, goes away or comes back is waited for, with growing pauses.

    Args:
        keep: makes messages durable; what it raises as OSError is tried again later, with the same messages.

    Raises:
        NoStream: the broker is there, and the stream is not.
    """
    import nats.errors
    import nats.js.errors

    pauses = _Pauses()
    while not stop.is_set():
        try:
            await _session(subscription, keep, log, stop, pauses)
        except nats.js.errors.NotFoundError as error:
            raise NoStream(
                f"the broker {subscription.broker} has no stream {subscription.stream!r}: create it, or name another"
                f" with --stream ({error})"
            ) from error
        except (OSError, TimeoutError, nats.errors.Error) as error:
            seconds = pauses.next()
            log("interrupted", error=f"{type(error).__name__}: {error}", retry_in_seconds=round(seconds, 2))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), seconds)
    log("stopped")


class _Pauses:
    """How long to wait before the next attempt."""

    def __init__(self) -> None:
        self._seconds = FIRST_PAUSE

    def next(self) -> float:
        seconds, self._seconds = self._seconds, min(2 * self._seconds, LONGEST_PAUSE)
        return seconds * random.uniform(0.8, 1.2)  # so that many consumers do not come back at once

    def reset(self) -> None:
        self._seconds = FIRST_PAUSE


async def _session(subscription: Subscription, keep: Keep, log: Log, stop: asyncio.Event, pauses: _Pauses) -> None:
    """Consume over one connection, until it is lost or ``stop`` is set."""
    import nats
    from nats.js.api import AckPolicy, ConsumerConfig

    async def told(error: Exception) -> None:
        log("connection", error=f"{type(error).__name__}: {error}")

    client = await nats.connect(
        subscription.url.split(","),
        name=f"forecast-platform {subscription.durable}",
        allow_reconnect=False,  # the pauses between attempts are ours
        connect_timeout=5,
        error_cb=told,
        user_credentials=str(subscription.credentials) if subscription.credentials else None,
    )
    try:
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=subscription.ack_wait,
            max_ack_pending=max(1_000, 2 * subscription.batch),
        )
        pulled = await client.jetstream().pull_subscribe(
            subscription.subject or "", durable=subscription.durable, stream=subscription.stream, config=config
        )
        log("connected", broker=subscription.broker, stream=subscription.stream, durable=subscription.durable)
        pauses.reset()
        while not stop.is_set():
            messages = await _collected(pulled, subscription, stop)
            if messages:
                await _keep(client, messages, keep, log)
            elif client.is_closed:
                raise ConnectionError("the broker has closed the connection")
    finally:
        with suppress(Exception):  # it may be gone already, and what is unacknowledged comes again
            await client.close()


async def _collected(pulled: Any, subscription: Subscription, stop: asyncio.Event) -> list[Msg]:
    """Messages until there are enough, or for as long as may be waited."""
    messages: list[Msg] = []
    until = time.monotonic() + subscription.max_wait
    while len(messages) < subscription.batch and not stop.is_set():
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            messages += await pulled.fetch(subscription.batch - len(messages), timeout=max(left, 0.05))
        except TimeoutError:
            break
    return messages


async def _keep(client: Client, messages: Sequence[Msg], keep: Keep, log: Log) -> None:
    """Make messages durable, and only then acknowledge them."""
    begun = time.monotonic()
    try:
        receipt = await asyncio.to_thread(keep, [message.data for message in messages])
    except OSError:
        for message in messages:
            await message.nak(delay=FIRST_PAUSE)
        raise
    poison = {rejected.number for rejected in receipt.rejected}
    for number, message in enumerate(messages, start=1):
        await (message.term() if number in poison else message.ack())
    await client.flush()
    sequences = [message.metadata.sequence.stream for message in messages]
    log(
        "posted",
        messages=len(messages),
        first_sequence=min(sequences),
        last_sequence=max(sequences),
        again=sum(message.metadata.num_delivered > 1 for message in messages),
        accepted=receipt.accepted,
        rejected=len(receipt.rejected),
        reasons=[each.reason for each in receipt.rejected[:SHOWN_REJECTS]],
        closed=[day.isoformat() for day in receipt.marks],
        files=receipt.files,
        seconds=round(time.monotonic() - begun, 3),
    )
