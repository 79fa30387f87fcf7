"""The schema's history, one path for both databases, run from the program (``Warehouse.migrate``).

What belongs here: the revisions, what runs them, and what only a migration may do: roles, grants, triggers. The
present shape of a table is declared in ``tables``; a test holds it together with what the revisions build.
A revision's file is never edited once it has been released: a change is a new file in ``versions``. One that alters a
ledger kept by month (``tables.BY_MONTH``) must know that in DuckDB it is a view over ``<name>_held`` and files where
months of it are archived.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    import duckdb
    from alembic.config import Config


def configuration() -> Config:
    """Alembic's configuration: there is no ini file, and the connection is handed over."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


@functools.cache
def head() -> str:
    """The newest revision."""
    from alembic.script import ScriptDirectory

    revision = ScriptDirectory.from_config(configuration()).get_current_head()
    assert revision is not None
    return revision


def upgrade_duckdb(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the DuckDB file behind ``connection`` to the newest revision, in one transaction."""
    import duckdb_engine

    # A cursor of its own, closed here: as long as one is open, DuckDB keeps the file locked.
    cursor = connection.cursor()
    engine = sa.create_engine(
        "duckdb://", creator=lambda: duckdb_engine.ConnectionWrapper(cursor), poolclass=sa.pool.StaticPool
    )
    try:
        with engine.begin() as prepared:
            _upgrade(prepared, schema="main")
    finally:
        engine.dispose()
        cursor.close()


def upgrade_postgres(url: sa.URL, schema: str) -> None:
    """Create the tenant's role and schema if need be, bring it to the newest revision, and grant what the role needs.

    One transaction behind an advisory lock: processes that start at once wait for the first and find nothing to do.

    Raises:
        WarehouseError: the connecting user may not create the role or the schema, and nobody has prepared them.
    """
    from forecast_platform.migrations import tenants

    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("select pg_advisory_xact_lock(hashtextextended('forecast_platform migration', 0))"))
        tenants.create(connection, schema)
        connection.execute(sa.text(f'set local search_path to "{schema}"'))
        _upgrade(connection, schema=schema)
        tenants.grant(connection, schema)


def _upgrade(connection: sa.Connection, *, schema: str) -> None:
    from alembic import command

    config = configuration()
    config.attributes.update(connection=connection, schema=schema)
    command.upgrade(config, "head")
