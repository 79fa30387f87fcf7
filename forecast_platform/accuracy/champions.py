"""Which model is published for a series: a choice by measured errors, replayed day by day inside a window.

Pure functions of sums of errors. What is stored, which days are read and what a tenant has pinned is not decided here.
Days are taken one by one, so that memory holds those of one rolling sum, however long the replay is.

A model is judged by its RMSSE over that of ``seasonal_naive_7`` for the same errors. A series' own four weeks say
little, so they move the ratio of its segment only as far as they weigh against ``PRIOR_DAYS``; a segment of few series
is moved towards all series in the same way (Efron and Morris, 1975: the more is estimated from the less, the more it
should be shrunk). Only ratios are compared that were shrunk by the same weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from forecast_platform.accuracy.error_sums import ErrorSums

Array = np.ndarray

FLOOR = "seasonal_naive_7"
"""The model that every other one must beat; it may be published whatever the routing says."""

PRIOR_DAYS = 1000
"""Days of own errors at which a series weighs as much as its segment. On Online Retail, origins 2011-08-15 to 10-14,
the published WAPE was 1.110 with 50, 1.107 with 400 to 2000 and 1.107 with the best single model; unshrunk it was
4 % above that. A choice among more models wants more: with eight, 1.088 at 100, 1.083 at 400, 1.080 at 2000."""

PRIOR_SERIES = 30
"""Series at which a segment weighs as much as all series together."""

SKILL_DAYS = 28
"""As ``PRIOR_DAYS``, for the confidence: series differ more in how well they can be forecast than in by which model."""

SOFTENING = 0.01
"""Added to a mean scaled squared error before a ratio is taken: a week without any error is no infinite advantage."""

MIN_DAYS = 7
"""Target days with errors before anything is concluded: a whole week."""

MIN_COVERAGE = 0.9
"""Share of the floor's errors that a model must have: one that only has its easy first horizons is not compared.
The accuracy views tell no added value of it either (macro ``added_value``)."""

BIAS_OF_THE_SEASON = 0.05
"""A bias that exceeds the floor's by no more than this is the season's, not the model's: it rules nothing out."""


@dataclass(frozen=True)
class ChampionRules:
    """How champions are chosen.

    Attributes:
        models: every model there is, the preferred one first where two are equal; ``FLOOR`` is among them.
        default_model: where a series starts.
        routing: by segment, the models that may be published, its default first; every model where it names none.
        rolling_days: target days over which errors are summed.
        margin: share by which the champion's shrunken RMSSE must be undercut.
        for_days: days in a row on which it must be.
        max_bias: |Σ error| / Σ actual of a segment above which a model is not chosen.
        min_errors: errors below which a series is judged with its segment alone.
    """

    models: tuple[str, ...]
    default_model: str
    routing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rolling_days: int = 28
    margin: float = 0.002
    for_days: int = 5
    max_bias: float = 0.25
    min_errors: int = 56

    @property
    def floor(self) -> int:
        """Place of the floor among the models."""
        return self.models.index(FLOOR)

    def routed(self, segments: Array) -> tuple[Array, Array]:
        """Which models may be published for each series, m x n, and each one's default, n, by its segment's name."""
        allowed = np.ones((len(self.models), len(segments)), dtype=bool)
        start = np.full(len(segments), self.models.index(self.default_model))
        for segment, names in self.routing.items():
            here = segments == segment
            allowed[:, here] = np.isin(self.models, [*names, FLOOR])[:, None]
            start[here] = self.models.index(names[0])
        return allowed, start


@dataclass(frozen=True)
class Evidence:
    """What rolling sums say of m models on a day for n series.

    Attributes:
        own: m x n; log of a model's RMSSE over the floor's, of the series alone. 0 where ``weight`` is.
        pooled: m x n; the same of its segment, moved to that of all series. NaN where they cannot be compared.
        weight: m x n; days of own errors, 0 where there are too few errors.
        bias: m x n; Σ error / Σ actual of the segment, moved to that of all series. NaN without demand.
        segment_rmsse: m x n; mean RMSSE of the segment. NaN where no series has a scale.
    """

    own: Array
    pooled: Array
    weight: Array
    bias: Array
    segment_rmsse: Array

    def ratio(self, prior_days: float) -> Array:
        """Log of a model's RMSSE over the floor's, the series' own moved to its segment's: m x n."""
        share = self.weight / (self.weight + prior_days)
        return share * self.own + (1.0 - share) * self.pooled


@dataclass(frozen=True)
class Champions:
    """The choice for n series on the last day.

    Attributes:
        model: n; places in ``ChampionRules.models``. ``incumbent``: of the day before. ``followed``: the champion
            before the last change, the model itself where there was none.
        days_held: n; days since the last change, that day counted; 0 where there was none.
        lead: n; share by which the champion's shrunken RMSSE is below that of ``followed``, or of the floor where it
            followed none. NaN where they cannot be compared.
        own: n; whether ``rmsse`` and ``bias`` are of the series, else they are of its segment.
        n, rmsse, bias: m x n; errors of each model, rolling RMSSE (NaN where there is none) and bias.
        confidence: m x n; shrunken skill of each model over the floor, in [0, 1]; 0 without evidence.
    """

    model: Array
    incumbent: Array
    followed: Array
    days_held: Array
    lead: Array
    own: Array
    n: Array
    rmsse: Array
    bias: Array
    confidence: Array


class Choice:
    """The choice for n series, replayed day by day, oldest first: give it the rolling sums of each day.

    Args:
        segments: n; the name of each series' segment, the series in order of name.
    """

    def __init__(self, segments: Array, rules: ChampionRules) -> None:
        self._rules = rules
        self._segments = segments
        self._allowed, start = rules.routed(segments)
        self._replay = Replay(start, rules)
        self._last: tuple[ErrorSums, Evidence] | None = None

    def day(self, sums: ErrorSums) -> None:
        """Go on by a day whose rolling sums, m x n in the order of the rules' models, are these."""
        evidence = weigh(sums, self._segments, self._rules)
        acceptable = self._allowed & _bias_acceptable(evidence.bias, self._rules)
        self._replay.day(evidence.ratio(PRIOR_DAYS), acceptable)
        self._last = sums, evidence

    def champions(self) -> Champions:
        """Where the choice stands on the last day.

        Raises:
            ValueError: no day was given.
        """
        if self._last is None:
            raise ValueError("a choice needs the sums of at least one day")
        (sums, evidence), floor = self._last, self._rules.floor
        replayed = self._replay
        last = evidence.ratio(PRIOR_DAYS)
        at = np.arange(len(self._segments))
        model, followed = replayed.model, replayed.followed
        against = np.where(followed != model, last[followed, at], 0.0)
        own = evidence.weight[floor] > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            rmsse = np.sqrt(sums.scaled_sq / sums.n_scaled)
            bias = sums.error / np.where(sums.actual > 0, sums.actual, np.nan)
        skill = -np.expm1(evidence.ratio(SKILL_DAYS))
        return Champions(
            model=model,
            incumbent=replayed.incumbent,
            followed=followed,
            days_held=replayed.held,
            lead=-np.expm1(last[model, at] - against),
            own=own,
            n=sums.n,
            rmsse=np.where(own, rmsse, evidence.segment_rmsse),
            bias=np.where(own, bias, evidence.bias),
            confidence=np.clip(np.nan_to_num(skill, nan=0.0), 0.0, 1.0),
        )


def choose(days: Iterable[ErrorSums], segments: Array, rules: ChampionRules) -> Champions:
    """The choice after some days of rolling sums, oldest first; see ``Choice``."""
    choice = Choice(segments, rules)
    for sums in days:
        choice.day(sums)
    return choice.champions()


def weigh(sums: ErrorSums, segments: Array, rules: ChampionRules) -> Evidence:
    """What a day's rolling sums say of each model, by series and by segment; see ``Evidence``."""
    floor, shape = rules.floor, sums.n.shape
    if not sums.any:
        unknown, nothing = np.full(shape, np.nan), np.zeros(shape)
        return Evidence(own=nothing, pooled=unknown, weight=nothing, bias=unknown, segment_rmsse=unknown)
    covered = (sums.n_scaled > 0) & (sums.n_scaled >= MIN_COVERAGE * sums.n_scaled[floor])
    covered &= sums.n_scaled[floor] > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_sq = np.where(covered, sums.scaled_sq / sums.n_scaled, 0.0)
    soft = np.sqrt(mean_sq + SOFTENING)
    enough = covered & (sums.n[floor] >= rules.min_errors)
    pooled, bias, segment_rmsse = (np.empty(shape) for _ in range(3))
    counted = _Counted(
        covered=covered,
        soft=np.where(covered, soft, 0.0),
        floors=np.where(covered, soft[floor], 0.0),
        rmsse=np.where(covered, np.sqrt(mean_sq), 0.0),
        error=np.where(covered, sums.error, 0.0),
        actual=np.where(covered, sums.actual, 0.0),
        days=sums.days[floor],
    )
    overall = _pool(counted, floor)
    for name in sorted(set(segments)):
        here = segments == name
        part = _pool(counted.of(here), floor)
        share = part.series / (part.series + PRIOR_SERIES)
        pooled[:, here] = _blend(share, part.ratio, overall.ratio)[:, None]
        bias[:, here] = _blend(share, part.bias, overall.bias)[:, None]
        segment_rmsse[:, here] = part.rmsse[:, None]
    return Evidence(
        own=np.where(enough, np.log(soft / soft[floor]), 0.0),
        pooled=pooled,
        weight=np.where(enough, sums.days[floor], 0),
        bias=bias,
        segment_rmsse=segment_rmsse,
    )


class Replay:
    """Champions day by day, all n series at once.

    On each day a model beats the champion if its ratio is below it by the margin; the floor beats it without one, and
    any model beats one whose bias has become unacceptable. One that did so on ``for_days`` days in a row takes over;
    of several, the one with the lowest ratio. Then all start counting again.

    Args:
        start: n; the champion before the first day.

    Attributes:
        model, incumbent, followed, held: n each; see ``Champions``, whose ``days_held`` is ``held``.
    """

    def __init__(self, start: Array, rules: ChampionRules) -> None:
        self._for_days = rules.for_days
        self._margin = np.full((len(rules.models), 1), np.log1p(-rules.margin))
        self._margin[rules.floor] = 0.0
        self._streak = np.zeros((len(rules.models), len(start)), dtype=np.int16)
        self._at = np.arange(len(start))
        self.model, self.incumbent, self.followed = start.copy(), start.copy(), start.copy()
        self.held = np.zeros(len(start), dtype=np.int64)

    def day(self, ratio: Array, acceptable: Array) -> None:
        """Go on by a day.

        Args:
            ratio: m x n, log; NaN where a model has no evidence: it neither beats nor, as champion, is beaten.
            acceptable: m x n; whether the model may be chosen on the day.
        """
        model, at = self.model, self._at
        reign = ratio[model, at]
        beats = (ratio < reign + self._margin) | (~np.isnan(ratio) & ~np.isnan(reign) & ~acceptable[model, at])
        beats &= acceptable
        beats[model, at] = False
        self._streak = np.where(beats, self._streak + 1, 0)
        ready = self._streak >= self._for_days
        changes = ready.any(axis=0)
        best = np.where(ready, ratio, np.inf).argmin(axis=0)
        self.incumbent = model
        self.held = np.where(changes, 1, self.held + (self.held > 0))
        self.followed = np.where(changes, model, self.followed)
        self.model = np.where(changes, best, model)
        self._streak[:, changes] = 0


@dataclass(frozen=True)
class _Counted:
    """What pools are made of, m x n each, 0 where a model is not ``covered``; ``days``: n, of the floor.

    ``floors`` is the floor's ``soft`` of the series of which each model is compared with it.
    """

    covered: Array
    soft: Array
    floors: Array
    rmsse: Array
    error: Array
    actual: Array
    days: Array

    def of(self, here: Array) -> _Counted:
        """Those of some series."""
        return _Counted(*(np.compress(here, values, axis=-1) for values in vars(self).values()))


@dataclass(frozen=True)
class _Pool:
    """Of many series, m each: log of the mean RMSSE over the floor's, bias, how many were compared, and mean RMSSE."""

    ratio: Array
    bias: Array
    series: Array
    rmsse: Array


def _pool(counted: _Counted, floor: int) -> _Pool:
    series = counted.covered.sum(axis=1)
    known = (series >= MIN_COVERAGE * series[floor]) & (counted.days.max(initial=0) >= MIN_DAYS)
    error, actual = counted.error.sum(axis=1), counted.actual.sum(axis=1)
    own, floors = counted.soft.sum(axis=1), counted.floors.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(known & (series > 0), np.log(own / floors), np.nan)
        bias = np.where(actual > 0, error / actual, np.nan)
        return _Pool(ratio, bias, series, counted.rmsse.sum(axis=1) / series)


def _blend(share: Array, part: Array, whole: Array) -> Array:
    """``part`` moved to ``whole``; the one where the other is not known."""
    both = share * part + (1.0 - share) * whole
    return np.where(np.isnan(part), whole, np.where(np.isnan(whole), part, both))


def _bias_acceptable(bias: Array, rules: ChampionRules) -> Array:
    limit = np.fmax(rules.max_bias, np.abs(bias[rules.floor]) + BIAS_OF_THE_SEASON)
    return ~(np.abs(bias) > limit)
