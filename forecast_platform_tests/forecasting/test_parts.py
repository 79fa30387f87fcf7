"""Blocks of series: the same bits as the whole, the same errors, and a series in its block whoever else there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forecast_platform.forecasting import forecast_origin, model_specs
from forecast_platform.forecasting.models import OWN
from forecast_platform.forecasting.parts import block_of, forecast_part, panel_of_part, rows_of_parts
from forecast_platform.forecasting.versions import version_digest
from forecast_platform_tests.forecasting.demand import awkward, ordinary, panel_of

HORIZON = 14
MODELS = {
    "ets": "PanelStatsForecast(model='AutoETS')",
    "theta": "PanelStatsForecast(model='AutoTheta')",
    "sba": "PanelStatsForecast()",
    "tsb": "PanelStatsForecast(model='TSB')",
    "theirs": "NaiveForecaster(strategy='mean', window_length=14)",
    "trend": "Differencer() * TrendForecaster()",
    "moving": "MovingAverage(window=9)",
    "linear": "LagRegression()",
    "weekday_profile": "WeekdayProfile()",
}
SHORT_FAILS = "RecursiveTabularRegressionForecaster(estimator=Ridge(), window_length=60)"


def mixed(count=17):
    """A panel of ordinary and of awkward series."""
    return panel_of(np.concatenate([ordinary(count), np.stack(list(awkward().values()))]))


@pytest.mark.parametrize("blocks", [3, pytest.param(64, marks=pytest.mark.slow)])
def test_blocks_change_no_bit_of_any_model(blocks):
    panel, models = mixed(), model_specs(MODELS)
    whole = list(forecast_origin(panel, models, horizon=HORIZON))
    cut = list(forecast_origin(panel, models, horizon=HORIZON, blocks=blocks))
    assert [each.error for each in whole] == [None] * len(models)
    for one, other in zip(whole, cut, strict=True):
        assert one.mean.tobytes() == other.mean.tobytes(), one.model
        assert one.status.tobytes() == other.status.tobytes(), one.model
        assert one.fallbacks == other.fallbacks


def test_every_forecaster_that_is_called_local_is_compared_above():
    assert {name for name, own in OWN.items() if own.local} == {
        "Naive", "SeasonalNaive", "MovingAverage", "PanelStatsForecast"
    }  # fmt: skip
    local = {model.name for model in model_specs(MODELS) if model.local}
    assert local == {"naive", "seasonal_naive_7", *MODELS} - {"linear", "weekday_profile"}


def test_a_part_made_elsewhere_is_taken_as_if_it_were_made_here():
    panel, models = mixed(), model_specs({"theirs": MODELS["theirs"], "linear": "LagRegression()"})
    kept = {
        version_digest(seen, model, horizon=HORIZON): forecast_part(seen, model, horizon=HORIZON)
        for model in models
        for rows in rows_of_parts(panel, model, 3)
        for seen in [panel_of_part(panel, model, rows)]
    }
    asked = []

    def made(seen, model):
        asked.append(kept[version_digest(seen, model, horizon=HORIZON)])
        return asked[-1]

    taken = list(forecast_origin(panel, models, horizon=HORIZON, blocks=3, made=made))
    here = list(forecast_origin(panel, models, horizon=HORIZON))
    assert len(asked) == 3 * 3 + 1
    for one, other in zip(here, taken, strict=True):
        assert np.array_equal(one.mean, other.mean) and np.array_equal(one.status, other.status)


def test_a_block_whose_every_series_fails_costs_those_series_only():
    # Series with 40 days of history: too few for the window, enough to be tried.
    y = np.nan_to_num(ordinary(12))
    y[::3, :80] = np.nan
    panel, (*_, model) = panel_of(y), model_specs({"theirs": SHORT_FAILS})
    failing = rows_of_parts(panel, model, 3)[0]
    part = forecast_part(panel_of_part(panel, model, failing), model, horizon=HORIZON)
    assert part.failed == part.tried == 4
    (whole,), (cut,) = (forecast_origin(panel, [model], horizon=HORIZON, blocks=blocks) for blocks in (1, 3))
    assert whole.error is None and whole.fallbacks == cut.fallbacks == 4
    assert whole.mean.tobytes() == cut.mean.tobytes()


def test_a_model_that_fails_for_every_series_fails_alike_in_blocks():
    panel, models = panel_of(np.ones((7, 120))), model_specs({"broken": SHORT_FAILS.replace("60", "500")})
    whole, cut = (list(forecast_origin(panel, models, horizon=HORIZON, blocks=blocks)) for blocks in (1, 4))
    assert whole[-1].error.startswith("EverySeriesFailed: ") and whole[-1].error == cut[-1].error
    assert [each.error for each in cut[:-1]] == [None, None]


def test_a_model_that_cannot_be_built_fails_alike_in_blocks():
    panel, models = panel_of(ordinary(7)), model_specs({"unknown": "NoSuchForecaster()"})
    whole, cut = (list(forecast_origin(panel, models, horizon=HORIZON, blocks=blocks))[-1] for blocks in (1, 4))
    assert "NoSuchForecaster" in whole.error and whole.error == cut.error


def test_a_series_stays_in_its_block_whoever_else_there_is():
    ids = np.array([1, 2, 3, 17, 30_490], dtype=np.int32)
    assert block_of(ids, 4).tolist() == [1, 2, 3, 1, 2]
    assert block_of(ids[2:], 4).tolist() == block_of(ids, 4)[2:].tolist()


def test_what_a_block_holds_is_identified_by_its_own_series_alone():
    panel, (naive, *_) = mixed(), model_specs()
    rows = rows_of_parts(panel, naive, 4)[1]
    digest = version_digest(panel_of_part(panel, naive, rows), naive, horizon=HORIZON)
    changed = panel.y.copy()
    other = np.setdiff1d(np.arange(len(panel.series)), rows)[0]
    changed[other] += 1.0
    elsewhere = replace(panel, y=changed)
    assert version_digest(panel_of_part(elsewhere, naive, rows), naive, horizon=HORIZON) == digest
    changed[rows[0]] += 1.0
    assert version_digest(panel_of_part(elsewhere, naive, rows), naive, horizon=HORIZON) != digest
