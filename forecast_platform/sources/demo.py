"""The demo generator as a source: a shop whose days are made up, the same for everybody.

A day depends on (settings, day) alone: every draw is a hash of seed, day and series, so it does not matter which days
were made before, how many at once, on which machine, or with which numpy. The shop has always been open (or since
``opens``) and ends yesterday. What it is like, for the default settings; each figure is tested:

* 60 articles in 5 categories from 4 suppliers at 2 locations: 114 series, 190 to 270 order lines a day. The second
  location sells 45 to 60 % of the first.
* The strongest weekday sells 2.4 to 4 times the weakest: Saturday against Sunday at one location, Friday against Sunday
  at the other. The category shifts it: gardens sell at weekends, offices on workdays.
* Yearly shape: garden articles peak in May or June and sell 2 to 3.3 times as much as in December; toys and gifts peak
  in November or December at 1.9 to 3 times their weakest month.
* Each article has a trend of its own, a slow wave of 10 to 35 % over 2 to 4 years. From the first to the last 8 weeks
  of 200 days, articles at the upper quartile of growth gain at least 15 % on those at the lower.
* Of 20 articles 13 sell smoothly, 4 intermittently, 3 in lumps. 20 to 32 % of series-days on sale have no sale: less
  than 10 % of the smooth ones, more than 55 % of the others.
* Promotions on 5 to 9 % of series-days: 15 to 25 % off, demand times 1.6 to 2.4. They are in the ``plan`` at least 14
  and at most 35 days ahead. 5 to 20 % of them are cancelled or cut to 4 days, told 3 to 10 days before they start.
* Regular prices are set anew every 4 to 8 months, within 14 %; demand follows with an elasticity of -1.2.
* One article in five is discontinued after 8 to 18 months; 14 days later another takes its place, under a new SKU,
  and needs 28 days to reach its level.
* On 1 to 4 % of series-days the shelf is empty: ``on_hand`` is 0, nothing is sold, the sales are lost; the delivery due
  then comes when it is over.
* 2 to 3 % of order lines come back within 7 days, whole or one piece, as a negative quantity of the same order.
* 0.3 to 0.7 % of the lines arrive in the batch of 1 to 3 days later; 0.1 to 0.5 % have a 0 too many and are corrected
  1 to 3 days later, by the same event id with a newer ``updated_at``.
* 20 to 40 % of the batches have one bad row, never more: a quantity that is no number, or no SKU.

Holidays have no effect: the days known as holidays change between versions of the library that knows them.
Forecasts rank on it as on real sales: weekday-aware before seasonal naive, that before naive, and zero last.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, partial
from hashlib import blake2b
from zoneinfo import ZoneInfo

from forecast_platform.sources import columns, demo_facts, shapes
from forecast_platform.sources.base import Arrival, SourceError
from forecast_platform.sources.demo_sales import late_arrivals, open_batch, sales_batches
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform.sources.demo_shop import Shop, day_of, number, shop_of

GENERATOR_VERSION = 2
"""Changes whenever the same settings give another shop."""
CHUNK_DAYS = 28
"""Days made at once: a single one costs as much as the week before it, which its returns come from."""

Batches = Callable[[Shop, int, int], dict[int, bytes]]


@dataclass(frozen=True)
class _Fact:
    """How a table's batches are made, and how their rows look."""

    stem: str
    rows: shapes.Rows
    batches: Batches
    every_day: bool = False


def _columns_of(kind: type[columns.Columns], names: tuple[str, ...]) -> columns.Columns:
    """The demo calls every column by our name of it."""
    return kind(**{name: name for name in names})


FACTS: dict[str, _Fact] = {
    "items": _Fact(
        "items",
        shapes.ItemRows(columns=_columns_of(columns.ItemColumns, demo_facts.ITEM_COLUMNS)),
        demo_facts.item_batches,
    ),
    "locations": _Fact(
        "locations",
        shapes.LocationRows(columns=_columns_of(columns.LocationColumns, demo_facts.LOCATION_COLUMNS)),
        demo_facts.location_batches,
    ),
    "suppliers": _Fact(
        "suppliers",
        shapes.SupplierRows(columns=_columns_of(columns.SupplierColumns, demo_facts.SUPPLIER_COLUMNS)),
        demo_facts.supplier_batches,
    ),
    "plan": _Fact(
        "plan",
        shapes.PlanRows(columns=_columns_of(columns.PlanColumns, demo_facts.PLAN_COLUMNS)),
        demo_facts.plan_batches,
    ),
    "inventory_levels": _Fact(
        "inventory",
        shapes.InventoryRows(columns=_columns_of(columns.InventoryColumns, demo_facts.INVENTORY_COLUMNS)),
        demo_facts.inventory_batches,
        every_day=True,
    ),
    "open_orders": _Fact(
        "orders",
        shapes.OpenOrderRows(columns=_columns_of(columns.OpenOrderColumns, demo_facts.OPEN_ORDER_COLUMNS)),
        demo_facts.open_order_batches,
    ),
}


@dataclass(frozen=True, eq=False)
class DemoArrivals:
    """The generator seen as one table's source; see ``base.Source``."""

    asset: str
    settings: DemoSource
    timezone: str
    name: str = "demo"

    @cached_property
    def _fact(self) -> _Fact:
        if self.asset in FACTS:
            return FACTS[self.asset]
        names = ("event_id", "order_id", "sold_at", "sku", "location", "quantity", "unit_price", "on_promotion")
        rows = shapes.SalesRows(columns=_columns_of(columns.SalesColumns, (*names, "updated_at")))
        return _Fact("sales", rows, partial(sales_batches, zone=self._zone), every_day=True)

    @property
    def rows(self) -> shapes.Rows:
        return self._fact.rows

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @cached_property
    def _shop(self) -> Shop:
        return shop_of(self.settings)

    def discover(
        self, *, now: datetime, first: date | None = None, last: date | None = None, since: str | None = None
    ) -> Iterator[Arrival]:
        """The batches of the days ``first`` .. ``last`` that are closed at ``now``, in day order.

        Of sales also those of the next days that hold late or corrected events of these days: what a day is must not
        depend on whether its neighbours were asked for too. Without ``first``, the last ``history_days`` days.
        """
        today = now.astimezone(self._zone).date()
        yesterday = number(today) - 1
        newest = yesterday if last is None else min(number(last), yesterday)
        oldest = yesterday + 1 - self.settings.history_days if first is None else number(first)
        oldest = max(oldest, self._shop.opens, number(date.fromisoformat(since)) if since else 0)
        for start in range(oldest, newest + 1, CHUNK_DAYS):
            yield from self._arrivals(start, min(start + CHUNK_DAYS - 1, newest))
        if self.asset == "raw_sales":
            if oldest <= newest < yesterday:
                for day in sorted(late_arrivals(self._shop, oldest, newest)):
                    yield from self._arrivals(day, min(day, yesterday))
            asked = (first is None or first <= today) and (last is None or last >= today)
            if asked and self.settings.open_day_events and number(today) >= self._shop.opens:
                yield self._open_day(today)

    def high_water(self, *, now: datetime) -> str:
        """The newest closed day: its batch has arrived."""
        return (now.astimezone(self._zone).date() - timedelta(days=1)).isoformat()

    def _arrivals(self, first: int, last: int) -> Iterator[Arrival]:
        chunk = _Chunk(partial(self._fact.batches, self._shop, first, last))
        for day in range(first, last + 1) if self._fact.every_day else sorted(chunk.batches):
            yield self._arrival(day_of(day), partial(chunk.open, day))

    def _open_day(self, today: date) -> Arrival:
        count = self.settings.open_day_events
        told = partial(open_batch, self._shop, number(today), count, self._zone)
        return self._arrival(today, lambda: io.BytesIO(told()), f"-first-{count}")

    def _arrival(self, day: date, opened: Callable[[], io.BytesIO], part: str = "") -> Arrival:
        return Arrival(
            name=f"{self._fact.stem}-{day}{part}.csv",
            open=opened,
            format="csv",
            order=day,
            fingerprint=f"{self._recipe}:{day}{part}",
        )

    @cached_property
    def _recipe(self) -> str:
        """Digest of all that a day's batch depends on beside the day."""
        chosen = self.settings.model_dump_json(exclude={"history_days", "open_day_events"})
        return blake2b(f"{GENERATOR_VERSION}|{self.timezone}|{chosen}".encode(), digest_size=12).hexdigest()


class _Chunk:
    """Batches of neighbouring days, made when the first of them is opened."""

    def __init__(self, make: Callable[[], dict[int, bytes]]) -> None:
        self._make = make

    @cached_property
    def batches(self) -> dict[int, bytes]:
        return self._make()

    def open(self, day: int) -> io.BytesIO:
        return io.BytesIO(self.batches[day])


def open_demo(asset: str, settings: DemoSource, *, timezone: str) -> DemoArrivals:
    """The generator as the source of ``asset`` (a table's name), for business days in ``timezone``.

    Raises:
        SourceError: the generator has nothing for that table.
    """
    if asset != "raw_sales" and asset not in FACTS:
        known = ", ".join(["raw_sales", *FACTS])
        raise SourceError(f"the demo generator has no {asset!r}; it makes {known}")
    return DemoArrivals(asset, settings, timezone)
