"""From a source to rows of days: land what is new, record it, then read the asked days from everything landed.

Shared by every asset that sales or other facts arrive at. How a source is read and kept is in ``sources``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date

import dagster as dg
import pandas as pd
import sqlalchemy as sa
from dagster._time import get_current_datetime

from forecast_platform import settings as platform_settings
from forecast_platform import tables
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.retries import retrying
from forecast_platform.sources.bundles import clear
from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.inbox import ASSET
from forecast_platform.sources.landing import LandedBatch, land, landed_frame
from forecast_platform.sources.opening import open_source

BATCHES = sa.select(tables.landed_batches)
ARRIVED = "select count(*), max(ordinal) from landed_batches where asset = :asset"


@retrying()
def arrived(
    context: dg.AssetExecutionContext, scope: TenantScope, asset: str, first: date, last: date
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and rejects of ``asset`` for ``first`` .. ``last``, after landing what the source has and is not landed.

    Returns:
        The rows, typed as the asset's table, and the rejects, typed as ``sales_rejects``.

    Raises:
        RetryRequested: the warehouse, or a database that is the source, is not to be had just now.
    """
    tenant, warehouse = scope.tenant, scope.warehouse
    given = tenant.source if asset == "raw_sales" else tenant.fact_source(asset)
    landing = scope.landing
    variables = platform_settings.variables()
    source = open_source(asset, given, timezone=tenant.timezone, variables=variables, landing=landing)
    known = warehouse.read(BATCHES)
    new = land(
        source, known, landing, get_current_datetime(), first=first, last=last, progress=now_and_then(context.log.info)
    )
    for batch in new:
        if batch.refused:
            context.log.error(f"{asset}: {batch.name} was refused: {batch.refused}")
    if new:
        _record(scope, new)
    with warehouse.reading() as session:
        batches = session.frame(BATCHES.where(tables.landed_batches.c.asset == asset))
        reads_of(context).saw_rows(session, f"landed batches of {asset}", ARRIVED, {"asset": asset})
    if asset == ASSET:
        clear(landing, set(batches["batch_digest"].astype(str)))
    return facts_of(source, days_between(first, last), batches, landing)


def _record(scope: TenantScope, new: Sequence[LandedBatch]) -> None:
    """Append the batches to ``landed_batches``, those that another run recorded meanwhile left out."""
    with scope.warehouse.transaction() as session:
        session.lock("landed_batches")
        held = session.frame(BATCHES)
        frame = landed_frame(new)
        taken = set(zip(held["asset"], held["batch_digest"], strict=True))
        fresh = [key not in taken for key in zip(frame["asset"], frame["batch_digest"], strict=True)]
        frame = frame[fresh].reset_index(drop=True)
        newest = int(held["ordinal"].max()) if len(held) else 0
        session.append(tables.landed_batches, frame.assign(ordinal=range(newest + 1, newest + 1 + len(frame))))


def now_and_then(say: Callable[[str], None], *, seconds: float = 5.0) -> Callable[[str], None]:
    """``say``, at most once in some seconds: a line of a run's log costs 5 ms, as much as reading a small file."""
    last = time.monotonic()

    def progress(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            say(text)

    return progress
