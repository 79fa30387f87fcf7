"""A card tells what a model is and shows three of its series, small enough for the event log."""

from __future__ import annotations

import base64
import re
import struct

import numpy as np
import pandas as pd
import pytest

from forecast_platform.assets.model_cards import MOST_BYTES, Picture, card_lines, chosen_series, drawing, pictures
from forecast_platform_tests.forecasting.demand import ordinary, panel_of

HORIZON = 28


def picture(role: str, name: str, *, quantiles: bool = True) -> Picture:
    generator = np.random.default_rng(len(name))
    history = generator.poisson(12.0, 56).astype(float)
    history[:5] = np.nan
    mean = np.full(HORIZON, 12.0)
    bands = mean[:, None] + np.array([-9.0, -5.0, 5.0, 9.0])
    return Picture(role, name, history, mean, bands if quantiles else None)


def test_three_series_are_drawn_in_one_small_picture():
    drawn = [picture("largest", "a $price$ of 5 _ % ünïcode 日本"), picture("median", "x" * 90), picture("worst", "c")]
    image = drawing(drawn)
    assert image.startswith(b"\x89PNG") and len(image) < MOST_BYTES
    width, height = struct.unpack(">II", image[16:24])
    assert width > 2 * height and width <= 900
    assert drawing([picture("largest", "young", quantiles=False)]).startswith(b"\x89PNG")


def test_the_largest_the_median_and_the_worst_series_are_chosen():
    y = ordinary(9)
    y[:, -28:] = np.arange(9)[:, None]
    panel = panel_of(y)
    scores = pd.DataFrame({"series_id": [4, 5, 6], "n_scaled": [10, 10, 0], "scaled_sq": [10.0, 90.0, 0.0]})
    assert chosen_series(panel, scores) == {"largest": 8, "median": 4, "worst RMSSE": 5}
    # Half of the series that sell at all: one that never did is no median.
    y[:6, -28:] = 0.0
    assert chosen_series(panel_of(y), scores.iloc[:0]) == {"largest": 8, "median": 7}
    assert chosen_series(panel_of(np.empty((0, 60))), scores.iloc[:0]) == {}


def test_a_series_that_a_model_did_not_forecast_is_left_out():
    panel = panel_of(ordinary(3))
    rows = pd.DataFrame(
        {
            "series_id": np.repeat([0, 1], [HORIZON, HORIZON - 1]),
            "horizon": [*range(1, HORIZON + 1), *range(1, HORIZON)],
            "mean": 2.0,
            **{name: np.nan for name in ("q025", "q10", "q90", "q975")},
        }
    )
    found = pictures(panel, {"largest": 0, "median": 1, "worst RMSSE": 2}, rows, HORIZON)
    assert [each.role for each in found] == ["largest"] and found[0].quantiles is None
    assert found[0].history == pytest.approx(panel.y[0, -56:], nan_ok=True)


def test_a_card_says_spec_share_weights_and_accuracy():
    scores = pd.DataFrame(
        {
            "place": [0] * 2,
            "series_id": [1, 2],
            "n": [10, 10],
            "error": [5.0, -1.0],
            "abs_error": [20.0, 10.0],
            "actual": [80.0, 20.0],
            "n_scaled": [10, 0],
            "scaled_sq": [40.0, 0.0],
        }
    )
    card = "\n".join(card_lines("Linear(a | b)", "1+x", 0.25, scores, {"level": 0.75, "weekday": 0.249, "x": 0.001}))
    assert "`Linear(a \\| b)`" in card and "25% of series" in card and "level 75%, weekday 25%" in card
    assert "20 errors, WAPE 0.300, bias +0.040, mean RMSSE 2.000" in card
    assert "not scored yet" in "\n".join(card_lines("Naive()", "1", 0.0, scores.iloc[:0], {}))


def test_a_picture_in_markdown_reads_back_as_the_image():
    from forecast_platform.assets.model_cards import _picture_lines

    lines = _picture_lines("linear", [picture("largest", "a")])
    encoded = re.fullmatch(r"!\[[^\]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", lines[0]).group(1)
    assert base64.b64decode(encoded).startswith(b"\x89PNG") and _picture_lines("linear", []) == []
