"""The law around a forecast is a distribution on the series' own atoms, and moves as demand does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.accuracy.demand_classes import classify
from forecast_platform.accuracy.scales import demand_scales
from forecast_platform.forecasting.demand_law import DemandLaw, Outlook, demand_law

PROBABILITIES = np.linspace(0.001, 0.999, 97)
unknown = st.just(np.nan)
forecasts = st.tuples(
    st.one_of(st.just(0.0), st.floats(1e-3, 1e9)),  # mean
    st.one_of(unknown, st.just(0.0), st.floats(1e-3, 1e12)),  # scale_sq
    st.one_of(unknown, st.floats(1, 120)),  # adi
    st.one_of(unknown, st.just(0.0), st.floats(0, 50)),  # cv2
    st.booleans(),  # whole
)


def outlook(rows) -> Outlook:
    mean, scale_sq, adi, cv2, whole = (np.array(column) for column in zip(*rows, strict=True))
    places = np.zeros(len(rows), dtype=np.intp)
    given = {"mean": mean, "scale_sq": scale_sq, "adi": adi, "cv2": cv2}
    return Outlook(horizon=places + 1, segment=places, whole=whole.astype(bool), **given)


def one(mean=2.0, scale_sq=8.0, adi=2.0, cv2=0.5, whole=True) -> Outlook:
    return outlook([(mean, scale_sq, adi, cv2, whole)])


def law_of(given: Outlook) -> DemandLaw:
    return demand_law(given, given.mean)


@settings(deadline=None)
@given(st.lists(forecasts, min_size=1, max_size=8))
def test_quantiles_are_finite_rise_from_zero_and_lie_on_the_atoms(rows):
    given = outlook(rows)
    law = law_of(given)
    quantiles = np.stack([law.quantile(np.full(len(rows), p)) for p in PROBABILITIES])
    assert np.isfinite(quantiles).all() and (quantiles >= 0).all()
    assert (np.diff(quantiles, axis=0) >= 0).all()
    counts = quantiles[:, given.whole]
    assert (counts == np.floor(counts)).all()


@settings(deadline=None)
@given(forecasts, st.floats(0.01, 0.99))
def test_a_quantile_is_the_smallest_value_that_reaches_its_probability(row, probability):
    law = law_of(outlook([row]))
    quantile = law.quantile(np.array([probability]))
    assert law.cdf(quantile * (1 + 1e-9)) >= probability - 1e-9
    assert law.cdf_before(quantile * (1 - 1e-9)) <= probability + 1e-9
    assert law.cdf_before(quantile) <= law.cdf(quantile)


@settings(deadline=None)
@given(forecasts, st.floats(1e-3, 1e3))
def test_in_other_units_a_series_that_is_not_counted_has_the_same_law(row, factor):
    mean, scale_sq, adi, cv2, _ = row
    small = law_of(outlook([(mean, scale_sq, adi, cv2, False)]))
    large = law_of(outlook([(mean * factor, scale_sq * factor * factor, adi, cv2, False)]))
    probability = np.array([0.9])
    assert large.quantile(probability) == pytest.approx(small.quantile(probability) * factor, rel=1e-6)


def test_the_level_of_independent_days_is_read_off_their_scale_gaps_and_sizes():
    draws = np.random.default_rng(5)
    y = draws.poisson(0.7, (400, 400)) * 3.0
    demand, (_, scale_sq) = classify(y), demand_scales(y)
    levels = outlook([(2.1, s, a, c, True) for s, a, c in zip(scale_sq, demand.adi, demand.cv2, strict=True)]).level
    assert np.median(levels) == pytest.approx(2.1, rel=0.02)


def test_twice_the_demand_is_more_sales_of_the_same_size():
    usual, busy = law_of(one(mean=0.2, adi=10.0, scale_sq=8.0)), law_of(one(mean=0.4, adi=10.0, scale_sq=8.0))
    assert busy.chance == pytest.approx(usual.chance * 2, rel=0.1)
    assert np.exp(busy.middle - usual.middle) == pytest.approx(1.0, rel=0.06)


def test_a_forecast_of_nothing_still_leaves_a_sale_possible():
    law = law_of(one(mean=0.0))
    assert 0 < law.chance < 0.05
    assert law.quantile(np.array([0.9])) == 0 and law.quantile(np.array([0.9999])) > 0


def test_a_forecast_and_a_past_of_nothing_is_nothing():
    law = law_of(one(mean=0.0, scale_sq=np.nan, adi=np.nan, cv2=np.nan))
    assert law.quantile(np.array([0.999])) == 0


def test_what_is_not_known_of_a_series_is_that_of_the_others():
    known = [(2.0, 8.0, 4.0, 0.2, True), (2.0, 8.0, 6.0, 0.4, True), (2.0, 8.0, 5.0, 0.3, True)]
    # The last one sold for the first time today: a sale on each of one days says nothing.
    law = law_of(outlook([*known, (2.0, np.nan, np.nan, np.nan, True), (2.0, np.nan, 1.0, 0.0, True)]))
    middle = law_of(outlook([(2.0, 8.0, 5.0, 0.3, True), (2.0, np.nan, np.nan, np.nan, True)]))
    for new in (3, 4):
        assert law.chance[new] == middle.chance[1] and law.middle[new] == middle.middle[1]
