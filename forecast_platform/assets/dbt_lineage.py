"""Which columns of which tables each column of a dbt model is made from, read from the models' compiled SQL.

sqlglot resolves each column through CTEs, joins and ``select *``, with the columns that ``tables`` and the models'
contracts declare. What a row count depends on is said here; what Dagster shows of it is in ``lineage``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from forecast_platform import tables
from forecast_platform.assets.lineage import LOOKED_UP, Origins

if TYPE_CHECKING:
    from sqlglot import exp

LOG = tables.partition_log.name


def models_origins(manifest: Mapping[str, Any]) -> dict[str, Origins]:
    """For each model its columns, each with the ``table.column`` it is made from: of models, and of sources.

    Args:
        manifest: dbt's, with the compiled SQL of its models. A staging model is read through: what reads it is made
            from the sources of its columns.

    Raises:
        ValueError: a model of a compiled project has no SQL, or columns other than its contract.
    """
    models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    known = {name: table.columns.keys() for name, table in tables.metadata.tables.items()}
    known |= {name: list(node["columns"]) for name, node in models.items()}
    dialect = manifest["metadata"]["adapter_type"]
    direct = {name: _origins(node, known, dialect) for name, node in models.items()}
    staging = {name: direct[name] for name, node in models.items() if "staging" in node["tags"]}
    partitions = {name: node["config"]["meta"].get("partition") for name, node in models.items()}
    logged = {f"{LOG}__{name}": {"day": (f"{name}.{day}",)} for name, day in partitions.items() if day}
    between = {**staging, **logged, **LOOKED_UP}
    return {name: read_through(origins, between) for name, origins in direct.items() if name not in staging}


def read_through(origins: Origins, between: Mapping[str, Origins]) -> Origins:
    """``origins`` with every column of the tables ``between`` replaced by what that column is made from."""

    def beyond(column: str) -> set[str]:
        table, _, name = column.partition(".")
        if table not in between:
            return {column}
        return {each for origin in between[table][name] for each in beyond(origin)}

    return {
        column: tuple(sorted({each for origin in columns for each in beyond(origin)}))
        for column, columns in origins.items()
    }


def _origins(node: Mapping[str, Any], known: Mapping[str, Collection[str]], dialect: str) -> Origins:
    from sqlglot import exp, parse_one
    from sqlglot.lineage import lineage

    if not node.get("compiled_code"):
        raise ValueError(f"dbt model {node['name']} is not compiled: its manifest is that of `dbt parse`")
    query = parse_one(node["compiled_code"], dialect=dialect)
    # DuckDB has the database before the schema, and a tenant's schema may be called anything.
    for table in query.find_all(exp.Table):
        table.set("db", None)
        table.set("catalog", None)
    logged = _tell_logged_assets_apart(query)
    _count_what_is_grouped(query)
    schema = {name: dict.fromkeys(columns, "text") for name, columns in known.items()}
    schema |= {name: schema[LOG] for name in logged}
    # Trimmed selects are for people to look at, and take four fifths of the time.
    found = lineage(None, query, schema, dialect=dialect, trim_selects=False, copy=False)
    if set(found) != set(node["columns"]):
        raise ValueError(f"dbt model {node['name']} selects {sorted(found)}; its contract: {sorted(node['columns'])}")
    return {
        column: tuple(
            sorted(
                f"{leaf.expression.name}.{leaf.name.rpartition('.')[2]}"
                for leaf in root.walk()
                if isinstance(leaf.expression, exp.Table)
            )
        )
        for column, root in found.items()
    }


def _tell_logged_assets_apart(query: exp.Expression) -> set[str]:
    """Give the partition log a name of its own for each asset whose days are asked of it (``asset = '…'``).

    Returns:
        Those names.

    Raises:
        ValueError: a select asks for the days of no asset, or of several.
    """
    from sqlglot import exp

    names = set()
    for table in query.find_all(exp.Table):
        select = table.find_ancestor(exp.Select)
        if table.name != LOG or select is None:
            continue
        wanted = [
            test.expression.name
            for test in select.find_all(exp.EQ)
            if isinstance(test.this, exp.Column) and test.this.name == "asset" and test.expression.is_string
        ]
        if len(wanted) != 1:
            raise ValueError(f"{select.sql()} reads the days of {len(wanted)} assets from {LOG}; name one")
        table.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(LOG)))
        table.set("this", exp.to_identifier(f"{LOG}__{wanted[0]}"))
        names.add(table.name)
    return names


def _count_what_is_grouped(query: exp.Expression) -> None:
    """Let ``count(*)`` name the columns that its rows are grouped by: they decide which rows it counts."""
    from sqlglot import exp

    for count in list(query.find_all(exp.Count)):
        select = count.find_ancestor(exp.Select)
        group = select.args.get("group") if select is not None else None
        if isinstance(count.this, exp.Star) and group is not None:
            keys = [select.selects[int(key.name) - 1].unalias() if key.is_int else key for key in group.expressions]
            count.set("this", exp.Tuple(expressions=[key.copy() for key in keys]))
