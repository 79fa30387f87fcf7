"""``inventory_plan[D]``: what to order at the end of day D, series by series, and why."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from forecast_platform import tables
from forecast_platform.assets.catalog import add_figures, markdown_cell, table_metadata
from forecast_platform.assets.lineage import Origins, columns_of, made_from
from forecast_platform.assets.past_paths import inputs_of_paths, reach_of_paths
from forecast_platform.assets.plan_reading import ORIGIN, Planned, origins_of, planned_days, reach_of
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.inventory.lead_times import STAGES
from forecast_platform.inventory.plan import OUT_OF_STOCK, REORDER, REORDER_NOW, Limits, plan
from forecast_platform.inventory.sentences import sentences
from forecast_platform.inventory.terms import COLUMNS, REVIEWED_SINCE
from forecast_platform.io_managers.reads import RECORDED, reads_of
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow

NAME = "inventory_plan"
CODE_VERSION = "1"
"""Raise it with every change to what a plan says."""

SHOWN = 20
"""Series listed where people look at a day."""

DUE = (REORDER_NOW, REORDER)
"""Actions whose orders cannot wait until they are reviewed."""

DATED = ("items", "suppliers", "open_orders")
"""Facts of which what was told on any earlier day may still hold."""

NAMES = ("publications.series_id", "inventory_levels.sku", "inventory_levels.location")
FORECAST = ("publications.version_id", "forecasts.mean")
PATHS = (
    *columns_of("forecast_errors", "origin_date", "horizon", "version_id", "forecast", "actual"),
    *("series_scales.scale_sq", "demand_classes.demand_class", "daily_sales.units"),
    *columns_of("error_sums", "model", "n", "sum_sq_error"),
)
COUNTED = (
    *columns_of("inventory_levels", "snapshot_date", "on_hand"),
    *columns_of("daily_sales", "sale_date", "units_sold", "units_returned"),
    *columns_of("open_orders", "received_on", "quantity"),
)
ON_ORDER = columns_of("open_orders", "known_from", "ordered_on", "expected_on", "received_on", "quantity")


def _terms(*names: str) -> tuple[str, ...]:
    """Where terms come from: the item, else its supplier, where it has them."""
    stages = [f"{stage}_{kind}" for stage in STAGES for kind in ("days", "std_days")]
    origins: list[str] = ["items.category", "items.supplier"]
    for name in names:
        origins += [f"{table}.{name}" for table in ("items", "suppliers") if name in tables.metadata.tables[table].c]
        if name.startswith("lead_time"):
            origins += [f"suppliers.{stage}" for stage in stages]
    return tuple(origins)


LEVELS = (*FORECAST, *PATHS, *_terms(*COLUMNS.values()))
MADE_FROM: Origins = {
    "as_of": ("publications.origin_date", "inventory_levels.snapshot_date"),
    **made_from(("sku", "location"), *NAMES),
    "supplier": ("items.supplier",),
    "category": ("items.category",),
    "stock_known": ("inventory_levels.snapshot_date",),
    "counted_on": ("inventory_levels.snapshot_date",),
    "on_hand": COUNTED,
    "on_order": ON_ORDER,
    "origin_date": ("publications.origin_date",),
    "model": ("publications.version_id",),
    "method": PATHS,
    "demand_daily": FORECAST,
    "demand_lead_time": (*FORECAST, *_terms("lead_time_days")),
    **made_from(("demand_protection", "demand_std", "safety_stock", "reorder_point", "order_up_to"), *LEVELS),
    "eoq": (*FORECAST, *_terms("order_cost", "unit_cost", "holding_rate")),
    "days_of_inventory": (*FORECAST, *COUNTED),
    "days_unsold": (*columns_of("daily_sales", "sale_date", "units_sold"), "inventory_levels.snapshot_date"),
    "inventory_value": (*COUNTED, *_terms("unit_cost")),
    **{column: _terms(column) for column in COLUMNS.values()},
    "defaults": _terms(*COLUMNS.values()),
    **made_from(
        (
            *("status", "action", "priority", "reason", "order_quantity", "order_value"),
            *("stockout_probability", "stockout_on", "expected_on"),
        ),
        *(*LEVELS, *COUNTED, *ON_ORDER),
    ),
}


def build_inventory_plan_asset(scope: TenantScope) -> dg.AssetsDefinition:
    reach = reach_of_paths(scope.tenant)
    sold, counted = days_read(scope)
    back = max(1 - reach["daily_sales"].first, sold)
    windows = {
        "publications": DayWindow(0, 0),
        **reach,
        "daily_sales": DayWindow(1 - back, 0),
        "error_sums": reach["forecast_errors"],
        "inventory_levels": DayWindow(1 - counted, 0),
        **{name: DayWindow(0, 0) for name in DATED},
    }

    @dg.asset(
        key=scope.key(NAME),
        deps=[
            dg.AssetDep(scope.key(name), partition_mapping=days)
            for name, days in windows.items()
            if name not in scope.unfed_facts()
        ],
        io_manager_key=scope.replace_key,
        metadata=table_metadata(scope, NAME, MADE_FROM),
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"numpy", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def inventory_plan(context: dg.AssetExecutionContext) -> pd.DataFrame:
        """What to order, what will run out, what is dead stock: levels from paths of the ledger's own errors.

        One row for each series that is forecast or was counted. Of the open day, what is forecast of it and not sold
        yet is still to come; its plan moves with every sale.
        """
        first, last = day_range(context)
        rows = pd.concat([plan_rows(planned, scope) for planned in _days(context, scope, first, last)])
        figures = {day.date(): plan_figures(of_day) for day, of_day in rows.groupby("as_of")}
        newest = rows[rows["as_of"] == pd.Timestamp(last)]
        figures.setdefault(last, {})["to_do"] = dg.MetadataValue.md(to_do(newest))
        add_figures(context, scope.key(NAME), figures)
        return rows

    return inventory_plan


def _days(context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date) -> Iterator[Planned]:
    """What each day's plan is made from, in order."""
    days = days_between(first, last)
    if last > scope.today():
        scope.require_closed(NAME, last)
    with scope.warehouse.reading() as session:
        origins = origins_of(session, scope, days)
        _register(context, session, scope, days, origins)
    yield from planned_days(scope, days, origins)


def days_read(scope: TenantScope) -> tuple[int, int]:
    """How many days of sales, and of counts, a plan looks back on beside those that its forecasts rest on."""
    settings = scope.tenant.inventory
    sold = max(settings.count_lasts_days, settings.dead_stock_days + 1)
    return sold, settings.count_lasts_days + settings.dead_stock_days + 1


def _register(
    context: dg.AssetExecutionContext,
    session: Session,
    scope: TenantScope,
    days: list[date],
    origins: Mapping[date, date | None],
) -> None:
    """Ask that everything is there, and have the writer look again whether it still is what it was."""
    reads, today = reads_of(context), scope.today()
    closed = [day for day in days if day < today]
    materialized(session, "inventory_levels", closed, start=scope.tenant.start, young=True, wanted_by=NAME)
    if days[-1] >= today:
        reads.saw_rows(session, "the newest origin", ORIGIN, reach_of(scope, days[-1]))
    read = sorted({origin for origin in origins.values() if origin is not None})
    if read:
        inputs_of_paths(context, session, scope, read, wanted_by=NAME)
    sold, counted = days_read(scope)
    back = {"daily_sales": sold, "inventory_levels": counted, "error_sums": scope.tenant.calibration_window}
    for asset, reach in back.items():
        seen = days_between(days[0] - timedelta(days=reach - 1), days[-1])
        reads.saw_partitions(asset, seen, session.logged(asset, seen[0], seen[-1]))
    for asset in DATED:
        reads.saw_rows(session, asset, RECORDED, {"asset": asset, "last": days[-1]})


def plan_rows(planned: Planned, scope: TenantScope) -> pd.DataFrame:
    """The rows of one day."""
    settings, terms, stock = scope.tenant.inventory, planned.resolved.terms, planned.stock
    day = pd.Timestamp(planned.day)
    limits = Limits(overstocked=settings.overstocked_days, dead=float(settings.dead_stock_days))
    looked_at = terms.looked_at((planned.day - REVIEWED_SINCE).days)
    figures = plan(planned.ahead, planned.pools, terms, stock, planned.deviation, limits, looked_at=looked_at)
    ordered = figures["order_quantity"].to_numpy()
    texts = {"supplier": planned.resolved.supplier, "category": planned.resolved.category, "model": planned.ahead.model}
    return pd.DataFrame(
        {
            "as_of": day,
            "sku": planned.sku,
            "location": planned.location,
            **figures.drop(columns="stockout_day"),
            "reason": sentences(figures, stock, terms),
            "expected_on": day + pd.to_timedelta(np.ceil(terms.lead_time), unit="D"),
            **{name: np.where(values == "", None, values) for name, values in texts.items()},
            "stock_known": planned.stock_known,
            "counted_on": pd.to_datetime(planned.counted_on),
            "on_hand": stock.on_hand,
            "on_order": stock.on_order,
            "origin_date": pd.Timestamp(planned.origin) if planned.origin else pd.NaT,
            "days_unsold": stock.days_unsold,
            "stockout_on": day + pd.to_timedelta(figures["stockout_day"].to_numpy(), unit="D"),
            "order_value": ordered * terms.unit_cost,
            **{column: getattr(terms, name) for name, column in COLUMNS.items()},
            "defaults": planned.resolved.defaults,
        }
    )


def plan_figures(rows: pd.DataFrame) -> dict[str, Any]:
    """The numbers of a day that the UI plots over its partitions."""
    due, wanted = rows[rows["action"].isin(DUE)], rows["stocked"] & (rows["demand_daily"] > 0)
    count = rows.loc[wanted | (rows["status"] != OUT_OF_STOCK), "status"].value_counts()
    names = ("out of stock", "understocked", "overstocked", "dead stock", "stock unknown")
    return {
        "series": len(rows),
        "to_order": len(due),
        "to_order_now": int((rows["action"] == REORDER_NOW).sum()),
        "units_to_order": round(float(due["order_quantity"].sum()), 2),
        "value_to_order": round(float(due["order_value"].sum()), 2),
        "inventory_value": round(float(rows["inventory_value"].sum()), 2),
        **{name.replace(" ", "_"): int(count.get(name, 0)) for name in names},
        "from_paths": int((rows["method"] == "paths").sum()),
    }


def to_do(rows: pd.DataFrame) -> str:
    """Markdown: what to order today, what runs out, what is dead stock: the most urgent of each."""
    dear = rows.assign(value=rows["inventory_value"].fillna(0.0))
    parts = {
        "To order": rows[rows["action"].isin(DUE)].sort_values(["priority", "order_value"], ascending=[True, False]),
        "Runs out before a delivery": rows[
            (rows["order_quantity"] == 0)
            & (rows["stockout_probability"] >= 0.5)
            & (rows["stocked"] & (rows["demand_daily"] > 0))
        ],
        "Dead stock": dear[dear["status"] == "dead stock"].sort_values("value", ascending=False),
    }
    lines = []
    for title, listed in parts.items():
        lines += [f"**{title}: {len(listed):,}**", ""]
        if len(listed):
            lines += ["| item | location | on hand | order | expected | why |", "|---|---|--:|--:|---|---|"]
            lines += [_line(row) for row in listed.head(SHOWN).itertuples()]
            lines.append("")
    return "\n".join(lines)


def _line(row: Any) -> str:
    held = "?" if np.isnan(row.on_hand) else f"{row.on_hand:,.6g}"
    figures = (held, f"{row.order_quantity:,.6g}", f"{row.expected_on:%Y-%m-%d}")
    sku, location, reason = map(markdown_cell, (row.sku, row.location, row.reason))
    return "| " + " | ".join((sku, location, *figures, reason)) + " |"
