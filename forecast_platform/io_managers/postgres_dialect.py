"""The PostgreSQL warehouse: one schema and one role a tenant, rows written and read with COPY.

Tables written from Python belong to the user that migrates; sessions run as the tenant's role, which may neither drop
them nor disable the triggers that keep ledgers append-only. Locks are advisory and end with the transaction.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from typing import Any

import psycopg2
import psycopg2.extensions
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from forecast_platform.io_managers import postgres_archive
from forecast_platform.io_managers.statements import Query, statement
from forecast_platform.io_managers.warehouse import Parameters, Session, Warehouse, WarehouseError, WarehouseUnavailable
from forecast_platform.tables import BY_MONTH
from forecast_platform.threads import one_ahead

ROWS_PER_COPY = 200_000
"""Bounds the memory of one COPY, and of the text that is made for the next one meanwhile; 500,000 rows of ten columns
take 1.0 s this way (9 to 77 s with ``to_sql``)."""

LOCK_TIMEOUT = "15min"
"""A writer that waits longer for another one fails with PostgreSQL's error instead of hanging."""

HASH_JOINS = "set local enable_nestloop to off; set local enable_mergejoin to off"
"""How a session's queries are joined, whatever the server's statistics say. A day is read right after it was written,
when they do not know of it: one row is expected where there are a million, and ledgers, which have no index by row, are
looped over, or merged by SKU alone and compared by day. At 3,000 series the checks of four origins took more than six
minutes that way, and 1.1 s by hash; the first ``daily_sales`` of 1.4 million rows 37 s, and 4.7 s. Hashing takes all
columns of a join and spills where it was told too little; with statistics it was as fast as what they chose."""

CONNECT_TIMEOUT_SECONDS = 10
"""A server that takes a connection and does not answer counts as away then; ``connect_timeout`` in the URL wins."""

RESERVED = frozenset({"public", "information_schema"})

CONFLICTS = frozenset({"40001", "40P01"})
"""SQLSTATE of a serialization failure and of a deadlock."""

_FIXED_TYPES: dict[int, pa.DataType] = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    700: pa.float64(),
    701: pa.float64(),
    1082: pa.date32(),
    1184: pa.timestamp("us", "UTC"),
}
"""Arrow types by PostgreSQL's type ids; ``numeric`` follows its own scale, anything else is read as text."""
_NUMERIC = 1700


class PostgresSession(Session):
    dialect = PGDialect_psycopg2()

    def __init__(
        self,
        warehouse: Warehouse,
        connection: psycopg2.extensions.connection,
        begin: Callable[..., None],
        *,
        read_only: bool,
    ) -> None:
        super().__init__(warehouse)
        self.connection = connection
        self.begin = begin
        self.read_only = read_only
        self.recalled: set[tuple[str, date]] = set()

    def execute(self, query: Query, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        compiled = statement(query, parameters, self.dialect)
        with self.connection.cursor() as cursor:
            cursor.execute(compiled.text, compiled.arguments)
            return cursor.fetchall() if cursor.description else []

    def arrow(self, query: Query, parameters: Parameters | None = None) -> pa.Table:
        compiled = statement(query, parameters, self.dialect)
        with self.connection.cursor() as cursor:
            text = cursor.mogrify(compiled.text, compiled.arguments).decode()
            cursor.execute(f"select * from ({text}\n) described limit 0")
            fields = {column.name: _arrow_type(column) for column in cursor.description}
            buffer = io.BytesIO()
            cursor.copy_expert(f"copy ({text}\n) to stdout (format csv)", buffer)
        return _parsed(buffer, fields)

    def insert(self, table: sa.Table, rows: pa.Table, *, into: str | None = None) -> None:
        into = into or self.held(table)
        by_month = table.info.get("by_month") and into == self.held(table)
        days = pc.unique(rows[table.info["partition"]]).to_pylist() if by_month else []
        self.months(table, days)
        names = ", ".join(f'"{name}"' for name in rows.column_names)
        with self.connection.cursor() as cursor:
            for text in one_ahead(_texts(rows)):
                cursor.copy_expert(f"copy {into} ({names}) from stdin (format csv)", text)
        for month in _months(days):
            self.execute("select ledger_blocks(:ledger, :month)", {"ledger": table.name, "month": month})

    def months(self, table: sa.Table, days: Collection[date]) -> None:
        for month in _months(days):
            self.execute("select ledger_month(:ledger, :month)", {"ledger": table.name, "month": month})

    def held(self, table: sa.Table) -> str:
        return f'"{self.warehouse.schema}"."{table.name}"'

    def take_out(self, table: sa.Table, month: date, files: Sequence[str]) -> None:
        postgres_archive.take_out(self, table, month)

    def let_go(self, table: sa.Table, files: Sequence[str]) -> None:
        """Nothing to do: the ledger's own table never knew of the files."""

    def recall(self, days: Collection[date], *ledgers: str) -> None:
        postgres_archive.recall(self, days, ledgers or tuple(table.name for table in BY_MONTH))

    def lock(self, name: str) -> None:
        self.execute("select pg_advisory_xact_lock(hashtextextended(:name, 0))", {"name": self.lock_name(name)})

    def lock_name(self, name: str) -> str:
        """The text whose hash is the advisory lock: the schema and ``name``; dbt takes the same for its models."""
        return f"{self.warehouse.schema}.{name}"


class PostgresWarehouse(Warehouse):
    backend = "postgresql"

    def __init__(self, url: str, tenant: str, *, archive: str | None = None) -> None:
        super().__init__(tenant, archive=archive)
        if tenant in RESERVED or tenant.startswith("pg_"):
            raise WarehouseError(f"tenant {tenant!r}: PostgreSQL keeps that schema for itself; choose another name")
        self.url = sa.make_url(url).set(drivername="postgresql+psycopg2")
        self._at_head = False

    @property
    def schema(self) -> str:
        return self.tenant

    def migrate(self) -> None:
        if self._at_head:
            return
        from forecast_platform import migrations

        if not self._is_at_head(migrations.head()):
            migrations.upgrade_postgres(self.url, self.schema)
        self._at_head = True

    def _is_at_head(self, head: str) -> bool:
        with self._connected() as connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass(%s)", (f'"{self.schema}".alembic_version',))
            if cursor.fetchone()[0] is None:
                return False
            cursor.execute(f'select version_num from "{self.schema}".alembic_version')
            return cursor.fetchone() == (head,)

    def dbt_environment(self) -> dict[str, str]:
        host = self.url.query.get("host") or self.url.host or "localhost"
        return {
            "PIPELINE_TENANT": self.tenant,
            "PIPELINE_BACKEND": self.backend,
            "PIPELINE_PG_HOST": str(host),
            "PIPELINE_PG_PORT": str(self.url.port or self.url.query.get("port") or 5432),
            "PIPELINE_PG_USER": self.url.username or "",
            "PIPELINE_PG_PASSWORD": self.url.password or "",
            "PIPELINE_PG_DATABASE": self.url.database or "",
            "PIPELINE_SCHEMA": self.schema,
            "PIPELINE_ROLE": self.tenant,
        }

    @contextmanager
    def _session(self, *, read_only: bool, owner: bool = False) -> Iterator[PostgresSession]:
        self.migrate()
        with self._connected() as connection:
            try:
                begin = partial(self._prepare, connection, owner=owner)
                begin(read_only=read_only)
                yield PostgresSession(self, connection, begin, read_only=read_only)
            except psycopg2.errors.LockNotAvailable as error:
                raise WarehouseUnavailable(
                    f"tenant {self.tenant!r}: another writer was waited for longer than {LOCK_TIMEOUT}:"
                    f" {str(error).strip()}"
                ) from error
            except psycopg2.Error as error:
                if not _is_lost(connection, error):
                    raise
                raise WarehouseUnavailable(
                    f"the connection to PostgreSQL was lost in the middle of a transaction of tenant {self.tenant!r};"
                    f" it is there whole or not at all, and repeating it is safe: {str(error).strip()}"
                ) from error

    def _prepare(self, connection: psycopg2.extensions.connection, *, read_only: bool, owner: bool = False) -> None:
        """The session's role, schema, zone and isolation. A reader sees one snapshot; a writer sees, once it has its
        lock, what the writer before it committed, which a snapshot taken at the start would hide."""
        isolation = "repeatable read, read only" if read_only else "read committed"
        role = "" if owner else f'set local role "{self.tenant}";'
        with connection.cursor() as cursor:
            cursor.execute(
                f"set transaction isolation level {isolation}; {role}"
                f" set local search_path to \"{self.schema}\"; set local timezone to 'UTC';"
                f" set local datestyle to 'ISO'; set local lock_timeout to '{LOCK_TIMEOUT}'; {HASH_JOINS}"
            )

    @contextmanager
    def _connected(self) -> Iterator[psycopg2.extensions.connection]:
        """A connection that is closed at the end, whatever happened; what was not committed is rolled back."""
        named = dict(self.url.translate_connect_args(username="user", database="dbname")) | dict(self.url.query)
        arguments = {"connect_timeout": CONNECT_TIMEOUT_SECONDS} | named
        try:
            connection = psycopg2.connect(**arguments, application_name=f"forecast_platform {self.tenant}")
        except psycopg2.OperationalError as error:
            raise WarehouseUnavailable(
                f"no connection to PostgreSQL at {self.url.render_as_string(hide_password=True)}: {error}"
            ) from error
        try:
            yield connection
        finally:
            with suppress(psycopg2.Error):
                connection.close()

    def _commit(self, session: Session) -> None:
        assert isinstance(session, PostgresSession)
        session.connection.commit()

    def is_conflict(self, error: BaseException) -> bool:
        return isinstance(error, psycopg2.Error) and error.pgcode in CONFLICTS


def _months(days: Collection[date]) -> list[date]:
    """The first days of the months of ``days``."""
    return sorted({day.replace(day=1) for day in days})


def _texts(rows: pa.Table) -> Iterator[io.BytesIO]:
    """Rows as COPY reads them. Every text is quoted and a null is not, so that the empty text stays apart from null."""
    for start in range(0, rows.num_rows, ROWS_PER_COPY):
        text = io.BytesIO()
        csv.write_csv(
            rows.slice(start, ROWS_PER_COPY), text, csv.WriteOptions(include_header=False, quoting_style="needed")
        )
        text.seek(0)
        yield text


def _is_lost(connection: psycopg2.extensions.connection, error: psycopg2.Error) -> bool:
    """Whether the server went away: it sent no code, or the one of a shutdown (class 57P)."""
    if error.pgcode is None:
        return bool(connection.closed) or not isinstance(error, (psycopg2.ProgrammingError, psycopg2.DataError))
    return error.pgcode.startswith("57P")


def _arrow_type(column: psycopg2.extensions.Column) -> pa.DataType | None:
    """A result column's Arrow type; ``None`` for a ``numeric`` without a scale, which its values decide."""
    if column.type_code != _NUMERIC:
        return _FIXED_TYPES.get(column.type_code, pa.string())
    if column.precision is None or not 0 < column.precision <= 38 or not 0 <= (column.scale or 0) <= column.precision:
        return None
    return pa.decimal128(column.precision, column.scale or 0)


def _parsed(buffer: io.BytesIO, fields: dict[str, pa.DataType | None]) -> pa.Table:
    """Rows from PostgreSQL's CSV. An unquoted nothing is null, a quoted one the empty text."""
    types = {name: kind or pa.string() for name, kind in fields.items()}
    if buffer.tell() == 0:
        rows = pa.schema(list(types.items())).empty_table()
    else:
        buffer.seek(0)
        rows = csv.read_csv(
            buffer,
            read_options=csv.ReadOptions(column_names=list(types), use_threads=False),
            # A null in a result of one column is an empty line, and a row.
            parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(types) > 1),
            convert_options=csv.ConvertOptions(
                column_types=types,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    for position, (name, kind) in enumerate(fields.items()):
        if kind is None:
            rows = rows.set_column(position, name, _as_decimal(rows[name]))
    return rows


def _as_decimal(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimal texts as the narrowest scale that holds them all (a sum of decimals has none declared)."""
    scale = max((len(text.partition(".")[2]) for text in values.to_pylist() if text is not None), default=0)
    return values.cast(pa.decimal128(38, scale))
