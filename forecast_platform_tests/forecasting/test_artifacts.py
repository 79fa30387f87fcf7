"""Refit days are a function of the date, and artefacts of their day's facts and code."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.forecasting import model_specs, version_digest
from forecast_platform.forecasting.artifacts import learn, lineage_of, refit_day
from forecast_platform_tests.forecasting.demand import ordinary, panel_of

TREES = model_specs({"trees": "GlobalBoosting()"})[-1]
LINEAR = model_specs({"linear": "LagRegression()"})[-1]


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 400))
def test_a_refit_day_is_the_last_one_and_the_same_for_every_day_until_the_next(day, every):
    refit = refit_day(day, every)
    assert timedelta(0) <= day - refit < timedelta(days=every)
    assert refit_day(refit, every) == refit
    assert refit_day(refit + timedelta(days=every - 1), every) == refit
    assert refit_day(refit + timedelta(days=every), every) == refit + timedelta(days=every)


def test_a_refit_day_by_hand():
    assert date(2026, 1, 1).toordinal() % 28 == 25
    assert refit_day(date(2026, 1, 1), 28) == date(2025, 12, 7)
    with pytest.raises(ValueError, match="1 or more"):
        refit_day(date(2026, 1, 1), 0)


def test_the_digest_moves_with_everything_that_was_learned_from_and_with_nothing_else():
    panel = panel_of(ordinary(6))
    base = lineage_of(panel, TREES)
    renumbered = replace(panel, series=replace(panel.series, series_id=panel.series.series_id + 7))
    assert lineage_of(renumbered, TREES).digest == base.digest
    moved = panel.y.copy()
    moved[2, 50] += 1
    others = [
        lineage_of(replace(panel, y=moved), TREES),
        lineage_of(replace(panel, origin=panel.origin - timedelta(days=1)), TREES),
        lineage_of(panel, replace(TREES, spec="GlobalBoosting(num_leaves=7)")),
        lineage_of(panel, replace(TREES, code_version="1+lightgbm-0.0.1")),
        lineage_of(panel_of(ordinary(6), category=["x"] * 6), TREES),
    ]
    assert len({each.digest for each in (base, *others)}) == 6
    assert others[3].libraries == {"lightgbm": "0.0.1"}


def test_a_version_says_which_artefact_made_it():
    panel = panel_of(ordinary(3))
    digests = {version_digest(panel, TREES, horizon=7, artifact=each) for each in (None, "a", "b")}
    assert len(digests) == 3


def test_a_model_that_is_fitted_for_every_origin_has_no_artefact():
    with pytest.raises(ValueError, match=r"linear.*keeps no artefact"):
        learn(panel_of(np.ones((2, 40))), LINEAR)
