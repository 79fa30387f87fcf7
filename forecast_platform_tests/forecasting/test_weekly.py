"""Weeks are whole, means are sums, and quantiles are those of sums of paths."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forecast_platform.forecasting.paths import LEAST_ORIGINS, LEVELS, PastPaths, pools_of
from forecast_platform.forecasting.weekly import Week, assumed_quantiles, weekly_quantiles, whole_weeks

ORIGIN = date(2026, 5, 30)
"""A Saturday."""


def test_a_week_runs_from_sunday_to_saturday_and_lies_wholly_ahead():
    assert whole_weeks(ORIGIN, 14) == [Week(1, 7, date(2026, 6, 6)), Week(8, 14, date(2026, 6, 13))]
    assert whole_weeks(date(2026, 5, 31), 14) == [Week(7, 13, date(2026, 6, 13))]
    assert whole_weeks(date(2026, 5, 31), 12) == []


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(1, 60))
def test_every_whole_week_of_a_horizon_is_found_once(origin: date, horizon: int):
    days = [origin + timedelta(days=ahead) for ahead in range(1, horizon + 1)]
    sundays = [day for day in days if day.weekday() == 6 and day + timedelta(days=6) <= days[-1]]
    weeks = whole_weeks(origin, horizon)
    assert [week.week_ending for week in weeks] == [day + timedelta(days=6) for day in sundays]
    for week in weeks:
        assert (
            week.week_ending.weekday() == 5 and days[week.days][-1] == week.week_ending and week.last - week.first == 6
        )


def past_of(sold: np.ndarray, expected: np.ndarray | None = None, *, last: date = ORIGIN) -> PastPaths:
    """One model's history: series x origins x days ahead, the last origin the day before ``last``."""
    origins = tuple(last - timedelta(days=back) for back in range(sold.shape[1], 0, -1))
    expected = np.ones_like(sold) if expected is None else expected
    return PastPaths(("linear",), origins, sold[None], np.where(np.isnan(sold), np.nan, expected)[None])


def test_a_forecast_is_surrounded_as_the_past_ones_of_its_class_were_missed():
    generator = np.random.default_rng(1)
    classes = np.array(["smooth"] * 20 + ["lumpy"] * 20, dtype=object)
    sold = np.concatenate([generator.poisson(5.0, (20, 30, 7)) / 5.0, np.full((20, 30, 7), 3.0)])
    week = whole_weeks(ORIGIN, 7)[0]
    pools = pools_of(past_of(sold), classes, week, first=ORIGIN - timedelta(days=29), last=ORIGIN)
    mean = np.array([35.0, 35.0])
    model, own = np.array(["linear"] * 2, dtype=object), np.array(["smooth", "lumpy"], dtype=object)
    quantiles, measured = weekly_quantiles(mean, np.ones(2), model, own, np.array([True, True]), pools)
    assert measured.all()
    assert np.abs(quantiles[0] - stats.poisson.ppf(LEVELS, 35.0)).max() <= 2
    assert quantiles[1].tolist() == [105.0] * 5


def test_only_weeks_that_were_scored_up_to_the_origin_are_paths():
    sold = np.full((40, 20, 14), 1.0)
    week = whole_weeks(ORIGIN, 14)[1]
    reach = {"first": ORIGIN - timedelta(days=19), "last": ORIGIN}
    honest = pools_of(past_of(sold), np.full(40, "smooth", dtype=object), week, **reach)
    # The newest origin whose second week has ended is 14 days back: what later ones say is not looked at.
    future = sold.copy()
    future[:, -13:] = 9.0
    told = pools_of(past_of(future), np.full(40, "smooth", dtype=object), week, **reach)
    for pools in (honest, told):
        pool = pools.of("linear", "smooth")
        assert sum(len(band) for band in pool.bands[-1:]) == 40 * LEAST_ORIGINS
        assert (np.concatenate(pool.bands) == 7.0).all()


def test_a_young_pool_falls_back_to_the_model_and_then_to_what_is_assumed():
    sold = np.full((50, 20, 7), 1.0)
    sold[10:, : 20 - LEAST_ORIGINS] = np.nan
    classes = np.array(["new"] * 5 + ["smooth"] * 45, dtype=object)
    week = whole_weeks(ORIGIN, 7)[0]

    def pools(origins: int):
        first = ORIGIN - timedelta(days=19)
        return pools_of(past_of(sold[:, -origins:]), classes, week, first=first, last=ORIGIN)

    # 5 new series x 14 origins are fewer than 100 paths.
    assert set(pools(20).by_class) == {("linear", "smooth")} and set(pools(20).by_model) == {"linear"}
    assert pools(12).of("linear", "smooth") is None
    assert pools(20).of("naive", "smooth") is None
    mean, scale = np.array([10.0]), np.array([2.0])
    arguments = (np.array(["linear"], dtype=object), np.array(["new"], dtype=object), np.array([True]))
    assert weekly_quantiles(mean, scale, *arguments, pools(20))[1].tolist() == [True]
    quantiles, measured = weekly_quantiles(mean, scale, *arguments, pools(12))
    assert not measured.any() and quantiles.tolist() == assumed_quantiles(mean, scale, whole=True).tolist()


def test_what_is_assumed_has_the_moments_it_says():
    mean, scale = np.array([70.0, 70.0, 70.0, 0.0, 0.5]), np.array([np.nan, 4.0, 4.0, 3.0, 0.0])
    found = assumed_quantiles(mean, scale, whole=np.array([True, True, False, True, True]), days=14)
    assert found[0].tolist() == stats.poisson.ppf(LEVELS, 70.0).tolist()
    variance = 14 * 16.0 / 2
    assert found[1].tolist() == stats.nbinom.ppf(LEVELS, 70.0**2 / (variance - 70), 70 / variance).tolist()
    assert found[2] == pytest.approx(stats.gamma.ppf(LEVELS, 70.0**2 / variance, scale=variance / 70))
    assert found[3].tolist() == [0.0] * 5
    assert found[4].tolist() == stats.poisson.ppf(LEVELS, 0.5).tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_quantiles_are_defined_for_any_forecast_and_history(seed: int):
    generator = np.random.default_rng(seed)
    n = 30
    sold = generator.poisson(generator.gamma(0.5, 2.0, (n, 1, 1)), (n, 25, 7)) / 1.0
    expected = generator.gamma(0.3, 2.0, (n, 25, 7)) * (generator.random((n, 25, 1)) < 0.8)
    sold[generator.random(sold.shape) < 0.01] = np.nan
    classes = generator.choice(np.array(["a", "b"], dtype=object), n)
    pools = pools_of(
        past_of(sold, expected), classes, Week(1, 7, ORIGIN), first=ORIGIN - timedelta(days=25), last=ORIGIN
    )
    mean = np.where(generator.random(n) < 0.2, 0.0, generator.gamma(0.3, 30.0, n))
    scale = np.where(generator.random(n) < 0.2, np.nan, np.where(generator.random(n) < 0.2, 0.0, 2.0))
    whole = generator.random(n) < 0.5
    model = np.full(n, "linear", dtype=object)
    quantiles, _ = weekly_quantiles(mean, scale, model, classes, whole, pools)
    assert np.isfinite(quantiles).all() and (quantiles >= 0).all() and (np.diff(quantiles, axis=1) >= 0).all()
    assert (quantiles[whole] == np.floor(quantiles[whole])).all()
    # A series' quantiles do not depend on which others are forecast beside it.
    alone = [
        weekly_quantiles(*(each[row : row + 1] for each in (mean, scale, model, classes, whole)), pools)[0][0]
        for row in range(n)
    ]
    assert np.array(alone).tolist() == quantiles.tolist()
