"""``plan_inputs`` and ``plan_paths``: what the newest inventory plan was made from, so that a row of it can be reckoned
again under other terms or with another stock, without the ledger that its paths are from.

Terms and stock are in the plan itself. Only the newest day is kept: of a retailer's day 30,490 rows, and a row for each
model and class of demand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import orjson
import pandas as pd

from forecast_platform import tables
from forecast_platform.assets.plan_reading import Planned, planned_days
from forecast_platform.assets.scope import TenantScope
from forecast_platform.inventory.stored_pools import stored
from forecast_platform.io_managers.warehouse import Session

NEWEST = """
    select day, digest from partition_log where asset = 'inventory_plan' and rows > 0 order by day desc limit 1
"""
HELD = "select as_of, made_from from plan_inputs limit 1"
ORIGIN = "select max(origin_date) from inventory_plan where as_of = :day"


@dataclass(frozen=True)
class PlanInputs:
    """Rows of ``plan_inputs`` and ``plan_paths``."""

    series: pd.DataFrame
    paths: pd.DataFrame


def newest_inputs(scope: TenantScope) -> PlanInputs | None:
    """What the newest plan was made from; ``None`` where that is kept already, or there is no plan."""
    if not scope.plans_stock:
        return None
    with scope.warehouse.reading() as session:
        newest, held = session.execute(NEWEST), session.execute(HELD)
        if not newest or newest == held:
            return None
        day, digest = newest[0]
        origin = session.scalar(ORIGIN, {"day": day})
    (planned,) = planned_days(scope, [day], {day: origin})
    return made_from(planned, digest)


def made_from(planned: Planned, digest: str) -> PlanInputs:
    """What a plan is made from, as rows.

    Args:
        digest: of the plan's content.
    """
    return PlanInputs(_series(planned, digest), _paths(planned, planned.day))


def keep_inputs(session: Session, inputs: PlanInputs) -> None:
    """Replace what is kept. Part of the caller's transaction."""
    for table, rows in ((tables.plan_inputs, inputs.series), (tables.plan_paths, inputs.paths)):
        session.execute(f"delete from {table.name}")
        session.append(table, rows)


def _series(planned: Planned, digest: str) -> pd.DataFrame:
    ahead, stock = planned.ahead, planned.stock
    return pd.DataFrame(
        {
            "sku": planned.sku,
            "location": planned.location,
            "as_of": pd.Timestamp(planned.day),
            "model": ahead.model,
            "demand_class": ahead.demand_class,
            "mean": [orjson.dumps(days.tolist()).decode() for days in ahead.mean],
            "scale": ahead.scale,
            "whole": ahead.whole,
            "deviation": planned.deviation,
            "deliveries": [_pairs(days) for days in stock.deliveries],
            "later": stock.later,
            "made_from": digest,
        }
    )


def _pairs(deliveries: np.ndarray) -> str:
    """Units by day ahead, the days with any."""
    days = np.flatnonzero(deliveries)
    return orjson.dumps([[int(day) + 1, float(deliveries[day])] for day in days]).decode()


def _paths(planned: Planned, day: date) -> pd.DataFrame:
    cells = sorted(set(zip(planned.ahead.model.tolist(), planned.ahead.demand_class.tolist(), strict=True)))
    held = [(model, kind, stored(planned.pools, model, kind)) for model, kind in cells]
    rows = [(model, kind, pd.Timestamp(day), text) for model, kind, text in held if text is not None]
    return pd.DataFrame(rows, columns=[column.name for column in tables.plan_paths.columns])
