"""dbt's process as this process sees it: started once, kept warm, and asked for one call after the other.

What the process does is in ``dbt_server``. It ends with this one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from forecast_platform.dbt_child import ON_REQUEST
from forecast_platform.io_managers.fence import Fence
from forecast_platform.settings import child_environment

PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"


class DbtProcessLost(RuntimeError):
    """The process that runs dbt has ended before it could be asked."""


def executable() -> str:
    """Our dbt: it dies with its parent and commits nothing for a run that has ended."""
    beside = Path(sys.executable).with_name("forecast-platform-dbt")
    found = str(beside) if beside.exists() else shutil.which("forecast-platform-dbt")
    if found is None:
        raise FileNotFoundError(
            f"forecast-platform-dbt is neither beside {sys.executable} nor on PATH; install this project with pip"
        )
    return found


class DbtProcesses:
    """Calls dbt, in a process that is kept for the next call.

    Calls of several threads do not wait for each other: each has a process of its own, and one of them is kept.
    """

    def __init__(self) -> None:
        self._idle: _Server | None = None
        self._lock = threading.Lock()

    def ready(self, environment: Mapping[str, str] | None = None) -> None:
        """Have a process import dbt, and parse the project of ``environment``, while this one does something else."""
        server = self._take() or _Server()
        if environment is not None:
            try:
                server.prepare(environment)
            except DbtProcessLost:  # the next call starts another
                server.end()
                return
        self._keep(server)

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        keep: bool = True,
        fence: Fence | None = None,
    ) -> DbtCall:
        """Run dbt with ``arguments`` and ``environment`` on top of this process's.

        Args:
            keep: whether a process that is started for this call is kept for the next.
            fence: called, in a thread of this process, before dbt commits what a model wrote; what it raises becomes
                the model's error.

        Raises:
            DbtProcessLost: dbt cannot be started.
        """
        server = self._take()
        if server is not None:
            try:
                return DbtCall(server, arguments, environment, fence, done=self._keep)
            except DbtProcessLost:  # it died waiting: the kernel took its memory, or somebody killed it
                server.end()
        server = _Server()
        return DbtCall(server, arguments, environment, fence, done=self._keep if keep else _Server.end)

    def end(self) -> None:
        """End the process that is kept, if there is one."""
        server = self._take()
        if server is not None:
            server.end()

    def _take(self) -> _Server | None:
        with self._lock:
            server, self._idle = self._idle, None
        # A process that was forked from the one that started it must not speak to it too.
        return server if server is not None and server.owner == os.getpid() else None

    def _keep(self, server: _Server) -> None:
        with self._lock:
            if self._idle is None:
                self._idle = server
                return
        server.end()


class DbtCall:
    """One call of dbt, with what dagster-dbt needs of a ``Popen``: ``args``, ``stdout``, ``wait`` and ``send_signal``.

    Leaving it as a context ends the call, if it has not ended by itself.

    Raises:
        DbtProcessLost: the process to ask has ended.
    """

    def __init__(
        self,
        server: _Server,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        fence: Fence | None,
        *,
        done: Callable[[_Server], None],
    ) -> None:
        self.args = [executable(), *arguments]  # what logs and errors say was run
        self.returncode: int | None = None
        self._server, self._done = server, done
        ours, theirs = os.pipe()
        self.stdout = os.fdopen(ours, "rb")
        handed = [theirs]
        if fence is not None:
            asked, asking = socket.socketpair()
            threading.Thread(target=_answer, args=(asked, fence), name="dbt-fence", daemon=True).start()
            handed.append(asking.detach())
        try:
            self.pid: int = server.begin(arguments, environment, *handed)
        except BaseException:
            self.stdout.close()
            server.end()
            raise
        finally:
            for each in handed:
                os.close(each)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the call; dbt's exit code, or minus the signal that ended it.

        Raises:
            TimeoutError: it has not ended after ``timeout`` seconds.
        """
        if self.returncode is None:
            try:
                self.returncode = self._server.result(timeout)
                self._done(self._server)
            except DbtProcessLost:  # and the call with it
                self.returncode = -signal.SIGKILL
                self._server.end()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def __enter__(self) -> DbtCall:
        return self

    def __exit__(self, *error: object) -> None:
        self.stdout.close()
        if self.returncode is None:  # whoever should have read on did not
            self._server.end()
            self.returncode = -signal.SIGKILL


def _answer(asked: socket.socket, fence: Fence) -> None:
    """Answer each question of a call of dbt's, whether it may commit, until the call has ended."""
    with asked, suppress(ConnectionError):
        while asked.recv(1):
            refused = None
            try:
                fence()
            except Exception as error:
                refused = f"{error}"
            asked.sendall(json.dumps(refused).encode() + b"\n")


class _Server:
    """The other end of ``dbt_server``: requests go there one at a time."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._channel, theirs = socket.socketpair()
        with theirs:
            # What it says on standard error before it serves, an import that fails, is for whoever reads ours.
            self._process = subprocess.Popen(
                [executable(), ON_REQUEST], stdin=theirs, stdout=subprocess.DEVNULL, cwd=PROJECT
            )
        self._answers = self._channel.makefile("rb")
        self._prepared: Mapping[str, str] | None = None
        self._unread = 0

    def prepare(self, environment: Mapping[str, str]) -> None:
        """Have the project of ``environment`` parsed; does not wait for it."""
        if environment != self._prepared:
            self._send({"environment": child_environment(environment)})
            self._prepared = environment
            self._unread += 1

    def begin(self, arguments: Sequence[str], environment: Mapping[str, str], *descriptors: int) -> int:
        """Start a call with the ``descriptors`` of its output and its fence; the number of its process."""
        self._send({"arguments": list(arguments), "environment": child_environment(environment)}, *descriptors)
        return self._read()["process"]

    def result(self, timeout: float | None) -> int:
        """The exit code of the call that was begun."""
        self._channel.settimeout(timeout)
        try:
            return self._read()["returncode"]
        finally:
            self._channel.settimeout(None)

    def end(self) -> None:
        """End the process, and the call that it serves, at once."""
        self._process.kill()
        self._process.wait()
        self._answers.close()
        self._channel.close()

    def _send(self, request: Mapping[str, Any], *descriptors: int) -> None:
        while self._unread:  # two requests at once would be read as one
            self._read()
            self._unread -= 1
        text = memoryview(json.dumps(request).encode() + b"\n")
        try:
            sent = socket.send_fds(self._channel, [text], descriptors)
            self._channel.sendall(text[sent:])
        except OSError as error:
            raise DbtProcessLost(f"{executable()} cannot be asked: {error}") from error

    def _read(self) -> dict[str, Any]:
        try:
            line = self._answers.readline()
        except ConnectionError:
            line = b""
        if not line:
            raise DbtProcessLost(f"{executable()} has ended; if it said why, then on standard error")
        return json.loads(line)


PROCESSES = DbtProcesses()
"""Those of this Python process."""
