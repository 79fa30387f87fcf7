"""Triggers that keep a table append-only: update, delete and truncate are refused by the database itself."""

from alembic import op

EVENTS = ("update", "delete")
MESSAGE = "{table} is append-only: rows are never changed or taken away"


def protect(*tables: str) -> None:
    """Put the triggers on ``tables``; called by the revision that creates them."""
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        op.execute(
            "create or replace function refuse_change() returns trigger language plpgsql as $$ begin"
            " raise exception '% is append-only: rows are never changed or taken away', tg_table_name"
            " using errcode = 'restrict_violation'; end $$"
        )
    for table in tables:
        _protect_postgres(table) if dialect == "postgresql" else _protect_duckdb(table)


def _protect_postgres(table: str) -> None:
    op.execute(
        f'create trigger append_only before update or delete or truncate on "{table}"'
        " for each statement execute function refuse_change()"
    )


def _protect_duckdb(table: str) -> None:
    for statement in duckdb_triggers(table):
        op.execute(statement)


def duckdb_triggers(table: str) -> list[str]:
    """Statements that protect a table of DuckDB.

    Its triggers run a statement: this one fails before it inserts. ``truncate`` counts as a delete. The statement may
    not name a protected table (DuckDB refuses a cycle of triggers), so it names Alembic's own.
    """
    refuse = f"insert into alembic_version (version_num) select error('{MESSAGE.format(table=table)}')"
    return [
        f'create trigger append_only_{event} before {event} on "{table}" for each statement {refuse}'
        for event in EVENTS
    ]
