"""What is known beside sales on an origin: holidays, promotions, prices and the tenant's own covariates.

Dated rows in; past and coming values for the series of a panel out. Nothing that became known after the origin is
read for it. Which of several rows counts is in ``scopes``; what a model makes of a covariate is the model's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd

from forecast_platform.features import LOOK_BACK_DAYS, HolidayCalendar
from forecast_platform.features.numbers import nearest_float64
from forecast_platform.forecasting.panel import Panel, PanelHistory
from forecast_platform.forecasting.scopes import ScopedRows

Array = np.ndarray
FROM_FEATURES = ("is_holiday", "on_promotion")
"""Columns of ``features`` that are known ahead, too."""
KNOWN_AHEAD = (*FROM_FEATURES, "price_ratio")
"""What every tenant may know ahead. No covariate of a tenant may have one of these names."""
PRICE_DAYS = LOOK_BACK_DAYS
"""Days whose mean price a price is compared with, in ``price_ratio`` as in ``features``."""
MEASURED_DAYS, MEASURED_LEAST = 28, 21
"""A covariate with a value on three quarters of the last four weeks is measured daily."""


@dataclass(frozen=True)
class KnownFacts:
    """Dated facts beside sales, as tables hold them; each frame may hold rows that no origin asked for may read.

    Attributes:
        calendar_on: the public holidays as known on a day.
        plan: ``known_from``, ``target_date``, ``sku``, ``location``, ``on_promotion``, ``price``.
        prices: ``sale_date``, ``series_id``, ``avg_price`` of the days that planned prices are compared with.
        own: ``known_from``, ``target_date``, ``name``, ``sku``, ``location``, ``category``, ``value``.
        defaults: value of a day without a row, by name of a tenant's covariate.
    """

    calendar_on: Callable[[date], HolidayCalendar]
    plan: pd.DataFrame
    prices: pd.DataFrame
    own: pd.DataFrame
    defaults: Mapping[str, float] = field(default_factory=dict)


class Covariates:
    """Completes the panels of a range of origins.

    Args:
        history: pivoted with ``FROM_FEATURES`` as its covariates.
        facts: what is known beside sales.
        origins: first and last day to be forecast from.
        window: days of history of a panel; ``horizon``: days ahead.
    """

    def __init__(
        self, history: PanelHistory, facts: KnownFacts, *, origins: tuple[date, date], window: int, horizon: int
    ) -> None:
        self._history = history
        self._horizon = horizon
        self._calendar_on = facts.calendar_on
        self._defaults = facts.defaults
        self._plan = ScopedRows(facts.plan, scope=("sku", "location"))
        promoted = self._plan.frame["on_promotion"]
        self._promoted = promoted.eq(True).fillna(False).to_numpy(dtype=bool).astype(np.float64)
        price = nearest_float64(self._plan.frame["price"])
        self._price = np.where(price > 0, price, np.nan)
        self._first_price = origins[0] - timedelta(days=window - 1)
        days = (origins[1] - self._first_price).days + 1
        paid = _paid(history, facts.prices, self._first_price - timedelta(days=PRICE_DAYS), PRICE_DAYS + days)
        self._usual = _usual_prices(paid)
        self._own = {
            name: ScopedRows(rows, scope=("sku", "category", "location"))
            for name, rows in sorted(facts.own.groupby("name"), key=lambda each: each[0])
        }

    def complete(self, panel: Panel) -> Panel:
        """Give ``panel`` what its origin knows of its window and of the days ahead.

        - ``is_holiday`` ahead: by the countries known on the origin.
        - ``on_promotion``: past days from sales or from the plan, because a promotion on which nothing was sold is in
          the plan alone, and left out it would count the days that sold as what a promotion does. Ahead from the plan;
          where no plan is known, from neither.
        - ``price_ratio``: planned price / mean of the known prices of the ``PRICE_DAYS`` before the day, ahead of those
          up to the origin; 1 where either is unknown. Never a price that was paid: it is known of days that sold only,
          and a model would learn from it what sold (boosted trees then forecast 9 % of the demand).
        - a covariate of the tenant: ``_own_values``.

        Numbers ahead lie no farther beyond what the series' window has seen than that range is wide: a regression
        knows nothing of a price of a tenth, or of a typing error. A column that has one value on all observed days of
        all series is left out: nothing can be learned from it.
        """
        past = self._history.covariates_at(panel.origin, window=panel.window)
        ahead = self._planned(panel, past)
        ahead["is_holiday"] = self._holidays(panel)
        for name, rows in self._own.items():
            values = self._own_values(panel, rows, self._defaults.get(name))
            past[name], ahead[name] = values[:, : panel.window], values[:, panel.window :]
        observed = panel.observed
        kept = {name: values for name, values in past.items() if _varies(values[observed])}
        return panel.with_covariates(kept, {name: _within(ahead[name], kept[name], observed) for name in kept})

    def _holidays(self, panel: Panel) -> Array:
        days = pd.date_range(pd.Timestamp(panel.origin) + pd.Timedelta(days=1), periods=self._horizon, freq="D")
        locations, place = np.unique(panel.series.location.astype(object), return_inverse=True)
        return self._calendar_on(panel.origin).is_holiday(locations, days)[place].astype(np.float64)

    def _planned(self, panel: Panel, past: dict[str, Array]) -> dict[str, Array]:
        """Promotions and prices ahead; puts what only the plan knows into ``past``."""
        window = panel.window
        chosen = self._newest(panel, self._plan)
        promoted = _taken(self._promoted, chosen, 0.0)
        planned = (chosen >= 0).any()
        past["on_promotion"] = np.maximum(past["on_promotion"] if planned else 0.0, promoted[:, :window])
        rows = self._history.rows_at(panel.origin)
        start = (panel.origin - self._first_price).days - window + 1
        with np.errstate(invalid="ignore"):
            ratio = _taken(self._price, chosen, np.nan)
            ratio[:, :window] /= self._usual[rows, start : start + window]
            ratio[:, window:] /= self._usual[rows, start + window][:, None]
        ratio = np.where(np.isnan(ratio), 1.0, ratio)
        past["price_ratio"] = ratio[:, :window]
        return {"on_promotion": promoted[:, window:], "price_ratio": ratio[:, window:]}

    def _own_values(self, panel: Panel, rows: ScopedRows, default: float | None) -> Array:
        """A tenant's covariate: n x (W + H), the value of the row that counts, past days as known on the origin too.

        A day without a row has the tenant's default. Without one it counts 0, as a day without an e-mail; but for a
        series with a value on ``MEASURED_LEAST`` of the last ``MEASURED_DAYS`` days the covariate is measured daily,
        as the weather is, and a day that nobody has told is like the mean of those: it moves no forecast.
        """
        values = _taken(rows.frame["value"].to_numpy(dtype=np.float64), self._newest(panel, rows), np.nan)
        missing = np.isnan(values)
        if default is None:
            recent = values[:, max(0, panel.window - MEASURED_DAYS) : panel.window]
            known = ~np.isnan(recent)
            total = np.zeros(len(recent))
            for day in range(recent.shape[1]):
                total += np.where(known[:, day], recent[:, day], 0.0)
            count = known.sum(axis=1)
            filling = np.where(count >= MEASURED_LEAST, total / np.maximum(count, 1), 0.0)[:, None]
        else:
            filling = default
        return np.where(missing, filling, values)

    def _newest(self, panel: Panel, rows: ScopedRows) -> Array:
        series = panel.series
        return rows.newest(
            {"sku": series.sku, "location": series.location, "category": series.category},
            origin=panel.origin,
            first=panel.origin - timedelta(days=panel.window - 1),
            days=panel.window + self._horizon,
        )


def _taken(values: Array, chosen: Array, missing: float) -> Array:
    """The value of each chosen row; ``missing`` where there is none."""
    return np.append(values, missing)[chosen]


def _paid(history: PanelHistory, prices: pd.DataFrame, first: date, days: int) -> Array:
    """Known prices of the series of ``history``: m x days, NaN where nothing was sold."""
    if not len(prices):
        return np.broadcast_to(np.nan, (len(history.names), days))
    ids, named = prices["series_id"].to_numpy(), history.names.series_id
    place = np.full(max(ids.max(), named.max(initial=0)) + 1, -1, dtype=np.intp)
    place[named] = np.arange(len(named))
    row = place[ids]
    column = (prices["sale_date"].to_numpy().astype("datetime64[D]") - np.datetime64(first, "D")).astype(np.intp)
    price = prices["avg_price"].to_numpy(dtype=np.float64, na_value=np.nan)
    inside = (row >= 0) & (column >= 0) & (column < days) & np.isfinite(price) & (price > 0)
    paid = np.full((len(named), days), np.nan)
    paid[row[inside], column[inside]] = price[inside]
    return paid


def _usual_prices(paid: Array) -> Array:
    """Mean of the known prices of the ``PRICE_DAYS`` before each day, the day after the last included: m x (days + 1).

    Added newest day first, as in ``features``; NaN where none is known.
    """
    days = paid.shape[1] - PRICE_DAYS + 1
    if not any(paid.strides):
        return np.broadcast_to(np.nan, (len(paid), days))
    there = ~np.isnan(paid)
    price = np.where(there, paid, 0.0)
    total, known = np.zeros((len(paid), days)), np.zeros((len(paid), days))
    for back in range(1, PRICE_DAYS + 1):
        before = slice(PRICE_DAYS - back, PRICE_DAYS - back + days)
        total += price[:, before]
        known += there[:, before]
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / known


def _varies(values: Array) -> bool:
    return len(values) > 0 and bool(values.min() < values.max())


def _within(ahead: Array, past: Array, observed: Array) -> Array:
    """Values ahead, no farther beyond the range of a series' observed days than that range is wide.

    A series that has seen one value only keeps what is planned: a regression of its own gives that no weight, and a
    model of all series has learned from the others.
    """
    low = np.where(observed, past, np.inf).min(axis=1, initial=np.inf)[:, None]
    high = np.where(observed, past, -np.inf).max(axis=1, initial=-np.inf)[:, None]
    with np.errstate(invalid="ignore"):
        wide = np.where(high > low, high - low, 0.0)
    return np.where(wide > 0, np.minimum(np.maximum(ahead, low - wide), high + wide), ahead)
