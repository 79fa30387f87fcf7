"""How series are bought and stocked: their own terms, and under them their supplier's, category's and the tenant's.

A deliberate 0 is a 0: only what is not told is looked up further down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from forecast_platform.forecasting.categories import EVERYWHERE
from forecast_platform.inventory.formulas import InventoryError, service_factor
from forecast_platform.inventory.lead_times import STAGES, of_stages

Array = np.ndarray

ORDER_UP_TO, FIXED_QUANTITY, NEWSVENDOR = "order_up_to", "fixed_quantity", "newsvendor"
POLICIES = (ORDER_UP_TO, FIXED_QUANTITY, NEWSVENDOR)
"""(R, S), (s, Q), and the stock that costs least."""

CYCLE, FILL = "cycle", "fill"
METRICS = (CYCLE, FILL)
"""What a service level is of: replenishment cycles without a stock-out, or units of demand."""

COLUMNS = {
    "lead_time": "lead_time_days",
    "lead_time_deviation": "lead_time_std_days",
    "review": "review_period_days",
    "policy": "policy",
    "metric": "service_metric",
    "service": "service_level",
    "moq": "moq",
    "multiple": "order_multiple",
    "unit_cost": "unit_cost",
    "order_cost": "order_cost",
    "holding_rate": "holding_rate",
    "underage": "underage_cost",
    "least_cover": "least_cover_days",
    "most_cover": "most_cover_days",
    "stocked": "stocked",
}
"""By attribute of ``Terms``: what master data, settings and the plan call it."""

TEXTS = {"policy", "metric"}

LEVELS = ("item", "supplier", "category", "tenant")
"""Whose a term may be, the most particular first."""

REVIEWED_SINCE = date(2024, 1, 1)
"""A Monday: what is reviewed every 7 days is on Monday evenings."""

Given = Mapping[str, float | str | bool | None]
"""Terms by the name in ``COLUMNS``; those that are missing or ``None`` are not told."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How n series are bought and stocked; NaN where something is not told.

    Attributes:
        lead_time, lead_time_deviation: n days from order to delivery; 0 is a delivery at once.
        review: n days between two looks at the stock, at least 1 is counted.
        policy: n of ``POLICIES``.
        metric: n of ``METRICS``; what ``service`` is of.
        service: n shares in (0, 1).
        moq, multiple: n units; least quantity and step of an order.
        unit_cost, order_cost: n; price of a unit, and of an order whatever its size.
        holding_rate: n; yearly cost of holding stock, as a share of its value.
        underage: n; what a unit too few costs a newsvendor; one too many costs its holding over L + R.
        least_cover, most_cover: n days of demand that the order-up-to level covers at least and at most.
        stocked: n; false: nothing is ordered.
    """

    lead_time: Array
    lead_time_deviation: Array
    review: Array
    policy: Array
    metric: Array
    service: Array
    moq: Array
    multiple: Array
    unit_cost: Array
    order_cost: Array
    holding_rate: Array
    underage: Array
    least_cover: Array
    most_cover: Array
    stocked: Array

    def check(self) -> None:
        """Refuse what no plan can be made of.

        Raises:
            InventoryError: a service level outside (0, 1), a negative time, an unknown policy or metric.
        """
        service_factor(self.service)
        for name in ("lead_time", "lead_time_deviation", "review"):
            values = getattr(self, name)
            if not (values >= 0).all():
                raise InventoryError(f"{name} {values[~(values >= 0)][0]:g} is no number of days")
        for name, known in (("policy", POLICIES), ("metric", METRICS)):
            unknown = sorted(set(getattr(self, name).tolist()) - set(known))
            if unknown:
                raise InventoryError(f"{name} {unknown[0]!r} is unknown; there are {', '.join(known)}")

    def take(self, rows: Array | slice) -> Terms:
        """Those of some series."""
        return Terms(**{name: getattr(self, name)[rows] for name in Terms.__dataclass_fields__})

    def changed(self, **given: Array) -> Terms:
        """The same with some terms of all series given anew."""
        return replace(self, **given)

    def looked_at(self, day: int) -> Array:
        """n; whether a series is reviewed in the evening of a day: every R days, counted from one fixed day for all.

        Args:
            day: number of the day since ``REVIEWED_SINCE``.
        """
        return day % np.maximum(np.rint(self.review), 1.0) == 0

    @property
    def protection(self) -> Array:
        """n days that an order covers: until the one after it is delivered."""
        return self.lead_time + np.maximum(self.review, 1.0)


@dataclass(frozen=True)
class Resolved:
    """The terms of n series, and whose they are.

    Attributes:
        supplier, category: n texts; "" where unknown.
        defaults: n texts: JSON of the terms that are not the item's own, with whose they are.
    """

    terms: Terms
    supplier: Array
    category: Array
    defaults: Array


def newest(rows: pd.DataFrame, key: list[str], day: date, *, dated: str) -> pd.DataFrame:
    """Of each key the newest row that holds on a day, in the order of the keys."""
    known = rows[rows[dated] <= pd.Timestamp(day)].sort_values([*key, dated], kind="stable")
    return known.drop_duplicates(key, keep="last")


def resolve(
    sku: Array,
    location: Array,
    items: pd.DataFrame,
    suppliers: pd.DataFrame,
    *,
    tenant: Given,
    categories: Mapping[str, Given],
    day: date,
) -> Resolved:
    """The terms of n series as known on a day.

    An item's row at the location goes before its row for everywhere, field by field; then come its supplier's row, the
    settings of its category and those of the tenant. Stages of a supplier add up to its lead time and go before
    ``lead_time_days``. The deviation of a lead time is told with it: where it is not, it is 0.

    Args:
        sku, location: n names.
        items, suppliers: rows of the tables, of any days.
        tenant: every term that has no other default than this one; ``None`` for those that may stay unknown.
        categories: terms of some categories.
    """
    here, everywhere = _of_items(items, sku, location, day)
    supplier = _first_text(here["supplier"], everywhere["supplier"])
    category = _first_text(here["category"], everywhere["category"])
    sold_by = _of_suppliers(suppliers, supplier, day)
    active = _first(here["active"].to_numpy(), everywhere["active"].to_numpy())
    n = len(sku)
    values: dict[str, Array] = {}
    level = np.zeros((n, len(COLUMNS)), dtype=np.int8)
    for place, (name, column) in enumerate(COLUMNS.items()):
        own = _first(*(_plain(rows, column, n) for rows in (here, everywhere)))
        of_category = np.array([categories.get(each, {}).get(column) for each in category], dtype=object)
        of_tenant = np.full(n, tenant.get(column), dtype=object)
        told = [own, _plain(sold_by, column, n), of_category, of_tenant]
        if name == "lead_time_deviation":
            # With the lead time or not at all, unless the item has a deviation of its own.
            told = [each if at == 0 else np.where(level[:, 0] == at, each, None) for at, each in enumerate(told)]
        values[name], level[:, place] = _chosen(told)
    values["lead_time_deviation"] = np.where(values["lead_time_deviation"] == None, 0.0, values["lead_time_deviation"])  # noqa: E711
    # What is not active any more is sold off, whatever else is said of it: the item itself says so.
    ended = active == False  # noqa: E712
    values["stocked"] = np.where(ended, False, values["stocked"])
    level[ended, list(COLUMNS).index("stocked")] = 0
    return Resolved(Terms(**_typed(values)), supplier, category, _defaults(values, level))


def _of_items(items: pd.DataFrame, sku: Array, location: Array, day: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The item rows of n series: at their location, and for everywhere; all null where there is none."""
    known = newest(items, ["sku", "location"], day, dated="valid_from").astype({"sku": object, "location": object})
    by_name = known.set_index(["sku", "location"])
    here = by_name.reindex(pd.MultiIndex.from_arrays([sku, location]))
    everywhere = by_name.reindex(pd.MultiIndex.from_arrays([sku, np.full(len(sku), EVERYWHERE, dtype=object)]))
    return here.reset_index(drop=True), everywhere.reset_index(drop=True)


def _of_suppliers(suppliers: pd.DataFrame, supplier: Array, day: date) -> pd.DataFrame:
    known = newest(suppliers, ["supplier"], day, dated="valid_from").astype({"supplier": object})
    rows = known.set_index("supplier").reindex(supplier).reset_index(drop=True)
    days, deviation = of_stages(
        *(
            np.stack([rows[f"{stage}_{kind}"].to_numpy(dtype=np.float64, na_value=np.nan) for stage in STAGES], axis=1)
            for kind in ("days", "std_days")
        )
    )
    staged = ~np.isnan(days)
    return rows.assign(
        lead_time_days=np.where(staged, days, _floats(rows["lead_time_days"])),
        lead_time_std_days=np.where(staged, deviation, _floats(rows["lead_time_std_days"])),
    )


def _floats(column: pd.Series) -> Array:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _plain(rows: pd.DataFrame, column: str, n: int) -> Array:
    """A column as n objects, ``None`` where nothing is told or there is no such column."""
    if column not in rows:
        return np.full(n, None, dtype=object)
    values = rows[column].astype(object)
    return values.where(values.notna(), None).to_numpy(dtype=object)


def _first(*columns: Array) -> Array:
    return _chosen([pd.Series(each, dtype=object).where(pd.notna(each), None).to_numpy() for each in columns])[0]


def _first_text(*columns: pd.Series) -> Array:
    chosen = _first(*(each.astype(object).to_numpy() for each in columns))
    return np.array(["" if each is None else each for each in chosen], dtype=object)


def _chosen(told: list[Array]) -> tuple[Array, Array]:
    """Of n objects by level the first that is told, and which level that is; the last where none is."""
    result, level = told[-1].copy(), np.full(len(told[-1]), len(told) - 1, dtype=np.int8)
    for at in reversed(range(len(told) - 1)):
        known = np.array([each is not None for each in told[at]], dtype=bool)
        result[known], level[known] = told[at][known], at
    return result, level


def _typed(values: Mapping[str, Array]) -> dict[str, Array]:
    typed: dict[str, Array] = {}
    for name, column in values.items():
        if name in TEXTS:
            typed[name] = column
        elif name == "stocked":
            typed[name] = column.astype(bool)
        else:
            typed[name] = np.array([np.nan if each is None else float(each) for each in column], dtype=np.float64)
    return typed


def _defaults(values: Mapping[str, Array], level: Array) -> Array:
    """JSON of the terms that somebody but the item told, for n series."""
    known = np.stack([[each is not None for each in column] for column in values.values()], axis=1)
    codes, place = np.unique(np.where(known, level, 0), axis=0, return_inverse=True)
    texts = [
        json.dumps({column: LEVELS[at] for column, at in zip(COLUMNS.values(), row, strict=True) if at})
        for row in codes.tolist()
    ]
    return np.array(texts, dtype=object)[place.reshape(-1)]
