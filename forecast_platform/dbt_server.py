"""The process that keeps dbt warm: it has imported dbt and parsed the project, and forks a child for each call.

What a call costs beyond its SQL is imports (3.3 s of CPU), the parse (1.4 s) and what dbt builds when first used. The
server does the first two once. It runs no call itself and opens no connection: a child inherits what was imported and
parsed, runs one call and ends, so that nothing of a call, neither memory, connection nor error, is left to the next.

Requests are lines of JSON on a Unix socket, the server's standard input, with the whole ``environment`` of the call.
With ``arguments`` and a descriptor for its output, and one for its fence if it has one, the child is started, answered
with ``process`` (its number), and once it has ended with ``returncode``; without, the project is parsed ahead, and
``ready`` is the answer.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from forecast_platform.dbt_child import FENCE, call_dbt, die_with, placeless
from forecast_platform.leaving import leave_after

PARSED = "DBT_PARTIAL_PARSE_FILE_PATH"
"""Names dbt's parse of the project; a call without it (``parse`` itself) has nothing to be kept ready for."""

PER_CALL = frozenset({"PIPELINE_RUN_ID", "DBT_TARGET_PATH", "DBT_LOG_PATH"})
"""Variables that differ from call to call. Any other of dbt's and the pipeline's may change what the project is."""

KEPT = 4
"""Projects that are kept parsed, the latest used: another tenant, warehouse or horizon is another one, and its parse
takes 0.4 s of CPU. Each holds 3 MB."""


def serve() -> None:
    """Answer requests until nobody can send any more."""
    channel = socket.socket(fileno=os.dup(0))
    # Ctrl-C is sent to every process of the terminal: the calls end by it, and the server with whoever started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import dbt.adapters.duckdb
    import dbt.cli.main  # noqa: F401

    _detach()
    project = _Project()
    while (received := _receive(channel)) is not None:
        request, descriptors = received
        os.environ.clear()
        os.environ.update(request["environment"])
        project.keep_for(request["environment"])
        if descriptors:
            _serve_call(channel, request["arguments"], descriptors, project)
        else:
            _answer(channel, ready=True)


def _detach() -> None:
    """Say nothing from here on; until here, errors of an import go where those of the process that started it go."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


class _Project:
    """The parsed project, for the environment that it was last asked for; those of others are kept.

    ``tried`` once anything was parsed here. dbt's parser may then have threads, which a fork does not take along, and a
    child that parses would wait for them for ever.
    """

    def __init__(self) -> None:
        self.manifest: Any = None
        self.tried = False
        self._kept: OrderedDict[frozenset[tuple[str, str]], Any] = OrderedDict()

    def keep_for(self, environment: Mapping[str, str]) -> None:
        """Parse, if the project may be another one in ``environment``. A project that cannot be parsed is not kept: the
        call parses it, and says what is wrong."""
        if PARSED not in environment:
            self.manifest = None
            return
        key = _what_it_depends_on(environment)
        if key not in self._kept:
            self._parse(key, environment)
        self.manifest = self._kept.get(key)
        if self.manifest is not None:
            self._kept.move_to_end(key)

    def _parse(self, key: frozenset[tuple[str, str]], environment: Mapping[str, str]) -> None:
        from dbt.cli.main import dbtRunner

        self.tried = True
        os.environ.update(placeless(environment))
        with tempfile.TemporaryDirectory() as folder:
            parsed = dbtRunner().invoke(["parse", "--target-path", folder, "--log-path", folder])
        os.environ.update(environment)
        if parsed.success:
            self._kept[key] = parsed.result
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        gc.collect()
        gc.freeze()  # or the children's collections would copy every page they share with the server


def _what_it_depends_on(environment: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """The variables that may change what the project is, wherever its data are and its parse is linked to."""
    lasting = {name: value for name, value in placeless(environment).items() if name not in PER_CALL}
    lasting[PARSED] = os.path.realpath(lasting[PARSED])
    return frozenset(each for each in lasting.items() if each[0].startswith(("DBT_", "PIPELINE_")))


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next request and the descriptors that came with it; None when there will be none."""
    text, descriptors, _, _ = socket.recv_fds(channel, 65_536, 2)
    while text and not text.endswith(b"\n"):
        more = channel.recv(65_536)
        if not more:
            return None
        text += more
    return (json.loads(text), descriptors) if text else None


def _answer(channel: socket.socket, **values: Any) -> None:
    channel.sendall(json.dumps(values).encode() + b"\n")


def _serve_call(
    channel: socket.socket, arguments: Sequence[str], descriptors: Sequence[int], project: _Project
) -> None:
    server = os.getpid()
    child = os.fork()
    if not child:
        leave_after(lambda: _in_child(server, channel, arguments, *descriptors, project=project))
    for each in descriptors:
        os.close(each)
    _answer(channel, process=child)
    _, status = os.waitpid(child, 0)
    _answer(channel, returncode=os.waitstatus_to_exitcode(status))


def _in_child(
    server: int,
    channel: socket.socket,
    arguments: Sequence[str],
    output: int,
    fence: int | None = None,
    *,
    project: _Project,
) -> None:
    channel.close()
    # At once: dbt would first wait for its threads, and one may wait for a lock. What is not committed is rolled back.
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    if fence is not None:
        os.set_inheritable(fence, True)
        os.environ[FENCE] = str(fence)
    if project.manifest is None and project.tried:
        os.execv(sys.executable, [sys.executable, "-m", call_dbt.__module__, *arguments])
    sys.argv[1:] = arguments
    die_with(server)
    call_dbt(arguments, project.manifest)
