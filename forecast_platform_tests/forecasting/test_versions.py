"""A version's digest says what went in: all of it, by name, and nothing else."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting import PanelHistory, input_summary, model_specs, version_digest
from forecast_platform_tests.forecasting.demand import ORIGIN, WINDOW, feature_rows, ordinary, panel_of

LINEAR = model_specs()[-1]


def digest(panel, model=LINEAR, horizon=28):
    return version_digest(panel, model, horizon=horizon)


def panel():
    return panel_of(ordinary(6))


def with_cell(value):
    y = ordinary(6)
    y[3, 100] = value
    return panel_of(y)


@pytest.mark.parametrize(
    "other",
    [
        lambda: digest(with_cell(ordinary(6)[3, 100] + 1e-9)),
        lambda: digest(with_cell(np.nan)),
        lambda: digest(panel(), horizon=27),
        lambda: digest(panel(), model_specs()[0]),
        lambda: digest(panel(), model_specs({"linear": "LagRegression(ridge=0.4)"})[-1]),
        lambda: digest(panel(), replace(LINEAR, code_version="another")),
        lambda: digest(replace(panel(), origin=ORIGIN + timedelta(days=1))),
        lambda: digest(panel_of(ordinary(6), names=list("abcdef"))),
        lambda: digest(panel_of(ordinary(6), category=["toys"] + [""] * 5)),
        lambda: digest(panel_of(ordinary(6)[:, 1:])),
        lambda: digest(panel_of(ordinary(6)[:5])),
    ],
)
def test_anything_that_decides_the_forecasts_changes_the_digest(other):
    assert other() != digest(panel())


def test_names_that_read_alike_when_joined_are_told_apart():
    y = np.ones((2, 30))
    assert digest(panel_of(y, names=["ab", "c"])) != digest(panel_of(y, names=["a", "bc"]))


def test_ids_zeros_sign_and_memory_layout_do_not_show():
    same = panel()
    same.series.series_id[:] = [90, 4, 7, 1, 0, 33]
    assert digest(same) == digest(panel())
    assert digest(with_cell(0.0)) == digest(with_cell(-0.0))
    assert digest(panel_of(np.asfortranarray(ordinary(6)))) == digest(panel())


def test_the_digest_is_the_same_in_a_range_a_single_run_and_any_row_order():
    features, series = feature_rows(ordinary(6, days=150), [(f"s{n} ü", "all") for n in range(6)])
    ranged = PanelHistory.from_features(features, series)
    for back in (0, 3, 20):
        origin = ORIGIN - timedelta(days=back)
        day = features["sale_date"]
        inside = (day > pd.Timestamp(origin) - pd.Timedelta(days=WINDOW)) & (day <= pd.Timestamp(origin))
        single = PanelHistory.from_features(features[inside].sample(frac=1, random_state=back), series)
        assert digest(ranged.panel_at(origin, window=WINDOW)) == digest(single.panel_at(origin, window=WINDOW))


def test_covariates_count_for_the_models_that_read_them():
    features, series = feature_rows(ordinary(3, days=130), [(f"s{n}", "all") for n in range(3)])
    history = PanelHistory.from_features(features, series, covariates=("on_promotion",))
    bare, past = history.panel_at(ORIGIN, window=WINDOW), history.covariates_at(ORIGIN, window=WINDOW)
    calm, busy = ({"on_promotion": np.full((len(bare.series), 28), value)} for value in (0.0, 1.0))
    first, second = (bare.with_covariates(past, future) for future in (calm, busy))
    assert digest(first) != digest(second)
    assert digest(first, model_specs()[0]) == digest(second, model_specs()[0])


def test_the_summary_names_what_was_read():
    summary = input_summary(panel(), LINEAR, horizon=28)
    assert (summary["origin"], summary["series"], summary["window"]) == (ORIGIN.isoformat(), 6, WINDOW)
    assert set(summary["inputs"]) == {"series", "groups", "history"}


def test_another_process_gives_the_same_digest():
    code = (
        "from forecast_platform_tests.forecasting.demand import *;"
        " from forecast_platform.forecasting import *;"
        " print(version_digest(panel_of(ordinary(6)), model_specs()[-1], horizon=28))"
    )
    environment = {"PYTHONHASHSEED": "17", "TZ": "Asia/Tokyo", "PATH": ""}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert out.stdout.strip() == digest(panel())
