"""``GlobalBoosting``: one set of LightGBM trees over all series, behind sktime's interface.

What a row knows is in ``boosting_features``; here is what it is taught, how the trees are grown, and what is kept of
them. On what day they are grown, and where they are kept, is in ``artifacts`` and above. LightGBM is imported when a
forecaster is fitted; importing this module imports sktime.

One thread, fixed seeds and histograms by row make the trees the same bits whatever the number of cores.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from forecast_platform.forecasting.boosting_features import (
    REACH,
    PanelFacts,
    facts_of,
    origin_facts,
    rows_of,
)
from forecast_platform.forecasting.forecasters import Ensemble, _PanelForecaster
from forecast_platform.forecasting.parameters import at_least

Array = np.ndarray
SEED = 20_240_229
FORMAT = 1


class ArtifactRefused(ValueError):
    """What is given as learned earlier cannot be read by this version. The message says what would help."""


@dataclass(frozen=True)
class Lesson:
    """Rows to learn from.

    Attributes:
        rows: R x p of float32.
        target: R; units over the series' level, no more than what is large for it.
        level: R; ``sold``: R, units, no more than ten times what is large. A series of more than a hundred times the
            median level counts in both as one of that level.
    """

    rows: Array
    target: Array
    level: Array
    sold: Array


@dataclass(frozen=True)
class Learned:
    """What is kept from one day to the next.

    Attributes:
        covariates: names of those that were taught.
        factor: the units sold over those that the trees make of the same rows. A few orders of a thousand units would
            lead the trees astray, so they learn from days held within bounds, and this puts the total right.
        trees: LightGBM's text; empty where nothing was sold.
    """

    covariates: tuple[str, ...]
    factor: float
    trees: str

    def to_bytes(self) -> bytes:
        """The same bytes for the same trees: no clock, no path, nothing that runs when it is read."""
        head = json.dumps({"format": FORMAT, "covariates": self.covariates, "factor": self.factor})
        return zlib.compress(f"{head}\n{self.trees}".encode(), level=6)

    @classmethod
    def from_bytes(cls, content: bytes) -> Learned:
        """Read ``to_bytes`` back.

        Raises:
            ArtifactRefused: the bytes are not such.
        """
        try:
            head, _, trees = zlib.decompress(content).decode().partition("\n")
            described = json.loads(head)
            if described["format"] != FORMAT:
                raise ValueError(f"its format is {described['format']}, not {FORMAT}")
            return cls(tuple(described["covariates"]), float(described["factor"]), trees)
        except (zlib.error, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            raise ArtifactRefused(
                f"an artefact of {len(content)} bytes holds no trees of GlobalBoosting ({error}); materialize"
                " model_artifacts again"
            ) from error


class GlobalBoosting(_PanelForecaster):
    """Gradient-boosted trees over all series: one model, whose unit is each series' own level.

    Learns from past origins inside the window it is fitted on, directly for each day ahead (the horizon is one of the
    columns), with Tweedie's loss, whose mean is the expected demand also where most days are zero. In a context with an
    artefact it learns nothing and only looks at the panel.

    On Online Retail, learned every 28 days, its WAPE was 1.037, its mean RMSSE 1.301 and its bias -13 % on eight
    origins from 2011-09-02 to 2011-10-14, horizon 14 (28-day mean x weekday profile: 1.083, 1.300, -10 %), and 0.938,
    1.002 and +2 % on the origins 2011-10-29 to 2011-11-25 that no choice was made on. Learning from 30,490 series of
    120 days took 26 s of CPU and 0.45 GB and made 0.15 MB; 28 days ahead of them 3.9 s.

    Parameters
    ----------
    horizon : int, default=28
        Days ahead that are learned; days beyond are forecast as the last of these that falls on the same weekday.
    refit_every : int, default=28
        Days from one refit to the next, where something keeps artefacts by date; no part of the numbers.
    n_estimators : int, default=100
        Trees.
    num_leaves : int, default=31
        Leaves of a tree.
    learning_rate : float, default=0.05
        What a tree adds.
    min_data_in_leaf : int, default=200
        Rows that a leaf stands for.
    power : float, default=1.3
        Tweedie's variance power, above 1 (counts of one item) and below 2 (amounts).
    level_weight : float, default=0.5
        A row weighs level ** level_weight: 0 counts every series alike, 1 every unit.
    max_rows : int, default=300000
        Rows learned from, at most; taken evenly over series, origins and days ahead.

    Attributes
    ----------
    learned_ : Learned
        The trees.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.boosting import GlobalBoosting
    >>> y = pd.Series([4.0, 1.0, 1.0, 1.0, 1.0, 6.0, 7.0] * 12)
    >>> GlobalBoosting(n_estimators=5).fit(y).predict(fh=[1, 2]).shape
    (2,)
    """

    _tags: ClassVar[dict[str, Any]] = {"capability:exogenous": True, "python_dependencies": ["lightgbm"]}

    def __init__(
        self,
        horizon=28,
        refit_every=28,
        n_estimators=100,
        num_leaves=31,
        learning_rate=0.05,
        min_data_in_leaf=200,
        power=1.3,
        level_weight=0.5,
        max_rows=300_000,
    ):
        self.horizon = horizon
        self.refit_every = refit_every
        self.n_estimators = n_estimators
        self.num_leaves = num_leaves
        self.learning_rate = learning_rate
        self.min_data_in_leaf = min_data_in_leaf
        self.power = power
        self.level_weight = level_weight
        self.max_rows = max_rows
        super().__init__()
        at_least("horizon", horizon, 1)
        at_least("refit_every", refit_every, 1)
        if not 1 < power < 2:
            raise ValueError(f"power is {power!r}; Tweedie's loss needs one above 1 and below 2")

    def artifact(self) -> bytes:
        """What was learned, as bytes that ``PanelContext.artifact`` takes."""
        return self.learned_.to_bytes()

    def _fit_matrix(self, y, covariates):
        self._units, self._known = y, covariates
        context = self._context
        if context is not None and context.artifact is not None:
            self.learned_ = Learned.from_bytes(context.artifact)
            return
        names = _covariate_names(context, covariates)
        lesson = lesson_of(self._facts(0, None), names, horizon=self.horizon, max_rows=self.max_rows)
        weight = lesson.level**self.level_weight
        trees = grow(lesson, weight, self._settings(), trees=self.n_estimators)
        self.learned_ = Learned(names, total_factor(lesson, trees), trees)

    def _facts(self, horizon: int, future: Array | None) -> PanelFacts:
        context = self._context
        return facts_of(
            self._units,
            horizon=horizon,
            group=None if context is None else context.group,
            dates=None if context is None else context.dates,
            covariates=_covariate_names(context, self._known),
            past=self._known,
            future=future,
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "tweedie_variance_power": self.power,
        }

    def _predict_matrix(self, horizon, covariates):
        facts = self._facts(horizon, covariates)
        forecast = forecast_days(facts, self.learned_, horizon=horizon, taught=self.horizon)
        return np.where(facts.observed.any(axis=0)[:, None], forecast, np.nan)

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        few = {"n_estimators": 5, "min_data_in_leaf": 5}
        return [few, few | {"horizon": 3, "num_leaves": 4, "level_weight": 0.0}]


class BoostedEnsemble(_PanelForecaster):
    """Weighted mean of a lag regression, a weekday profile and boosted trees, each with its default settings.

    Each errs where the others do not: the regression follows a series, the profile its group, the trees what series
    have in common. Of a series too short for the regression, the profile has its share.

    Parameters
    ----------
    linear_weight : float, default=0.4
        Weight of the regression, between 0 and 1.
    profile_weight : float, default=0.3
        Weight of the profile, between 0 and 1; what the two leave is the trees'.
    horizon : int, default=28
        Days ahead that the trees learn.
    refit_every : int, default=28
        Days from one refit of the trees to the next, where something keeps artefacts by date.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.boosting import BoostedEnsemble
    >>> y = pd.Series([4.0, 1.0, 1.0, 1.0, 1.0, 6.0, 7.0] * 12)
    >>> BoostedEnsemble().fit(y).predict(fh=[1, 2]).shape
    (2,)
    """

    _tags: ClassVar[dict[str, Any]] = {"capability:exogenous": True, "python_dependencies": ["lightgbm"]}

    def __init__(self, linear_weight=0.4, profile_weight=0.3, horizon=28, refit_every=28):
        self.linear_weight = linear_weight
        self.profile_weight = profile_weight
        self.horizon = horizon
        self.refit_every = refit_every
        super().__init__()
        if min(linear_weight, profile_weight) < 0 or not 0 < linear_weight + profile_weight < 1:
            raise ValueError(
                f"linear_weight is {linear_weight!r} and profile_weight {profile_weight!r}; neither may be below 0, and"
                " they must leave some of 1 to the trees, not all of it"
            )
        at_least("horizon", horizon, 1)
        at_least("refit_every", refit_every, 1)

    def artifact(self) -> bytes:
        """What the trees learned, as bytes that ``PanelContext.artifact`` takes."""
        return self.trees_.artifact()

    def _fit_matrix(self, y, covariates):
        share = self.linear_weight + self.profile_weight
        self.explained_ = Ensemble(linear_weight=self.linear_weight / share)
        self.trees_ = GlobalBoosting(horizon=self.horizon)
        for member in (self.explained_, self.trees_):
            member.in_context(self._context)._fit_matrix(y, covariates)

    def _predict_matrix(self, horizon, covariates):
        share = self.linear_weight + self.profile_weight
        explained = self.explained_._predict_matrix(horizon, covariates)
        return share * explained + (1.0 - share) * self.trees_._predict_matrix(horizon, covariates)

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{"horizon": 3}, {"linear_weight": 0.0, "profile_weight": 0.5, "horizon": 1}]


def lesson_of(facts: PanelFacts, covariates: Sequence[str], *, horizon: int, max_rows: int) -> Lesson:
    """Rows of past origins of a panel, and what was sold on their days.

    Args:
        facts: the panel.
        covariates: names of those to teach.
        horizon: days ahead, at most.
        max_rows: rows, at most; more are thinned evenly, the same ones each time.
    """
    days, series = facts.units.shape
    first = min(REACH, days // 2) - 1
    possible = sum(min(horizon, days - 1 - origin) for origin in range(max(first, 0), days - 1)) * series
    parts = list(_past_rows(facts, covariates, max(first, 0), horizon, thinning=max(1, -(-possible // max_rows))))
    if not parts:
        return Lesson(np.empty((0, 0), dtype=np.float32), *np.empty((3, 0)))
    rows, sold, level, large = (np.concatenate(column) for column in zip(*parts, strict=True))
    # One series of a billion a day would be all that the others are taught.
    share = np.minimum(level, LARGEST_SHARE * np.median(level))
    return Lesson(rows, np.minimum(sold, large) / level, share, np.minimum(sold, 10.0 * large) * (share / level))


LARGEST_SHARE = 100.0
"""A series counts at most as one with a hundred times the median level."""


def _past_rows(
    facts: PanelFacts, covariates: Sequence[str], first: int, horizon: int, *, thinning: int
) -> Iterator[tuple[Array, ...]]:
    days, series = facts.units.shape
    place = np.arange(series)
    for origin in range(first, days - 1):
        known = origin_facts(facts, origin)
        for ahead in range(1, min(horizon, days - 1 - origin) + 1):
            target = origin + ahead
            wanted = facts.started[origin] & (facts.observed[target] > 0)
            # Five is prime to seven: neighbouring origins do not take the same weekdays.
            chosen = np.flatnonzero(wanted & ((place + ahead + 5 * origin) % thinning == 0))
            if len(chosen):
                rows = rows_of(facts, known, origin, ahead, chosen, covariates=covariates)
                yield rows, facts.units[target][chosen], known.level[chosen], known.large[chosen]


def grow(lesson: Lesson, weight: Array, settings: Mapping[str, Any], *, trees: int) -> str:
    """Grow the trees: LightGBM's text, empty where there is nothing to learn from or nothing was sold."""
    import lightgbm

    if not np.any(lesson.target > 0):
        return ""
    data = lightgbm.Dataset(lesson.rows, label=lesson.target, weight=weight, params={"verbosity": -1})
    return lightgbm.train({**FIXED, **settings}, data, num_boost_round=trees).model_to_string()


FACTOR_BOUNDS = (0.8, 1.5)
"""On Online Retail it is about 1.25. Of a panel of few series, one beyond belief must not rule the others."""


def total_factor(lesson: Lesson, trees: str) -> float:
    """``Learned.factor``: 1 where nothing was learned; the sums are numpy's, over rows in their own order."""
    if not trees:
        return 1.0
    made = float(np.sum(_answers(trees)(lesson.rows) * lesson.level))
    return float(np.clip(np.sum(lesson.sold) / made, *FACTOR_BOUNDS)) if made > 0 else 1.0


def _answers(trees: str) -> Callable[[Array], Array]:
    """What the trees say of rows, in units of the level."""
    import lightgbm

    booster = lightgbm.Booster(model_str=trees)

    def answer(rows: Array) -> Array:
        if rows.shape[1] != booster.num_feature():
            raise ArtifactRefused(
                f"the trees know {booster.num_feature()} columns, not {rows.shape[1]}; materialize model_artifacts"
                " again"
            )
        return booster.predict(rows, num_threads=1)

    return answer


FIXED: Mapping[str, Any] = {
    "objective": "tweedie",
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "seed": SEED,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


def forecast_days(facts: PanelFacts, learned: Learned, *, horizon: int, taught: int) -> Array:
    """n x horizon expected units after the panel's last day; the level of a series where nothing was learned."""
    series = facts.units.shape[1]
    origin = len(facts.units) - 1
    known = origin_facts(facts, origin)
    if not learned.trees:
        return np.repeat(known.level[:, None], horizon, axis=1)
    everyone, answer = np.arange(series), _answers(learned.trees)
    forecast = np.empty((series, horizon))
    for ahead in range(1, horizon + 1):
        rows = rows_of(facts, known, origin, ahead, everyone, covariates=learned.covariates, taught=taught)
        forecast[:, ahead - 1] = answer(rows) * known.level * learned.factor
    return forecast


def _covariate_names(context: Any, covariates: Array | None) -> tuple[str, ...]:
    count = 0 if covariates is None else covariates.shape[1]
    named = () if context is None else context.covariates
    return tuple(named) if len(named) == count else tuple(f"covariate {place}" for place in range(count))
