"""Shops with smooth, intermittent and lumpy demand, their forecasts, and a ledger of what these missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np

from forecast_platform.forecasting.paths import PastPaths, Span, pools_of
from forecast_platform.inventory.lead_time_demand import Ahead, SpanPools

Array = np.ndarray

KINDS = ("smooth", "intermittent", "lumpy")
HORIZON, HISTORY, WINDOW = 28, 210, 56
STANDING = 96
FIRST = date(2026, 1, 1)
MODEL = "level"


@dataclass(frozen=True)
class Shop:
    """A third of the series of each kind; forecasts are the mean of 28 days times the weekday's share."""

    series: int
    days: int
    seed: int

    @cached_property
    def kind(self) -> Array:
        return np.repeat(np.array(KINDS, dtype=object), self.series // len(KINDS))

    @cached_property
    def weekdays(self) -> Array:
        return 1 + 0.3 * np.sin(2 * np.pi * np.arange(HISTORY + self.days + HORIZON) / 7)

    @cached_property
    def demand(self) -> Array:
        """n x (history, then the days to play, then a horizon) units."""
        generator = np.random.default_rng(self.seed)
        each = self.series // len(KINDS)
        level = np.concatenate([generator.uniform(*bounds, each) for bounds in ((15, 60), (1, 6), (3, 15))])
        mean = level[:, None] * self.weekdays
        smooth = generator.negative_binomial(10, 10 / (10 + mean))
        sells = generator.random(mean.shape)
        ones = np.where(sells < 0.35, 1 + generator.poisson(np.maximum(mean / 0.35 - 1, 0)), 0)
        lots = np.where(sells < 0.2, np.ceil(generator.gamma(0.8, mean / 0.2 / 0.8)), 0)
        return np.select([self.kind[:, None] == KINDS[0], self.kind[:, None] == KINDS[1]], [smooth, ones], lots) * 1.0

    @cached_property
    def standing(self) -> Array:
        """Places of the series whose errors stand for their kind."""
        return np.concatenate([np.flatnonzero(self.kind == kind)[:STANDING] for kind in KINDS])

    def forecast(self, origin: int) -> Array:
        """n x H, knowing the days up to ``origin``."""
        level = self.demand[:, origin - 27 : origin + 1].mean(axis=1)
        return level[:, None] * self.weekdays[origin + 1 : origin + 1 + HORIZON]

    def scale(self, origin: int) -> Array:
        """n; root mean squared one-day difference of 120 days."""
        return np.sqrt((self._squared_moves[:, origin + 1] - self._squared_moves[:, origin - 118]) / 119)

    @cached_property
    def _squared_moves(self) -> Array:
        """n x days: squared one-day differences of the days before, summed; whole numbers, so exact."""
        moves = np.diff(self.demand, axis=1, prepend=self.demand[:, :1])
        return np.concatenate([np.zeros((self.series, 1)), np.cumsum(moves * moves, axis=1)], axis=1)

    def deviation(self, origin: int) -> Array:
        """n; standard deviation of the errors one day ahead of the window."""
        errors = [self.demand[:, day + 1] - self.forecast(day)[:, 0] for day in range(origin - WINDOW, origin)]
        return np.stack(errors).std(axis=0)

    def ahead(self, origin: int) -> Ahead:
        """What a plan of the evening of ``origin`` sees."""
        return Ahead(
            mean=self.forecast(origin),
            scale=self.scale(origin),
            model=np.full(self.series, MODEL, dtype=object),
            demand_class=self.kind,
            whole=np.ones(self.series, dtype=bool),
        )

    def pools(self, origin: int, spans: Sequence[int] = range(1, HORIZON + 1)) -> SpanPools:
        """Paths of the origins before, of target days up to ``origin``."""
        origins = range(origin - WINDOW, origin)
        shape = (1, len(self.standing), len(origins), HORIZON)
        sold, expected = np.full(shape, np.nan), np.full(shape, np.nan)
        for place, past in enumerate(origins):
            known, scale = min(HORIZON, origin - past), self.scale(past)[self.standing, None]
            sold[0, :, place, :known] = self.demand[self.standing, past + 1 : past + 1 + known] / scale
            expected[0, :, place, :known] = self.forecast(past)[self.standing, :known] / scale
        dates = tuple(FIRST + timedelta(days=each) for each in origins)
        reach = {"first": FIRST + timedelta(days=origin - WINDOW + 1), "last": FIRST + timedelta(days=origin)}
        past_paths = PastPaths((MODEL,), dates, sold, expected)
        return {span: pools_of(past_paths, self.kind[self.standing], Span(1, span), **reach) for span in spans}
