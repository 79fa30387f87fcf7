"""A sentence for each row of a plan that says what to do and why, from the plan's own figures.

Words never change a number; what is rounded here is rounded nowhere else.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecast_platform.forecasting.explanations import amount, rounded
from forecast_platform.inventory.plan import (
    DEAD_STOCK,
    NONE,
    NOT_STOCKED,
    OUT_OF_STOCK,
    OVERSTOCKED,
    REORDER,
    REORDER_NOW,
    STOCK_UNKNOWN,
)
from forecast_platform.inventory.stock import Stock
from forecast_platform.inventory.terms import Terms

LIKELY = 0.005
"""A smaller probability is not worth a word: it would be shown as 0 %."""


def sentences(plan: pd.DataFrame, stock: Stock, terms: Terms) -> list[str]:
    """One sentence a row, in order.

    Args:
        plan: what ``plan.plan`` gave.
        stock, terms: what it was given.
    """
    columns = (
        *(plan[name].tolist() for name in ("status", "action", "demand_daily", "days_of_inventory", "order_quantity")),
        *(plan[name].tolist() for name in ("stockout_probability", "order_up_to")),
        *(values.tolist() for values in (stock.on_hand, stock.on_order, stock.days_unsold)),
        *(values.tolist() for values in (terms.lead_time, terms.lead_time_deviation)),
    )
    return [_sentence(*row) for row in zip(*columns, strict=True)]


def _sentence(
    status: str,
    action: str,
    daily: float,
    cover: float,
    ordered: float,
    gone: float,
    up_to: float,
    on_hand: float,
    on_order: float,
    unsold: float,
    lead_time: float,
    deviation: float,
) -> str:
    if status == STOCK_UNKNOWN:
        wanted = f" {_units(up_to)} would be wanted for {_units(daily)} a day:" if daily > 0 else ""
        return f"Stock unknown:{wanted} nothing is ordered until it is counted."
    held = _held(on_hand, on_order)
    if status == NOT_STOCKED:
        return f"Not stocked: {held}, and nothing is ordered."
    if status == DEAD_STOCK:
        return f"No sale for {unsold:,.0f} days, and {held}: nothing is ordered."
    if daily <= 0:
        return f"No demand is expected, and {held}: nothing is ordered."
    sells = f"Sells about {_units(daily)} a day; {held}"
    if status != OUT_OF_STOCK:
        sells += ", enough for more than the days ahead" if np.isnan(cover) else f", enough for {_days(cover)}"
    takes = "a delivery is there at once" if lead_time == 0 else f"a delivery takes {_days(lead_time)}"
    takes += f", give or take {_days(deviation)}" if deviation > 0 and lead_time > 0 else ""
    if action == REORDER_NOW:
        risk = (
            f"; without more, {gone:.0%} likely to run out before" if gone >= LIKELY and status != OUT_OF_STOCK else ""
        )
        return f"{sells}, and {takes}: order {_units(ordered)} now{risk}."
    if action == REORDER:
        return f"{sells}, and {takes}: order {_units(ordered)} to have {_units(up_to)}."
    if status == OVERSTOCKED:
        return f"{sells}: too much, nothing is ordered."
    if ordered > 0:
        return f"{sells}, and {takes}: {_units(ordered)} can wait until it is reviewed."
    if action == NONE:
        return f"{sells}: nothing is ordered."
    return f"{sells}, and {takes}: what is on its way may come too late."


def _held(on_hand: float, on_order: float) -> str:
    if on_hand < 0:
        there = f"{_units(-on_hand)} owed"
    else:
        there = "none on hand" if on_hand == 0 else f"{_units(on_hand)} on hand"
    return there if on_order <= 0 else f"{there} and {_units(on_order)} on order"


def _units(value: float) -> str:
    return amount(rounded(value))


def _days(value: float) -> str:
    text = _units(value)
    return f"{text} day" if text == "1" else f"{text} days"
