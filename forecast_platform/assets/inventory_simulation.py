"""``inventory_simulation[D]``: the days up to D played again, by the plan of each evening and by other rules."""

import base64
from collections.abc import Mapping
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd

from forecast_platform import tables
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import columns_of, made_from, passed_on
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.assets.simulation_reading import Played, read_played
from forecast_platform.days import days_between
from forecast_platform.inventory.replay import Replayed
from forecast_platform.inventory.simulation import SIMPLE_DAYS, outcome, simulate
from forecast_platform.io_managers.reads import RECORDED, reads_of
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow
from forecast_platform.reporting.simulation import by_day_plot

NAME = "inventory_simulation"
CODE_VERSION = "1"
"""Raise it with every change to what a simulation plays."""

LEAST_DAYS = 7
"""Fewer days say nothing: with a weekly review nothing would be ordered on some of them."""

ALL = "all"

PLAYED = (
    *columns_of("daily_sales", "sale_date", "units", "in_stock"),
    *columns_of("inventory_plan", "as_of", "sku", "location", "on_hand", "order_up_to", "reorder_point"),
    *columns_of("inventory_plan", "demand_daily", "lead_time_days", "review_period_days", "moq", "order_multiple"),
    *columns_of("open_orders", "ordered_on", "received_on", "quantity"),
)
MADE_FROM = {
    **passed_on("inventory_plan", "as_of"),
    "rule": (),
    **passed_on("inventory_plan", "policy"),
    **made_from(
        set(tables.inventory_simulation.columns.keys()) - {"as_of", "rule", "policy"},
        *(*PLAYED, "inventory_plan.policy", *columns_of("inventory_plan", "unit_cost", "holding_rate", "order_cost")),
    ),
}


def build_inventory_simulation_asset(scope: TenantScope) -> dg.AssetsDefinition:
    back = scope.tenant.inventory.simulated_days
    windows = {
        "inventory_plan": DayWindow(-back, 0),
        "daily_sales": DayWindow(-back - SIMPLE_DAYS, 0),
        "open_orders": DayWindow(0, 0),
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
    def inventory_simulation(context: dg.AssetExecutionContext) -> pd.DataFrame:
        """What the plan's own decisions would have come to, beside a simple rule and what was really ordered.

        Levels are those of each evening's plan on record, demand and lead times those that came: service, stock,
        stock-outs, orders and cost. A ledger of plans that is younger than a week gives no row.
        """
        first, last = day_range(context)
        scope.require_closed(NAME, last)
        parts, plots = [], None
        for day in days_between(first, last):
            played = _played(context, scope, day)
            if played is None:
                continue
            came = simulate(played.past, played.evenings)
            parts.append(simulation_rows(played, came))
            add_figures(context, scope.key(NAME), {day: simulation_figures(parts[-1])})
            plots = simulation_plots(played, came)
        if plots is not None:
            shown = "\n\n".join(f"![{title}]({_as_image(plot)})" for title, plot in plots.items())
            add_figures(context, scope.key(NAME), {last: {"plots": dg.MetadataValue.md(shown)}})
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_columns())

    return inventory_simulation


def _columns() -> list[str]:
    return tables.inventory_simulation.columns.keys()


def _played(context: dg.AssetExecutionContext, scope: TenantScope, day: date) -> Played | None:
    """The days up to ``day`` that can be played: all, or since the plan's first day; ``None`` where too few."""
    reads, back = reads_of(context), scope.tenant.inventory.simulated_days
    days = days_between(day - timedelta(days=back), day)
    with scope.warehouse.reading() as session:
        states = materialized(session, "inventory_plan", days, start=scope.tenant.start, young=True, wanted_by=NAME)
        reads.saw_partitions("inventory_plan", days, states)
        if not states or (day - min(states)).days < LEAST_DAYS:
            return None
        sold = days_between(days[0] - timedelta(days=SIMPLE_DAYS), day)
        reads.saw_partitions(
            "daily_sales", sold, materialized(session, "daily_sales", sold, start=scope.tenant.start, wanted_by=NAME)
        )
        reads.saw_rows(session, "open_orders", RECORDED, {"asset": "open_orders", "last": day})
        return read_played(session, min(states) + timedelta(days=1), day)


def simulation_rows(played: Played, came: Mapping[str, Replayed]) -> pd.DataFrame:
    """What each rule came to, for the items of each policy and for all."""
    policy = played.terms.policy
    groups = {ALL: np.arange(len(policy))} | {name: np.flatnonzero(policy == name) for name in sorted(set(policy))}
    rows = [
        {"as_of": pd.Timestamp(played.days[-1]), "rule": rule, "policy": name, "days": len(played.days)}
        | outcome(replayed, played.past, played.terms, places)
        for rule, replayed in came.items()
        for name, places in groups.items()
    ]
    return pd.DataFrame(rows, columns=_columns())


def simulation_figures(rows: pd.DataFrame) -> dict[str, float]:
    """The numbers of a day that the UI plots over its partitions."""
    figures = {"days": int(rows["days"].iloc[0]), "series": int(rows["series"].max())}
    for row in rows[rows["policy"] == ALL].itertuples():
        for name in ("fill_rate", "cycle_service", "stockout_days", "stock_value"):
            if not np.isnan(value := getattr(row, name)):
                figures[f"{name}_{row.rule}"] = round(value, 4)
    return figures


def simulation_plots(played: Played, came: Mapping[str, Replayed]) -> dict[str, str]:
    """SVG by title: stock and missed demand by day."""
    stock = {rule: replayed.evening.sum(axis=0).tolist() for rule, replayed in came.items()}
    missed = {rule: _missed_shares(replayed, played.past.demand) for rule, replayed in came.items()}
    return {
        "Units on hand in the evening, all series": str(
            by_day_plot(played.days, stock, title="Units on hand", name="stock", share=False)
        ),
        "Share of demand missed, of the series that count": str(
            by_day_plot(played.days, missed, title="Demand missed", name="missed", share=True)
        ),
    }


def _missed_shares(came: Replayed, demand: np.ndarray) -> list[float]:
    """By day the share of demand that was missed, NaN where nothing that counts was asked for."""
    asked, missed = (demand * came.counted).sum(axis=0), (came.missed * came.counted).sum(axis=0)
    return np.divide(missed, asked, out=np.full(len(asked), np.nan), where=asked > 0).tolist()


def _as_image(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
