"""The inventory plan for people at a terminal and for a purchasing system: orders, exceptions, totals."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TextIO

import pandas as pd

from forecast_platform.arguments import CommandLineError
from forecast_platform.assets.inventory_simulation import ALL
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import in_words
from forecast_platform.inventory.simulation import ACTUAL, PLAN, SIMPLE
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.report import ratio, text_table
from forecast_platform.reporting.simulation import simulation_page
from forecast_platform.spreadsheets import no_formula

ORDER_COLUMNS = ("supplier", "sku", "location", "quantity", "order_date", "expected_date", "reason")
"""Columns of the file for a purchasing system."""

ORDERS = """
    select supplier, sku, location, order_quantity as quantity, as_of as order_date, expected_on as expected_date,
      reason
    from inventory_plan where as_of = :day and order_quantity > 0 and (:all or action in ('reorder now', 'reorder'))
    order by supplier, sku, location
"""
EXCEPTIONS = """
    select exception, sku, location, on_hand, on_order, days_of_inventory, stockout_on, order_quantity, expected_on,
      inventory_value, reason
    from inventory_exceptions where as_of = :day order by priority, order_value desc nulls last, sku, location
"""
TOTALS = "select * from inventory_totals where as_of > :since and as_of <= :day order by as_of"
DAYS = "select day from partition_log where asset = 'inventory_plan' order by day"

RULES = (PLAN, SIMPLE, ACTUAL)

Columns = Sequence[tuple[str, str, Callable]]


def planned_day(scope: TenantScope, wanted: date | None) -> date:
    """The day whose plan is meant: the one that is wanted, else the newest.

    Raises:
        CommandLineError: no stock is planned, or not of that day; the message says what there is.
    """
    if not scope.plans_stock:
        raise CommandLineError(
            f"{scope.name} has no source of inventory_levels, and so no inventory plan: give facts.inventory_levels in"
            " its defs.yaml"
        )
    days = planned_days_on_record(scope)
    if not days:
        raise CommandLineError(
            f"{scope.name} has no inventory plan yet: make one with forecast-platform run --tenant {scope.name}"
            " --from YYYY-MM-DD --to YYYY-MM-DD --select inventory_plan, for a day whose forecasts are published"
        )
    if wanted is not None and wanted not in days:
        raise CommandLineError(f"{scope.name} has no inventory plan of {wanted}; there are plans of {in_words(days)}")
    return wanted or days[-1]


def planned_days_on_record(scope: TenantScope) -> list[date]:
    """The days that have an inventory plan, in order."""
    with scope.warehouse.reading() as session:
        return [day for (day,) in session.execute(DAYS)]


def orders(scope: TenantScope, day: date, *, can_wait: bool = False) -> pd.DataFrame:
    """What to order at the end of a day, in ``ORDER_COLUMNS``; ``can_wait``: of what is not reviewed too."""
    with scope.warehouse.reading() as session:
        return order_rows(session, day, can_wait=can_wait)


def order_rows(session: Session, day: date, *, can_wait: bool) -> pd.DataFrame:
    """The same in a session."""
    rows = session.frame(ORDERS, {"day": day, "all": can_wait})
    return rows.assign(**{name: pd.to_datetime(rows[name]).dt.date for name in ("order_date", "expected_date")})


def write_orders(rows: pd.DataFrame, out: TextIO) -> None:
    """As CSV with a header; quantities without a decimal point where they are whole, no text a formula."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ORDER_COLUMNS)
    for row in rows.itertuples(index=False):
        values = row._asdict() | {"quantity": f"{row.quantity:.10g}"}
        writer.writerow(["" if pd.isna(values[name]) else no_formula(str(values[name])) for name in ORDER_COLUMNS])


def exceptions_table(scope: TenantScope, day: date, *, most: int) -> str:
    """What somebody has to act on, the most urgent first."""
    rows = scope.warehouse.read(EXCEPTIONS, {"day": day})
    counts = rows["exception"].value_counts()
    told = ", ".join(f"{name} {counts[name]:,}" for name in sorted(counts.index)) or "none"
    columns: Columns = (
        ("exception", "exception", str),
        ("sku", "item", str),
        ("location", "location", str),
        ("on_hand", "on hand", amount),
        ("on_order", "on order", amount),
        ("days_of_inventory", "lasts days", amount),
        ("stockout_on", "runs out", shown_day),
        ("order_quantity", "order", amount),
        ("expected_on", "expected", shown_day),
    )
    return text_table(f"{scope.name}, {day}: {told}", rows.head(most), columns)


def totals_table(scope: TenantScope, first: date, day: date) -> str:
    """Value, service, cover and stock-outs by day."""
    rows = scope.warehouse.read(TOTALS, {"since": first, "day": day})
    columns: Columns = (
        ("as_of", "day", shown_day),
        ("inventory_value", "value", money),
        ("value_too_much", "too much", money),
        ("cover_days", "cover days", amount),
        ("in_stock_share", "in stock", ratio),
        ("stockout_risk", "stock-out risk", ratio),
        ("out_of_stock", "out of stock", amount),
        ("understocked", "understocked", amount),
        ("dead_stock", "dead stock", amount),
        ("to_order", "to order", amount),
        ("value_to_order", "order value", money),
    )
    return text_table(f"{scope.name}: stock by day", rows, columns)


def simulation_table(scope: TenantScope, rows: pd.DataFrame, *, first: date, last: date) -> str:
    """What each rule came to, for all items and for those of each policy."""
    # What another policy for all comes to for the items that had one is a number too many.
    shown = rows[(rows["policy"] == ALL) | rows["rule"].isin(RULES)]
    told = text_table(f"{scope.name}: {first} to {last} played again", shown, SIMULATED)
    censored = _censored(rows)
    return told + (
        f"\n{censored:,} days of series with an empty shelf count with the demand that was expected."
        if censored
        else ""
    )


def simulation_html(scope: TenantScope, rows: pd.DataFrame, plots: Mapping[str, str], *, days: Sequence[date]) -> str:
    """The same as a page with plots."""
    of_all = rows[rows["policy"] == ALL].to_dict("records")
    columns = [(heading, name, show) for name, heading, show in SIMULATED if name != "policy"]
    return simulation_page(scope.name, days, of_all, columns, plots, censored=_censored(rows))


def _censored(rows: pd.DataFrame) -> int:
    return int(rows.loc[rows["policy"] == ALL, "censored_days"].max())


def amount(value: float) -> str:
    """A number of units or days, to one decimal where it is small."""
    return "-" if pd.isna(value) else f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def in_words_of(name: str) -> str:
    """A name for people: it may be broken between its words."""
    return name.replace("_", " ")


def money(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:,.0f}"


def shown_day(value: object) -> str:
    return "-" if pd.isna(value) else f"{pd.Timestamp(value):%Y-%m-%d}"


SIMULATED: Columns = (
    ("rule", "by", in_words_of),
    ("policy", "items of", in_words_of),
    ("series", "series", amount),
    ("fill_rate", "fill rate", ratio),
    ("cycle_service", "cycle service", ratio),
    ("stockout_days", "stock-out days", ratio),
    ("stock_units", "stock, units", money),
    ("stock_value", "stock, value", money),
    ("orders", "orders", money),
    ("holding_cost", "holding", money),
    ("ordering_cost", "ordering", money),
)
