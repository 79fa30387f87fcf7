"""A tenant's warehouse: sessions, transactions, reads and the partition log, whichever database is underneath.

What belongs here is what both databases share; ``duckdb_dialect`` and ``postgres_dialect`` override only what differs.
A warehouse holds settings and opens no connection until a session is asked for; a session is one short connection
with one transaction, closed in ``finally``.
"""

from __future__ import annotations

import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, ClassVar, Literal, TypeVar

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from forecast_platform.crash import crash_point
from forecast_platform.io_managers.columns import declared_columns, to_arrow, to_frame
from forecast_platform.io_managers.fence import Fence
from forecast_platform.io_managers.statements import Query
from forecast_platform.tables import partition_log

T = TypeVar("T")
Backend = Literal["duckdb", "postgresql"]
Parameters = Mapping[str, Any]

TENANT_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
"""What a tenant's name may be: it is part of statements, as an identifier, and of a file's path."""

LOGGED_AT_ONCE = 100
"""Partitions that one statement puts on record: in DuckDB a statement takes 4 ms, whatever it holds."""

CONFLICT_ATTEMPTS = 6
"""How often a transaction is tried that the database ends for a deadlock or a serialization failure."""


class WarehouseError(RuntimeError):
    """The warehouse cannot do what was asked; the message says why and what would help."""


class WarehouseUnavailable(WarehouseError):
    """The warehouse cannot be had just now: held, away, lost, or contended. The same may succeed a little later."""


@dataclass(frozen=True)
class PartitionState:
    """A partition as the log knows it: how many rows, the digest of their content, the run that wrote them."""

    rows: int
    digest: str
    run_id: str


class Session(ABC):
    """One connection in one transaction. Statements take ``:name`` parameters; see ``Warehouse.transaction``."""

    dialect: ClassVar[sa.Dialect]

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    @abstractmethod
    def execute(self, query: Query, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Run one statement; its rows, or an empty list where it has none."""

    @abstractmethod
    def arrow(self, query: Query, parameters: Parameters | None = None) -> pa.Table:
        """The rows of a query as Arrow, in the types of the database."""

    def stream(self, query: Query, parameters: Parameters | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a query as ``arrow`` gives them, so many at a time where the database hands them out that way.
        The session answers nothing else meanwhile."""
        yield from self.arrow(query, parameters).to_batches()

    @abstractmethod
    def insert(self, table: sa.Table, rows: pa.Table) -> None:
        """Insert rows by column name. They are already cast to what ``table`` declares."""

    @abstractmethod
    def lock(self, name: str) -> None:
        """Wait for the tenant's lock ``name`` and hold it until the transaction ends."""

    @abstractmethod
    def months(self, table: sa.Table, days: Collection[date]) -> None:
        """Make room for rows of ``days`` in a table that is kept by month, where months are kept apart."""

    @abstractmethod
    def held(self, table: sa.Table) -> str:
        """The relation, as SQL names it, that holds what of ``table`` is in the warehouse; rows are inserted there."""

    @abstractmethod
    def take_out(self, table: sa.Table, month: date, files: Sequence[str]) -> None:
        """Take a month's rows out of a ledger whose archive now consists of ``files``. By the owner."""

    @abstractmethod
    def let_go(self, table: sa.Table, files: Sequence[str]) -> None:
        """A ledger's archive now consists of ``files``, fewer than before: rows came back. By the owner."""

    @abstractmethod
    def recall(self, days: Collection[date], *ledgers: str) -> None:
        """Make the archived rows of some origins readable in this session, under the ledgers' own names.

        Args:
            ledgers: only of these; without one, of all.

        To be asked before anything else of a session that only reads: it may begin its transaction again. Where
        nothing is archived it costs a look into ``ledger_moves``.
        """

    def frame(
        self, query: Query, parameters: Parameters | None = None, *, like: sa.Table | None = None
    ) -> pd.DataFrame:
        """The rows of a query as a frame, typed as ``tables`` says for the columns of ``like`` or of a ``Select``."""
        return to_frame(self.arrow(query, parameters), declared_columns(query, like))

    def scalar(self, query: Query, parameters: Parameters | None = None) -> Any:
        """The first column of the first row, or ``None`` if there is no row."""
        rows = self.execute(query, parameters)
        return rows[0][0] if rows else None

    def relations(self) -> set[str]:
        """Names of the tables and views that are in the tenant's schema."""
        there = "select table_name from information_schema.tables where table_schema = :schema"
        return {name for (name,) in self.execute(there, {"schema": self.warehouse.schema})}

    def append(self, table: sa.Table, frame: pd.DataFrame) -> int:
        """Cast and insert ``frame``, deleting nothing. Returns the number of rows.

        Raises:
            FrameRefused: the frame is not what the table holds.
        """
        rows = to_arrow(frame, table)
        self.insert(table, rows)
        return rows.num_rows

    def replace_days(
        self, table: sa.Table, frame: pd.DataFrame, first: date, last: date, *, asset: str, run_id: str
    ) -> dict[date, PartitionState]:
        """Replace the days ``first`` .. ``last`` of ``table`` by ``frame`` and log each of them for ``asset``.

        Everything is checked before anything is deleted; see ``replace.prepare``. An empty day is a real result.

        Raises:
            FrameRefused: the frame is not what the table holds, or has rows of other days.
        """
        from forecast_platform.io_managers import replace

        return replace.write(self, replace.prepare(table, frame, first, last), asset=asset, run_id=run_id)

    def logged(self, asset: str, first: date, last: date) -> dict[date, PartitionState]:
        """The partitions of ``asset`` on record between two days, both included."""
        log = partition_log.c
        query = sa.select(log.day, log.rows, log.digest, log.run_id).where(
            log.asset == asset, log.day >= first, log.day <= last
        )
        return {row[0]: PartitionState(*row[1:]) for row in self.execute(query)}

    def log_days(self, asset: str, states: Mapping[date, PartitionState]) -> None:
        """Put partitions on record, over what was there; the time is the database's."""
        ordered = sorted(states)
        for begin in range(0, len(ordered), LOGGED_AT_ONCE):
            days = ordered[begin : begin + LOGGED_AT_ONCE]
            values = ", ".join(
                f"(:asset, :day_{n}, :rows_{n}, :digest_{n}, :run_id_{n}, current_timestamp)" for n in range(len(days))
            )
            given = {
                f"{name}_{n}": value
                for n, day in enumerate(days)
                for name, value in {"day": day, **asdict(states[day])}.items()
            }
            self.execute(
                f"insert into partition_log (asset, day, rows, digest, run_id, written_at) values {values}"
                " on conflict (asset, day) do update set rows = excluded.rows, digest = excluded.digest,"
                " run_id = excluded.run_id, written_at = excluded.written_at",
                {"asset": asset, **given},
            )


class Warehouse(ABC):
    """One tenant's warehouse. Constructing it opens nothing; see ``open_warehouse``.

    Attributes:
        archive: fsspec URL of the folder that old months of the ledgers move to.
    """

    backend: ClassVar[Backend]

    def __init__(self, tenant: str, *, archive: str | None = None) -> None:
        self.archive = archive
        if not TENANT_NAME.fullmatch(tenant):
            raise WarehouseError(f"tenant {tenant!r} cannot be a schema or a file: use {TENANT_NAME.pattern}")
        self.tenant = tenant

    @property
    @abstractmethod
    def schema(self) -> str:
        """The schema that holds the tenant's tables."""

    @abstractmethod
    def migrate(self) -> None:
        """Bring the schema to the newest revision; quick when it is there, safe from several processes at once."""

    @abstractmethod
    def dbt_environment(self) -> dict[str, str]:
        """The ``PIPELINE_*`` variables from which dbt's profile connects to this tenant."""

    @abstractmethod
    def _session(self, *, read_only: bool, owner: bool = False) -> AbstractContextManager[Session]:
        """A connected session in an open transaction; commits nothing, rolls back and closes at the end.

        ``owner``: as who owns the ledgers, for named maintenance operations; everybody else may only append to them.
        """

    @abstractmethod
    def _commit(self, session: Session) -> None:
        """Commit the session's transaction."""

    @abstractmethod
    def is_conflict(self, error: BaseException) -> bool:
        """Whether the database ended a transaction only because of another one, so that repeating it may succeed."""

    @contextmanager
    def transaction(
        self, *, fence: Fence | None = None, crash_points: bool = True, owner: bool = False
    ) -> Iterator[Session]:
        """One short connection with one transaction: committed at the end, rolled back on any error, always closed.

        Args:
            fence: called just before COMMIT; what it raises rolls the transaction back.
            crash_points: whether a fault test may kill the process around COMMIT. Not where a log is written: the
                named points are those of data.
            owner: as the owner of the ledgers; of a maintenance operation only.

        Raises:
            WarehouseUnavailable: no connection could be had in bounded time, or it was lost.
        """
        with self._session(read_only=False, owner=owner) as session:
            yield session
            if crash_points:
                crash_point("before_commit")
            if fence is not None:
                fence()
            self._commit(session)
            if crash_points:
                crash_point("after_commit")

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Whoever is in here asks for one session after the other: what opening and closing cost need not be paid for
        each. A hint: sessions are the same inside and outside."""
        yield

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One short read-only connection that sees one state of the warehouse throughout."""
        with self._session(read_only=True) as session:
            yield session

    def repeat(self, work: Callable[[Session], T], *, fence: Fence | None = None) -> T:
        """Run ``work`` in a transaction, again if the database ended it for a deadlock or a serialization failure.

        Raises:
            WarehouseUnavailable: it was tried ``CONFLICT_ATTEMPTS`` times, with jittered pauses.
        """
        for attempt in range(1, CONFLICT_ATTEMPTS + 1):
            try:
                with self.transaction(fence=fence) as session:
                    return work(session)
            except Exception as error:
                if not self.is_conflict(error):
                    raise
                if attempt == CONFLICT_ATTEMPTS:
                    raise WarehouseUnavailable(
                        f"the database ended the same transaction of tenant {self.tenant!r} {attempt} times in favour"
                        f" of others: {str(error).strip()}"
                    ) from error
            time.sleep(random.uniform(0.5, 1.0) * min(0.05 * 2**attempt, 1.0))
        raise AssertionError("unreachable")

    def read(self, query: Query, parameters: Parameters | None = None, *, like: sa.Table | None = None) -> pd.DataFrame:
        """The rows of one query, typed as ``tables`` says for the columns of ``like`` or of a ``Select``."""
        with self.reading() as session:
            return session.frame(query, parameters, like=like)

    def logged(self, asset: str, first: date, last: date) -> dict[date, PartitionState]:
        """The partitions of ``asset`` on record between two days, both included."""
        with self.reading() as session:
            return session.logged(asset, first, last)

    def first_day(self, asset: str) -> date | None:
        """The first partition of ``asset`` on record, or ``None``."""
        with self.reading() as session:
            return session.scalar(sa.select(sa.func.min(partition_log.c.day)).where(partition_log.c.asset == asset))

    def last_day(self, asset: str) -> date | None:
        """The last partition of ``asset`` on record, or ``None``."""
        with self.reading() as session:
            return session.scalar(sa.select(sa.func.max(partition_log.c.day)).where(partition_log.c.asset == asset))


def open_warehouse(url: str, tenant: str, *, archive: str | None = None) -> Warehouse:
    """The warehouse of ``tenant`` at ``url``: ``duckdb:///folder`` or ``postgresql://user:password@host/database``.

    ``duckdb:///folder?memory=16GB`` lets DuckDB take so much before it writes to a file beside its own.

    Args:
        archive: fsspec URL of the folder for old months of the ledgers.

    Raises:
        WarehouseError: the URL names no warehouse, or the tenant's name cannot be a schema or a file there.
    """
    if url.startswith("duckdb:///"):
        from forecast_platform.io_managers.duckdb_dialect import DuckDBWarehouse

        return DuckDBWarehouse(url, tenant, archive=archive)
    if url.startswith(("postgresql://", "postgresql+psycopg2://")):
        from forecast_platform.io_managers.postgres_dialect import PostgresWarehouse

        return PostgresWarehouse(url, tenant, archive=archive)
    raise WarehouseError(f"{url!r} is no warehouse: use duckdb:///folder or postgresql://user@host/database")
