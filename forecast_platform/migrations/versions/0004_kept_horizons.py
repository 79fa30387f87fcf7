"""How many horizons of a series a version holds, where its model is not kept in full."""

import sqlalchemy as sa
from alembic import op

from forecast_platform.migrations.protection import EVENTS, duckdb_triggers

revision = "0004"
down_revision = "0003"

TABLE = "forecast_versions"


def upgrade() -> None:
    """DuckDB alters no table that a trigger depends on: its triggers are made again, in the same transaction."""
    duckdb = op.get_bind().dialect.name == "duckdb"
    for event in EVENTS if duckdb else ():
        op.execute(f"drop trigger append_only_{event} on {TABLE}")
    op.add_column(TABLE, sa.Column("horizons", sa.SmallInteger(), nullable=True))
    for statement in duckdb_triggers(TABLE) if duckdb else ():
        op.execute(statement)
