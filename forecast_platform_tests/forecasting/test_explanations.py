"""Parts add up to the forecast on record, and every number of a sentence is one of its figures."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.forecasting import ModelSpec, Panel, forecast_origin, model_specs
from forecast_platform.forecasting.explanations import (
    GROUP,
    LIMITS,
    SINCE,
    WHOLE,
    Explained,
    Told,
    amount,
    contributions_json,
    explain,
    level_ahead,
    level_before,
    parts_of,
    rounded,
    tell,
    term_shares,
    weekday_factors,
)
from forecast_platform_tests.forecasting.demand import awkward, ordinary, panel_of

HORIZON = 28
MODELS = {model.name: model for model in model_specs()}
EXPLAINED = ("linear", "weekday_profile", "ensemble")


def numbers_of(sentence: str) -> list[float]:
    """The numbers that a person reads in a sentence, in order."""
    return [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*(?:\.\d+)?", sentence)]


def with_promotions(panel: Panel, horizon: int) -> Panel:
    """Every third series on promotion now and then, with a holiday ahead for all."""
    n = len(panel.series)
    promoted = (np.arange(n)[:, None] % 3 == 0) & (np.arange(panel.window + horizon)[None, :] % 9 < 2)
    holiday = np.broadcast_to(np.arange(panel.window + horizon) % 31 == 0, promoted.shape)
    past = {"is_holiday": holiday[:, : panel.window] * 1.0, "on_promotion": promoted[:, : panel.window] * 1.0}
    ahead = {"is_holiday": holiday[:, panel.window :] * 1.0, "on_promotion": promoted[:, panel.window :] * 1.0}
    return panel.with_covariates(past, ahead)


@pytest.fixture(scope="module")
def panel() -> Panel:
    odd = awkward()
    return with_promotions(panel_of(np.concatenate([ordinary(150), np.stack(list(odd.values()))])), HORIZON)


def forecast(panel: Panel, model: ModelSpec, horizon: int = HORIZON) -> np.ndarray:
    made = next(iter(forecast_origin(panel, [model], horizon=horizon)))
    assert made.error is None, made.error
    return made.mean


def told(explained: Explained, panel: Panel, row: int) -> Told:
    """The sentence of one series."""
    (said,) = tell(explained, panel, np.array([row]))
    return said


def held_of(explained: Explained, said: Told, row: int, **named) -> dict:
    """What is stored of one series."""
    (text,) = contributions_json(explained, [said], np.array([row]), **named)
    return json.loads(text)


@pytest.mark.parametrize("name", EXPLAINED)
def test_parts_sum_to_the_forecast_for_every_series_and_day(panel: Panel, name: str):
    mean = forecast(panel, MODELS[name])
    explained = explain(mean, panel, MODELS[name], parts_of(panel, MODELS[name], horizon=HORIZON))
    rows = np.arange(len(mean))
    texts = contributions_json(explained, tell(explained, panel, rows), rows, origin=panel.origin, model=name)
    stored = [json.loads(text) for text in texts]
    for row, held in enumerate(stored):
        assert held["mean"] == mean[row].tolist()
        total = np.sum(list(held["parts"].values()), axis=0)
        largest = max(1.0, np.abs(list(held["parts"].values())).max())
        assert np.abs(total - mean[row]).max() <= 1e-9 * largest, panel.series.sku[row]
        assert [date.fromisoformat(day) for day in held["days"]] == [
            panel.origin + timedelta(days=ahead) for ahead in range(1, HORIZON + 1)
        ]
    named = {part for held in stored for part in held["parts"]}
    assert {"level", "weekday", GROUP} <= named and SINCE not in named
    assert ("on_promotion" in named) == MODELS[name].exogenous
    # Nothing is limited where nothing was: most forecasts are the model's own, to the bit.
    assert sum(LIMITS in held["parts"] for held in stored) < len(stored)
    assert any("in_sample_r2" in held for held in stored) == (name != "weekday_profile")


def test_what_guards_changed_is_told_apart(panel: Panel):
    model = model_specs({"held": "LagRegression(ridge=0.0001)"})[-1]
    mean = forecast(panel, model)
    explained = explain(mean, panel, model, parts_of(panel, model, horizon=HORIZON))
    capped = np.flatnonzero(explained.capped)
    assert len(capped), "no forecast of the panel runs into its cap"
    for row in capped:
        assert (explained.terms[LIMITS][row] < 0).sum() >= explained.capped[row]
        assert re.search(r"held back to twice its best day on \d+ days?", told(explained, panel, row).sentence)
    short = int(np.flatnonzero(panel.series.sku == "s00151")[0])  # one day of history
    assert explained.grouped[short] and (explained.terms[GROUP][short] == mean[short]).all()
    assert "its group's pattern stands in" in told(explained, panel, short).sentence


def test_a_forecast_of_facts_that_were_corrected_since_still_adds_up(panel: Panel):
    model = MODELS["ensemble"]
    mean = forecast(panel, model)
    then = mean.copy()
    then[3] += 2.5
    explained = explain(then, panel, model, parts_of(panel, model, horizon=HORIZON))
    assert explained.terms[SINCE][3] == pytest.approx(2.5) and not explained.terms[SINCE][4].any()
    assert "sales were corrected after it was made" in told(explained, panel, 3).sentence
    assert sum(explained.terms.values()) == pytest.approx(then, abs=1e-9, rel=1e-9)


def test_a_model_that_cannot_be_taken_apart_is_one_part(panel: Panel):
    assert parts_of(panel, MODELS["seasonal_naive_7"], horizon=HORIZON) is None
    mean = forecast(panel, MODELS["seasonal_naive_7"])
    explained = explain(mean, panel, MODELS["seasonal_naive_7"], None)
    held = held_of(explained, told(explained, panel, 0), 0, origin=panel.origin, model="x")
    assert held["parts"] == {WHOLE: mean[0].tolist()} and "in_sample_r2" not in held
    assert term_shares(explained.terms) == {WHOLE: 1.0}


@pytest.mark.parametrize("name", ["naive", "linear", "ensemble"])
def test_every_number_of_a_sentence_is_a_figure_of_its_row(panel: Panel, name: str):
    mean = forecast(panel, MODELS[name])
    explained = explain(mean, panel, MODELS[name], parts_of(panel, MODELS[name], horizon=HORIZON))
    ahead, before, factors = level_ahead(mean), level_before(panel.y), weekday_factors(mean, panel.origin)
    seen = set()
    for row in range(len(mean)):
        said = told(explained, panel, row)
        assert numbers_of(said.sentence) == [abs(figure) for figure in said.figures.values()], said
        assert "nan" not in said.sentence and "inf" not in said.sentence
        figures, level = said.figures, mean[row].mean()
        if "per_day" in figures:
            assert figures["per_day"] == pytest.approx(level, rel=0.06, abs=0.0051)
        if "change_percent" in figures:
            assert figures["change_percent"] == round(100 * (ahead[row] / before[row] - 1))
            assert ("up" in said.sentence.split()) == (figures["change_percent"] > 0)
        if "weekday_times" in figures:
            assert figures["weekday_times"] == rounded(factors[row].max())
        if "promotion_days" in figures:
            assert figures["promotion_days"] == panel.future[row, 1, :7].sum()
        seen |= set(figures)
    assert {"per_day", "change_percent", "promotion_days", "holiday_days", "next_days"} <= seen


def sentence(y: np.ndarray, mean: np.ndarray, *, origin: date | None = None) -> str:
    own = panel_of(y[None, :])
    own = own if origin is None else Panel(origin=origin, series=own.series, y=own.y)
    return told(explain(mean[None, :], own, MODELS["naive"], None), own, 0).sentence


def test_a_planner_reads_level_change_and_weekday():
    y = np.full(120, 11.0)
    week = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.6, 1.0]) * 12.0 / (7.6 / 7)
    # The panel's origin is a Sunday: the first day ahead is a Monday, the sixth a Saturday.
    assert (
        sentence(y, np.tile(week, 4))
        == "About 12 a day, up 9 % on four weeks ago; Saturdays sell 1.5 times the average."
    )
    assert sentence(y, np.full(28, 11.0)) == "About 11 a day, as much as four weeks ago."
    assert sentence(y, np.full(28, 1100.0)) == "About 1,100 a day, 100 times as much as four weeks ago."
    assert sentence(y, np.full(3, 5.5)) == "About 5.5 a day, down 50 % on four weeks ago."
    closed = np.tile(np.array([1.0, 1, 1, 1, 1, 1, 0]) * 11, 4)
    assert sentence(y, closed) == "About 9.4 a day, down 14 % on four weeks ago; nothing sells on Sundays."


def test_zero_new_and_short_series_have_a_sentence():
    nothing = np.zeros(120)
    assert sentence(nothing, np.zeros(28)) == "No sale is expected."
    assert sentence(nothing, np.full(28, 0.001)) == "Hardly a sale is expected."
    assert sentence(nothing, np.full(28, 0.5)) == "About 0.5 a day, with no sale to compare with four weeks ago."
    new = np.full(120, np.nan)
    assert sentence(new, np.full(1, 2.0)) == ("About 2 a day, with too short a history to compare with four weeks ago.")
    assert sentence(np.full(3, 2.0), np.full(2, 2.0)).startswith("About 2 a day, with too short a history")


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.just(0.0), st.floats(0, 1e12)), min_size=1, max_size=60),
    st.lists(st.one_of(st.just(0.0), st.just(float("nan")), st.floats(0, 1e12)), min_size=1, max_size=120),
)
def test_sentences_are_defined_and_read_back_for_any_numbers(mean: list[float], y: list[float]):
    own = panel_of(np.array(y)[None, :])
    explained = explain(np.array(mean)[None, :], own, MODELS["naive"], None)
    said = told(explained, own, 0)
    assert numbers_of(said.sentence) == [abs(figure) for figure in said.figures.values()]
    held = held_of(explained, said, 0, origin=own.origin, model="naive")
    assert held["mean"] == mean and held["sentence"] == said.sentence


@given(st.floats(0, 1e15))
def test_an_amount_reads_back_as_the_figure_it_shows(value: float):
    assert float(amount(rounded(value)).replace(",", "")) == rounded(value)


def test_amounts_have_the_digits_that_a_planner_reads():
    shown = {0.004: "0", 0.126: "0.13", 0.999: "1", 1.04: "1", 9.94: "9.9", 9.96: "10", 12.4: "12", 1234.5: "1,234"}
    assert {value: amount(rounded(value)) for value in shown} == shown
