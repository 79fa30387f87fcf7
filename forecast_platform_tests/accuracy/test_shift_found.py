"""How many shifts are found, and how many are told that are none, on a generated shop that no threshold was set on."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from forecast_platform.accuracy.drift import ShiftRules, Weeks, level_shift, shift_told
from forecast_platform.assets.checks.accuracy import NEVER_UNSOLD
from forecast_platform.forecasting import forecast_origin, model_specs
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform_tests.forecasting.demo_panels import DemoShop, demo_shop

RULES = ShiftRules()
WINDOW = RULES.window
PAST = RULES.reference + 3 * WINDOW
QUIET = 110
LAST = date(2025, 9, 30)
SHOP = DemoSource(kind="demo", seed=71)


def sold(shop: DemoShop, days: pd.DatetimeIndex, name: str, missing: object) -> np.ndarray:
    """A column of the shop's days, days x series."""
    table = shop.daily.pivot(index="sale_date", columns="series_id", values=name)
    return table.reindex(days).where(lambda frame: frame.notna(), missing).to_numpy()


def forecasts(shop: DemoShop, origins: pd.DatetimeIndex, series: int) -> np.ndarray:
    """Origins x series x days ahead of the default model; NaN for a series that is not there."""
    (ensemble,) = (spec for spec in model_specs() if spec.name == "ensemble")
    made = np.full((len(origins), series, WINDOW), np.nan)
    for place, panel in enumerate(shop.panels(origins[0].date(), origins[-1].date(), horizon=WINDOW).values()):
        (forecast,) = forecast_origin(panel, [ensemble], horizon=WINDOW)
        made[place, panel.series.series_id] = forecast.mean
    return made


def week(forecast: np.ndarray, units: np.ndarray, compared: np.ndarray) -> np.ndarray:
    """Forecast, actual and noise of one window, 3 x series, as the check reads them."""
    compared = compared & np.isfinite(forecast + units) & ((units > 0) | (forecast < NEVER_UNSOLD))
    error, n = np.where(compared, units - forecast, 0.0), compared.sum(axis=0)
    noise = ((error**2).sum(axis=0) - error.sum(axis=0) ** 2 / np.maximum(n, 1)) * n / np.maximum(n - 1, 1)
    sums = [np.where(compared, each, 0.0).sum(axis=0) for each in (forecast, units)]
    return np.where(n * 2 > WINDOW, [*sums, noise], np.nan)


@pytest.mark.slow
def test_shifts_are_found_within_a_week_and_few_are_told_in_quiet_days():
    days = pd.date_range(end=str(LAST), periods=PAST + QUIET + WINDOW)
    shop = demo_shop((days[0] - timedelta(days=180)).date(), LAST, SHOP)
    units = sold(shop, days, "units", np.nan).astype(float)
    compared = sold(shop, days, "in_stock", False).astype(bool) & ~sold(shop, days, "on_promotion", False).astype(bool)
    made = forecasts(shop, days[:-WINDOW], units.shape[1])

    def ended_on(day: int, units: np.ndarray) -> np.ndarray:
        here = slice(day - WINDOW + 1, day + 1)
        return week(made[day - WINDOW].T, units[here], compared[here])

    quiet = np.stack([ended_on(day, units) for day in range(WINDOW, len(days))], axis=1)

    def evidence(sums: np.ndarray) -> tuple[float, float]:
        shift = level_shift(Weeks(*sums[:, -PAST:]), RULES)
        return shift.up, shift.down

    alarms = 0
    for way in np.transpose([evidence(quiet[:, : end + 1]) for end in range(PAST - 1, quiet.shape[1])]):
        told = [shift_told(way[: end + 1].tolist(), RULES) for end in range(len(way))]
        alarms += sum(now and not before for before, now in pairwise([False, *told]))

    draws = np.random.default_rng(0)
    found: dict[str, list[bool]] = {"up": [], "down": []}
    for start in range(PAST + WINDOW, len(days) - WINDOW, 6):
        active = np.flatnonzero((np.nansum(units[start - 28 : start], axis=0) > 0) & np.isfinite(units[start - 1]))
        for way, place in (("up", 0), ("down", 1)):
            chosen = draws.choice(active, round(len(active) / 10), replace=False)
            changed = units.copy()
            week_of = np.nan_to_num(units[start : start + WINDOW, chosen])
            half = draws.binomial(week_of.astype(int), 0.5)
            changed[start : start + WINDOW, chosen] = week_of + half if way == "up" else half
            sums = quiet.copy()
            hits = []
            for day in range(start, start + WINDOW):
                sums[:, day - WINDOW] = ended_on(day, changed)
                hits.append(evidence(sums[:, : day - WINDOW + 1])[place] > RULES.evidence)
            found[way].append(any(hits))

    # On eight such shops 71 % of the shifts up, 87 % of those down and 0.8 alarms in 100 days.
    assert alarms <= 1, (alarms, quiet.shape)
    assert np.mean(found["up"]) >= 0.6 and np.mean(found["down"]) >= 0.75, found
