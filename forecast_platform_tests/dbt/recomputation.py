"""What the models must hold, computed from all facts at once with pandas: no window, no state, no SQL."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from forecast_platform_tests.dbt.shop import HORIZON, INACTIVE_AFTER, LAST, SERIES, START, TRAINING, Event, Version

DAYS = [day.date() for day in pd.date_range(START, LAST)]
BUCKETS = {1: "1", 2: "2-7", 3: "2-7"}


def daily_sales(
    events: Iterable[Event], stock: Mapping[tuple[date, int], Decimal]
) -> dict[tuple[date, int], dict[str, Any]]:
    """(day, series) -> the row of ``daily_sales``, keys apart."""
    events = list(events)
    sold_on = {(event.series_id, event.day) for event in events if event.quantity > 0}
    held = {}
    for day in DAYS:
        for series_id in SERIES:
            if any((series_id, day - timedelta(days=back)) in sold_on for back in range(INACTIVE_AFTER)):
                today = [event for event in events if event.series_id == series_id and event.day == day]
                held[day, series_id] = _row(today, empty=stock.get((day, series_id), Decimal(1)) <= 0)
    return held


def _row(events: list[Event], *, empty: bool) -> dict[str, Any]:
    sold = sum((event.quantity for event in events if event.quantity > 0), Decimal(0))
    returned = -sum((event.quantity for event in events if event.quantity < 0), Decimal(0))
    priced = [event for event in events if event.quantity > 0 and event.unit_price is not None]
    units_priced = sum((event.quantity for event in priced), Decimal(0))
    value = sum((event.quantity * event.unit_price for event in priced), Decimal(0))
    return {
        "units": max(sold - returned, Decimal(0)),
        "units_sold": sold,
        "units_returned": returned,
        "revenue": sum((event.quantity * (event.unit_price or 0) for event in events), Decimal(0)),
        "orders": len({event.order_id for event in events if event.order_id is not None}),
        "avg_price": float(value) / float(units_priced) if priced else None,
        "on_promotion": any(event.on_promotion for event in events),
        "in_stock": not (empty and sold == 0),
    }


def series_scales(sales: Mapping[tuple[date, int], Mapping[str, Any]]) -> dict[tuple[date, int], tuple[Any, Any]]:
    """(as_of, series) -> (scale_abs, scale_sq)."""
    scales = {}
    for as_of, series_id in sales:
        window = [as_of - timedelta(days=back) for back in reversed(range(TRAINING))]
        units = [sales[day, series_id]["units"] if (day, series_id) in sales else Decimal(0) for day in window]
        while units and units[0] == 0:
            units.pop(0)
        moves = [after - before for before, after in pairwise(units)]
        scales[as_of, series_id] = (
            (
                float(sum(abs(move) for move in moves)) / len(moves),
                float(sum(move * move for move in moves)) / len(moves),
            )
            if moves
            else (None, None)
        )
    return scales


def forecast_errors(versions: Iterable[Version], sales: Mapping[tuple[date, int], Mapping[str, Any]]) -> pd.DataFrame:
    """Every forecast of the calendar beside its actual."""
    found = []
    for version in versions:
        for (series_id, horizon), mean in version.means.items():
            target = version.origin + timedelta(days=horizon)
            if target <= LAST and horizon <= HORIZON:
                sold = sales.get((target, series_id), {"units": 0, "in_stock": True})
                actual = float(sold["units"])
                key = (target, version.version_id, series_id, version.origin, horizon, version.model)
                found.append((*key, mean, actual, mean - actual, sold["in_stock"]))
    names = ["target_date", "version_id", "series_id", "origin_date", "horizon", "model"]
    return pd.DataFrame(found, columns=[*names, "forecast", "actual", "error", "in_stock"])


def counted(errors: pd.DataFrame, scales: Mapping[tuple[date, int], tuple[Any, Any]]) -> pd.DataFrame:
    """The errors that accuracy counts, the newest version's, with their bucket and their scaled forms."""
    keys = ["target_date", "origin_date", "model", "series_id"]
    newest = errors.sort_values("version_id").drop_duplicates(keys, keep="last").reset_index(drop=True)
    newest["horizon_bucket"] = newest["horizon"].map(BUCKETS)
    both = [scales.get(key, (None, None)) for key in zip(newest["origin_date"], newest["series_id"], strict=True)]
    newest["scaled_abs"] = newest["error"].abs() / [each[0] or math.nan for each in both]
    newest["scaled_sq"] = newest["error"] ** 2 / [each[1] or math.nan for each in both]
    newest["ape"] = (newest["error"].abs() / newest["actual"]).where(newest["actual"] > 0)
    return newest


def metrics(errors: pd.DataFrame) -> dict[str, float]:
    """The metrics that are ratios over all rows of a scope; NaN where undefined."""
    sold = errors["actual"].sum() or math.nan
    return {
        "n": len(errors),
        "wape": errors["error"].abs().sum() / sold,
        "mape": errors["ape"].mean(),
        "mape_coverage": errors["ape"].notna().mean(),
        "mae": errors["error"].abs().mean(),
        "rmse": math.sqrt((errors["error"] ** 2).mean()),
        "bias": errors["error"].sum() / sold,
    }


def series_metrics(errors: pd.DataFrame) -> dict[str, float]:
    """MASE and RMSSE of one series."""
    return {"mase": errors["scaled_abs"].mean(), "rmsse": float(np.sqrt(errors["scaled_sq"].mean()))}


def accuracy(errors: pd.DataFrame, weights: Mapping[int, float]) -> dict[str, float]:
    """The metrics of a scope of many series; ``weights`` are the series' revenues."""
    each = {series_id: series_metrics(rows) for series_id, rows in errors.groupby("series_id")}
    figures = metrics(errors) | {"series": len(each), "n_unscaled": int(errors["scaled_sq"].isna().sum())}
    figures["series_unscaled"] = sum(math.isnan(one["rmsse"]) for one in each.values())
    for name in ("mase", "rmsse"):
        defined = {series_id: one[name] for series_id, one in each.items() if not math.isnan(one[name])}
        total = sum(weights.get(series_id, 0.0) for series_id in defined)
        figures[f"mean_{name}"] = sum(defined.values()) / len(defined) if defined else math.nan
        weighted = sum(value * weights.get(series_id, 0.0) for series_id, value in defined.items())
        figures[f"weighted_{name}"] = weighted / total if total else math.nan
    return figures
