"""Alembic's entry: runs the revisions on the connection it was handed, inside its transaction."""

from alembic import context
from alembic.ddl.impl import DefaultImpl

from forecast_platform.tables import metadata


class DuckDBImpl(DefaultImpl):
    """Alembic knows DuckDB by name only; its DDL is transactional and close to PostgreSQL's."""

    __dialect__ = "duckdb"
    transactional_ddl = True


attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    version_table_schema=attributes["schema"],
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
