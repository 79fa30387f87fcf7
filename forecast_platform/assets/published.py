"""What was published for some origins, for the assets that are made from it. What is published is decided elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.digest import EMPTY, frame_digest
from forecast_platform.forecasting import SeriesIndex
from forecast_platform.io_managers.warehouse import Session, Warehouse

NEWEST = """
    select p.origin_date, p.series_id, s.sku, s.location, p.version_id, v.model, v.model_spec, v.digest
    from (
      select origin_date, series_id, version_id,
        row_number() over (partition by origin_date, series_id order by batch_id desc) as age
      from publications
      where origin_date between :first and :last
    ) as p
    join series as s on s.series_id = p.series_id
    join forecast_versions as v on v.version_id = p.version_id
    where p.age = 1
"""


@dataclass(frozen=True)
class Published:
    """The published forecasts of one origin: n series, H days.

    Attributes:
        series: n, sorted by SKU and location; categories are not known here.
        model, spec, version_id: n; what was published of each.
        mean: n x H units.
    """

    origin: date
    series: SeriesIndex
    model: np.ndarray
    spec: np.ndarray
    version_id: np.ndarray
    mean: np.ndarray


def published_series(session: Session, first: date, last: date) -> pd.DataFrame:
    """The newest publication of each series and origin: ids and names, the version, its model and digest."""
    rows = session.frame(NEWEST, {"first": first, "last": last})
    rows["origin_date"] = pd.to_datetime(rows["origin_date"]).dt.date
    rows = rows.astype({name: object for name in ("sku", "location", "model", "model_spec", "digest")})
    return rows.sort_values(["origin_date", "sku", "location"], kind="stable", ignore_index=True)


def published_digest(rows: pd.DataFrame) -> str:
    """Digest of which version was published for which series of an origin: it decides the forecasts, as versions never
    change."""
    names = rows[["sku", "location", "digest"]].astype(str)
    return frame_digest(names, key=["sku", "location"]) if len(names) else EMPTY


ROWS_AT_ONCE = 2_000_000
"""Forecasts read in one go: two origins of 30,490 series and 28 days, or all of a small shop's. A connection to DuckDB
costs 30 ms, which a range of small origins would pay for each."""


class PublishedForecasts:
    """The forecasts that ``rows`` of ``published_series`` name, read a stretch of origins at a time."""

    def __init__(self, warehouse: Warehouse, rows: pd.DataFrame, *, horizon: int) -> None:
        self._warehouse = warehouse
        self._horizon = horizon
        self._none = rows.iloc[:0]
        self._named: dict[date, pd.DataFrame] = dict(iter(rows.groupby("origin_date", sort=True)))
        self._read: dict[date, Published] = {}

    def named(self, origin: date) -> pd.DataFrame:
        """The rows of one origin."""
        return self._named.get(origin, self._none)

    def at(self, origin: date) -> Published:
        """Those of one origin. Ask in order of origin: what was read before it is forgotten.

        Raises:
            ValueError: see ``published_at``.
        """
        if origin not in self._read:
            following = [each for each in self._named if each >= origin]
            average = sum(map(len, self._named.values())) // max(1, len(self._named))
            most = max(1, ROWS_AT_ONCE // max(1, average * self._horizon))
            with self._warehouse.reading() as session:
                stretch = dict.fromkeys([origin, *following[:most]])
                session.recall(stretch, "forecasts")
                self._read = {
                    each: published_at(session, self.named(each), each, horizon=self._horizon) for each in stretch
                }
        return self._read[origin]


def published_at(session: Session, rows: pd.DataFrame, origin: date, *, horizon: int) -> Published:
    """The forecasts that ``rows`` of ``published_series`` name, all of one origin.

    Raises:
        ValueError: a published version does not hold its series' forecast of every day; the ledger is damaged.
    """
    ids, versions = rows["series_id"].to_numpy(dtype=np.int64), rows["version_id"].to_numpy(dtype=np.int64)
    mean = np.full((len(rows), horizon), np.nan)
    f = tables.forecasts.c
    held = session.arrow(
        sa.select(f.version_id, f.series_id, f.horizon, f.mean).where(
            f.origin_date == origin, f.version_id.in_(sorted(set(versions.tolist()))), f.horizon <= horizon
        )
    )
    key = held["version_id"].to_numpy().astype(np.int64) << 32 | held["series_id"].to_numpy().astype(np.int64)
    wanted = versions << 32 | ids
    order = np.argsort(wanted)
    place = np.minimum(np.searchsorted(wanted, key, sorter=order), max(len(wanted) - 1, 0))
    found = wanted[order[place]] == key if len(wanted) else np.zeros(0, dtype=bool)
    row, column = order[place[found]], held["horizon"].to_numpy()[found].astype(np.intp) - 1
    mean[row, column] = held["mean"].to_numpy()[found]
    if np.isnan(mean).any():
        lost = rows.loc[np.isnan(mean).any(axis=1)].iloc[0]
        raise ValueError(
            f"forecasts: version {lost['version_id']} of {origin} does not hold days 1 to {horizon} of"
            f" {lost['sku']} at {lost['location']}, which it is published for"
        )
    sku, location = rows["sku"].to_numpy(dtype=object), rows["location"].to_numpy(dtype=object)
    return Published(
        origin=origin,
        series=SeriesIndex(ids.astype(np.int32), sku, location, np.full(len(rows), "", dtype=object)),
        model=rows["model"].to_numpy(dtype=object),
        spec=rows["model_spec"].to_numpy(dtype=object),
        version_id=versions.astype(np.int32),
        mean=mean,
    )
