"""The check that a table still has the columns that ``tables`` declares: their names, types and nothing else."""

from __future__ import annotations

from forecast_platform import tables
from forecast_platform.assets.catalog import type_name
from forecast_platform.assets.checks.suite import Check, Finding, Look, failed

COLUMNS = """
    select column_name, data_type, numeric_precision, numeric_scale
    from information_schema.columns where table_schema = :schema and table_name = :name
"""

SAME_TYPE = {"varchar": "text", "character varying": "text", "double": "double precision"}
"""What a database calls a type, and what ``tables`` does."""


def schema_check(name: str) -> Check:
    """A blocking check of one table's columns. The migrations make them; nobody else is to change them."""

    def look(looking: Look) -> Finding:
        return schema_held(looking, name)

    return Check(name, "schema", "The table has the declared columns and types, and no others.", look, blocking=True)


def schema_held(look: Look, name: str) -> Finding:
    found = {
        column: _in_our_words(kind, precision, scale)
        for column, kind, precision, scale in look.session.execute(
            COLUMNS, {"schema": look.session.scalar("select current_schema()"), "name": name}
        )
    }
    declared = {column.name: type_name(column.type) for column in tables.metadata.tables[name].columns}
    problems = [
        f"{name}.{column} is {found.get(column, 'missing')}, declared {declared.get(column, 'nowhere')}"
        for column in sorted(found.keys() | declared.keys())
        if found.get(column) != declared.get(column)
    ]
    return failed(problems)


def _in_our_words(kind: str, precision: int | None, scale: int | None) -> str:
    kind = kind.lower()
    if kind.startswith(("decimal", "numeric")):
        return f"numeric({precision}, {scale})"
    return SAME_TYPE.get(kind, kind)
