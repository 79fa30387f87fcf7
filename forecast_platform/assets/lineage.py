"""Column lineage as Dagster shows it: for each column of a table, the columns that its values are made from.

dbt's half is read from the models' SQL (``dbt_lineage``). What Python makes is declared in the module that makes it, by
the columns it reads; tests hold those declarations to what the code reads and to what changes when they change.
Filters and joins decide which rows there are, not what is in them, and are left out on both sides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import dagster as dg

from forecast_platform import tables
from forecast_platform.assets.scope import TenantScope

Origins = Mapping[str, Collection[str]]
"""Columns of a table, each with what it is made from as ``asset.column``: nothing for what settings or a clock say."""

LOOKED_UP: Mapping[str, Origins] = {
    # Written with `raw_sales`, an id for each name that is new.
    "series": {
        "series_id": ("raw_sales.sku", "raw_sales.location"),
        "sku": ("raw_sales.sku",),
        "location": ("raw_sales.location",),
        "first_seen": ("raw_sales.sale_date",),
    },
    # Written with `forecasts`; who reads one looks it up by the version of a forecast.
    "forecast_versions": {column.name: ("forecasts.version_id",) for column in tables.forecast_versions.columns},
    # Sent by people.
    "planner_overrides": {column.name: () for column in tables.planner_overrides.columns},
}
"""Tables that are no assets: written beside one, or sent; with what their columns stand for."""

SHOWN = 6
"""Origins named in a column's description; the rest are in the metadata alone."""


def columns_of(table: str, *names: str) -> tuple[str, ...]:
    """Columns of a table as origins: those of ``names``, or all that ``tables`` declares."""
    return tuple(f"{table}.{name}" for name in names or tables.metadata.tables[table].columns.keys())


def passed_on(table: str, *names: str) -> dict[str, tuple[str, ...]]:
    """Columns that are taken over from a table as they are."""
    return {name: (f"{table}.{name}",) for name in names}


def made_from(names: Iterable[str], *origins: str) -> dict[str, tuple[str, ...]]:
    """Columns that are all made from the same ones."""
    return dict.fromkeys(names, origins)


def lineage_metadata(
    scope: TenantScope,
    schema: dg.TableSchema,
    origins: Origins,
    foreign: Mapping[str, Collection[dg.TableColumnDep]] | None = None,
) -> dict[str, object]:
    """``dagster/column_lineage``, and the schema with origins in its descriptions: the open UI draws no graph of it.

    Args:
        origins: of every column of the schema. Those in facts that nothing feeds are left out: they are no assets.
        foreign: columns of other tools' assets that columns are made from.

    Raises:
        ValueError: the origin of a column is not told, or one is told of a column that is not there.
    """
    names = [column.name for column in schema.columns]
    if set(names) != set(origins):
        raise ValueError(f"columns without origins, or origins without column: {sorted(set(names) ^ set(origins))}")
    unfed = scope.unfed_facts()
    deps = {
        name: [
            *(_dep(scope, origin) for origin in sorted(set(origins[name])) if origin.partition(".")[0] not in unfed),
            *(foreign or {}).get(name, ()),
        ]
        for name in names
    }
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            description=_described(scope, column, deps[column.name]),
            constraints=column.constraints,
            tags=column.tags,
        )
        for column in schema.columns
    ]
    described = dg.TableSchema(columns=columns, constraints=schema.constraints)
    return {
        "dagster/column_schema": described,
        "dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps),
    }


def _dep(scope: TenantScope, origin: str) -> dg.TableColumnDep:
    asset, _, column = origin.partition(".")
    return dg.TableColumnDep(asset_key=scope.key(asset), column_name=column)


def _described(scope: TenantScope, column: dg.TableColumn, deps: Collection[dg.TableColumnDep]) -> str | None:
    """What a column is, and what it is made from: assets of other tools by their whole key."""
    named = []
    for dep in list(deps)[:SHOWN]:
        own = dep.asset_key.path[0] == scope.name
        asset = dep.asset_key.path[-1] if own else dep.asset_key.to_user_string()
        named.append(f"`{asset}.{dep.column_name}`")
    if not named:
        return column.description
    more = f" and {len(deps) - SHOWN} more" if len(deps) > SHOWN else ""
    return f"{column.description + ' ' if column.description else ''}From {', '.join(named)}{more}."
