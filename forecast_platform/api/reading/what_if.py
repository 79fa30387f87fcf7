"""A row of the inventory plan reckoned again, under other terms or with another stock: by the plan's own functions,
from what the newest plan was made from. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import orjson

from forecast_platform import tables
from forecast_platform.api.reading.base import records
from forecast_platform.assets.inventory_plan import plan_rows
from forecast_platform.assets.plan_reading import Planned
from forecast_platform.assets.scope import TenantScope
from forecast_platform.inventory.lead_time_demand import Ahead, SpanPools
from forecast_platform.inventory.stock import Stock, deliveries
from forecast_platform.inventory.stored_pools import restored
from forecast_platform.inventory.terms import COLUMNS, TEXTS, Resolved, Terms
from forecast_platform.io_managers.columns import to_arrow
from forecast_platform.io_managers.warehouse import Session

Row = dict[str, Any]

GIVEN = "given"
"""Stands where the plan says how its stock is known, or whose its terms are."""

INPUTS = "select * from plan_inputs where sku = :sku and location = :location"
PLANNED = "select * from inventory_plan where as_of = :day and sku = :sku and location = :location"
PATHS = "select paths from plan_paths where model = :model and demand_class = :demand_class"


@dataclass(frozen=True)
class Changes:
    """What is given instead of what the plan was made from.

    Attributes:
        on_hand: units. on_order: units that come a lead time after the plan's day, instead of what is on its way.
        deliveries: units by day, instead of what is on its way.
        demand_factor: by which expected demand is multiplied.
        terms: by the plan's names for them.
    """

    on_hand: float | None = None
    on_order: float | None = None
    deliveries: Sequence[tuple[date, float]] | None = None
    demand_factor: float = 1.0
    terms: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Basis:
    """What the plan of a series was made from, and its row."""

    inputs: Row
    row: Row
    pools: SpanPools


def basis_of(session: Session, sku: str, location: str) -> Basis | None:
    """What the newest plan knows of a series; ``None`` where it has none of that name."""
    named = {"sku": sku, "location": location}
    for inputs in records(session, INPUTS, named):
        for row in records(session, PLANNED, {"day": inputs["as_of"], **named}):
            cell = inputs["model"], inputs["demand_class"]
            paths = session.scalar(PATHS, dict(zip(("model", "demand_class"), cell, strict=True)))
            return Basis(inputs, row, restored(paths, *cell) if paths else {})
    return None


def reckoned(basis: Basis, changes: Changes, scope: TenantScope) -> Row:
    """The series' row of the plan under ``changes``; without any it is the plan's own.

    Raises:
        InventoryError: no stock can be planned on such terms.
        FrameRefused: a figure is beyond what numbers hold.
    """
    frame = plan_rows(_planned(basis, changes), scope)
    return to_arrow(frame, tables.inventory_plan).to_pylist()[0]


def _planned(basis: Basis, changes: Changes) -> Planned:
    inputs, row = basis.inputs, basis.row
    terms = _terms({**row, **changes.terms})
    mean = np.array([orjson.loads(inputs["mean"])], dtype=np.float64) * changes.demand_factor
    ahead = Ahead(
        mean=mean,
        scale=_number(inputs["scale"]),
        model=_text(inputs["model"]),
        demand_class=_text(inputs["demand_class"]),
        whole=np.array([inputs["whole"]]),
    )
    counted = row["counted_on"]
    return Planned(
        day=row["as_of"],
        origin=row["origin_date"],
        sku=_text(row["sku"]),
        location=_text(row["location"]),
        ahead=ahead,
        pools=basis.pools,
        stock=_stock(basis, changes, terms, horizon=mean.shape[1]),
        stock_known=_text(row["stock_known"] if changes.on_hand is None else GIVEN),
        counted_on=np.array(["NaT" if counted is None else counted], dtype="datetime64[D]"),
        resolved=Resolved(
            terms,
            _text(row["supplier"] or ""),
            _text(row["category"] or ""),
            _text(_defaults(row["defaults"], changes.terms)),
        ),
        deviation=_number(inputs["deviation"]),
    )


def _terms(told: Mapping[str, Any]) -> Terms:
    values: dict[str, np.ndarray] = {}
    for name, column in COLUMNS.items():
        if name in TEXTS:
            values[name] = _text(told[column])
        elif name == "stocked":
            values[name] = np.array([told[column]], dtype=bool)
        else:
            values[name] = _number(told[column])
    return Terms(**values)


def _stock(basis: Basis, changes: Changes, terms: Terms, *, horizon: int) -> Stock:
    day, held = basis.row["as_of"], basis.row["on_hand"] if changes.on_hand is None else changes.on_hand
    coming = changes.deliveries
    if changes.on_order is not None:
        coming = [(day + timedelta(days=int(np.ceil(terms.lead_time[0]))), changes.on_order)]
    if coming is None:
        due, later = np.zeros((1, horizon)), np.array([basis.inputs["later"]], dtype=np.float64)
        for ahead, units in orjson.loads(basis.inputs["deliveries"]):
            due[0, ahead - 1] = units
    else:
        due, later = deliveries(
            np.zeros(len(coming), dtype=np.intp),
            np.array([each for each, _ in coming], dtype="datetime64[D]"),
            np.array([units for _, units in coming], dtype=np.float64),
            **{"n": 1, "day": day, "horizon": horizon},
        )
    return Stock(on_hand=_number(held), deliveries=due, later=later, days_unsold=_number(basis.row["days_unsold"]))


def _defaults(told: str, given: Mapping[str, Any]) -> str:
    return orjson.dumps(orjson.loads(told) | dict.fromkeys(given, GIVEN)).decode()


def _number(value: float | None) -> np.ndarray:
    return np.array([np.nan if value is None else float(value)])


def _text(value: str) -> np.ndarray:
    return np.array([value], dtype=object)
