"""From a source to rows of days: land what is new, record it, then read the asked days from everything landed.

Shared by every asset that sales or other facts arrive at. How a source is read and kept is in ``sources``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime

import dagster as dg
import pandas as pd
import sqlalchemy as sa
from dagster._time import get_current_datetime

from forecast_platform import settings as platform_settings
from forecast_platform import tables
from forecast_platform.assets.scope import TenantScope
from forecast_platform.changes import OPEN
from forecast_platform.crash import crash_point
from forecast_platform.days import days_between
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.retries import retrying
from forecast_platform.sources import uploads
from forecast_platform.sources.base import Source
from forecast_platform.sources.bundles import clear
from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.landing import LandedBatch, land, landed_frame
from forecast_platform.sources.opening import open_source

BATCHES = sa.select(tables.landed_batches)
MADE_ONCE_CLOSED = "series_scales"
"""An asset whose partition shows that the day has been closed, and followed, before."""

RECORDED = "select batch_digest from landed_batches where asset = :asset"
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
    landing = scope.landing
    take_in(scope, asset, first=first, last=last, log=context.log)
    with scope.warehouse.reading() as session:
        batches = session.frame(BATCHES.where(tables.landed_batches.c.asset == asset))
        reads_of(context).saw_rows(session, f"landed batches of {asset}", ARRIVED, {"asset": asset})
    return facts_of(source_of(scope, asset), days_between(first, last), batches, landing)


def source_of(scope: TenantScope, asset: str) -> Source:
    """Where the rows of ``asset`` come from, as the tenant's settings say."""
    zone, variables = scope.tenant.timezone, platform_settings.variables()
    return open_source(asset, scope.source(asset), timezone=zone, variables=variables, landing=scope.landing)


def take_in(
    scope: TenantScope, asset: str, *, log: logging.Logger, first: date | None = None, last: date | None = None
) -> list[LandedBatch]:
    """Land what the source of ``asset`` has and is not landed, and note the days on record that it changes.

    Args:
        log: is told of what arrives and what is refused.
        first, last: days that are being made from what has landed; None: nothing is being made.

    Raises:
        SourceError: the source is not there.
    """
    known, now = scope.warehouse.read(BATCHES), get_current_datetime()
    source, landing = source_of(scope, asset), scope.landing
    newest = source.high_water(now=now) if first is None else None
    since = landing.reached(asset) if first is None else None
    progress = now_and_then(log.info)
    sent = uploads.uploaded(landing, asset)
    new = land(source, known, landing, now, first=first, last=last, since=since, progress=progress)
    for batch in new:
        if batch.refused:
            log.error(f"{asset}: {batch.name} was refused: {batch.refused}")
    if new:
        # Before the batches are on record: if this process dies between the two, the next call finds both again.
        _note_days(scope, asset, new, now, being_made=set() if first is None else set(days_between(first, last)))
        crash_point("after_changes_noted")
        _record(scope, new)
    if newest and newest != since:
        landing.reach(asset, newest)
    posted = scope.source(asset).kind == "events"
    if posted or sent:
        with scope.warehouse.reading() as session:
            recorded = {digest for (digest,) in session.execute(RECORDED, {"asset": asset})}
        if posted:
            clear(landing, recorded, asset)
        uploads.clear(landing, asset, sent, recorded)
    return new


def _note_days(
    scope: TenantScope, asset: str, new: Sequence[LandedBatch], now: datetime, *, being_made: set[date]
) -> None:
    """Note the days of ``new`` on record, and the open one: what was made from them must follow.

    What is being made for the first time needs no note. What is made again does: that run may be of one asset alone.
    """
    days = {day for batch in new for day in batch.days}
    if not days:
        return
    with scope.warehouse.reading() as session:
        held = session.logged(asset, min(days), max(days))
        followed = session.logged(MADE_ONCE_CLOSED, min(days), max(days))
    today = scope.today()
    before = {day: held[day].digest for day in days & held.keys() if day < today}
    before = {day: digest for day, digest in before.items() if day not in being_made or day in followed}
    if asset == "raw_sales" and today in days - being_made:
        before[today] = OPEN
    scope.changes.note(asset, before, reason=", ".join(sorted({batch.name for batch in new}))[:500], now=now)


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
