"""What a server does without being asked: it looks after jobs that wait or work, and sends what webhooks are to tell.

A thread for each, in every process. Several servers may look at the same job or message: what each does is one
transaction (``jobs.advancing``, ``jobs.webhooks``).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from forecast_platform.api.delivery import deliver
from forecast_platform.api.platform import Platform
from forecast_platform.jobs.webhooks import Webhooks
from forecast_platform.settings import SettingsError

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
AFTER_ERROR_SECONDS = 10.0
LEAVING_SECONDS = 15.0
"""Longer than a webhook's timeout."""


@contextmanager
def watching(platform: Platform, *, every: float = EVERY_SECONDS) -> Iterator[None]:
    """Look after jobs and webhooks for as long as the block lasts."""
    ended = threading.Event()
    duties: list[Callable[[Platform], None]] = [send_webhooks]
    if platform.jobs.knows_dagster:  # where this process does not, others do
        duties.append(look_after_jobs)
    threads = [
        threading.Thread(target=_watch, args=(platform, duty, ended, every), name=duty.__name__, daemon=True)
        for duty in duties
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(LEAVING_SECONDS)


def _watch(platform: Platform, duty: Callable[[Platform], None], ended: threading.Event, every: float) -> None:
    pause = every
    while not ended.wait(pause):
        pause = every
        try:
            duty(platform)
        except Exception:  # the state or Dagster's storage is away: it comes back, and so does this
            log.warning("%s failed; again in %g s", duty.__name__, AFTER_ERROR_SECONDS, exc_info=True)
            pause = AFTER_ERROR_SECONDS


def look_after_jobs(platform: Platform) -> None:
    """Bring every job that waits or works up to what Dagster says."""
    for job in platform.jobs.jobs.unsettled():
        try:
            platform.jobs.advance(platform.tenant(job.tenant), job)
        except SettingsError as error:
            log.warning("job %s of %s: %s", job.job_id, job.tenant, error)
        except Exception:  # one that cannot be launched keeps no other waiting
            log.warning("job %s of %s could not be looked at", job.job_id, job.tenant, exc_info=True)


def send_webhooks(platform: Platform) -> None:
    """Send what webhooks are to be told."""
    private = platform.settings.api_private_webhooks == "allow"
    for wrong in deliver(Webhooks(platform.state), private=private):
        log.warning("webhook %s", wrong)
