"""A server of the API in a process of its own, as ``forecast-platform serve`` starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

STARTED_SECONDS = 300


class Server:
    """A server that can be killed and started again: ``with Server(environment, log) as server: … server.url``.

    Args:
        environment: the ``FORECAST_`` settings.
        log: file that takes its output.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("FORECAST_")}
        self._environment |= environment
        self._log = log
        self._port = _free_port()
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "forecast_platform.cli", "serve", "--port", str(self._port)]
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(command, env=self._environment, stdout=out, stderr=out)
        until = time.monotonic() + STARTED_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/health").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self._log.read_text()[-3_000:]}")

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal, as ``kill -9`` does or cleanly."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
