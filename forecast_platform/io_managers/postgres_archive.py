"""Archived months in PostgreSQL, which reads no Parquet: a month leaves as a whole partition, and a session that needs
old origins reads them into temporary tables that stand before the ledgers' own.

A view is bound to the ledger it was made on and does not see those: it has a month's rows again once they are restored.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

import sqlalchemy as sa

from forecast_platform.days import month_of
from forecast_platform.tables import BY_MONTH, metadata

if TYPE_CHECKING:
    from forecast_platform.io_managers.postgres_dialect import PostgresSession


def take_out(session: PostgresSession, table: sa.Table, month: date) -> None:
    """Detach a month's partition and drop it; part of the transaction that records the move."""
    part = f'"{session.warehouse.schema}"."{table.name}_{month:%Y_%m}"'
    session.execute(f"alter table {session.held(table)} detach partition {part}")
    session.execute(f"drop table {part}")


def recall(session: PostgresSession, days: Collection[date], ledgers: Collection[str]) -> None:
    """Copy the archived rows of some origins to where the session's queries of the ledgers find them.

    A session that only reads may make no temporary table: it makes them in a transaction of their own and begins again.
    No month leaves meanwhile: the ledgers are locked against that before anything is looked up.
    """
    while wanted := _wanted(session, days, ledgers):
        if session.read_only:
            session.connection.rollback()
            session.begin(read_only=False)
        for table in {metadata.tables[asset] for asset, _ in wanted}:
            _stand_before(session, table)
        for (asset, location), origins in wanted.items():
            _copy(session, metadata.tables[asset], location, origins)
        if session.read_only:
            session.connection.commit()
            session.begin(read_only=True)


def _wanted(
    session: PostgresSession, days: Collection[date], ledgers: Collection[str]
) -> dict[tuple[str, str], list[date]]:
    """What is archived of ``days`` and not recalled yet: origins by ledger and file."""
    from forecast_platform.io_managers.archive import archived

    locked = ", ".join(session.held(table) for table in BY_MONTH)
    session.execute(f"lock table {locked} in access share mode")
    wanted: dict[tuple[str, str], list[date]] = {}
    for move in archived(session):
        origins = [
            day
            for day in sorted(set(days))
            if move.asset in ledgers and month_of(day) == move.month and (move.location, day) not in session.recalled
        ]
        if origins:
            wanted[move.asset, move.location] = origins
    return wanted


def _stand_before(session: PostgresSession, table: sa.Table) -> None:
    if session.scalar("select to_regclass(:name) is not null", {"name": f'pg_temp."{table.name}"'}):
        return
    recalled = f'pg_temp."{table.name}_recalled"'
    session.execute(f"create temporary table {table.name}_recalled (like {session.held(table)})")
    session.execute(
        f"create temporary view {table.name} as select * from {session.held(table)} union all select * from {recalled}"
    )


def _copy(session: PostgresSession, table: sa.Table, location: str, origins: list[date]) -> None:
    from forecast_platform.io_managers.archive import origins_in

    for rows in origins_in(table, location, origins):
        session.insert(table, rows, into=f'pg_temp."{table.name}_recalled"')
    session.recalled |= {(location, origin) for origin in origins}
