"""A tenant's place in a PostgreSQL database: its schema, its role, and what the role may do.

The schema and the tables written from Python belong to the user that migrates; the role may read them and write rows,
may create tables of its own in the schema (dbt's), and may not change or empty a ledger, drop a table or disable a
trigger. A second role may read the schema and do nothing else: the API's. Sessions take a role on with SET ROLE.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from forecast_platform.io_managers.warehouse import WarehouseError
from forecast_platform.tables import APPEND_ONLY, WRITTEN


def reading_role(tenant: str) -> str:
    """Name of the role that can read a tenant's schema, and nothing else."""
    return f"forecast_read_{tenant}"


def create(connection: sa.Connection, tenant: str) -> None:
    """Create role and schema of ``tenant`` where they are missing, and let the connecting user take the role on.

    Raises:
        WarehouseError: the role is somebody's login or a superuser, or the user may not create what is missing; the
            message has the statements an administrator would run.
    """
    reader = reading_role(tenant)
    present = _scalar(connection, "select exists (select from pg_namespace where nspname = :name)", tenant)
    for role in (tenant, reader):
        _create_role(connection, role, tenant)
    if not present:
        _run(connection, f'create schema "{tenant}"', tenant)
    _run(connection, f'grant usage, create on schema "{tenant}" to "{tenant}"', tenant)
    _run(connection, f'grant usage on schema "{tenant}" to "{reader}"', tenant)
    # Of what is there, and of what dbt makes later as the tenant's role.
    _run(connection, f'grant select on all tables in schema "{tenant}" to "{reader}"', tenant)
    _run(
        connection,
        f'alter default privileges for role "{tenant}" in schema "{tenant}" grant select on tables to "{reader}"',
        tenant,
    )


def _create_role(connection: sa.Connection, role: str, tenant: str) -> None:
    row = connection.execute(
        sa.text("select rolcanlogin, rolsuper from pg_roles where rolname = :name"), {"name": role}
    ).one_or_none()
    if row is not None and (row.rolcanlogin or row.rolsuper):
        raise WarehouseError(
            f"tenant {tenant!r}: the database has a login or superuser named {role!r}, and a tenant's role must be"
            " neither; choose another name for the tenant"
        )
    member = row is not None and _scalar(connection, "select pg_has_role(current_user, :name, 'member')", role)
    if row is None:
        _run(connection, f'create role "{role}" nologin', tenant)
    if not member:
        _run(connection, f'grant "{role}" to current_user', tenant)


def grant(connection: sa.Connection, tenant: str) -> None:
    """Give the role what it needs on every table of the revisions; safe to repeat."""
    for table in WRITTEN:
        rights = "select, insert" if table in APPEND_ONLY else "select, insert, update, delete"
        connection.execute(sa.text(f'grant {rights} on "{tenant}"."{table.name}" to "{tenant}"'))
        connection.execute(sa.text(f'grant select on "{tenant}"."{table.name}" to "{reading_role(tenant)}"'))
    for role in (tenant, reading_role(tenant)):
        connection.execute(sa.text(f'grant select on "{tenant}".alembic_version to "{role}"'))
    for function in ("ledger_month", "ledger_blocks"):
        connection.execute(sa.text(f'grant execute on function "{tenant}".{function}(text, date) to "{tenant}"'))


def _scalar(connection: sa.Connection, query: str, name: str) -> bool:
    return bool(connection.execute(sa.text(query), {"name": name}).scalar_one())


def _run(connection: sa.Connection, statement: str, tenant: str) -> None:
    try:
        connection.execute(sa.text(statement))
    except ProgrammingError as error:
        user = connection.engine.url.username or "the connecting user"
        raise WarehouseError(
            f"tenant {tenant!r}: {user} may not run: {statement}. Give it CREATEROLE and CREATE on the database, or"
            f' have an administrator run: create role "{tenant}" nologin; create role "{reading_role(tenant)}" nologin;'
            f' grant "{tenant}", "{reading_role(tenant)}" to "{user}"; create schema "{tenant}" authorization "{user}"'
        ) from error
