"""The demo's sales events and the daily batches they arrive in, as CSV.

The batch of day D holds D's sales and returns, sales of earlier days that were sent late, sent corrections, and
seldom a bad row. What sells is in ``demo_demand``; which batches a reader gets is in ``demo``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, time
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from forecast_platform.sources.demo_demand import Demand, demand
from forecast_platform.sources.demo_shop import LOCATIONS, Shop, day_of

HEADER = "event_id,order_id,sold_at,sku,location,quantity,unit_price,on_promotion,updated_at"
RETURN_DAYS = 7
"""A return comes at most so many days after the sale."""
LATE_DAYS = 3
"""A late or corrected event arrives at most so many days after it happened."""
RETURNED, LATE, CORRECTED = 0.025, 0.005, 0.003
"""Shares of the lines sold that come back, arrive late, are corrected; a line meets at most one of these."""
UNREADABLE, WITHOUT_SKU = 0.20, 0.10
"""Shares of the batches with one row of which the quantity cannot be read, or the SKU is missing."""
_OPENS, _OPEN_SECONDS = 8 * 3600, 12 * 3600


@dataclass(frozen=True, eq=False)
class _Lines:
    """Order lines, one element each."""

    day: NDArray[np.int64]
    series: NDArray[np.int64]
    generation: NDArray[np.int64]
    line: NDArray[np.int64]
    quantity: NDArray[np.int64]
    price: NDArray[np.float64]
    on_promotion: NDArray[np.bool_]
    order: NDArray[np.int64]

    def where(self, kept: NDArray) -> _Lines:
        return _Lines(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})


def sales_batches(shop: Shop, first: int, last: int, zone: ZoneInfo) -> dict[int, bytes]:
    """The batches of the days ``first`` .. ``last``, each CSV with a header; equal however the range is cut."""
    return {day: _csv(rows) for day, rows in _batches(shop, first, last, zone).items()}


def open_batch(shop: Shop, day: int, events: int, zone: ZoneInfo) -> bytes:
    """The first ``events`` sales of ``day``, as a till sends them before it closes."""
    sold = day_of(day).isoformat()
    rows = [row for row in _batches(shop, day, day, zone)[day] if row.kind == "sale" and row.sold_at.startswith(sold)]
    return _csv(rows[:events])


def late_arrivals(shop: Shop, first: int, last: int) -> set[int]:
    """Days after ``last`` whose batches hold late or corrected events of ``first`` .. ``last``."""
    recent = max(first, last - LATE_DAYS + 1)
    lines = _lines(shop, demand(shop, recent, last))
    _, late, corrected, delay = _fates(shop, lines)
    arrives = (lines.day + delay)[late | corrected]
    return {int(day) for day in arrives[arrives > last]}


def _lines(shop: Shop, played: Demand) -> _Lines:
    """Cut the units of each day and series into order lines, and put the lines into orders of about two."""
    day, series = np.nonzero(played.units)
    units = played.units[day, series]
    size = shop.draws.between("line size", 3.0, 8.0, shop.place)[shop.series_place][series]
    count = np.ceil(units / size).astype(np.int64)
    cell = np.repeat(np.arange(len(units)), count)
    line = np.arange(len(cell)) - np.repeat(np.cumsum(count) - count, count)
    day, series = played.days[day][cell], series[cell]
    quantity = _pieces(shop, day, series, line, units[cell], count[cell])
    location = shop.series_location[series]
    shift = (day - played.days[0]) * len(LOCATIONS) + location
    orders = (np.bincount(shift, minlength=len(played.days) * len(LOCATIONS)) + 1) // 2
    order = (shop.draws.uniform("order", day, series, line) * orders[shift]).astype(np.int64)
    row = day - played.days[0]
    lines = _Lines(
        day=day,
        series=series,
        generation=played.generation[row, series],
        line=line,
        quantity=quantity,
        price=played.price[row, series],
        on_promotion=played.on_promotion[row, series],
        order=order,
    )
    return lines.where(quantity > 0)


def _pieces(shop: Shop, day, series, line, units, count) -> NDArray[np.int64]:
    """Units of each line: the day's units cut at as many places as there are lines, each near an equal share."""

    def cut(number: NDArray[np.int64]) -> NDArray[np.int64]:
        jitter = np.where((number == 0) | (number == count), 0, shop.draws.uniform("cut", day, series, number) * 0.9)
        return (units * ((number + jitter) / count)).astype(np.int64)

    return cut(line + 1) - cut(line)


def _fates(shop: Shop, lines: _Lines) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Which lines come back, arrive late, are corrected; and the delay in days of the latter two."""
    key = (lines.day, lines.series, lines.line)
    fate = shop.draws.uniform("fate", *key)
    late = (fate >= RETURNED) & (fate < RETURNED + LATE)
    corrected = (fate >= RETURNED + LATE) & (fate < RETURNED + LATE + CORRECTED)
    return fate < RETURNED, late, corrected, shop.draws.whole("delay", 1, LATE_DAYS, *key)


@dataclass(frozen=True, eq=False)
class _Events:
    """What happens to order lines: the line, and when, how many, and in which batch it is told."""

    lines: _Lines
    kind: str
    day: NDArray[np.int64]
    seconds: NDArray[np.int64]
    quantity: NDArray[np.int64]
    arrival: NDArray[np.int64]


def _events(shop: Shop, lines: _Lines) -> Iterator[_Events]:
    returned, late, corrected, delay = _fates(shop, lines)
    location = shop.series_location[lines.series]
    seconds = _OPENS + shop.draws.whole("time", 0, _OPEN_SECONDS - 1, lines.day, location, lines.order)
    # A mistyped quantity has a 0 too many; the correction tells the true one.
    first_told = np.where(corrected, lines.quantity * 10, lines.quantity)
    yield _Events(lines, "sale", lines.day, seconds, first_told, lines.day + np.where(late, delay, 0))
    again = lines.where(corrected)
    yield _Events(again, "correction", again.day, seconds[corrected], again.quantity, again.day + delay[corrected])
    back = lines.where(returned)
    key = (back.day, back.series, back.line)
    day = back.day + shop.draws.whole("return day", 1, RETURN_DAYS, *key)
    part = np.where(shop.draws.uniform("return part", *key) < 0.6, back.quantity, 1)
    at = _OPENS + shop.draws.whole("return time", 0, _OPEN_SECONDS - 1, *key)
    yield _Events(back, "return", day, at, -part, day)


@dataclass(frozen=True, order=True)
class _Row:
    """A row of a batch as text; a batch is sent in this order."""

    sold_at: str
    event_id: str
    kind: str
    cells: tuple[str, ...]


def _batches(shop: Shop, first: int, last: int, zone: ZoneInfo) -> dict[int, list[_Row]]:
    batches: dict[int, list[_Row]] = {day: [] for day in range(first, last + 1)}
    for events in _events(shop, _lines(shop, demand(shop, first - RETURN_DAYS, last))):
        told = np.flatnonzero((events.arrival >= first) & (events.arrival <= last))
        for day, row in zip(events.arrival[told].tolist(), _rows(shop, events, told, zone), strict=True):
            batches[day].append(row)
    for day, rows in batches.items():
        rows.sort()
        rows.extend(_bad_rows(shop, day, rows))
    return batches


def _rows(shop: Shop, events: _Events, told: NDArray[np.int64], zone: ZoneInfo) -> Iterator[_Row]:
    """The events at the positions ``told`` as text."""
    lines = events.lines.where(told)
    clock = _Clock(zone)
    skus: dict[tuple[int, int], str] = {}
    columns = (
        *(shop.series_place[lines.series], lines.generation, shop.series_location[lines.series]),
        *(lines.day, lines.line, lines.order, lines.price, lines.on_promotion),
        *(events.day[told], events.seconds[told], events.quantity[told], events.arrival[told]),
    )
    for place, generation, at, day, line, order, price, promoted, when, seconds, quantity, arrival in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        article = place, generation
        sku = skus.get(article) or skus.setdefault(article, shop.sku(*article))
        location, sold = LOCATIONS[at].code, clock.compact(day)
        sold_at = clock.instant(when, seconds)
        event_id = f"{location}-{sold}-{place:04d}-{line:02d}" + ("-R" if events.kind == "return" else "")
        cells = (
            *(event_id, f"{location}-{sold}-{order:04d}", sold_at, sku, location, str(quantity), f"{price:.2f}"),
            "true" if promoted and events.kind != "return" else "false",
            clock.instant(arrival, 21 * 3600) if events.kind == "correction" else sold_at,
        )
        yield _Row(sold_at, event_id, events.kind, cells)


def _bad_rows(shop: Shop, day: int, rows: list[_Row]) -> list[_Row]:
    """At most one row that is no sale: a copy of one of the batch that was damaged on the way."""
    drawn = float(shop.draws.uniform("bad row", day))
    if not rows or drawn >= UNREADABLE + WITHOUT_SKU:
        return []
    row = rows[int(shop.draws.uniform("damaged row", day) * len(rows))]
    event_id, order_id, sold_at, sku, location, quantity, *rest = row.cells
    damaged = (sku, location, f"{quantity} pcs?") if drawn < UNREADABLE else ("", location, quantity)
    return [_Row(row.sold_at, row.event_id, "bad", (event_id + "-X", order_id, sold_at, *damaged, *rest))]


class _Clock:
    """Days and times of day as text in the shop's time zone. Shops are open when no clock is changed."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._days: dict[int, tuple[str, str, str]] = {}

    def _day(self, day: int) -> tuple[str, str, str]:
        if day not in self._days:
            noon = datetime.combine(day_of(day), time(12), self._zone).isoformat()
            self._days[day] = noon[:10], noon[19:], noon[:10].replace("-", "")
        return self._days[day]

    def compact(self, day: int) -> str:
        return self._day(day)[2]

    def instant(self, day: int, seconds: int) -> str:
        written, offset, _ = self._day(day)
        minutes, second = divmod(seconds, 60)
        return f"{written}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{offset}"


def _csv(rows: list[_Row]) -> bytes:
    return "\n".join([HEADER, *(",".join(row.cells) for row in rows), ""]).encode()
