"""What the UI shows of an asset beside its data: its table and columns, and the figures of each of its days.

Metadata only: nothing here decides what is computed or stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.lineage import Origins, lineage_metadata
from forecast_platform.assets.scope import TenantScope
from forecast_platform.forecasting import ModelForecast, ModelSpec
from forecast_platform.forecasting.guards import MODEL, STATUSES

Figures = Mapping[str, Any]


def table_metadata(
    scope: TenantScope,
    name: str,
    origins: Origins,
    foreign: Mapping[str, Sequence[dg.TableColumnDep]] | None = None,
) -> dict[str, Any]:
    """Where the rows of an asset are, its columns and its partition column, as ``tables`` declares them.

    With what each column is made from; ``lineage.lineage_metadata`` says what ``origins`` and ``foreign`` hold.
    """
    table = tables.metadata.tables[name]
    key = set(table.info["key"])
    columns = [
        dg.TableColumn(
            column.name,
            type_name(column.type),
            description="Part of the key." if column.name in key else None,
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
        )
        for column in table.columns
    ]
    shown = lineage_metadata(scope, dg.TableSchema(columns=columns), origins, foreign)
    return {**shown, "dagster/table_name": table_name(scope, name), "partition_expr": table.info["partition"]}


def table_name(scope: TenantScope, name: str) -> str:
    """An asset's table or view as it is called in SQL."""
    return f"{scope.warehouse.schema}.{name}"


def type_name(kind: sa.types.TypeEngine) -> str:
    """A column's type in the words of both databases."""
    if isinstance(kind, sa.DateTime):
        return "timestamp with time zone"
    return "double precision" if isinstance(kind, sa.Double) else str(kind).lower()


def add_figures(context: dg.AssetExecutionContext, key: dg.AssetKey, figures: Mapping[date, Figures]) -> None:
    """Put each day's own figures on its partition: a total on every partition of a range makes the plots lie."""
    for day, shown in figures.items():
        context.add_asset_metadata(dict(shown), asset_key=key, partition_key=day.isoformat())


def queried_figures(scope: TenantScope, query: str, first: date, last: date) -> dict[date, Figures]:
    """Figures of days, to four decimals, from a query of ``:first`` and ``:last`` with rows of (day, name, value)."""
    with scope.warehouse.reading() as session:
        rows = session.execute(query, {"first": first, "last": last})
    figures: dict[date, dict[str, float]] = {}
    for day, name, value in rows:
        if value is not None:
            figures.setdefault(day, {})[name] = round(float(value), 4)
    return figures


def markdown_cell(text: str) -> str:
    """A text for a cell of a Markdown table: what comes from data cannot end it or be read as mark-up."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]()<>#|!~" else " " if sign < " " else sign for sign in text)


def origin_figures(models: Sequence[ModelSpec], made: Mapping[str, ModelForecast], series: int) -> Figures:
    """What became of one origin: how many series, fallbacks and seconds, and a table of its models.

    Where every model was on record nothing was computed, and there are no fallbacks and seconds to tell.
    """
    computed = [each for each in made.values() if each.error is None]
    figures = {
        "series": series,
        "models_computed": len(computed),
        "models": dg.MetadataValue.md(_models_table(models, made)),
    }
    if computed:
        figures["fallbacks"] = sum(each.fallbacks for each in computed)
        figures["compute_seconds"] = round(sum(each.seconds for each in computed), 3)
    return figures


def _models_table(models: Sequence[ModelSpec], made: Mapping[str, ModelForecast]) -> str:
    """Markdown: the series of each model, all of whose days are the model's own, or any of another status."""
    lines = [
        "| model | outcome | series | as modelled | " + " | ".join(STATUSES[MODEL + 1 :]) + " | seconds |",
        "|---|---|" + "--:|" * (len(STATUSES) + 2),
    ]
    for model in models:
        forecast = made.get(model.name)
        if forecast is None or forecast.status is None:
            outcome = "on record" if forecast is None else f"failed: {forecast.error}".replace("|", "\\|")
            cells = [outcome, *[""] * (len(STATUSES) + 2)]
        else:
            whole = (forecast.status == MODEL).all(axis=1).sum()
            others = [(forecast.status == status).any(axis=1).sum() for status in range(MODEL + 1, len(STATUSES))]
            cells = ["computed", *map(str, (len(forecast.series), whole, *others)), f"{forecast.seconds:.3f}"]
        lines.append("| " + " | ".join([f"`{model.name}`", *cells]) + " |")
    return "\n".join(lines)
