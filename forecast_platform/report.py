"""Tables for people at a terminal: accuracy by model, and what is materialized. Nothing is computed that a view has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from io import StringIO

import pandas as pd
from rich.console import Console
from rich.table import Table

from forecast_platform.assets.model_artifacts import refitting
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between, in_words

PARTITIONED = (
    *("items", "locations", "suppliers", "plan", "covariates", "inventory_levels", "open_orders", "actual_overrides"),
    *("raw_sales", "sales_rejects", "daily_sales"),
    *("series_scales", "features", "demand_classes", "model_artifacts"),
    *("forecasts", "forecast_errors", "error_sums"),
    *("forecast_intervals", "champions", "publications", "interval_scores", "published_sums"),
    *("weekly_forecasts", "hierarchy_forecasts", "forecast_explanations"),
    *("inventory_plan", "inventory_simulation", "daily_report", "serving"),
)

OF_STOCK = ("inventory_plan", "inventory_simulation")
"""Assets of tenants whose stock is planned."""

ACCURACY = """
    select model, n, wape, bias, mean_rmsse, mean_mase, fva_wape, fva_rmsse
    from forecast_accuracy_total
    where horizon_bucket = 'all'
    order by mean_rmsse, model
"""


def accuracy_table(scope: TenantScope) -> str:
    """Accuracy of every model over everything scored, best RMSSE first; FVA is against ``seasonal_naive_7``."""
    scores = scope.warehouse.read(ACCURACY)
    columns: Sequence[tuple[str, str, Callable[[float], str]]] = (
        ("model", "model", str),
        ("n", "scored", lambda value: f"{int(value):,}"),
        ("wape", "WAPE", ratio),
        ("mean_rmsse", "RMSSE", ratio),
        ("mean_mase", "MASE", ratio),
        ("bias", "bias", signed),
        ("fva_wape", "FVA (WAPE)", signed),
        ("fva_rmsse", "FVA (RMSSE)", signed),
    )
    return text_table("Accuracy by model; FVA: better than seasonal_naive_7 by", scores, columns)


def status_table(scope: TenantScope) -> str:
    """The last partition of each asset of a tenant, its rows, and the days missing between its first and last."""
    log = scope.warehouse.read("select asset, day, rows from partition_log order by asset, day")
    lines = []
    for asset in PARTITIONED:
        if asset in scope.unfed_facts() or (asset == "model_artifacts" and not refitting(scope)):
            continue
        if asset in OF_STOCK and not scope.plans_stock:
            continue
        held = log[log["asset"] == asset]
        days = [day.date() for day in pd.to_datetime(held["day"])]
        lines.append(
            {
                "asset": asset,
                "partitions": len(days),
                "last": days[-1].isoformat() if days else "-",
                "rows_last": held["rows"].iloc[-1] if days else 0,
                "rows": held["rows"].sum() if days else 0,
                "gaps": _gaps(days, scope.today() - timedelta(days=1)),
            }
        )
    columns: Sequence[tuple[str, str, Callable[[object], str]]] = (
        ("asset", "asset", str),
        ("partitions", "partitions", lambda value: f"{value:,}"),
        ("last", "last partition", str),
        ("rows_last", "rows in it", lambda value: f"{value:,}"),
        ("rows", "rows in all", lambda value: f"{value:,}"),
        ("gaps", "missing days", str),
    )
    return text_table(f"{scope.name}: open day {scope.today()} ({scope.tenant.timezone})", pd.DataFrame(lines), columns)


def _gaps(days: Sequence[date], closed: date) -> str:
    """Missing days from the first materialized one to the last closed one, in words."""
    if not days:
        return "never materialized"
    missing = sorted(set(days_between(days[0], max(days[-1], closed))) - set(days))
    return in_words(missing) if missing else "none"


def ratio(value: float) -> str:
    """A figure of accuracy, to three decimals."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """The same with its sign."""
    return "-" if value is None or math.isnan(value) else f"{value:+.3f}"


def text_table(title: str, rows: pd.DataFrame, columns: Sequence[tuple[str, str, Callable]]) -> str:
    """Rows as a table of text; ``columns`` say the name, the heading and how a value is shown."""
    table = Table(title=title, title_justify="left")
    for index, (_, heading, _) in enumerate(columns):
        table.add_column(heading, justify="left" if index == 0 else "right")
    for row in rows.to_dict("records"):
        table.add_row(*(show(row[name]) for name, _, show in columns))
    out = StringIO()
    Console(file=out, width=140, force_terminal=False).print(table)
    return out.getvalue().rstrip()
