"""Demand until a delivery, from paths: against known distributions, sums by hand and draws counted one by one."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from scipy import stats

from forecast_platform.forecasting.paths import PastPaths, Span, pools_of
from forecast_platform.inventory.lead_time_demand import (
    Ahead,
    demand_draws,
    has_paths,
    stockout_probabilities,
    undershoot_draws,
)
from forecast_platform.inventory.lead_times import DRAWS, spread

ORIGIN, HORIZON = date(2026, 5, 30), 14


def ahead_of(mean: float, series: int = 1, *, whole: bool = True, label: str = "smooth") -> Ahead:
    return Ahead(
        mean=np.full((series, HORIZON), mean),
        scale=np.full(series, 1.0),
        model=np.full(series, "linear", dtype=object),
        demand_class=np.full(series, label, dtype=object),
        whole=np.full(series, whole),
    )


def pools_around(sold: np.ndarray, expected: float) -> dict:
    """Paths of series x origins x days that were all expected to sell ``expected`` a day."""
    origins = tuple(ORIGIN - timedelta(days=back) for back in range(sold.shape[1] + HORIZON, HORIZON, -1))
    past = PastPaths(("linear",), origins, sold[None], np.full(sold.shape, expected)[None])
    reach = {"first": origins[0], "last": ORIGIN}
    return {
        days: pools_of(past, np.full(len(sold), "smooth", dtype=object), Span(1, days), **reach)
        for days in range(1, HORIZON + 1)
    }


@pytest.fixture(scope="module")
def poisson() -> dict:
    return pools_around(np.random.default_rng(5).poisson(5.0, (120, 40, HORIZON)).astype(float), 5.0)


def drawn(ahead: Ahead, pools: dict, days: int) -> np.ndarray:
    lead_time = np.zeros(len(ahead), dtype=np.intp)
    return demand_draws(ahead, pools, np.full((1, DRAWS), days), lead_time, spread()[2])


@pytest.mark.parametrize("days", [1, 7, 14])
def test_draws_of_poisson_days_are_poisson_sums(poisson: dict, days: int):
    draws = drawn(ahead_of(5.0), poisson, days)[0]
    assert draws.mean() == pytest.approx(5.0 * days, rel=0.02)
    for level in (0.5, 0.9, 0.98):
        assert np.quantile(draws, level) == pytest.approx(stats.poisson.ppf(level, 5.0 * days), abs=1 + days / 14)


def test_a_lead_time_that_varies_mixes_its_spans(poisson: dict):
    days = np.where(np.arange(DRAWS) % 2 == 0, 2, 12)[None]
    draws = demand_draws(ahead_of(5.0), poisson, days, np.zeros(1, dtype=np.intp), spread()[2])[0]
    assert draws[::2].mean() == pytest.approx(10, rel=0.05) and draws[1::2].mean() == pytest.approx(60, rel=0.05)


def test_beyond_the_horizon_its_last_week_goes_on(poisson: dict):
    ahead = ahead_of(5.0)
    ahead.mean[:, -7:] = 10.0
    assert ahead.expected(np.array([14.0])).tolist() == [105.0]
    assert ahead.expected(np.array([20.0])).tolist() == [165.0]
    assert ahead.expected(np.array([0.5])).tolist() == [2.5]
    assert drawn(ahead, poisson, 20).mean() == pytest.approx(165, rel=0.02)


def test_no_lead_time_is_no_demand_and_parts_of_a_unit_stay_parts(poisson: dict):
    assert not drawn(ahead_of(5.0), poisson, 0).any()
    parts = drawn(ahead_of(4.3, whole=False), poisson, 7)
    assert (parts != np.floor(parts)).any()
    assert (drawn(ahead_of(4.3), poisson, 7) == np.floor(drawn(ahead_of(4.3), poisson, 7))).all()


def test_a_series_draws_do_not_depend_on_its_neighbours(poisson: dict):
    three = ahead_of(5.0, 3)
    three.mean[:] = np.array([[1.0], [5.0], [20.0]])
    together = drawn(three, poisson, 9)
    for row in range(3):
        assert drawn(three.take(slice(row, row + 1)), poisson, 9)[0].tolist() == together[row].tolist()


def test_only_a_ledger_with_paths_of_every_span_is_old_enough(poisson: dict):
    three = ahead_of(5.0, 3)
    three.model[0], three.scale[1] = "another", np.nan
    assert has_paths(three, poisson).tolist() == [False, False, True]
    assert not has_paths(three, {}).any()


def test_stockouts_are_the_share_of_paths_that_use_up_what_there_is(poisson: dict):
    ahead = ahead_of(5.0, 3)
    available = np.array([[12.0] * HORIZON, [0.0] * HORIZON, [3.0] * 2 + [500.0] * (HORIZON - 2)])
    gone = stockout_probabilities(ahead, poisson, available)
    for day in (1, 2, 3, 7):
        assert gone[0, day - 1] == pytest.approx(1 - stats.poisson.cdf(11, 5.0 * day), abs=0.03)
    assert (gone[1] == 1.0).all()
    # What comes too late does not undo a stock-out before it.
    assert (gone[2, 2:] == gone[2, 1]).all() and gone[2, 1] > 0.9
    assert (np.diff(gone, axis=1) >= 0).all()


def test_stock_is_found_below_its_point_by_a_part_of_what_was_sold():
    steady = pools_around(np.full((120, 40, HORIZON), 6.0), 6.0)
    below = undershoot_draws(ahead_of(6.0), steady, np.array([7]), spread()[1], spread()[3])[0]
    assert sorted(set(below.tolist())) == list(range(42)) and below.mean() == pytest.approx(20.5, rel=0.02)
    parts = undershoot_draws(ahead_of(6.0, whole=False), steady, np.array([7]), spread()[1], spread()[3])[0]
    assert parts.mean() == pytest.approx(21, rel=0.02) and parts.max() <= 42
    # Of sales of 0 or 12 only those of 12 take the stock below it.
    lots = np.where(np.random.default_rng(2).random((120, 40, HORIZON)) < 0.5, 12.0, 0.0)
    below = undershoot_draws(ahead_of(6.0), pools_around(lots, 6.0), np.array([1]), spread()[1], spread()[3])[0]
    assert below.mean() == pytest.approx(5.5, rel=0.02) and below.max() == 11
