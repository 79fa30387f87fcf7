"""The hot read: the newest publication of one SKU, kept in memory for as long as nothing else is published.

A process remembers what it has read of a tenant under the version that was served; whether that has changed is asked
``CHECKED_SECONDS`` after the last time. An answer from memory costs no database, one from the database a single lookup
by key. After the first question to a version everything of it is read in the background, page by page, for as long as
there is room: the questions that follow find it in memory, at twice the speed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import itemgetter

import anyio
import anyio.to_thread
import orjson
from dagster._time import get_current_datetime

from forecast_platform.api.answers import to_json
from forecast_platform.api.reading.base import Readings, TenantReading
from forecast_platform.api.reading.overrides import Standing, holding, standing_by_sku
from forecast_platform.io_managers.warehouse import WarehouseUnavailable

log = logging.getLogger(__name__)

CHECKED_SECONDS = 0.25
"""How old the knowledge of what is served may be: so long after a publication its predecessor may still be answered."""

KEPT_BYTES = 96_000_000
"""Of one tenant and process: 50,000 series of 28 days. What is read ahead has so much room for all tenants together."""

PAGE_ROWS = 500
"""Series that are read at once in the background: to take a page in keeps all others waiting for some milliseconds."""

PAGE_PAUSE_SECONDS = 0.02

SHOWN = ("entry", "target_date", "units", "author", "reason", "received_at", "expires_at")
"""What is told of an override beside a forecast."""


@dataclass(frozen=True)
class Served:
    """The forecast of one series: ``body`` is a JSON object that says everything but its age and ``overrides``, what
    planners expect instead."""

    location: str
    origin: date
    body: bytes
    overrides: tuple[Standing, ...] = ()

    def cut(self, horizon: int) -> Served:
        """The first days of it."""
        content = orjson.loads(self.body)
        content["horizon"] = min(horizon, content["horizon"])
        for name in ("dates", "mean", "status"):
            content[name] = content[name][:horizon]
        content["quantiles"] = {level: each[:horizon] for level, each in content["quantiles"].items()}
        return replace(self, body=to_json(content))


def sku_answer(
    sku: str,
    found: Iterable[Served],
    today: date,
    *,
    horizon: int | None = None,
    location: str | None = None,
    at: datetime | None = None,
) -> bytes | None:
    """The answer about a SKU, as JSON; ``None`` where nothing of what is asked for was found.

    Args:
        at: the moment at which overrides must hold; now, where it is left out.
    """
    wanted = [each for each in found if location is None or each.location == location]
    if not wanted:
        return None
    if horizon is not None:
        wanted = [each.cut(horizon) for each in wanted]
    series = b",".join(
        b'%b,"overrides":%b,"age_days":%d}' % (each.body[:-1], _held(each, horizon, at), (today - each.origin).days)
        for each in wanted
    )
    return b'{"sku":' + orjson.dumps(sku) + b',"forecasts":[' + series + b"]}"


def _held(served: Served, horizon: int | None, at: datetime | None) -> bytes:
    """The overrides of a series that hold, as JSON."""
    if not served.overrides:
        return b"[]"
    last = None if horizon is None else served.origin + timedelta(days=horizon)
    held = holding(
        served.overrides, location=served.location, after=served.origin, last=last, now=at or get_current_datetime()
    )
    return to_json([{name: getattr(each, name) for name in SHOWN} for each in held])


@dataclass
class _Kept:
    version: str
    checked: float
    overrides: Mapping[str, tuple[Standing, ...]]
    by_sku: OrderedDict[str, tuple[Served, ...]] = field(default_factory=OrderedDict)
    size: int = 0


class LatestForecasts:
    """The newest publications of all tenants, for one process. To be used from its event loop only."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._kept: dict[str, _Kept] = {}
        self._opening: dict[str, asyncio.Task[_Kept]] = {}
        self._filling: dict[str, asyncio.Task[None]] = {}

    async def of(self, tenant: str, sku: str) -> tuple[Served, ...]:
        """What is published for a SKU, by location; nothing where the tenant has no such SKU.

        Raises:
            WarehouseUnavailable: it is not in memory, and the data is not to be had.
        """
        kept = await self._current(tenant)
        found = kept.by_sku.get(sku)
        if found is not None:
            return found
        rows = await anyio.to_thread.run_sync(_read, self._readings.of(tenant), sku, kept.overrides.get(sku, ()))
        if rows:
            self._keep(kept, sku, rows)
        return rows

    async def _current(self, tenant: str) -> _Kept:
        kept, now = self._kept.get(tenant), time.monotonic()
        if kept is None:
            # All who ask a server that has just started wait for one to look, and do not ask the database each.
            opening = self._opening.get(tenant)
            if opening is None:
                opening = self._opening[tenant] = asyncio.create_task(self._looked_at(tenant))
                opening.add_done_callback(lambda _: self._opening.pop(tenant))
            return await asyncio.shield(opening)
        if now < kept.checked + CHECKED_SECONDS:
            return kept
        kept.checked = now  # the others go on with what there is while this one asks
        return await self._looked_at(tenant)

    async def _looked_at(self, tenant: str) -> _Kept:
        """What is kept of the version that is served now."""
        kept, now, reading = self._kept.get(tenant), time.monotonic(), self._readings.of(tenant)
        version = await anyio.to_thread.run_sync(reading.version)
        if kept is None or kept.version != version:
            overrides = await anyio.to_thread.run_sync(_overrides, reading)
            kept = self._kept[tenant] = _Kept(version, now, overrides)
            if (before := self._filling.get(tenant)) is not None:
                before.cancel()
            self._filling[tenant] = asyncio.create_task(self._fill(tenant, kept))
        return kept

    async def _fill(self, tenant: str, kept: _Kept) -> None:
        """Read what is served, SKU by SKU, until there is no more of it or no more room."""
        reading, after = self._readings.of(tenant), ""
        try:
            while page := await anyio.to_thread.run_sync(_read_page, reading, after, kept.overrides):
                for sku, rows in page:
                    if sku not in kept.by_sku:
                        held = sum(each.size for each in self._kept.values())
                        if held + sum(len(each.body) for each in rows) > KEPT_BYTES:
                            return
                        self._keep(kept, sku, rows)
                after = page[-1][0]
                await asyncio.sleep(PAGE_PAUSE_SECONDS)
        except WarehouseUnavailable as error:
            log.info("tenant %s was not read ahead: %s", tenant, error)  # whoever asks is told

    @staticmethod
    def _keep(kept: _Kept, sku: str, rows: tuple[Served, ...]) -> None:
        kept.by_sku[sku] = rows
        kept.size += sum(len(each.body) for each in rows)
        while kept.size > KEPT_BYTES:
            _, gone = kept.by_sku.popitem(last=False)
            kept.size -= sum(len(each.body) for each in gone)


def _read(reading: TenantReading, sku: str, overrides: tuple[Standing, ...]) -> tuple[Served, ...]:
    return tuple(_served(row, overrides) for row in reading.served(sku))


def _read_page(
    reading: TenantReading, after: str, overrides: Mapping[str, tuple[Standing, ...]]
) -> list[tuple[str, tuple[Served, ...]]]:
    rows = reading.served_page(after, PAGE_ROWS)
    return [
        (sku, tuple(_served(row[1:], overrides.get(sku, ())) for row in some))
        for sku, some in groupby(rows, itemgetter(0))
    ]


def _served(row: tuple[str, date, str], overrides: tuple[Standing, ...]) -> Served:
    location, origin, body = row
    return Served(location, origin, body.encode(), tuple(each for each in overrides if each.location == location))


def _overrides(reading: TenantReading) -> Mapping[str, tuple[Standing, ...]]:
    with reading.session() as session:
        return standing_by_sku(session)
