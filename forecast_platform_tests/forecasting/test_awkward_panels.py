"""Whatever a series is like it has a defined forecast, and what it does to its neighbours is nothing or bounded."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting import PanelError, PanelHistory, forecast_origin, model_specs
from forecast_platform.forecasting.guards import CAP, COLD_START, FALLBACK, MODEL
from forecast_platform_tests.forecasting.demand import (
    ORIGIN,
    POOLED,
    TEXT,
    WINDOW,
    awkward,
    feature_rows,
    ordinary,
    panel_of,
)

MODELS = [model.name for model in model_specs()]
ODD = awkward()


def by_model(y, horizon=28, **options):
    return {f.model: f for f in forecast_origin(panel_of(y, **options), model_specs(), horizon=horizon)}


def plain_and_odd():
    plain = ordinary(60)
    y = np.concatenate([plain, np.stack(list(ODD.values()))])
    # The odd ones in categories of their own: what is left in common are the pools of a location and of everybody.
    category = ["plain"] * 60 + [f"odd {n}" for n in range(len(ODD))]
    return plain, y, category


@pytest.mark.parametrize("model", MODELS)
def test_every_odd_series_has_a_finite_forecast_between_zero_and_its_cap(model):
    _, y, category = plain_and_odd()
    got = by_model(y, category=category)[model]
    assert got.error is None
    assert np.isfinite(got.mean).all()
    assert (got.mean >= 0).all()
    cap = CAP * np.nan_to_num(y).max(axis=1)[:, None]
    assert ((got.mean <= cap) | (got.status == COLD_START)).all()


@pytest.mark.parametrize("model", [model for model in MODELS if model not in POOLED])
def test_neighbours_keep_every_bit_where_nothing_is_pooled(model):
    plain, y, category = plain_and_odd()
    young = (~np.isnan(plain)).sum(axis=1) < 20
    together, alone = by_model(y, category=category)[model], by_model(plain)[model]
    assert np.array_equal(together.mean[:60][~young], alone.mean[~young])
    assert np.array_equal(together.status[:60], alone.status)


@pytest.mark.parametrize("model", POOLED)
def test_a_billion_at_a_neighbours_moves_what_is_pooled_by_a_few_percent_at_most(model):
    plain, y, category = plain_and_odd()
    long = (~np.isnan(plain)).sum(axis=1) >= 60
    together, alone = by_model(y, category=category)[model], by_model(plain, category=["plain"] * 60)[model]
    week = together.mean[:60, :28].mean(axis=1), alone.mean[:, :28].mean(axis=1)
    assert np.abs(week[0] / week[1] - 1)[long].max() < 0.15
    assert np.median(np.abs(week[0] / week[1] - 1)[long]) < 0.05


@pytest.mark.parametrize("model", POOLED)
def test_a_neighbour_that_shows_nothing_changes_no_bit_of_what_is_pooled(model):
    """Never sold or never observed: no evidence, and so no part in any pool."""
    plain = np.nan_to_num(ordinary(60))
    silent = np.stack([ODD["no day at all"], ODD["all zero"]])
    together, alone = by_model(np.concatenate([plain, silent]))[model], by_model(plain)[model]
    assert np.array_equal(together.mean[:60], alone.mean)


HAND = {
    # Status on every day of the horizon, and the mean of a week.
    ("no day at all", "weekday_profile"): (COLD_START, 0.0),
    ("no day at all", "ensemble"): (COLD_START, 0.0),
    ("all zero", "weekday_profile"): (MODEL, 0.0),
    ("all zero", "linear"): (MODEL, 0.0),
    ("all zero", "ensemble"): (MODEL, 0.0),
    ("constant", "weekday_profile"): (MODEL, 7.0),
    ("constant", "linear"): (MODEL, 7.0),
    ("constant", "ensemble"): (MODEL, 7.0),
    ("one day", "weekday_profile"): (MODEL, 3.0),
    ("one day", "ensemble"): (MODEL, 3.0),
    ("one day", "linear"): (COLD_START, 3.0),
    ("five days", "linear"): (COLD_START, 0.6),
    ("nineteen days", "ensemble"): (MODEL, 1.0),
}


@pytest.mark.parametrize(("name", "model"), HAND)
def test_alone_its_forecast_is_what_a_person_would_say(name, model):
    got = by_model(ODD[name][None, :], horizon=7)[model]
    status, mean = HAND[name, model]
    assert (got.status == status).all()
    assert got.mean.mean() == pytest.approx(mean, rel=0.05)


def test_one_sale_long_ago_is_hardly_expected_again_and_a_spike_not_every_day():
    for model in POOLED:
        assert by_model(ODD["one sale"][None, :])[model].mean.max() < 1 / 60
        assert by_model(ODD["spike of a billion"][None, :])[model].mean.mean() < 2e7


def test_a_stock_out_at_the_end_leaves_the_level_before_it():
    y = np.full((1, 120), 4.0)
    y[0, -20:] = np.nan
    for model in POOLED:
        assert by_model(y)[model].mean == pytest.approx(np.full((1, 28), 4.0), rel=0.02)


def test_a_series_without_a_sale_yet_starts_from_its_groups_level_and_week():
    week = np.tile([9.0, 1, 1, 1, 1, 1, 0], 18)[-120:]
    y = np.stack([*(scale * week for scale in np.arange(1.0, 30.0)), np.full(120, np.nan)])
    got = by_model(y)
    for model in POOLED:
        assert (got[model].status[-1] == COLD_START).all()
        assert got[model].mean[-1, :7].mean() == pytest.approx(15 * 2.0, rel=0.1)
        assert np.corrcoef(got[model].mean[-1, :7], got["seasonal_naive_7"].mean[0, :7])[0, 1] > 0.99


def test_names_with_spaces_and_beyond_ascii_are_forecast_as_any_other():
    y = np.nan_to_num(ordinary(6))
    names = ["a b", " ", 'ärmel 5/8"', "日本 茶", "💐", "z'; --"]
    odd, plain = by_model(y, names=sorted(names)), by_model(y)
    for model in MODELS:
        assert np.array_equal(odd[model].mean, plain[model].mean)
        assert set(odd[model].series.sku) == set(names)


def test_two_rows_of_one_day_and_series_are_refused_by_number():
    features, series = feature_rows(np.ones((2, 10)), [("a b", "all"), ("ü", "all")])
    with pytest.raises(PanelError, match=r"1 second rows.*\(sale_date, series_id\) may occur once"):
        PanelHistory.from_features(pd.concat([features, features.iloc[:1]]), series)


def test_series_that_end_earlier_or_start_later_are_forecast_from_their_own_days():
    """The one that ended has no row on the origin: it is in no panel. The late one has its first days only."""
    y = np.full((3, WINDOW), 2.0)
    y[1, -1], y[2, :-5] = np.nan, np.nan
    features, series = feature_rows(y, [("a", "all"), ("ended", "all"), ("late", "all")])
    assert isinstance(ORIGIN, date)
    panel = PanelHistory.from_features(features.assign(in_stock=True), series).panel_at(ORIGIN, window=WINDOW)
    assert panel.series.sku.tolist() == ["a", "late"]
    for forecast in forecast_origin(panel, model_specs(), horizon=14):
        assert forecast.mean == pytest.approx(np.full((2, 14), 2.0), rel=0.05), forecast.model
    assert series["sku"].dtype == TEXT


def test_where_a_model_has_no_number_the_fallback_stands_in_and_says_so():
    y = np.stack([ODD["constant"], ODD["no day at all"]])
    got = by_model(y)
    assert (got["naive"].status[1] == COLD_START).all()
    assert not (got["linear"].status == FALLBACK).any()
    assert got["naive"].mean[1] == pytest.approx(np.full(28, 7.0))
