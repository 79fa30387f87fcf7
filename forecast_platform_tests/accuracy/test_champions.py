"""Champions are replayed day by day; the vectorised replay is the plain one, and evidence is shrunk as it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.accuracy.champion_reasons import reasons
from forecast_platform.accuracy.champions import (
    BIAS_OF_THE_SEASON,
    MIN_COVERAGE,
    MIN_DAYS,
    PRIOR_DAYS,
    PRIOR_SERIES,
    SKILL_DAYS,
    SOFTENING,
    ChampionRules,
    Replay,
    choose,
)
from forecast_platform.accuracy.error_sums import ErrorSums, rolling

MODELS = ("naive", "seasonal_naive_7", "linear", "ensemble")
FLOOR = 1
RULES = ChampionRules(MODELS, "ensemble", rolling_days=7, margin=0.01, for_days=3, min_errors=10)


@dataclass(frozen=True)
class Daily:
    """Sums of errors of m models, T days and n series."""

    n: np.ndarray
    n_scaled: np.ndarray
    scaled_sq: np.ndarray
    error: np.ndarray
    actual: np.ndarray

    def rolled(self, length: int) -> list[ErrorSums]:
        """Rolling sums by day, from the ``length``-th day on."""
        days = (ErrorSums.of_day(*(values[:, day] for values in vars(self).values())) for day in range(self.n.shape[1]))
        return list(rolling(days, length))

    def since(self, day: int) -> Daily:
        """Without the days before."""
        return Daily(*(values[:, day:] for values in vars(self).values()))


def sums(mean_sq: np.ndarray, *, n: int = 4, bias: float | np.ndarray = 0.0) -> Daily:
    """Daily sums of m x T x n with ``n`` errors a day of a mean scaled square, and actuals of 1."""
    counts = np.full(mean_sq.shape, n, dtype=np.int32)
    actual = np.full(mean_sq.shape, float(n))
    return Daily(counts, counts.copy(), mean_sq * n, actual * bias, actual)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_replay_is_the_plain_one_of_each_series(data: st.DataObject):
    days, series = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    ratio = draw.choice([np.nan, -0.05, -0.02, 0.0, 0.005, 0.02, 0.1], size=(len(MODELS), days, series))
    acceptable = draw.random(ratio.shape) < 0.8
    start = draw.integers(0, len(MODELS), size=series)
    rules = replace(RULES, for_days=data.draw(st.integers(1, 4)), margin=data.draw(st.sampled_from([0.0, 0.01])))
    got = Replay(start, rules)
    for day in range(days):
        got.day(ratio[:, day], acceptable[:, day])
    for row in range(series):
        expected = plain_replay(ratio[:, :, row], acceptable[:, :, row], int(start[row]), rules)
        assert tuple(int(each[row]) for each in (got.model, got.incumbent, got.followed, got.held)) == expected


def plain_replay(ratio: np.ndarray, acceptable: np.ndarray, start: int, rules: ChampionRules) -> tuple[int, ...]:
    """One series in plain Python: champion, the one of the day before, the one it followed, days since."""
    champion = incumbent = followed = start
    held, streaks = 0, dict.fromkeys(range(len(ratio)), 0)
    for day in range(ratio.shape[1]):
        incumbent = champion
        for model in streaks:
            mine, theirs = ratio[model, day], ratio[champion, day]
            margin = 0.0 if model == FLOOR else math.log(1 - rules.margin)
            if model == champion or not acceptable[model, day] or math.isnan(mine) or math.isnan(theirs):
                streaks[model] = 0
            elif mine < theirs + margin or not acceptable[champion, day]:
                streaks[model] += 1
            else:
                streaks[model] = 0
        ready = [model for model, streak in streaks.items() if streak >= rules.for_days]
        if ready:
            followed, champion = champion, min(ready, key=lambda model: ratio[model, day])
            held, streaks = 1, dict.fromkeys(streaks, 0)
        elif held:
            held += 1
    return champion, incumbent, followed, held


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 6))
def test_the_choice_equals_a_plain_computation_from_the_daily_sums(seed: int, gaps: int):
    draw = np.random.default_rng(seed)
    shape = (len(MODELS), 16, 5)
    n = np.full(shape, 3, dtype=np.int32)
    for _ in range(gaps):
        n[draw.integers(4), draw.integers(16), draw.integers(5)] = 0
    n[:, : draw.integers(0, 12), 4] = 0
    scale = draw.lognormal(size=(4, 1, 1))
    daily = Daily(n, n.copy(), n * draw.gamma(1.0, scale, shape), n * draw.normal(size=shape), n * 2.0)
    segments = np.array(["lumpy", "lumpy", "smooth", "smooth", "new"], dtype=object)
    rules = replace(RULES, margin=0.0, min_errors=draw.integers(1, 22), max_bias=float(draw.choice([0.05, 5.0])))
    got = choose(daily.rolled(rules.rolling_days), segments, rules)
    ratio, acceptable, skill = plain_evidence(daily, segments, rules)
    for row in range(5):
        expected = plain_replay(ratio[:, :, row], acceptable[:, :, row], 3, rules)
        assert (got.model[row], got.incumbent[row], got.followed[row], got.days_held[row]) == expected
        confidence = np.clip(np.nan_to_num(1 - np.exp(skill[:, -1, row])), 0, 1)
        np.testing.assert_allclose(got.confidence[:, row], confidence, rtol=1e-12, atol=1e-12)
        last = daily.n_scaled[:, -7:, row].sum(axis=1)
        for model in range(4):
            if got.own[row] and last[model]:
                root = math.sqrt(daily.scaled_sq[model, -7:, row].sum() / last[model])
                assert got.rmsse[model, row] == pytest.approx(root)


def plain_evidence(daily: Daily, segments: np.ndarray, rules: ChampionRules):
    """Shrunken log ratios and what bias allows, model by model, day by day, series by series."""
    made = [plain_day(daily, slice(day, day + 7), segments, rules) for day in range(daily.n.shape[1] - 6)]
    return tuple(np.stack([each[k] for each in made], axis=1) for k in range(3))


def plain_day(daily: Daily, window: slice, segments: np.ndarray, rules: ChampionRules):
    """The same of one day: ratio, what bias allows, and the ratio that makes the confidence; m x n each."""
    count = daily.n_scaled[:, window].sum(axis=1)
    total = daily.scaled_sq[:, window].sum(axis=1)
    scored = (daily.n_scaled[FLOOR, window] > 0).sum(axis=0)
    shape = (len(MODELS), len(segments))
    ratio, acceptable, skill = np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape)

    def soft(model, row):
        return math.sqrt(total[model, row] / count[model, row] + SOFTENING)

    def compared(model, row):
        return count[FLOOR, row] > 0 and count[model, row] >= max(1, MIN_COVERAGE * count[FLOOR, row])

    def pool(model, rows):
        used = [row for row in rows if compared(model, row)]
        floors = [row for row in rows if compared(FLOOR, row)]
        error = sum(daily.error[model, window, row].sum() for row in used)
        actual = sum(daily.actual[model, window, row].sum() for row in used)
        bias = error / actual if actual else math.nan
        whole_week = max((scored[row] for row in rows), default=0) >= MIN_DAYS
        if not used or not whole_week or len(used) < MIN_COVERAGE * len(floors):
            return math.nan, bias, len(used)
        mine, floor = sum(soft(model, row) for row in used), sum(soft(FLOOR, row) for row in used)
        return math.log(mine / floor), bias, len(used)

    def blend(share, part, whole):
        if math.isnan(part) or math.isnan(whole):
            return whole if math.isnan(part) else part
        return share * part + (1 - share) * whole

    for row, name in enumerate(segments):
        own_segment = [other for other in range(len(segments)) if segments[other] == name]
        pooled = {}
        for model in range(len(MODELS)):
            part, whole = pool(model, own_segment), pool(model, range(len(segments)))
            share = part[2] / (part[2] + PRIOR_SERIES)
            pooled[model] = tuple(blend(share, part[k], whole[k]) for k in (0, 1))
        limit = max(rules.max_bias, np.nan_to_num(abs(pooled[FLOOR][1])) + BIAS_OF_THE_SEASON)
        for model in range(len(MODELS)):
            enough = compared(model, row) and daily.n[FLOOR, window, row].sum() >= rules.min_errors
            own = math.log(soft(model, row) / soft(FLOOR, row)) if enough else 0.0
            for target, prior in ((ratio, PRIOR_DAYS), (skill, SKILL_DAYS)):
                share = scored[row] / (scored[row] + prior) if enough else 0.0
                target[model, row] = share * own + (1 - share) * pooled[model][0]
            acceptable[model, row] = not abs(pooled[model][1]) > limit
    return ratio, acceptable, skill


def test_a_better_model_follows_after_days_in_a_row_and_not_before():
    mean_sq = np.ones((4, 16, 40))
    mean_sq[2, 9:] = 0.25
    segments = np.full(40, "lumpy", dtype=object)
    names = [MODELS[choose(sums(mean_sq[:, : 7 + k]).rolled(7), segments, RULES).model[0]] for k in range(9)]
    # The first day on which linear is ahead is the tenth; the twelfth is its third.
    assert names == ["ensemble"] * 5 + ["linear"] * 4


def test_a_margin_that_is_not_reached_changes_nothing_but_the_floor_needs_none():
    mean_sq = np.ones((4, 14, 40))
    mean_sq[3] = 1.005
    segments = np.full(40, "lumpy", dtype=object)
    chosen = choose(sums(mean_sq).rolled(7), segments, replace(RULES, margin=0.02))
    assert {MODELS[place] for place in chosen.model} == {"seasonal_naive_7"}
    mean_sq[1] = 1.1
    chosen = choose(sums(mean_sq).rolled(7), segments, replace(RULES, margin=0.02))
    assert {MODELS[place] for place in chosen.model} == {"ensemble"}


def test_a_series_with_few_errors_follows_its_segment():
    draw = np.random.default_rng(5)
    mean_sq = np.ones((4, 20, 60))
    mean_sq[2, :, :30] = 0.5
    mean_sq[0, :, 30:] = 0.5
    # The last of each segment saw the opposite.
    mean_sq[2, :, 29], mean_sq[0, :, 59] = 4.0, 4.0
    segments = np.array(["smooth"] * 30 + ["lumpy"] * 30, dtype=object)
    daily = sums(mean_sq * draw.uniform(0.99, 1.01, size=(1, 20, 60)), n=2)
    few = choose(daily.rolled(7), segments, replace(RULES, min_errors=15))
    assert [MODELS[place] for place in few.model[[0, 29, 30, 59]]] == ["linear", "linear", "naive", "naive"]
    assert not few.own.any()
    assert few.rmsse[2, 29] == few.rmsse[2, 0] and few.confidence[2, 29] == few.confidence[2, 0]
    assert (
        "2 of its own" not in reasons(few, segments, RULES)[29] and "smooth series" in reasons(few, segments, RULES)[29]
    )
    enough = choose(daily.rolled(7), segments, replace(RULES, min_errors=14))
    assert enough.own.all() and enough.rmsse[2, 29] > 1.9


def test_a_model_with_an_unacceptable_bias_is_not_chosen_unless_the_season_has_it_too():
    mean_sq = np.ones((4, 14, 40))
    mean_sq[2] = 0.5
    segments = np.full(40, "lumpy", dtype=object)
    bias = np.array([0.0, 0.0, -0.5, 0.0])[:, None, None]
    chosen = choose(sums(mean_sq, bias=bias).rolled(7), segments, RULES)
    assert {MODELS[place] for place in chosen.model} == {"ensemble"}
    shared = choose(sums(mean_sq, bias=bias - np.array([0, 0.48, 0, 0])[:, None, None]).rolled(7), segments, RULES)
    assert {MODELS[place] for place in shared.model} == {"linear"}


def test_a_model_that_only_has_its_first_horizons_is_not_compared():
    mean_sq = np.ones((4, 14, 40))
    mean_sq[2] = 0.01
    daily = sums(mean_sq)
    daily.n_scaled[2] = 3
    segments = np.full(40, "lumpy", dtype=object)
    assert {MODELS[place] for place in choose(daily.rolled(7), segments, RULES).model} == {"ensemble"}


def test_routing_gives_a_segment_its_own_models_and_default():
    mean_sq = np.ones((4, 14, 40))
    mean_sq[3] = 0.5
    segments = np.array(["lumpy"] * 20 + ["smooth"] * 20, dtype=object)
    rules = replace(RULES, routing={"lumpy": ("linear", "naive")})
    chosen = choose(sums(mean_sq).rolled(7), segments, rules)
    assert [MODELS[place] for place in chosen.model[[0, 20]]] == ["linear", "ensemble"]


def test_without_errors_the_default_is_published_without_confidence():
    segments = np.array(["new", "new"], dtype=object)
    chosen = choose(sums(np.ones((4, 14, 2)), n=0).rolled(7), segments, RULES)
    assert {MODELS[place] for place in chosen.model} == {"ensemble"}
    assert not chosen.confidence.any() and np.isnan(chosen.rmsse).all()
    assert (
        reasons(chosen, segments, RULES).tolist()
        == ["ensemble is the default; there are no errors to compare it by"] * 2
    )
    nobody = choose(sums(np.ones((4, 14, 0))).rolled(7), segments[:0], RULES)
    assert len(nobody.model) == 0


def test_a_series_alone_gives_the_bits_it_has_among_others_of_its_pool():
    draw = np.random.default_rng(7)
    daily = sums(draw.gamma(1.0, 1.0, size=(4, 30, 50)))
    segments = np.array(["smooth", "lumpy"] * 25, dtype=object)
    late = daily.since(10).rolled(7)
    whole = daily.rolled(7)[10:]
    one, other = choose(late, segments, RULES), choose(whole, segments, RULES)
    for name in ("model", "days_held", "rmsse", "confidence", "lead"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


@pytest.mark.parametrize("alike", [True, False])
def test_a_rolling_sum_is_that_of_its_days_whether_or_not_models_are_alike(alike: bool):
    """What is alike for all models is held once, and adds up to the same bits."""
    draw = np.random.default_rng(2)
    shape = (len(MODELS), 9, 5)
    counts = np.broadcast_to(draw.integers(0, 3, (1, 9, 5)), shape) if alike else draw.integers(0, 3, shape)
    actual = np.broadcast_to(draw.random((1, 9, 5)), shape) if alike else draw.random(shape)
    daily = Daily(counts.astype(np.int32), counts.astype(np.int32), draw.random(shape), draw.random(shape), actual)
    for end, summed in enumerate(daily.rolled(4), 4):
        for name in ("n", "n_scaled", "scaled_sq", "error", "actual"):
            days = getattr(daily, name)[:, end - 4 : end]
            expected = days[:, 0] + days[:, 1] + days[:, 2] + days[:, 3]
            assert getattr(summed, name).tobytes() == expected.tobytes(), name
    day = ErrorSums.of_day(*(values[:, 0].copy() for values in vars(daily).values())).compact()
    held = {name: np.shares_memory(values[0], values[-1]) for name, values in vars(day).items()}
    once = {"n", "n_scaled", "actual", "days"} if alike else set()
    assert {name for name, shared in held.items() if shared} == once
