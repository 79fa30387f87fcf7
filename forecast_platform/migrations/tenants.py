"""A tenant's place in a PostgreSQL database: its schema, its role, and what the role may do.

The schema and the tables written from Python belong to the user that migrates; the role may read them and write rows,
may create tables of its own in the schema (dbt's), and may not change or empty a ledger, drop a table or disable a
trigger. Sessions take the role on with SET ROLE.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from forecast_platform.io_managers.warehouse import WarehouseError
from forecast_platform.tables import APPEND_ONLY, WRITTEN


def create(connection: sa.Connection, tenant: str) -> None:
    """Create role and schema of ``tenant`` where they are missing, and let the connecting user take the role on.

    Raises:
        WarehouseError: the role is somebody's login or a superuser, or the user may not create what is missing; the
            message has the statements an administrator would run.
    """
    row = connection.execute(
        sa.text("select rolcanlogin, rolsuper from pg_roles where rolname = :name"), {"name": tenant}
    ).one_or_none()
    if row is not None and (row.rolcanlogin or row.rolsuper):
        raise WarehouseError(
            f"tenant {tenant!r}: the database has a login or superuser of that name, and a tenant's role must be"
            " neither; choose another name for the tenant"
        )
    member = row is not None and _scalar(connection, "select pg_has_role(current_user, :name, 'member')", tenant)
    present = _scalar(connection, "select exists (select from pg_namespace where nspname = :name)", tenant)
    steps = {
        f'create role "{tenant}" nologin': row is None,
        f'grant "{tenant}" to current_user': not member,
        f'create schema "{tenant}"': not present,
    }
    for statement, needed in steps.items():
        if needed:
            _run(connection, statement, tenant)
    _run(connection, f'grant usage, create on schema "{tenant}" to "{tenant}"', tenant)


def grant(connection: sa.Connection, tenant: str) -> None:
    """Give the role what it needs on every table of the revisions; safe to repeat."""
    for table in WRITTEN:
        rights = "select, insert" if table in APPEND_ONLY else "select, insert, update, delete"
        connection.execute(sa.text(f'grant {rights} on "{tenant}"."{table.name}" to "{tenant}"'))
    connection.execute(sa.text(f'grant select on "{tenant}".alembic_version to "{tenant}"'))
    connection.execute(sa.text(f'grant execute on function "{tenant}".ledger_month(text, date) to "{tenant}"'))


def _scalar(connection: sa.Connection, query: str, tenant: str) -> bool:
    return bool(connection.execute(sa.text(query), {"name": tenant}).scalar_one())


def _run(connection: sa.Connection, statement: str, tenant: str) -> None:
    try:
        connection.execute(sa.text(statement))
    except ProgrammingError as error:
        user = connection.engine.url.username or "the connecting user"
        raise WarehouseError(
            f"tenant {tenant!r}: {user} may not run: {statement}. Give it CREATEROLE and CREATE on the database, or"
            f' have an administrator run: create role "{tenant}" nologin; grant "{tenant}" to "{user}";'
            f' create schema "{tenant}" authorization "{user}"'
        ) from error
