"""Replace a range of days: checked first, then deleted, inserted and logged in one transaction.

What belongs here is the order of those steps, the digest of a partition and the numbering of series. Casts are in
``columns``; connections and locks in the dialects.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
import xxhash

from forecast_platform.crash import crash_point
from forecast_platform.days import days_between
from forecast_platform.digest import EMPTY, digests_by_day
from forecast_platform.io_managers.columns import FrameRefused, check_window, partition_column, to_arrow
from forecast_platform.io_managers.warehouse import PartitionState, Session
from forecast_platform.tables import raw_sales, series

SERIES_LOCK = "series"
"""Whoever numbers new series holds this lock, taken after the lock of the table that brings them."""


@dataclass(frozen=True)
class Replacement:
    """Rows that passed every check that needs no database, and the days whose place they take."""

    table: sa.Table
    rows: pa.Table
    first: date
    last: date


def prepare(table: sa.Table, frame: pd.DataFrame, first: date, last: date) -> Replacement:
    """Check a frame against its table and days, and cast it. Opens no connection.

    Raises:
        FrameRefused: columns, types, nulls, keys or days do not fit; the message names them.
        ValueError: the table is not one that is replaced by day.
    """
    if table.info["write"] != "replace" or table.info["owner"] != "python":
        raise ValueError(f"{table.name} is not replaced by day from Python (write={table.info['write']!r})")
    rows = to_arrow(frame, table)
    check_window(rows, table, first, last)
    return Replacement(table, rows, first, last)


def write(session: Session, replacement: Replacement, *, asset: str, run_id: str) -> dict[date, PartitionState]:
    """Write a prepared replacement in the session's transaction; returns what the log now says of each day."""
    table, rows = replacement.table, replacement.rows
    first, last = replacement.first, replacement.last
    session.lock(table.name)
    states = partition_states(session, replacement, run_id=run_id)
    column = table.c[partition_column(table)]
    session.execute(sa.delete(table).where(column >= first, column <= last))
    crash_point("after_delete")
    if rows.num_rows:
        session.insert(table, rows)
    crash_point("after_insert")
    if table is raw_sales:
        number_new_series(session, rows)
    session.log_days(asset, states)
    return states


def partition_states(session: Session, replacement: Replacement, *, run_id: str) -> dict[date, PartitionState]:
    """Rows and digest of each day, an empty day included. Ids count as the series they stand for."""
    table, rows = replacement.table, replacement.rows
    day = partition_column(table)
    key = list(table.info["key"])
    if "series_id" in table.c:
        rows = rows.set_column(rows.column_names.index("series_id"), "series_id", named_series(session, rows, table))
    content = digests_by_day(rows, day=day, key=key)
    return {
        each: PartitionState(*content.get(each, (0, EMPTY)), run_id)
        for each in days_between(replacement.first, replacement.last)
    }


def named_series(session: Session, rows: pa.Table, table: sa.Table) -> pa.Array:
    """For each row's ``series_id`` a number that depends on (sku, location) alone, equal in every warehouse.

    Raises:
        FrameRefused: a ``series_id`` that ``series`` does not have.
    """
    known = session.arrow(sa.select(series.c.series_id, series.c.sku, series.c.location).order_by(series.c.series_id))
    numbers = np.fromiter(
        (
            series_number(sku, location)
            for sku, location in zip(*known.select([1, 2]).to_pydict().values(), strict=True)
        ),
        dtype=np.int64,
        count=known.num_rows,
    )
    ids = known["series_id"].to_numpy()
    wanted = rows["series_id"].to_numpy()
    place = np.searchsorted(ids, wanted)
    unknown = (place == len(ids)) | (ids[np.minimum(place, len(ids) - 1)] != wanted) if len(ids) else wanted == wanted
    if unknown.any():
        raise FrameRefused(f"{table.name}: series_id {wanted[unknown][0]} is not in series; raw_sales numbers them")
    return pa.array(numbers[place] if len(ids) else wanted.astype(np.int64))


def series_number(sku: str, location: str) -> int:
    """A 64-bit number of a series that is the same in every warehouse and process."""
    sku_bytes = sku.encode()
    digest = xxhash.xxh3_64_digest(len(sku_bytes).to_bytes(8, "little") + sku_bytes + location.encode())
    return int.from_bytes(digest, "little", signed=True)


def number_new_series(session: Session, rows: pa.Table) -> int:
    """Give an id to each (sku, location) that has none: the next ones, by first day of sale, sku and location."""
    session.lock(SERIES_LOCK)
    found = rows.group_by(["sku", "location"]).aggregate([("sale_date", "min")])
    known = session.arrow(sa.select(series.c.sku, series.c.location))
    new = found.join(known, keys=["sku", "location"], join_type="left anti") if known.num_rows else found
    if not new.num_rows:
        return 0
    new = new.take(pc.sort_indices(new, [(name, "ascending") for name in ("sale_date_min", "sku", "location")]))
    start = session.scalar(sa.select(sa.func.coalesce(sa.func.max(series.c.series_id), 0))) + 1
    ids = pa.array(np.arange(start, start + new.num_rows), pa.int32())
    session.insert(
        series,
        pa.table(
            {
                "series_id": ids,
                "sku": new["sku"].cast(pa.string()),
                "location": new["location"].cast(pa.string()),
                "first_seen": new["sale_date_min"],
            }
        ),
    )
    return new.num_rows
