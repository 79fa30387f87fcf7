"""Named points at which a fault test can kill the process.

A point is a call between two steps whose order matters; it does nothing unless ``FORECAST_CRASH_AT`` names it.
What happens after the kill is the business of the tests in ``faults``, not of this module.
"""

from __future__ import annotations

import os
import signal

from forecast_platform import settings


def crash_point(name: str) -> None:
    """Kill this process, as ``kill -9`` would, if ``FORECAST_CRASH_AT`` is ``name``; otherwise do nothing."""
    if settings.load().crash_at == name:
        os.kill(os.getpid(), signal.SIGKILL)
