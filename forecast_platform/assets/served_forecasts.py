"""``served_forecasts``: the newest publication of each series, written out as the API answers with it.

What is published is decided in ``publications`` and explained in ``forecast_explanations``; here it is put in the
form in which it is asked for a thousand times a second: one row a series, found by its key. Nothing but the row's age
is added later.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import orjson
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.tables import QUANTILES

LEVELS = {"q025": "0.025", "q10": "0.1", "q50": "0.5", "q90": "0.9", "q975": "0.975"}
"""How the API names the quantiles: by their level."""

DECIMALS = 4
"""Digits after the point, as many as facts have: a series of 28 days takes 1.7 kB, and 4 kB with all 17 digits."""

AT_ONCE = 5_000
"""Series that one statement names."""

# What is published and not served like that: published since, explained since, or never served.
STALE = """
    select l.series_id, s.sku, s.location, l.origin_date, l.version_id, l.calibration_id, l.confidence, l.published_at,
      v.model, v.digest, coalesce(e.batch_id, 0) as explained_by, e.summary
    from published_latest l
    join series s on s.series_id = l.series_id
    join forecast_versions v on v.version_id = l.version_id
    left join (
      select origin_date, version_id, series_id, batch_id, summary,
        row_number() over (partition by origin_date, version_id, series_id order by batch_id desc) as age
      from forecast_explanations where origin_date in (select distinct origin_date from published_latest)
    ) e on e.origin_date = l.origin_date and e.version_id = l.version_id and e.series_id = l.series_id and e.age = 1
    left join served_forecasts h on h.sku = s.sku and h.location = s.location
    where h.series_id is null or h.origin_date <> l.origin_date or h.version_id <> l.version_id
      or h.calibration_id <> l.calibration_id or h.published_at <> l.published_at
      or h.explained_by <> coalesce(e.batch_id, 0)
    order by l.origin_date, l.series_id
"""


def refresh(session: Session) -> int:
    """Bring ``served_forecasts`` up to what is published; how many series had changed.

    Part of the caller's transaction: who reads meanwhile sees what was served before. An origin that has moved to the
    archive keeps the rows it has.
    """
    stale = session.frame(STALE)
    for ids in np.array_split(stale["series_id"].to_numpy(), max(1, -(-len(stale) // AT_ONCE))):
        if len(ids):
            named = ", ".join(map(str, ids.tolist()))
            session.execute(f"delete from served_forecasts where series_id in ({named})")
    for origin, rows in stale.groupby("origin_date", sort=True):
        session.append(tables.served_forecasts, _served(session, pd.Timestamp(origin).date(), rows))
    return len(stale)


def _served(session: Session, origin: date, rows: pd.DataFrame) -> pd.DataFrame:
    kept = [
        "sku",
        "location",
        "series_id",
        "origin_date",
        "version_id",
        "calibration_id",
        "explained_by",
        "published_at",
    ]
    bodies = dict(_bodies(session, origin, rows))
    served = rows[kept].assign(body=rows["series_id"].map(bodies))
    # The key of the table decides the order of its rows in DuckDB, and what a lookup has to read.
    return served[served["body"].notna()].sort_values(["sku", "location"], kind="stable", ignore_index=True)


def _bodies(session: Session, origin: date, rows: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """The JSON of each series of an origin that has forecasts."""
    points = _wanted(session, tables.forecasts, origin, rows, ["mean", "status"])
    around = _wanted(session, tables.forecast_intervals, origin, rows, ["calibration_id", *QUANTILES])
    # Of each horizon the newest calibration up to the one that was published.
    published = around["series_id"].map(rows.set_index("series_id")["calibration_id"].astype(np.int64))
    around = around[around["calibration_id"] <= published].sort_values(["series_id", "horizon", "calibration_id"])
    around = around.drop_duplicates(["series_id", "horizon"], keep="last").drop(columns="calibration_id")
    days = points.merge(around, on=["series_id", "horizon"], how="left").sort_values(["series_id", "horizon"])
    ids, begins = np.unique(days["series_id"].to_numpy(), return_index=True)
    ends = np.append(begins[1:], len(days))
    figures = {name: rounded(days[name].to_numpy(dtype=np.float64)) for name in ("mean", *QUANTILES)}
    status, horizon = days["status"].to_numpy(dtype=object), days["horizon"].to_numpy()
    told = rows.set_index("series_id").to_dict("index")
    for series, begin, end in zip(ids.tolist(), begins.tolist(), ends.tolist(), strict=True):
        here, row = slice(begin, end), told[series]
        yield (
            series,
            body_of(
                location=row["location"],
                origin=origin,
                horizons=horizon[here].tolist(),
                mean=figures["mean"][here],
                quantiles={name: figures[name][here] for name in QUANTILES},
                status=status[here].tolist(),
                model=row["model"],
                version=row["digest"],
                confidence=row["confidence"],
                published_at=row["published_at"],
                explanation=None if pd.isna(row["summary"]) else row["summary"],
            ).decode(),
        )


def body_of(
    *,
    location: str,
    origin: date,
    horizons: Sequence[int],
    mean: np.ndarray,
    quantiles: Mapping[str, np.ndarray],
    status: Sequence[str],
    model: str,
    version: str,
    confidence: float | None,
    published_at: datetime | None,
    explanation: str | None,
) -> bytes:
    """The answer about one series, as JSON: what ``served_forecasts`` keeps, and the same of any other forecast.

    Args:
        horizons: H days after the origin, ascending; ``mean``, ``status`` and each of ``quantiles`` (by the names of
            ``tables.QUANTILES``) have H values, ``rounded``, which of many series is quicker done at once.
        confidence, published_at: None of a forecast that was never published.
    """
    content = {
        "location": location,
        "origin": origin,
        "horizon": len(horizons),
        "model": model,
        "version": version,
        "confidence": None if confidence is None else round(float(confidence), DECIMALS),
        "published_at": None if published_at is None else _moment(published_at),
        "explanation": explanation,
        "dates": [_dates(origin, h) for h in horizons],
        "mean": mean,
        "quantiles": {LEVELS[name]: quantiles[name] for name in QUANTILES},
        "status": status,
    }
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


@functools.lru_cache(10_000)
def _dates(origin: date, horizon: int) -> str:
    return (origin + timedelta(days=horizon)).isoformat()


@functools.lru_cache(1_000)
def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rounded(figures: Sequence[float | None] | np.ndarray) -> np.ndarray:
    """Units as answers have them. NaN, which stands for a quantile that there is none of, becomes null in JSON."""
    return np.asarray(figures, dtype=np.float64).round(DECIMALS)


def _wanted(session: Session, table: sa.Table, origin: date, rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The rows of a ledger of the versions and series that are published, and no others."""
    c = table.c
    versions = sorted(set(rows["version_id"].astype(int)))
    query = sa.select(c.version_id, c.series_id, c.horizon, *(c[name] for name in columns)).where(
        c.origin_date == origin, c.version_id.in_(versions)
    )
    if len(rows) <= AT_ONCE:
        query = query.where(c.series_id.in_(rows["series_id"].astype(int).tolist()))
    held = session.arrow(query).to_pandas()
    key = held["version_id"].to_numpy(dtype=np.int64) << 32 | held["series_id"].to_numpy(dtype=np.int64)
    wanted = rows["version_id"].to_numpy(dtype=np.int64) << 32 | rows["series_id"].to_numpy(dtype=np.int64)
    return held[np.isin(key, wanted)].drop(columns="version_id")
