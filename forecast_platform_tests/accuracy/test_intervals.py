"""Scores of intervals equal hand-worked values, plain numpy and other libraries; counts are judged at their atoms."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from forecast_platform.accuracy.intervals import (
    QUANTILE_LEVELS,
    distance_from_uniform,
    misses,
    pinball_loss,
    quantile_scores,
    randomised_pit,
)

QUANTILES = list(QUANTILE_LEVELS)
amounts = st.floats(0, 1e6)


def poisson_quantiles(mean: float, n: int) -> pd.DataFrame:
    return pd.DataFrame({name: np.full(n, poisson.ppf(level, mean)) for name, level in QUANTILE_LEVELS.items()})


def test_pinball_loss_is_as_worked_by_hand():
    # Three units too few at the 90 % quantile cost 2.7, three too many 0.3.
    assert pinball_loss([10, 10, 10], [7, 13, 10], 0.9) == pytest.approx([2.7, 0.3, 0.0])
    assert pinball_loss(4, 2, 0.5) == pytest.approx(1.0)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=20), st.sampled_from([0.025, 0.5, 0.9]))
def test_pinball_loss_equals_utilsforecasts_and_sktimes(pairs, level):
    from sktime.performance_metrics.forecasting.probabilistic import PinballLoss
    from utilsforecast.losses import quantile_loss

    actual, quantile = np.array(pairs).T
    ours = pinball_loss(actual, quantile, level).mean()
    frame = pd.DataFrame({"unique_id": "a", "y": actual, "q": quantile})
    theirs = quantile_loss(frame, {"model": "q"}, q=level)["model"].iloc[0]
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    columns = pd.MultiIndex.from_tuples([("y", level)])
    predicted = pd.DataFrame(quantile[:, None], columns=columns)
    assert ours == pytest.approx(float(PinballLoss()(pd.DataFrame({"y": actual}), predicted)), rel=1e-9, abs=1e-9)


def test_a_level_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"level is 90.*between 0 and 1"):
        pinball_loss(1, 1, 90)


def test_scores_are_as_worked_by_hand():
    met = pd.DataFrame(
        {"actual": [0.0, 2.0, 5.0, 9.0], "q025": 0.0, "q10": 0.0, "q50": 2.0, "q90": 5.0, "q975": 8.0, "model": "m"}
    )
    row = quantile_scores(met, by=["model"]).iloc[0]
    assert row["n"] == 4
    assert (row["below_q10"], row["upto_q10"]) == (0.0, 0.25)
    assert (row["below_q50"], row["upto_q50"]) == (0.25, 0.5)
    assert (row["below_q90"], row["upto_q90"]) == (0.5, 0.75)
    assert (row["width_80"], row["width_95"]) == (5.0, 8.0)
    each = [
        0.025 * (0 + 2 + 5 + 9),
        0.1 * (0 + 2 + 5 + 9),
        0.5 * (2 + 0 + 3 + 7),
        0.9 * 4 + 0.1 * (5 + 3 + 0),
        0.975 * 1 + 0.025 * (8 + 6 + 3),
    ]
    assert row["pinball"] == pytest.approx(sum(each) / 20)


def test_the_quantiles_of_a_poisson_hold_though_neither_share_is_the_level():
    actual = np.random.default_rng(1).poisson(1.0, 40_000).astype(float)
    scores = quantile_scores(poisson_quantiles(1.0, len(actual)).assign(actual=actual))
    assert misses(scores).abs().to_numpy().max() < 0.005
    row = scores.iloc[0]
    assert row["upto_q90"] - row["below_q10"] == pytest.approx(poisson.cdf(2, 1.0), abs=0.01)


def test_a_quantile_beside_its_atom_is_told_and_on_which_side():
    actual = np.random.default_rng(2).poisson(4.0, 20_000).astype(float)
    met = poisson_quantiles(4.0, len(actual)).assign(actual=actual)
    wrong = misses(quantile_scores(met.assign(q90=met["q90"] + 1, q10=met["q10"] - 1))).iloc[0]
    assert wrong["q90"] > 0.02 and wrong["q10"] < -0.005
    assert wrong["q50"] == 0


def test_no_rows_give_nulls_and_a_null_is_refused():
    met = pd.DataFrame({name: [1.0] for name in ("actual", *QUANTILES)})
    empty = quantile_scores(met.iloc[:0]).iloc[0]
    assert empty["n"] == 0 and np.isnan(empty["pinball"])
    with pytest.raises(ValueError, match="1 rows have no q50"):
        quantile_scores(met.assign(q50=np.nan))


def test_the_randomised_pit_of_an_honest_count_distribution_is_uniform_and_of_another_is_not():
    draws = np.random.default_rng(3)
    actual = draws.poisson(0.4, 20_000)
    uniform = draws.random(len(actual))
    honest = randomised_pit(poisson.cdf(actual - 1, 0.4), poisson.cdf(actual, 0.4), uniform)
    assert distance_from_uniform(honest) < 1.63 / np.sqrt(len(actual))
    biased = randomised_pit(poisson.cdf(actual - 1, 0.5), poisson.cdf(actual, 0.5), uniform)
    assert distance_from_uniform(biased) > 0.03


def test_the_distance_from_uniform_equals_scipys():
    from scipy.stats import kstest

    pit = np.random.default_rng(4).beta(1.2, 1.0, 500)
    assert distance_from_uniform(pit) == pytest.approx(kstest(pit, "uniform").statistic)
