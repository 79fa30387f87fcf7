"""Which errors of a database can pass by themselves, so that the same may succeed a little later.

By what drivers tell of an error, without importing one. What is done about it is the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator

LOCKED = "Could not set lock on file"
"""How DuckDB says that another process has the file. The word "lock" alone is also in "block", and in files' names."""

PASSING_STATES = ("08", "40001", "40P01", "53300", "55P03", "57P")
"""SQLSTATEs, or how they begin: connection lost, serialization failure, deadlock, too many connections, lock not
available, server shutting down or starting."""

REFUSED = "FATAL:"
"""Stands in libpq's message where a server was reached and refused the connection: password, database, role."""

REFUSED_FOR_NOW = (
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting",
    "too many",
    "remaining connection",
)
"""Refusals that pass. A failed connection has no SQLSTATE in psycopg2."""


def can_pass(error: BaseException) -> bool:
    """Whether an error, or what caused it, can pass: network or server away, a lock, a deadlock, a database file that
    another process keeps locked (SQLite, DuckDB).

    Wrong passwords, unknown databases, tables and columns, and errors of drivers that are not known here cannot.
    """
    return any(map(_can_pass, _chain(error)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, SQLAlchemy's original and the causes of both."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            causes = (getattr(each, "orig", None), each.__cause__, each.__context__)
            waiting += [cause for cause in causes if isinstance(cause, BaseException)]


def _can_pass(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError) or getattr(error, "connection_invalidated", False):
        return True
    driver = type(error).__module__.split(".")[0]
    if driver == "psycopg2":
        return _postgres(error)
    if driver == "sqlite3":
        return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return driver.endswith("duckdb") and LOCKED in str(error)


def _postgres(error: BaseException) -> bool:
    state: str | None = getattr(error, "pgcode", None)
    if state is not None:
        return state.startswith(PASSING_STATES)
    if type(error).__name__ not in {"OperationalError", "InterfaceError"}:
        return False
    said = str(error)
    return REFUSED not in said or any(each in said for each in REFUSED_FOR_NOW)
