"""Days gone by as a simulation plays them: demand, stock, orders and lead times as they were, plans as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.plan_reading import KNOWN_LINES, LINES_KNOWN_DAYS, origins_of, planned_days
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between
from forecast_platform.inventory.plan import plan
from forecast_platform.inventory.simulation import SIMPLE_DAYS, Evening, Past, lead_times
from forecast_platform.inventory.terms import COLUMNS, REVIEWED_SINCE, TEXTS, Terms
from forecast_platform.io_managers.warehouse import Session

SOLD = """
    select sale_date, sku, location, cast(units as double precision) as units, in_stock from daily_sales
    where sale_date between :first and :last
"""

LINES = f"""
    select sku, location, quantity, coalesce(ordered_on, known_from) as ordered_on, received_on from {KNOWN_LINES}
    where received_on is null or received_on >= :first
    order by sku, location, coalesce(ordered_on, known_from), received_on, quantity
"""


@dataclass(frozen=True)
class Played:
    """What is played of a tenant: n series by name, T days from ``first`` on."""

    sku: np.ndarray
    location: np.ndarray
    days: tuple[date, ...]
    past: Past
    evenings: tuple[Evening, ...]

    @property
    def terms(self) -> Terms:
        """Of the last evening."""
        return self.evenings[-1].terms


def read_played(session: Session, first: date, last: date) -> Played:
    """The days ``first`` .. ``last``, of the series with known stock and a place on the shelf in the evening before.

    Args:
        first: its eve and every day up to ``last`` have a plan on record.
    """
    eve, days = first - timedelta(days=1), days_between(first, last)
    plans = _plans(session, eve, last)
    opening = plans[(plans["as_of"] == pd.Timestamp(eve)) & plans["stocked"] & plans["on_hand"].notna()]
    names = pd.MultiIndex.from_frame(opening[["sku", "location"]].sort_values(["sku", "location"]))
    # A day on which nothing was published or counted has a plan without rows.
    of_day = dict(iter(plans.groupby("as_of")))
    by_day = {
        day: of_day.get(pd.Timestamp(day), plans.iloc[:0]).set_index(["sku", "location"]).reindex(names)
        for day in days_between(eve, last)
    }
    evenings: list[Evening] = []
    for day in days:
        evenings.append(_evening(by_day[day], evenings[-1] if evenings else _evening(by_day[eve], None)))
    demand, censored, before = _demand(session, names, by_day, first, last)
    asked = {"since": first - timedelta(days=LINES_KNOWN_DAYS), "first": first - timedelta(days=365), "day": last}
    lines = session.frame(LINES, asked, like=tables.open_orders)
    row = names.get_indexer(pd.MultiIndex.from_arrays([lines["sku"].astype(object), lines["location"].astype(object)]))
    lines = lines.assign(row=row, quantity=lines["quantity"].to_numpy(dtype=np.float64))[row >= 0]
    numbers = np.array([(day - REVIEWED_SINCE).days for day in days])
    arriving, ordered = _orders(lines, len(names), days)
    came = lines[lines["received_on"].notna() & (lines["received_on"] <= pd.Timestamp(last))]
    took = pd.DataFrame(
        {
            "row": came["row"],
            "ordered": (came["ordered_on"] - pd.Timestamp(REVIEWED_SINCE)).dt.days,
            "took": (came["received_on"] - came["ordered_on"]).dt.days.clip(lower=0),
        }
    )
    past = Past(
        first_day=int(numbers[0]),
        demand=demand,
        censored=censored,
        before=before,
        opening=by_day[eve]["on_hand"].to_numpy(dtype=np.float64),
        arriving=arriving,
        lead_time=lead_times(took.sort_values("ordered", kind="stable"), evenings[0].terms, numbers),
        ordered=ordered if len(lines) else None,
    )
    sku, location = (names.get_level_values(level).to_numpy(dtype=object) for level in (0, 1))
    return Played(sku, location, tuple(days), past, tuple(evenings))


def evenings_with(scope: TenantScope, played: Played, changed: Callable[[Terms], Terms]) -> tuple[Evening, ...]:
    """The plans of the evenings played, made again by other terms: from the ledger as it was on each of them."""
    names = pd.MultiIndex.from_arrays([played.sku, played.location])
    evenings = []
    with scope.warehouse.reading() as session:
        origins = origins_of(session, scope, played.days)
    for planned, before in zip(planned_days(scope, played.days, origins), played.evenings, strict=True):
        terms = changed(planned.resolved.terms)
        made = plan(planned.ahead, planned.pools, terms, planned.stock, planned.deviation)
        # A series that has no plan any more orders nothing, whatever its terms.
        levels = made.set_index(pd.MultiIndex.from_arrays([planned.sku, planned.location])).reindex(names)
        up_to, point = (levels[column].to_numpy() for column in ("order_up_to", "reorder_point"))
        evenings.append(Evening(up_to, point, changed(before.terms)))
    return tuple(evenings)


def _plans(session: Session, first: date, last: date) -> pd.DataFrame:
    p = tables.inventory_plan.c
    named = ("as_of", "sku", "location", "on_hand", "order_up_to", "reorder_point", "demand_daily", *COLUMNS.values())
    rows = session.frame(sa.select(*(p[name] for name in named)).where(p.as_of.between(first, last)))
    return rows.astype(dict.fromkeys(("sku", "location", *(COLUMNS[name] for name in TEXTS)), object))


def _evening(rows: pd.DataFrame, before: Evening | None) -> Evening:
    """The plan of an evening; terms of a series without a row are those of the evening before."""
    terms = {}
    for name, column in COLUMNS.items():
        values = rows[column].to_numpy()
        if before is not None:
            values = np.where(rows["policy"].isna(), getattr(before.terms, name), values)
        kind = object if name in TEXTS else bool if name == "stocked" else np.float64
        terms[name] = values.astype(kind)
    return Evening(
        rows["order_up_to"].to_numpy(dtype=np.float64), rows["reorder_point"].to_numpy(dtype=np.float64), Terms(**terms)
    )


def _demand(
    session: Session, names: pd.MultiIndex, plans: dict[date, pd.DataFrame], first: date, last: date
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Demand and where it is only expected, n x T, and what was sold in the days before, n x SIMPLE_DAYS."""
    since, eve = first - timedelta(days=SIMPLE_DAYS), first - timedelta(days=1)
    rows = session.frame(SOLD, {"first": since, "last": last})
    days = days_between(since, last)
    place = names.get_indexer(pd.MultiIndex.from_arrays([rows["sku"].astype(object), rows["location"].astype(object)]))
    at = (pd.to_datetime(rows["sale_date"]) - pd.Timestamp(since)).dt.days.to_numpy()
    held = place >= 0
    units, empty = np.zeros((len(names), len(days))), np.zeros((len(names), len(days)), dtype=bool)
    units[place[held], at[held]] = rows["units"].to_numpy(dtype=np.float64)[held]
    empty[place[held], at[held]] = ~rows["in_stock"].to_numpy(dtype=bool)[held]
    played, censored = units[:, SIMPLE_DAYS:], empty[:, SIMPLE_DAYS:]
    for number, day in enumerate(days_between(eve, last - timedelta(days=1))):
        expected = np.nan_to_num(plans[day]["demand_daily"].to_numpy(dtype=np.float64))
        # Whole units where the series sells such: nobody asks for a third of one.
        expected = np.where((units == np.floor(units)).all(axis=1), np.floor(expected + 0.5), expected)
        played[:, number] = np.where(censored[:, number], expected, played[:, number])
    return played, censored, units[:, :SIMPLE_DAYS]


def _orders(lines: pd.DataFrame, n: int, days: list[date]) -> tuple[np.ndarray, np.ndarray]:
    """Units ordered before the first day by the day on which they are there (or later), and those ordered on each."""
    arriving, ordered = np.zeros((n, len(days) + 1)), np.zeros((n, len(days)))
    first = pd.Timestamp(days[0])
    placed = (lines["ordered_on"] - first).dt.days.to_numpy()
    there = ((lines["received_on"] - first).dt.days + 1).to_numpy(dtype=np.float64, na_value=np.nan)
    row, units = lines["row"].to_numpy(), lines["quantity"].to_numpy()
    there = np.where(np.isnan(there), np.inf, there)
    earlier = (placed < 0) & (there >= 1)
    np.add.at(arriving, (row[earlier], np.minimum(there[earlier], len(days)).astype(np.intp)), units[earlier])
    within = (placed >= 0) & (placed < len(days))
    np.add.at(ordered, (row[within], placed[within].astype(np.intp)), units[within])
    return arriving, ordered
