"""Generated sales of the shape of M5's: intermittent, with weekdays, a yearly season and prices that change.

M5 (Makridakis et al. 2022) holds 3,049 articles of 7 departments in 10 stores. Of the cells of its last year and a
half 59 % are 0. What is drawn depends on the seed and the number of series only: a later day leaves earlier ones as
they were, and fewer series are the first articles of more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

LOCATIONS = tuple(
    f"{state}_{number}" for state, stores in (("CA", 4), ("TX", 3), ("WI", 3)) for number in range(1, stores + 1)
)
CATEGORIES = ("FOODS_1", "FOODS_2", "FOODS_3", "HOBBIES_1", "HOBBIES_2", "HOUSEHOLD_1", "HOUSEHOLD_2")
SERIES = 30_490
START = date(2025, 1, 1)
WEEKDAYS = np.array([0.93, 0.88, 0.88, 0.90, 1.02, 1.21, 1.18])
"""Monday to Sunday."""
MEAN_LOG_RATE, SD_LOG_RATE = -0.66, 1.35
"""Of the log of a series' units a day: with ``CLUMPING`` 59 % of the cells are 0, and the mean is about M5's 1.2."""
CLUMPING = 1.6
"""Shape of the gamma by which a day's rate varies; smaller is clumpier than Poisson."""
PRICE_CHANGE = 1 / 90
ELASTICITY = 1.2


@dataclass(frozen=True)
class Market:
    """``series`` series from the day ``start`` on; series are numbered article by article.

    Raises:
        ValueError: ``series`` is not a multiple of the locations.
    """

    series: int = SERIES
    seed: int = 5
    start: date = START

    def __post_init__(self) -> None:
        if self.series % len(LOCATIONS):
            raise ValueError(f"series is {self.series}; it must be a multiple of {len(LOCATIONS)}, the locations")

    @property
    def articles(self) -> int:
        return self.series // len(LOCATIONS)

    @cached_property
    def sku(self) -> list[str]:
        return [f"{CATEGORIES[number % 7]}_{number:05d}" for number in range(self.articles)]

    @cached_property
    def rate(self) -> np.ndarray:
        """Units a day of each series on a day like any other, article x location."""
        draw = np.random.default_rng([self.seed, 1])
        shape = self.articles, len(LOCATIONS)
        article = draw.normal(0, 0.85, shape[0])[:, None]
        own = draw.normal(0, (SD_LOG_RATE**2 - 0.85**2) ** 0.5, shape)
        return np.exp(MEAN_LOG_RATE + article + own)

    def day_of(self, number: int) -> date:
        return self.start + timedelta(days=number)

    def prices(self, number: int) -> np.ndarray:
        """Price of each article on day ``number``: a base, and steps of 20 % down to 25 % up since the start."""
        base = np.random.default_rng([self.seed, 2]).lognormal(1.2, 0.7, self.articles)
        # The step that holds is the newest of blocks of 30 days in which there was one.
        ratio = np.ones(self.articles)
        for block in range(number // 30 + 1):
            draw = np.random.default_rng([self.seed, 3, block])
            changes = draw.random(self.articles) < 30 * PRICE_CHANGE
            since = draw.integers(0, 30, self.articles) + 30 * block
            step = draw.choice([0.8, 0.9, 1.0, 1.1, 1.25], self.articles)
            ratio = np.where(changes & (since <= number), step, ratio)
        return np.round(base * ratio, 2)

    def units(self, number: int) -> np.ndarray:
        """Units sold on day ``number``, article x location."""
        draw = np.random.default_rng([self.seed, 4, number])
        day = self.day_of(number)
        season = 1 + 0.15 * np.sin(2 * np.pi * (day.timetuple().tm_yday - 80) / 365)
        price = (self.prices(number) / self.prices(0)) ** -ELASTICITY
        rate = self.rate * WEEKDAYS[day.weekday()] * season * price[:, None]
        return draw.poisson(rate * draw.gamma(CLUMPING, 1 / CLUMPING, rate.shape))

    def sales(self, number: int) -> pa.Table:
        """The rows of a day's file: one for each series that sold."""
        units, prices = self.units(number), self.prices(number)
        article, location = np.nonzero(units)
        return pa.table(
            {
                "date": pa.array([self.day_of(number)] * len(article), pa.date32()),
                "item_id": pa.DictionaryArray.from_arrays(pa.array(article, pa.int32()), self.sku).cast(pa.string()),
                "store_id": pa.DictionaryArray.from_arrays(pa.array(location, pa.int32()), LOCATIONS).cast(pa.string()),
                "units": units[article, location],
                "sell_price": prices[article],
            }
        )

    def write_sales(self, path: Path, numbers: range) -> int:
        """Write the days' sales to one CSV file; how many rows there are."""
        rows = 0
        schema = self.sales(numbers[0]).schema
        with pyarrow.csv.CSVWriter(path, schema) as writer:
            for number in numbers:
                table = self.sales(number)
                writer.write_table(table)
                rows += len(table)
        return rows

    def write_items(self, path: Path) -> None:
        table = pa.table({"item_id": self.sku, "dept_id": [sku.rpartition("_")[0] for sku in self.sku]})
        pyarrow.csv.write_csv(table, path)
