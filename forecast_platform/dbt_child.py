"""The process that runs dbt: ``forecast-platform-dbt``, used in place of ``dbt`` by dagster-dbt.

It takes dbt's arguments and gives dbt's output and exit codes, and adds what a step of the pipeline needs and dbt
alone does not have: it dies with its parent, asks the fence before each COMMIT, has crash points for the fault tests,
waits for DuckDB's file lock, and has an exit code of its own for trouble with the database that can pass. Nothing here
knows a model; SQL is in ``dbt_project``.

Whoever started it answers for the fence, at the socket that ``PIPELINE_FENCE`` names: asking Dagster itself took 3 s of
imports a call. With ``--on-request`` it serves one call after the other, see ``dbt_server``.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from forecast_platform import settings
from forecast_platform.database_errors import can_pass
from forecast_platform.io_managers.fence import Fence, RunEnded
from forecast_platform.leaving import leave_after

STEP = re.compile(r"/\* replace_days (\w+) \*/")
"""How the ``replace_days`` strategy marks its statements."""

ON_REQUEST = "--on-request"

FENCE = "PIPELINE_FENCE"
"""Names the descriptor of a socket: ``?`` asks there for a commit, and a line of JSON is null or the refusal."""

TRY_AGAIN = 75
"""Exit code in place of dbt's, if what went wrong in the database can pass: EX_TEMPFAIL of ``sysexits.h``."""

PLACE = {
    "PIPELINE_DUCKDB_PATH": "{PIPELINE_TENANT}.duckdb",
    "PIPELINE_PG_HOST": "localhost",
    "PIPELINE_PG_PORT": "5432",
    "PIPELINE_PG_USER": "postgres",
    "PIPELINE_PG_PASSWORD": "",
    "PIPELINE_PG_DATABASE": "postgres",
}
"""Variables that say where a tenant's data are, and what stands for them where the project is parsed."""

ADAPTERS = ("duckdb", "postgres")
"""Adapters that `--version` names where they are installed; PostgreSQL's is an extra."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run dbt with ``argv`` (default: the command line) and exit with its code: 0 done, 1 a node failed, 2 usage, or
    ``TRY_AGAIN``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--version"]:
        print(version_text())
        sys.exit(0)
    die_with(os.getppid())
    if argv == [ON_REQUEST]:
        from forecast_platform.dbt_server import serve

        leave_after(serve)
    leave_after(lambda: call_dbt(argv))


def call_dbt(argv: Sequence[str], manifest: Any = None) -> NoReturn:
    """Run dbt in this process and exit with its code. ``manifest`` is the parsed project; None: dbt reads it."""
    guard_commits(fence_of(settings.variables()))
    trouble = note_trouble()
    wait_for_the_duckdb_file()
    from dbt.cli.main import cli

    try:
        cli(list(argv), obj={"manifest": manifest})
    except SystemExit as end:
        sys.exit(TRY_AGAIN if end.code and any(map(can_pass, trouble)) else end.code)
    raise AssertionError("unreachable: click ends by SystemExit")


def placeless(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for parsing the project, which is the same wherever the data are.

    dbt throws a parse away when a variable that the profile names has another value: a new password, a moved folder.
    """
    return {name: PLACE[name].format(**environment) if name in PLACE else value for name, value in environment.items()}


def version_text() -> str:
    """What ``dbt --version`` says, without its 3 seconds of imports and its question to the package index.

    dagster-dbt asks once for every resource, before the run itself.
    """
    lines = ["Core:", f"  - installed: {metadata.version('dbt-core')}", "", "Plugins:"]
    for adapter in ADAPTERS:
        with suppress(metadata.PackageNotFoundError):
            lines.append(f"  - {adapter}: {metadata.version(f'dbt-{adapter}')}")
    return "\n".join(lines)


def die_with(parent: int) -> None:
    """End this process, at once and without cleaning up, when its ``parent`` ends.

    A dbt that outlives a killed run would commit seconds later. The watch holds on to the parent *process* (a pidfd on
    Linux): ``PR_SET_PDEATHSIG`` is bound to the parent's *thread*, and would kill dbt when a worker thread of a living
    run ends. Where there is no pidfd, the parent's number is asked for five times a second.
    """
    threading.Thread(target=_watch, args=(parent,), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    try:
        process = os.pidfd_open(parent)
    except (AttributeError, OSError):  # not Linux, an old kernel, or already gone
        while os.getppid() == parent:
            time.sleep(0.2)
    else:
        if os.getppid() == parent:
            poll = select.poll()
            poll.register(process, select.POLLIN)
            poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def fence_of(environment: Mapping[str, str]) -> Fence | None:
    """The fence that whoever started this process answers for (``dbt_process.DbtCall``); None where nobody does."""
    if FENCE not in environment:
        return None
    channel = socket.socket(fileno=int(environment[FENCE]))
    answers = channel.makefile("rb")
    asking = threading.Lock()  # dbt commits in several threads

    def check() -> None:
        with asking:
            channel.sendall(b"?")
            answer = answers.readline()
        refused = json.loads(answer) if answer else "whoever started dbt is gone; nothing was committed"
        if refused is not None:
            raise RunEnded(refused)

    return check


def guard_commits(fence: Fence | None) -> None:
    """Have dbt call ``fence`` before it commits what a model wrote, and pass the crash points of the fault tests.

    Both adapters commit through ``SQLConnectionManager.commit``. What the fence raises becomes the model's error, and
    dbt rolls the transaction back. Crash points: ``dbt_after_<step>`` for every step of ``replace_days`` (lock, create,
    delete, insert, log), ``dbt_before_commit`` and ``dbt_after_commit``.
    """
    from dbt.adapters.sql import SQLConnectionManager

    from forecast_platform.crash import crash_point

    writing = threading.local()
    commit, add_query = SQLConnectionManager.commit, SQLConnectionManager.add_query

    def fenced_commit(self: SQLConnectionManager) -> Any:
        if not getattr(writing, "step", None):
            return commit(self)
        if fence is not None:
            fence()
        crash_point("dbt_before_commit")
        connection = commit(self)
        writing.step = None
        crash_point("dbt_after_commit")
        return connection

    def marked_query(self: SQLConnectionManager, sql: str, *args: Any, **options: Any) -> Any:
        result = add_query(self, sql, *args, **options)
        if step := STEP.search(sql):
            writing.step = step[1]
            crash_point(f"dbt_after_{step[1]}")
        return result

    SQLConnectionManager.commit = fenced_commit
    SQLConnectionManager.add_query = marked_query


def note_trouble() -> list[BaseException]:
    """Have the errors of statements and connections put into the list that is returned: dbt hands on only texts."""
    from dbt.adapters.sql import SQLConnectionManager

    noted: list[BaseException] = []
    add_query = SQLConnectionManager.add_query

    def noting(self: SQLConnectionManager, *args: Any, **options: Any) -> Any:
        try:
            return add_query(self, *args, **options)
        except Exception as error:
            noted.append(error)
            raise

    SQLConnectionManager.add_query = noting
    return noted


def wait_for_the_duckdb_file() -> None:
    """Have dbt-duckdb try again, with jittered back-off, while another process holds the file; alone it tries once."""
    from dbt.adapters.factory import FACTORY

    load_plugin = FACTORY.load_plugin

    def load_plugin_and_wait(name: str) -> Any:
        loaded = load_plugin(name)
        if name == "duckdb":
            _retry_connections()
        return loaded

    FACTORY.load_plugin = load_plugin_and_wait


def _retry_connections() -> None:
    from dbt.adapters.duckdb.environments.local import LocalEnvironment

    from forecast_platform.io_managers.file_lock import retry_while_locked

    connect = LocalEnvironment.initialize_db

    def connect_when_free(credentials: Any, *args: Any, **options: Any) -> Any:
        return retry_while_locked(Path(credentials.path), lambda: connect(credentials, *args, **options))

    LocalEnvironment.initialize_db = staticmethod(connect_when_free)


if __name__ == "__main__":
    main()
