"""Specs are read without sktime, and what cannot work is refused by the model's name."""

import subprocess
import sys

import pytest

from forecast_platform.forecasting import DEFAULT_MODELS, ModelSpecError, model_specs


def spec(text, name="mine"):
    return next(model for model in model_specs({name: text}) if model.name == name)


def test_the_default_models_are_the_six():
    assert [model.name for model in model_specs()] == [*DEFAULT_MODELS]
    assert [model.name for model in model_specs(DEFAULT_MODELS)] == [model.name for model in model_specs()]


def test_the_floor_runs_whatever_the_settings_say():
    assert [model.name for model in model_specs({"mine": "Naive()"})] == ["naive", "seasonal_naive_7", "mine"]
    assert [model.name for model in model_specs({})] == ["naive", "seasonal_naive_7"]
    with pytest.raises(ModelSpecError, match="'seasonal_naive_7' is always SeasonalNaive"):
        model_specs({"seasonal_naive_7": "SeasonalNaive(sp=14)"})


@pytest.mark.parametrize("text", ["SeasonalNaive(sp=14)", " SeasonalNaive( sp = 14 )\n"])
def test_a_spec_has_one_spelling(text):
    assert spec(text).spec == "SeasonalNaive(sp=14)"
    assert spec(text).build().sp == 14


def test_a_bare_class_name_means_its_defaults():
    assert spec("Naive").spec == "Naive()"
    assert spec("NaiveForecaster").spec == "NaiveForecaster()"


def test_the_history_a_model_needs_follows_from_its_arguments():
    needs = {"Naive()": 1, "SeasonalNaive(sp=14)": 14, "MovingAverage()": 7, "LagRegression(lags=(1, 35))": 35}
    assert {text: spec(text).min_history for text in needs} == needs
    assert spec("LagRegression()").min_history == 20
    assert spec("NaiveForecaster()").min_history == 20


def test_our_own_forecasters_are_built_with_their_arguments():
    built = spec("LagRegression(lags=(1, 7), ridge=0.25)").build()
    assert (type(built).__name__, built.lags, built.ridge) == ("LagRegression", (1, 7), 0.25)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Mine", "Naive()", "'Mine' must be lower-case"),
        ("published", "Naive()", "'published' is what reports call"),
        ("mine", "Naive(", "'mine'.*not one expression"),
        ("mine", "import os", "'mine'.*not one expression"),
        ("mine", None, "'mine'.*not one expression"),
        ("mine", "", "'mine'.*not one expression"),
        ("mine", "SeasonalNaive(14)", "'mine'.*SeasonalNaive by name; it has sp"),
        ("mine", "SeasonalNaive(season=14)", "'mine'.*SeasonalNaive has no argument 'season'; it has sp"),
        ("mine", "SeasonalNaive(**{'sp': 3})", "'mine'.*SeasonalNaive has no argument"),
        ("mine", "LagRegression(lags=7)", "'mine'.*LagRegression.lags=7. is not understood"),
        ("mine", "SeasonalNaive(sp='week')", "'mine'.*SeasonalNaive.sp='week'. is not understood"),
        ("mine", "MovingAverage(window=int('7'))", "'mine'.*window of MovingAverage must be a plain value"),
    ],
)
def test_a_name_or_spec_that_cannot_work_is_refused_when_it_is_read(name, text, message):
    with pytest.raises(ModelSpecError, match=message):
        model_specs({name: text})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SeasonalNaive(sp=0)", "'mine'.*SeasonalNaive.*sp is 0"),
        ("LagRegression(ridge='much')", "'mine'.*LagRegression"),
        ("NoSuchForecaster()", "'mine'.*NoSuchForecaster is no class of sktime"),
        ("Differencer() * NoSuchForecaster()", "'mine'.*NoSuchForecaster is no class of sktime"),
        ("NaiveForecaster(stp=3)", "'mine'.*NaiveForecaster"),
        ("Differencer()", "'mine'.*no forecaster"),
        ("__import__('os').system('true')", "'mine'.*cannot build"),
        ("(lambda: 1)()", "'mine'.*cannot build"),
        ("42", "'mine'.*cannot build"),
    ],
)
def test_a_spec_that_cannot_be_built_says_whose_it_is_and_why(text, message):
    with pytest.raises(ModelSpecError, match=message):
        spec(text).build()


def test_a_missing_package_is_named():
    with pytest.raises(ModelSpecError, match=r"'mine'.*TinyTimeMixerForecaster"):
        spec("TinyTimeMixerForecaster()").build()


def test_reading_specs_imports_no_sktime():
    code = (
        "import sys; from forecast_platform.forecasting import model_specs, version_digest;"
        " model_specs(); model_specs({'mine': 'AutoETS(auto=True)'}); print('sktime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
