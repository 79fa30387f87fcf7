"""Features on record as days of sales make them, without the sales: for tests and benchmarks of what reads them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.features import build_features
from forecast_platform.io_managers.warehouse import Warehouse


def put_features(
    warehouse: Warehouse, first: date, last: date, *, series: int = 5, more: int = 0, since: date | None = None
) -> None:
    """Put features of some series on record for a range of days; with ``more`` units a day ``since`` a day."""
    days = pd.date_range(first, last)
    units = np.random.default_rng(1).poisson(4.0, (series, len(days))).astype(float)
    units[:, np.asarray(days >= pd.Timestamp(since or first))] += more
    daily = pd.DataFrame(
        {
            "sale_date": np.tile(days, series),
            "series_id": np.repeat(np.arange(series, dtype=np.int32), len(days)),
            "sku": np.repeat([f"sku {n}" for n in range(series)], len(days)),
            "location": "all",
            "units": units.reshape(-1),
            "avg_price": 2.0,
            "on_promotion": False,
            "in_stock": True,
        }
    )
    features = build_features(daily, first=first, last=last)
    names = daily.drop_duplicates("series_id")[["series_id", "sku", "location"]].assign(first_seen=pd.Timestamp(first))
    with warehouse.transaction() as session:
        if not session.scalar("select count(*) from series"):
            # dbt's own; a panel looks up prices in it.
            session.execute(str(sa.schema.CreateTable(tables.daily_sales).compile(dialect=session.dialect)))
            session.append(tables.series, names)
        session.replace_days(tables.features, features, first, last, asset="features", run_id="test")
