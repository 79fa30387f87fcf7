"""One set of trees over all series: what it knows, that it repeats to the bit, and that it survives odd panels."""

import inspect
import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting import forecast_origin, model_specs
from forecast_platform.forecasting.boosting_features import REACH, columns_of, facts_of, origin_facts, rows_of
from forecast_platform.forecasting.context import PanelContext
from forecast_platform_tests.forecasting.demand import awkward, ordinary, panel_of

pytest.importorskip("lightgbm")
FEW = {"n_estimators": 15, "min_data_in_leaf": 20}


def boosting(**parameters):
    from forecast_platform.forecasting.boosting import GlobalBoosting

    return GlobalBoosting(**(FEW | parameters))


def forecast(y, *, horizon=14, context=None, past=None, future=None, **parameters):
    model = boosting(**parameters).in_context(context)
    model.fit(y[:, None, :], X=past)
    return model.predict(fh=np.arange(1, horizon + 1), X=future)[:, 0, :]


def oddities():
    return np.concatenate([ordinary(30), np.stack(list(awkward().values()))])


@pytest.mark.slow
@pytest.mark.parametrize("class_name", ["GlobalBoosting", "BoostedEnsemble"])
def test_sktimes_conformance_suite_passes_whole(class_name: str):
    from sktime.utils.estimator_checks import check_estimator

    from forecast_platform.forecasting import boosting as module

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(getattr(module, class_name), raise_exceptions=True, verbose=False)
    assert len(results) > 300
    assert set(results.values()) == {"PASSED"}


def test_a_table_row_holds_what_a_person_would_count_by_hand():
    """A series of 2 on six days of the week and 9 on the day of the origin's weekday, seen for 56 days."""
    days = np.arange(REACH)
    y = np.where(days % 7 == (REACH - 1) % 7, 9.0, 2.0)[None, :]
    facts = facts_of(y, horizon=7, dates=pd.date_range("2026-01-05", periods=REACH))
    known = origin_facts(facts, REACH - 1)
    level = (y.sum() + 1) / (REACH + 7)
    assert known.level[0] == pytest.approx(level)
    for ahead, value in ((7, 9.0), (1, 2.0)):
        row = dict(zip(columns_of(known, ()), rows_of(facts, known, REACH - 1, ahead, np.array([0]))[0], strict=True))
        assert row["mean_7"] * level == pytest.approx(3.0)
        assert row["last_1"] * level == pytest.approx(9.0)
        assert row["last_2"] * level == pytest.approx(2.0)
        assert (row["zeros_56"], row["since_sale"], row["age"], row["horizon"]) == (0, 0, REACH, ahead)
        assert row["weekday"] == (REACH - 1 + ahead) % 7  # the first day was a Monday
        for name in ("weekday_mean_8", "weekday_mean_4", "weekday_last"):
            assert row[name] * level == pytest.approx(value), name
        assert row["group_weekday"] == pytest.approx(value / 3.0)
        assert row["weekday_factor"] == pytest.approx((8 * value + 2 * 3.0) / (10 * 3.0))


def test_a_row_of_an_origin_knows_nothing_of_the_days_after_it():
    y = ordinary(20)
    later = y.copy()
    later[:, 91:] = 1e6
    for ahead in (1, 9, 28):
        rows = []
        for each in (y, later):
            facts = facts_of(each, horizon=0)
            rows.append(rows_of(facts, origin_facts(facts, 90), 90, ahead, np.arange(20)))
        assert np.array_equal(rows[0], rows[1], equal_nan=True)


def test_it_is_better_than_the_mean_where_series_share_a_week():
    generator = np.random.default_rng(2)
    week = np.array([0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 2.0])
    level = generator.lognormal(1.0, 1.0, (300, 1))
    y = generator.poisson(level * week[np.arange(148) % 7]).astype(float)
    past, ahead = y[:, :120], y[:, 120:]
    dates = pd.date_range("2026-01-01", periods=120)
    zero = np.zeros(300, dtype=np.intp)
    context = PanelContext(group=zero, location=zero, category=zero, dates=dates)
    error = np.abs(forecast(past, horizon=28, context=context, n_estimators=60) - ahead).mean()
    truth = np.abs(level * week[np.arange(120, 148) % 7] - ahead).mean()
    flat = np.abs(past[:, -28:].mean(axis=1, keepdims=True) - ahead).mean()
    assert truth < error < truth + 0.25 * (flat - truth)


def test_a_promotion_known_ahead_lifts_its_day():
    generator = np.random.default_rng(3)
    promoted = (generator.random((200, 1, 134)) < 0.2).astype(float)
    y = generator.poisson(3.0 + 9.0 * promoted[:, 0]).astype(float)
    got = forecast(y[:, :120], past=promoted[:, :, :120], future=promoted[:, :, 120:], n_estimators=60)
    ahead = promoted[:, 0, 120:] == 1
    assert got[ahead].mean() == pytest.approx(12.0, rel=0.15)
    assert got[~ahead].mean() == pytest.approx(3.0, rel=0.25)


def test_a_fit_in_another_process_gives_the_same_bytes():
    code = (
        "import sys, numpy as np; from forecast_platform_tests.forecasting.test_boosting import *;"
        " sys.stdout.write(forecast(ordinary(30)).tobytes().hex())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "11", "OMP_NUM_THREADS": "4", "TZ": "Asia/Tokyo"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert out.stdout == forecast(ordinary(30)).tobytes().hex()


def test_what_was_learned_serves_another_day_and_every_series_alone():
    """With an artefact nothing is learned from the panel: the trees are those of the refit day, bit for bit."""
    y = oddities()
    teacher = boosting().in_context(PanelContext.of(panel_of(y)))
    teacher.fit(y[:, None, :])
    content = teacher.artifact()
    assert content == boosting().in_context(PanelContext.of(panel_of(y))).fit(y[:, None, :]).artifact()
    together = forecast(y, context=PanelContext.of(panel_of(y), artifact=content), n_estimators=1)
    assert np.array_equal(together, teacher.predict(fh=np.arange(1, 15))[:, 0, :], equal_nan=True)
    names = [f"s{row}" for row in range(len(y))]
    apart = panel_of(y, category=names)
    for row in range(len(y)):
        alone = forecast(y[row : row + 1], context=PanelContext.of(panel_of(y[row : row + 1]), artifact=content))
        grouped = forecast(y, context=PanelContext.of(apart, artifact=content))[row]
        assert np.array_equal(alone[0], grouped, equal_nan=True), row
        if row > 12:
            break


def test_odd_series_get_numbers_and_the_others_are_not_ruled_by_them():
    got = list(
        forecast_origin(panel_of(oddities()), model_specs({"trees": "GlobalBoosting(n_estimators=15)"}), horizon=35)
    )[-1]
    assert got.error is None
    assert np.isfinite(got.mean).all()
    ordinary_level = np.nanmean(ordinary(30)[:, -28:])
    assert np.median(got.mean[:30].mean(axis=1)) < 3 * ordinary_level


@pytest.mark.parametrize("y", [np.zeros((5, 60)), np.ones((1, 1)), np.full((3, 10), np.nan), np.ones((4, 30))])
def test_panels_without_anything_to_learn_have_a_defined_forecast(y):
    got = forecast(y)
    assert np.isnan(got).all() if np.isnan(y).all() else (got >= 0).all()


def test_a_damaged_artefact_is_refused_with_the_way_out():
    context = PanelContext.of(panel_of(ordinary(3)), artifact=b"\x00nothing")
    with pytest.raises(ValueError, match="materialize model_artifacts again"):
        forecast(ordinary(3), context=context)


def test_a_covariate_that_the_day_does_not_have_is_unknown_and_one_that_was_not_taught_is_not_asked():
    """Which covariates vary differs from day to day: they are matched by name."""
    y = np.nan_to_num(ordinary(40))
    past = np.random.default_rng(1).random((40, 2, 120))
    learned = boosting()
    with_two = PanelContext.of(panel_of(y))
    with_two = PanelContext(**(vars(with_two) | {"covariates": ("a", "b")}))
    learned.in_context(with_two).fit(y[:, None, :], X=past)
    plain = PanelContext(**(vars(with_two) | {"covariates": ("c",), "artifact": learned.artifact()}))
    got = forecast(y, context=plain, past=past[:, :1], future=past[:, :1, :14])
    assert np.array_equal(got, forecast(y, context=PanelContext.of(panel_of(y), artifact=learned.artifact())))


@pytest.mark.parametrize("parameters", [{"power": 2.0}, {"horizon": 0}, {"refit_every": 0}])
def test_arguments_that_cannot_work_are_refused_by_name(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        boosting(**parameters)


@pytest.mark.parametrize("spec", ["GlobalBoosting(n_estimators=5)", "BoostedEnsemble()"])
def test_a_days_run_uses_the_trees_it_is_given(spec: str):
    y = ordinary(40)
    panel, model = panel_of(y), model_specs({"trees": spec})[-1]
    from forecast_platform.forecasting.artifacts import learn

    content = learn(panel, model)
    own = next(forecast_origin(panel, [model], horizon=7))
    given = next(forecast_origin(panel, [model], horizon=7, artifacts={"trees": lambda: content}))
    assert np.array_equal(own.mean, given.mean)

    def gone():
        raise FileNotFoundError("no such artefact")

    floor = model_specs({"trees": "GlobalBoosting()"})
    results = list(forecast_origin(panel, floor, horizon=7, artifacts={"trees": gone}))
    assert [each.error is None for each in results] == [True, True, False]
    assert "no such artefact" in results[-1].error


def test_the_boosted_ensemble_is_the_weighted_mean_of_its_members():
    y = ordinary(30)
    y[-3:, :-12] = np.nan
    panel = panel_of(y)
    models = {
        "linear": "LagRegression()",
        "weekday_profile": "WeekdayProfile()",
        "trees": "GlobalBoosting()",
        "boosted": "BoostedEnsemble(linear_weight=0.5, profile_weight=0.2)",
    }
    mean = {each.model: each.mean for each in forecast_origin(panel, model_specs(models), horizon=7)}
    long_enough = (~np.isnan(panel.y)).sum(axis=1) >= 20
    assert long_enough.any() and not long_enough.all()
    weighted = 0.5 * mean["linear"] + 0.2 * mean["weekday_profile"] + 0.3 * mean["trees"]
    np.testing.assert_allclose(mean["boosted"][long_enough], weighted[long_enough], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weights", [(0.7, 0.3), (0.0, 0.0), (-0.1, 0.5)])
def test_weights_of_the_boosted_ensemble_leave_some_to_the_trees(weights: tuple[float, float]):
    from forecast_platform.forecasting.boosting import BoostedEnsemble

    with pytest.raises(ValueError, match="linear_weight"):
        BoostedEnsemble(linear_weight=weights[0], profile_weight=weights[1])


@pytest.mark.parametrize("class_name", ["GlobalBoosting", "BoostedEnsemble"])
def test_the_arguments_that_a_spec_may_name_are_those_of_the_class(class_name: str):
    from forecast_platform.forecasting import boosting as module
    from forecast_platform.forecasting.models import OWN

    made = getattr(module, class_name)
    assert tuple(inspect.signature(made.__init__).parameters)[1:] == OWN[class_name].parameters
