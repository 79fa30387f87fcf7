"""The demo's articles, series and promotions: what the shop is, before a day is played.

All of it follows from the settings by key (``demo_draws``). What sells on a day is in ``demo_demand``, rows and
files are in ``demo_sales`` and ``demo_facts``. Days are whole numbers: days since 1970-01-01, a Thursday.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast_platform.sources.demo_draws import Draws
from forecast_platform.sources.demo_settings import DemoSource

EPOCH = date(1970, 1, 1)
GAP_DAYS = 14
"""Days between the last sale of a discontinued article and the first of the one that follows it."""
PROMOTION_BLOCK = 35
ANNOUNCED_DAYS = (14, 35)
"""A promotion is announced at least and at most so many days before it starts."""
CHANGED_DAYS = (3, 10)
"""A changed promotion is announced again so many days before it starts."""


class Location(NamedTuple):
    code: str
    name: str
    region: str
    country: str
    size: float
    """Demand relative to the first location."""
    weekdays: tuple[float, ...]
    """Demand by weekday, Monday first, mean 1."""


class Category(NamedTuple):
    code: str
    name: str
    supplier: int
    price: tuple[float, float]
    peak: int
    """Day of the year of the strongest season."""
    swing: float
    """How far the strongest season is above the year's mean, as a share."""
    weekdays: tuple[float, ...]
    nouns: tuple[str, ...]


class Supplier(NamedTuple):
    code: str
    name: str
    country: str
    lead_time_days: float
    lead_time_std_days: float
    moq: int
    order_cost: float
    stages: tuple[float, ...]
    """Days and deviation of order, transit and customs; together the lead time."""


LOCATIONS = (
    Location("BER", "Berlin Mitte", "Berlin", "DE", 1.0, (0.80, 0.82, 0.86, 0.95, 1.25, 1.62, 0.70)),
    Location("MUC", "München Ost", "Bayern", "DE", 0.55, (1.16, 1.12, 1.08, 1.10, 1.28, 0.86, 0.40)),
)
SUPPLIERS = (
    Supplier("S-ALPS", "Alpenkontor GmbH", "AT", 4, 1, 12, 20.0, (1, 0, 3, 1, 0, 0)),
    Supplier("S-DELTA", "Delta Papier B.V.", "NL", 7, 2, 24, 35.0, (2, 0, 5, 2, 0, 0)),
    Supplier("S-GALA", "Galanteria Sp. z o.o.", "PL", 10, 2.5, 24, 45.0, (3, 1.5, 7, 2, 0, 0)),
    Supplier("S-ORIENT", "Orient Sourcing Ltd", "CN", 28, 6, 96, 160.0, (4, 2, 19, 4, 5, 4)),
)
CATEGORIES = (
    Category(
        *("PAN", "pantry", 0, (2.5, 9.0), 350, 0.10, (0.95, 0.95, 0.97, 1.00, 1.10, 1.08, 0.95)),
        ("Coffee beans", "Green tea", "Honey", "Olive oil", "Dark chocolate", "Biscuits", "Jam", "Muesli"),
    ),
    Category(
        *("HOM", "household", 2, (4.0, 25.0), 100, 0.08, (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)),
        ("Candle", "Storage jar", "Towel", "Vase", 'Tablecloth "Édith"', "Mug", "Lunch box", "Apron"),
    ),
    Category(
        *("GRD", "garden", 2, (5.0, 40.0), 160, 0.45, (0.85, 0.85, 0.90, 0.95, 1.05, 1.25, 1.15)),
        ("Lantern", "Planter", "Bird feeder", "Watering can", "Seed mix", "Gloves", "Wind chime", "Trowel"),
    ),
    Category(
        *("TOY", "toys and gifts", 3, (3.0, 35.0), 345, 0.40, (0.88, 0.88, 0.90, 0.96, 1.10, 1.22, 1.06)),
        ("Puzzle", "Wooden train", "Plush bear", "Gift bag", "Playing cards", "Kite", "Snow globe", "Paint set"),
    ),
    Category(
        *("OFF", "office", 1, (1.5, 15.0), 250, 0.15, (1.16, 1.14, 1.12, 1.08, 1.00, 0.82, 0.68)),
        ("Notebook", "Gel pen", "Sticky notes", "Folder", "Desk lamp", "Calendar", "Envelopes", "Stapler"),
    ),
)
VARIANTS = ("small", "large", "red", "blue", "natural", "classic", "deluxe", "2-pack")

SMOOTH, INTERMITTENT, LUMPY = 0, 1, 2
_CLASSES = np.array([0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 1, 0, 0, 1, 0, 2, 0, 1, 2])
"""Demand class by place on the shelf, in turns of 20: 13 smooth, 4 intermittent, 3 in lumps."""
_SHORT_LIVED = np.isin(np.arange(20), (3, 6, 10, 14))
_ONE_LOCATION = np.isin(np.arange(20), (16, 19))


@dataclass(frozen=True, eq=False)
class Shop:
    """The shop of some settings: arrays over places on the shelf, and over series (place, location) in that order.

    A place on the shelf holds one article for good, or one after another: the ``generation`` tells which.
    """

    settings: DemoSource

    @cached_property
    def draws(self) -> Draws:
        return Draws(self.settings.seed)

    @cached_property
    def place(self) -> NDArray[np.int64]:
        return np.arange(self.settings.n_skus)

    @cached_property
    def category(self) -> NDArray[np.int64]:
        return self.place % len(CATEGORIES)

    @cached_property
    def demand_class(self) -> NDArray[np.int64]:
        return _CLASSES[self.place % 20]

    @cached_property
    def short_lived(self) -> NDArray[np.bool_]:
        return _SHORT_LIVED[self.place % 20]

    @cached_property
    def lift(self) -> NDArray[np.float64]:
        """Demand of an article on promotion relative to a day without."""
        return self.draws.between("lift", 1.6, 2.4, self.place)

    @cached_property
    def discount(self) -> NDArray[np.float64]:
        return self.draws.whole("discount", 3, 5, self.place) * 0.05

    @cached_property
    def base_price(self) -> NDArray[np.float64]:
        low, high = np.array([category.price for category in CATEGORIES])[self.category].T
        return low + (high - low) * self.draws.uniform("price", self.place) ** 2

    @cached_property
    def series_place(self) -> NDArray[np.int64]:
        return self._pairs[0]

    @cached_property
    def series_location(self) -> NDArray[np.int64]:
        return self._pairs[1]

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        carried = np.ones((self.settings.n_skus, len(LOCATIONS)), dtype=bool)
        carried[_ONE_LOCATION[self.place % 20], 1:] = False
        return np.nonzero(carried)

    @cached_property
    def weekday_profile(self) -> NDArray[np.float64]:
        """Demand by series and weekday (Monday first), mean 1: the location's times the category's."""
        of_location = np.array([location.weekdays for location in LOCATIONS])[self.series_location]
        of_category = np.array([category.weekdays for category in CATEGORIES])[self.category[self.series_place]]
        profile = of_location * of_category
        return profile / profile.mean(axis=1, keepdims=True)

    def generation(
        self, days: ArrayLike, place: ArrayLike | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which article holds each place, and how many days it has been there.

        An article is on sale from age 0 to ``life - GAP_DAYS - 1``; articles that are not short-lived have generation
        0 and an age beyond any look-back.
        """
        place = self.place if place is None else np.asarray(place)
        life = self.life[place]
        passed = np.asarray(days) + self.draws.whole("phase", 0, 999, place)
        short = self.short_lived[place]
        return np.where(short, passed // life, 0), np.where(short, passed % life, 9999) + np.zeros_like(passed)

    @cached_property
    def life(self) -> NDArray[np.int64]:
        """Days from one article of a place to the next."""
        return self.draws.whole("life", 240, 540, self.place)

    def on_sale(self, days: ArrayLike, age: NDArray[np.int64], place: ArrayLike | None = None) -> NDArray[np.bool_]:
        """Whether the article of ``generation`` with this age is sold on that day."""
        place = self.place if place is None else np.asarray(place)
        sold = ~self.short_lived[place] | (age < self.life[place] - GAP_DAYS)
        return sold & (np.asarray(days) >= self.opens)

    @cached_property
    def opens(self) -> int:
        """The first day, or one before all others."""
        return -(10**6) if self.settings.opens is None else number(self.settings.opens)

    def sku(self, place: int, generation: int) -> str:
        """The article's code; articles that follow each other on a place are told by their last part."""
        code = f"{CATEGORIES[place % len(CATEGORIES)].code}-{place:03d}"
        return f"{code}-{generation}" if self.short_lived[place] else code

    def price(self, days: NDArray[np.int64]) -> NDArray[np.float64]:
        """Regular price by (day, place), in cents exactly: base price, reset every 120 to 240 days by -6 to +8 %."""
        length = self.draws.whole("price period", 120, 240, self.place)
        period = (days[:, None] + self.draws.whole("price phase", 0, 239, self.place)) // length
        return np.round(self.base_price * self.draws.between("price step", 0.94, 1.08, self.place, period), 2)

    def promotion_price(self, days: NDArray[np.int64]) -> NDArray[np.float64]:
        """Price on promotion by (day, place): the regular one less 15, 20 or 25 %."""
        return np.round(self.price(days) * (1 - self.discount), 2)

    def promotions(self, first: int, last: int) -> Promotions:
        """Promotions of the blocks that touch ``first`` .. ``last``, one row a promotion and place."""
        blocks = np.arange(first // PROMOTION_BLOCK, last // PROMOTION_BLOCK + 1)
        held = self.draws.uniform("promotion", self.place, blocks[:, None]) < 0.42
        block, place = np.nonzero(held & (self.demand_class != LUMPY))
        block = blocks[block]
        start = block * PROMOTION_BLOCK + 7 * self.draws.whole("promotion week", 0, 3, place, block)
        planned = np.array([4, 7, 10])[self.draws.whole("promotion length", 0, 2, place, block)]
        fate = self.draws.uniform("promotion fate", place, block)
        kept = np.where(fate < 0.06, 0, np.where(fate < 0.14, np.minimum(planned, 4), planned))
        return Promotions(
            place=place,
            start=start,
            planned=planned,
            kept=kept,
            announced=start - self.draws.whole("announced", *ANNOUNCED_DAYS, place, block),
            changed=start - self.draws.whole("changed", *CHANGED_DAYS, place, block),
        )


@dataclass(frozen=True, eq=False)
class Promotions:
    """Promotions, one element each: first day, days planned and days kept, days of the announcement and of the change.

    ``changed`` counts only where ``kept`` is less than ``planned``.
    """

    place: NDArray[np.int64]
    start: NDArray[np.int64]
    planned: NDArray[np.int64]
    kept: NDArray[np.int64]
    announced: NDArray[np.int64]
    changed: NDArray[np.int64]


@lru_cache(maxsize=16)
def shop_of(settings: DemoSource) -> Shop:
    """The shop of ``settings``; its arrays are made once a process."""
    return Shop(settings)


def number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def day_of(days: int) -> date:
    """The date ``days`` days after 1970-01-01."""
    return EPOCH + timedelta(days=int(days))
