"""Calibrated intervals: honest on demand of a known kind, never crossing, from past errors only, in any order."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.accuracy.buckets import horizon_bucket
from forecast_platform.accuracy.demand_classes import classify
from forecast_platform.accuracy.intervals import (
    QUANTILE_LEVELS,
    distance_from_uniform,
    misses,
    quantile_scores,
    randomised_pit,
)
from forecast_platform.accuracy.scales import demand_scales
from forecast_platform.forecasting.calibration import LEVELS, PastErrors, calibrate, sampled_horizons
from forecast_platform.forecasting.demand_law import Outlook

DAY = np.datetime64("2026-03-01")
HISTORY, SERIES, HORIZON = 120, 400, 7


def errors_of(y: np.ndarray, forecast: np.ndarray, *, whole: bool) -> PastErrors:
    """Errors of a model that says ``forecast`` (n x days after the history) for ``y`` (n x all days), every origin.

    The last day of ``y`` is ``DAY``.
    """
    parts = []
    for end in range(HISTORY, y.shape[1]):
        demand, (_, scale_sq) = classify(y[:, end - HISTORY : end]), demand_scales(y[:, end - HISTORY : end])
        for horizon in range(1, min(HORIZON, y.shape[1] - end) + 1):
            target = end + horizon - 1
            columns = {
                "mean": forecast[:, target - HISTORY],
                "actual": y[:, target],
                "horizon": np.full(len(y), horizon),
                "segment": demand.code,
                "scale_sq": scale_sq,
                "adi": demand.adi,
                "cv2": demand.cv2,
                "age": np.full(len(y), y.shape[1] - 1 - target),
            }
            parts.append(pd.DataFrame(columns))
    rows = pd.concat(parts, ignore_index=True)
    names = ("mean", "horizon", "segment", "scale_sq", "adi", "cv2")
    outlook = Outlook(whole=np.full(len(rows), whole), **{name: rows[name].to_numpy() for name in names})
    target = DAY - rows["age"].to_numpy()
    return PastErrors(
        outlook=outlook, actual=rows["actual"].to_numpy(), origin=target - rows["horizon"].to_numpy(), target=target
    )


def split(errors: PastErrors, day: np.datetime64) -> tuple[PastErrors, PastErrors]:
    """What is known on ``day``, and the forecasts of that origin."""
    return errors.take(errors.target <= day), errors.take(errors.origin == day)


def scores(errors: PastErrors, quantiles: np.ndarray) -> pd.DataFrame:
    met = pd.DataFrame(quantiles, columns=list(QUANTILE_LEVELS)).assign(actual=errors.actual)
    return quantile_scores(met.assign(bucket=horizon_bucket(errors.outlook.horizon)), by=["bucket"])


def demand(kind: str, days: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """n x days of demand, the expected units of each day, and whether they are counts."""
    draws = np.random.default_rng(7)
    level = np.exp(draws.normal(1.0, 1.0, (SERIES, 1)))
    if kind == "poisson":
        expected = np.repeat(level / 2, days, axis=1)
        return draws.poisson(expected).astype(float), expected, True
    if kind == "lumpy":
        expected = np.repeat(level, days, axis=1)
        sold = draws.random(expected.shape) < 0.3
        return np.where(sold, 1 + draws.poisson(np.maximum(expected / 0.3 - 1, 0.1)), 0.0), expected, True
    expected = np.repeat(20 * level, days, axis=1)
    return np.maximum(draws.normal(expected, 0.2 * expected), 0.0), expected, False


@pytest.mark.parametrize("kind", ["poisson", "lumpy", "normal"])
@pytest.mark.parametrize("bias", [1.0, 0.7])
def test_quantiles_hold_on_demand_of_a_known_kind_even_around_a_biased_forecast(kind: str, bias: float):
    y, expected, whole = demand(kind, HISTORY + 47)
    errors = errors_of(y, bias * expected[:, HISTORY:], whole=whole)
    day = DAY - HORIZON
    known, ahead = split(errors, day)
    calibration = calibrate(known, origin=day, window=56)
    assert calibration.method == "conformal"
    missed = misses(scores(ahead, calibration.quantiles(ahead.outlook)))
    assert missed.abs().to_numpy().max() < 2 * 0.5 / SERIES**0.5  # two standard errors of one day's median

    draws = np.random.default_rng(8).random(len(ahead))
    pit = randomised_pit(*calibration.pit(ahead.outlook, ahead.actual), draws)
    assert distance_from_uniform(pit) < 0.04


def test_before_any_error_the_law_of_the_series_stands_in_and_says_so():
    y, expected, whole = demand("poisson", HISTORY + 20)
    ahead = errors_of(y, expected[:, HISTORY:], whole=whole)
    calibration = calibrate(PastErrors.none(), origin=DAY, window=56)
    assert (calibration.method, calibration.errors, calibration.origins) == ("law", 0, 0)
    missed = misses(scores(ahead, calibration.quantiles(ahead.outlook)))
    assert missed.abs().to_numpy().max() < 0.06


def test_a_young_ledger_says_so():
    y, expected, whole = demand("poisson", HISTORY + 12)
    errors = errors_of(y, expected[:, HISTORY:], whole=whole)
    calibration = calibrate(errors, origin=DAY, window=56)
    assert (calibration.method, calibration.origins) == ("young", 12)


@pytest.fixture(scope="module")
def lumpy() -> PastErrors:
    y, expected, whole = demand("lumpy", HISTORY + 20)
    return errors_of(y[:60], expected[:60, HISTORY:], whole=whole)


def test_the_order_of_the_errors_changes_no_bit(lumpy: PastErrors):
    shuffled = lumpy.take(np.random.default_rng(9).permutation(len(lumpy)))
    one, other = (calibrate(each, origin=DAY, window=56) for each in (lumpy, shuffled))
    assert np.array_equal(one.reached, other.reached) and np.array_equal(one.trust, other.trust)
    assert np.array_equal(one.quantiles(lumpy.outlook), other.quantiles(lumpy.outlook))


def test_errors_of_later_days_and_of_days_before_the_window_change_nothing(lumpy: PastErrors):
    origin, window = DAY - 5, 7
    inside = (lumpy.target <= origin) & (lumpy.target > origin - window)
    assert 0 < inside.sum() < len(lumpy)
    nonsense = replace(lumpy, actual=np.where(inside, lumpy.actual, 10.0**6))
    one, other = (calibrate(each, origin=origin, window=window) for each in (lumpy, nonsense))
    assert np.array_equal(one.reached, other.reached)
    assert np.array_equal(one.reached, calibrate(lumpy.take(inside), origin=origin, window=window).reached)
    seen = calibrate(replace(lumpy, actual=np.where(inside, lumpy.actual + 1, 0)), origin=origin, window=window)
    assert not np.array_equal(one.reached, seen.reached)


def test_a_forecast_is_calibrated_alone_as_among_others(lumpy: PastErrors):
    calibration = calibrate(lumpy, origin=DAY, window=56)
    together = calibration.quantiles(lumpy.outlook)
    alone = np.concatenate([calibration.quantiles(lumpy.outlook.take(slice(at, at + 1))) for at in range(50)])
    assert np.array_equal(together[:50], alone)


def test_sales_that_are_not_counted_have_intervals_in_their_own_unit():
    y, expected, _ = demand("normal", HISTORY + 20)
    y, expected = y[:60], expected[:60]
    grams, kilograms = (errors_of(y * f, f * expected[:, HISTORY:], whole=False) for f in (1024.0, 1.0))
    large, small = (calibrate(each, origin=DAY, window=56).quantiles(each.outlook) for each in (grams, kilograms))
    assert large == pytest.approx(small * 1024.0, rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.just(0.0), st.floats(0, 1e9)),
            st.floats(0, 1e9),
            st.integers(1, 400),
            st.integers(0, 5),
            st.one_of(st.just(np.nan), st.floats(0, 1e12)),
            st.one_of(st.just(np.nan), st.floats(1, 120)),
            st.booleans(),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_the_errors_quantiles_never_cross_and_never_fall_below_zero(rows):
    mean, actual, horizon, segment, scale_sq, adi, whole = (np.array(column) for column in zip(*rows, strict=True))
    outlook = Outlook(
        mean=mean,
        horizon=horizon,
        segment=segment,
        scale_sq=scale_sq,
        adi=adi,
        cv2=np.where(np.isnan(adi), np.nan, 0.3),
        whole=whole.astype(bool),
    )
    target = np.full(len(rows), DAY)
    errors = PastErrors(outlook=outlook, actual=actual, origin=target - horizon, target=target)
    quantiles = calibrate(errors, origin=DAY, window=56).quantiles(outlook)
    assert quantiles.shape == (len(rows), len(LEVELS)) and np.isfinite(quantiles).all()
    assert (quantiles >= 0).all() and (np.diff(quantiles, axis=1) >= 0).all()


def test_a_model_whose_forecasts_say_nothing_is_drawn_to_the_level_of_its_series():
    y, expected, whole = demand("poisson", HISTORY + 47)
    noise = np.random.default_rng(10).permuted(expected, axis=0)[:, HISTORY:]
    known, ahead = split(errors_of(y, noise, whole=whole), DAY - HORIZON)
    calibration = calibrate(known, origin=DAY - HORIZON, window=56)
    good = calibrate(split(errors_of(y, expected[:, HISTORY:], whole=whole), DAY - HORIZON)[0], origin=DAY, window=56)
    assert calibration.trust[0] < 0.1 < 0.9 < good.trust[0]
    assert misses(scores(ahead, calibration.quantiles(ahead.outlook))).abs().to_numpy().max() < 0.03


def test_every_horizon_of_a_bucket_has_its_turn_on_every_weekday():
    turns = pd.DataFrame(
        [(day % 7, horizon) for day in range(738_000, 738_000 + 7 * 42) for horizon in sampled_horizons(day, 28)],
        columns=["weekday", "horizon"],
    )
    assert turns.groupby(["weekday", "horizon"]).size().shape == (7 * 28,)
    assert turns.groupby(["weekday", horizon_bucket(turns["horizon"])]).size().eq(42).all()
    assert sampled_horizons(738_000, 1) == (1,)
    assert len(sampled_horizons(738_000, 60)) == 5
