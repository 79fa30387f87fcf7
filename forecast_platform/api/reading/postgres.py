"""Reading from PostgreSQL: a small pool a tenant, whose connections are the tenant's reading role from their first
word on.

The role can read the tenant's schema and nothing else (``migrations.tenants``), so that a query that forgets the
tenant, or is made to name another's, finds nothing. A connection never serves two tenants. (Statements of somebody's
own could set another role, as the login may: values travel as parameters, and no text of a request is ever SQL.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import Any

import psycopg2
import psycopg2.extensions
import sqlalchemy as sa
from psycopg2.errors import InvalidParameterValue, QueryCanceled, UndefinedTable
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from forecast_platform.api.reading.base import SERVED, TenantReading
from forecast_platform.io_managers.postgres_dialect import CONNECT_TIMEOUT_SECONDS, PostgresSession, PostgresWarehouse
from forecast_platform.io_managers.warehouse import Session, WarehouseUnavailable
from forecast_platform.migrations.tenants import reading_role

POOL_SIZE = 4
MOST_CONNECTIONS = 12
"""Of one tenant and process; who comes later waits up to ``PATIENCE_SECONDS`` and is then told to come again."""

PATIENCE_SECONDS = 5
STATEMENT_SECONDS = 30
"""A read that takes longer is ended: an API is asked again, and reports are made elsewhere."""

KEPT_SECONDS = 1800
"""Age at which a connection is replaced."""

NEWEST = "select coalesce(max(written_at), timestamptz 'epoch') from partition_log where asset = 'serving'"


class PostgresReading(TenantReading):
    def __init__(self, warehouse: PostgresWarehouse) -> None:
        self._warehouse = warehouse
        self._pool = sa.QueuePool(
            self._connect,
            pool_size=POOL_SIZE,
            max_overflow=MOST_CONNECTIONS - POOL_SIZE,
            timeout=PATIENCE_SECONDS,
            recycle=KEPT_SECONDS,
            dialect=PGDialect_psycopg2(),
        )

    def _connect(self) -> psycopg2.extensions.connection:
        url = self._warehouse.url
        named = dict(url.translate_connect_args(username="user", database="dbname")) | dict(url.query)
        tenant = self._warehouse.tenant
        arguments = {"connect_timeout": CONNECT_TIMEOUT_SECONDS} | named
        connection = psycopg2.connect(**arguments, application_name=f"forecast_platform {tenant}")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(
                    f'set role "{reading_role(tenant)}"; set search_path to "{tenant}"; set timezone to \'UTC\';'
                    " set datestyle to 'ISO'; set default_transaction_read_only to on;"
                    f" set statement_timeout to '{STATEMENT_SECONDS}s'; set lock_timeout to '5s';"
                    " set idle_in_transaction_session_timeout to '60s'"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection of the pool in its first transaction, which is rolled back at the end.

        Raises:
            WarehouseUnavailable: none is to be had, it was lost, or the query took too long.
        """
        with self._telling():
            pooled = self._pool.connect()
        try:
            with self._telling():
                yield pooled
        except WarehouseUnavailable:
            if pooled.dbapi_connection is None or pooled.dbapi_connection.closed:
                # The server went away: the other connections of the pool are as dead as this one.
                pooled.invalidate()
                self._pool.dispose()
                self._pool = self._pool.recreate()
            raise
        finally:
            pooled.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        tenant = self._warehouse.tenant
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise WarehouseUnavailable(f"all {MOST_CONNECTIONS} connections of tenant {tenant!r} are in use") from error
        except (UndefinedTable, InvalidParameterValue) as error:
            raise WarehouseUnavailable(
                f"tenant {tenant!r} has nothing to be read yet: {error}. Run forecast-platform migrate, then its days"
            ) from error
        except QueryCanceled as error:
            raise WarehouseUnavailable(f"a query took longer than {STATEMENT_SECONDS} s and was ended") from error
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise WarehouseUnavailable(f"PostgreSQL is not to be had for tenant {tenant!r}: {error}") from error

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self.connection() as pooled:
            begin = partial(_begin, pooled.dbapi_connection)
            session = PostgresSession(self._warehouse, pooled.dbapi_connection, begin, read_only=True)
            begin(read_only=True)
            yield session
            if session.recalled:
                # The temporary tables stand before the ledgers' own for as long as the connection lives.
                pooled.invalidate()

    def served(self, sku: str) -> list[tuple[str, date, str]]:
        """One statement as it is: compiled, and with an isolation that it does not need, it took twice the time."""
        with self.connection() as pooled, pooled.dbapi_connection.cursor() as cursor:
            cursor.execute(SERVED.replace(":sku", "%s"), (sku,))
            return cursor.fetchall()

    def version(self) -> str:
        with self.connection() as pooled, pooled.dbapi_connection.cursor() as cursor:
            cursor.execute(NEWEST)
            return cursor.fetchone()[0].isoformat()

    def close(self) -> None:
        self._pool.dispose()


def _begin(connection: psycopg2.extensions.connection, *, read_only: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"set transaction isolation level repeatable read, {'read only' if read_only else 'read write'}")
