"""What a day's report says, as plain values, and the arithmetic between what is read and what is shown.

Units are units of sale; errors are forecast - actual, so that a positive bias is too much forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

PUBLISHED, CHAMPIONS, FLOOR = "published", "champions", "seasonal_naive_7"
"""Whose errors are compared: what was published, what today's champions would have given, and the floor."""

SOURCES = (PUBLISHED, CHAMPIONS, FLOOR)
WINDOWS = (7, 28, 90)
ROLLING_DAYS = 7
BUCKETS = ("1", "2-7", "8-14", "15-28", "29+")

PAST_DAYS = 56
"""Days of sales in the plot of the total, and days of past errors of the total that its interval rests on."""

LEAST_PAST_ERRORS = 8
"""Errors of the total below which there is no interval around it: nine out of ten say little of an 80 % interval."""


@dataclass(frozen=True)
class Scores:
    """Sums of errors over a scope; ``rmsse`` is the plain mean over its series, ``None`` where none has a scale."""

    n: int
    error: float
    abs_error: float
    actual: float
    rmsse: float | None = None

    @property
    def wape(self) -> float | None:
        return self.abs_error / self.actual if self.actual > 0 else None

    @property
    def bias(self) -> float | None:
        return self.error / self.actual if self.actual > 0 else None


@dataclass(frozen=True)
class Coverage:
    """Where what was sold lay within intervals: shares of forecasts below each quantile, and at or below it.

    Attributes:
        levels: (nominal level, share below, share at or below), ascending.
        inside_80, inside_95: shares within the intervals.
    """

    n: int
    levels: tuple[tuple[float, float, float], ...]
    inside_80: float
    inside_95: float


@dataclass(frozen=True)
class Series:
    """One series in a table of the report; figures that do not belong to that table are ``None``."""

    sku: str
    location: str
    units: float | None = None
    wape: float | None = None
    bias: float | None = None
    expected: float | None = None
    sentence: str | None = None

    @property
    def name(self) -> str:
        return self.sku if self.location == "all" else f"{self.sku} @ {self.location}"


@dataclass(frozen=True)
class ChampionChange:
    """A series whose published model is another one than on the day before, and why."""

    series: Series
    before: str
    model: str
    reason: str


@dataclass(frozen=True)
class Arrival:
    """A batch that came after its days had closed: corrected or late sales, or one that could not be read."""

    name: str
    rows: int
    days: tuple[date, ...]
    refused: str | None = None


@dataclass(frozen=True)
class Listed:
    """The first few of something, and how many there are in all."""

    rows: tuple = ()
    total: int = 0

    @property
    def more(self) -> int:
        return self.total - len(self.rows)


@dataclass(frozen=True)
class Changes:
    """What is different from the day before."""

    champions: Listed = Listed()
    new: Listed = Listed()
    ended: Listed = Listed()
    rejects: tuple[tuple[str, int], ...] = ()
    late: Listed = Listed()


@dataclass(frozen=True)
class Stock:
    """The state of all stock at the end of a day; shares and values are ``None`` where nothing is known of them."""

    value: float | None
    too_much: float | None
    cover_days: float | None
    in_stock: float | None
    out: int
    to_order: int
    order_value: float | None


@dataclass(frozen=True)
class StockException:
    """A series that somebody has to act on: to order, to count, running out, dead or too much."""

    series: Series
    kind: str
    on_hand: float | None
    order: float
    expected_on: date


@dataclass(frozen=True)
class DayReport:
    """All that the page of one day is made of.

    Attributes:
        units: sold on the day, by day back to ``PAST_DAYS`` ago; a day that is not there is not on record.
        forecasts: total forecast by (origin, days ahead), of the day's origin and of those that reach its past days.
        series: how many are forecast from the day's origin; ``models``: by model, for how many it is published.
        accuracy: by window and source; ``buckets``: of 28 days by horizon bucket, and ``daily``: by target day, of what
            was published and of the floor.
        coverage: by window, of the intervals of ``lead_model``, the one that is published for most series.
        stock: by day, where stock is planned; ``exceptions``: what to act on, the most urgent first.
        worst: by window, the series that missed the most units; ``movers``: those whose coming week differs most.
    """

    tenant: str
    day: date
    horizon: int
    units: Mapping[date, float]
    forecasts: Mapping[tuple[date, int], float]
    series: int
    models: Mapping[str, int] = field(default_factory=dict)
    accuracy: Mapping[tuple[int, str], Scores] = field(default_factory=dict)
    buckets: Mapping[tuple[str, str], Scores] = field(default_factory=dict)
    daily: Mapping[tuple[date, str], Scores] = field(default_factory=dict)
    coverage: Mapping[int, Coverage] = field(default_factory=dict)
    changes: Changes = Changes()
    worst: Mapping[int, tuple[Series, ...]] = field(default_factory=dict)
    movers: tuple[Series, ...] = ()
    stock: Mapping[date, Stock] = field(default_factory=dict)
    exceptions: Listed = Listed()

    @property
    def lead_model(self) -> str | None:
        return min(self.models, key=lambda name: (-self.models[name], name)) if self.models else None

    @property
    def sold(self) -> float | None:
        return self.units.get(self.day)

    @property
    def expected(self) -> float | None:
        """The total that was forecast for the day on the day before."""
        return self.forecasts.get((self.day - timedelta(days=1), 1))

    @property
    def scored_days(self) -> int:
        return len({day for day, source in self.daily if source == PUBLISHED})

    @property
    def windows(self) -> tuple[int, ...]:
        """The windows to show: a longer one than all that is scored says nothing more."""
        shorter = (0, *WINDOWS)
        return tuple(window for window, least in zip(WINDOWS, shorter, strict=False) if self.scored_days > least)

    def units_of_week(self, weeks_ago: int = 0) -> float | None:
        """Units of the seven days up to the day, or up to whole weeks before it; ``None`` if one is not on record."""
        days = [self.day - timedelta(days=7 * weeks_ago + back) for back in range(7)]
        return sum(self.units[day] for day in days) if all(day in self.units for day in days) else None

    def expected_next_week(self) -> float | None:
        """Total forecast of the seven days after the day, or ``None`` where they are not all forecast."""
        ahead = [self.forecasts.get((self.day, horizon)) for horizon in range(1, 8)]
        return None if None in ahead else sum(ahead)


def value_added(accuracy: Mapping[tuple[int, str], Scores], window: int, source: str, metric: str) -> float | None:
    """Forecast value added: the floor's metric minus the source's; positive is better. ``None`` if one is unknown."""
    floor, own = (accuracy.get((window, each)) for each in (FLOOR, source))
    values = [getattr(each, metric) if each is not None else None for each in (floor, own)]
    return None if None in values else values[0] - values[1]


def rolling_wape(daily: Mapping[tuple[date, str], Scores], source: str) -> list[tuple[date, float]]:
    """WAPE over ``ROLLING_DAYS`` target days ending on each scored day: a ratio of sums, never a mean of ratios."""
    scored = {day: scores for (day, each), scores in daily.items() if each == source}
    points = []
    for day in sorted(scored):
        held = [scored[each] for back in range(ROLLING_DAYS) if (each := day - timedelta(days=back)) in scored]
        actual = sum(each.actual for each in held)
        if actual > 0:
            points.append((day, sum(each.abs_error for each in held) / actual))
    return points


def bucket_of(horizon: int) -> str:
    """The horizon bucket that accuracy is reported by."""
    for name, last in (("1", 1), ("2-7", 7), ("8-14", 14), ("15-28", 28)):
        if horizon <= last:
            return name
    return "29+"


@dataclass(frozen=True)
class TotalForecast:
    """The total forecast of one day and its 80 % interval, ``None`` where too few past errors are known."""

    day: date
    mean: float
    low: float | None = None
    high: float | None = None


class PastTotals:
    """How past days sold in proportion to what was forecast of their total, by horizon bucket.

    Daily quantiles of series may not be added up; the total's interval rests on the total's own errors.
    """

    def __init__(self, report: DayReport) -> None:
        self._forecasts = report.forecasts
        found: dict[str, list[tuple[int, float]]] = {}
        for (origin, horizon), mean in report.forecasts.items():
            sold = report.units.get(origin + timedelta(days=horizon))
            if sold is not None and mean > 0:
                found.setdefault(bucket_of(horizon), []).append((origin.toordinal() + horizon, sold / mean))
        self._ratios = {bucket: np.array(pairs) for bucket, pairs in found.items()}

    def around(self, origin: date, horizon: int) -> TotalForecast:
        """A total forecast with the 80 % interval known on its origin: of targets up to it, ``PAST_DAYS`` back."""
        day, mean = origin + timedelta(days=horizon), self._forecasts[origin, horizon]
        pairs = self._ratios.get(bucket_of(horizon), np.empty((0, 2)))
        known = (pairs[:, 0] <= origin.toordinal()) & (pairs[:, 0] > origin.toordinal() - PAST_DAYS)
        if known.sum() < LEAST_PAST_ERRORS:
            return TotalForecast(day, mean)
        low, high = np.quantile(pairs[known, 1], [0.1, 0.9])
        return TotalForecast(day, mean, float(mean * low), float(mean * high))


def total_ahead(report: DayReport) -> list[TotalForecast]:
    """The total of each day ahead of the report's, with its interval."""
    past = PastTotals(report)
    horizons = range(1, report.horizon + 1)
    return [past.around(report.day, ahead) for ahead in horizons if (report.day, ahead) in report.forecasts]


def total_day_ahead(report: DayReport) -> list[TotalForecast]:
    """What was forecast for each past day on the day before it, with the interval that was known then."""
    past = PastTotals(report)
    origins = sorted(origin for origin, ahead in report.forecasts if ahead == 1 and origin < report.day)
    return [past.around(origin, 1) for origin in origins]


def first_days(days: Sequence[date], most: int = 3) -> str:
    """Days in words, the first few of them."""
    shown = ", ".join(f"{day:%-d %b}" for day in days[:most])
    return shown if len(days) <= most else f"{shown} and {len(days) - most} more"
