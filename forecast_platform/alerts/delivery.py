"""Sending what is recorded: once, again after a wait where a channel did not take it, never at others' cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from forecast_platform.alerts.channels import NotSent, send
from forecast_platform.alerts.record import AlertRecord
from forecast_platform.alerts.settings import Channel
from forecast_platform.crash import crash_point

MOST_SECONDS = 30.0
"""After which a tick sends no more: Dagster ends one after 60 s. What is left is sent at the next."""


def deliver(record: AlertRecord, channels: Sequence[Channel], variables: Mapping[str, str], now: datetime) -> list[str]:
    """Send every message that is due.

    A channel that does not take a message is asked no more this time; the others are. A process that is killed
    between sending and marking sends that one message twice, and loses none.

    Returns:
        What went wrong, a line a channel.
    """
    record.forget_channels([channel.name for channel in channels])
    begun = time.monotonic()
    wrong = []
    for channel in channels:
        while time.monotonic() - begun < MOST_SECONDS and (pending := record.claim(channel.name, now)):
            try:
                send(channel, pending.message, variables, now=now)
            except NotSent as error:
                record.failed(pending, str(error))
                wrong.append(f"{channel.name}: {error} (attempt {pending.attempts})")
                break
            crash_point("alert_sent")
            record.sent(pending, now)
    return wrong
