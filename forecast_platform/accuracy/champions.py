"""Which model is published for a series: a choice by measured errors, replayed day by day inside a window.

Pure functions of sums of errors. What is stored, which days are read and what a tenant has pinned is not decided here.

A model is judged by its RMSSE over that of ``seasonal_naive_7`` for the same errors. A series' own four weeks say
little, so they move the ratio of its segment only as far as they weigh against ``PRIOR_DAYS``; a segment of few series
is moved towards all series in the same way (Efron and Morris, 1975: the more is estimated from the less, the more it
should be shrunk). Only ratios are compared that were shrunk by the same weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from forecast_platform.threads import on_all_cores

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
class ErrorSums:
    """Sums of errors by m models, T target days and n series; each array is m x T x n.

    Attributes:
        n: errors; ``n_scaled``: those with a scale.
        scaled_sq: Σ error² / scale_sq; ``error``: Σ forecast - actual; ``actual``: Σ actual.
        days: days with a scaled error.
    """

    n: Array
    n_scaled: Array
    scaled_sq: Array
    error: Array
    actual: Array
    days: Array

    @classmethod
    def of_days(cls, n: Array, n_scaled: Array, scaled_sq: Array, error: Array, actual: Array) -> ErrorSums:
        """The sums of single days."""
        return cls(n, n_scaled, scaled_sq, error, actual, (n_scaled > 0).astype(np.int32))

    def part(self, days: slice, series: Array) -> ErrorSums:
        """The sums of some days and series."""
        return ErrorSums(*on_all_cores(lambda values: values[:, days][:, :, series], self._arrays))

    def rolled(self, days: int) -> ErrorSums:
        """Sums over the ``days`` days that end with each day from the ``days``-th on: m x (T - ``days`` + 1) x n.

        Each adds its own values, oldest first: where the range began does not change a bit.
        """
        return ErrorSums(*on_all_cores(lambda values: _trailing(values, days), self._arrays))

    @property
    def _arrays(self) -> tuple[Array, ...]:
        return self.n, self.n_scaled, self.scaled_sq, self.error, self.actual, self.days


@dataclass(frozen=True)
class Evidence:
    """What rolling sums say of m models on T days for n series.

    Attributes:
        own: m x T x n; log of a model's RMSSE over the floor's, of the series alone. 0 where ``weight`` is.
        pooled: m x T x n; the same of its segment, moved to that of all series. NaN where they cannot be compared.
        weight: m x T x n; days of own errors, 0 where there are too few errors.
        bias: m x T x n; Σ error / Σ actual of the segment, moved to that of all series. NaN without demand.
        segment_rmsse: m x T x n; mean RMSSE of the segment. NaN where no series has a scale.
    """

    own: Array
    pooled: Array
    weight: Array
    bias: Array
    segment_rmsse: Array

    def ratio(self, prior_days: float) -> Array:
        """Log of a model's RMSSE over the floor's, the series' own moved to its segment's: m x T x n."""
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


def choose(rolling: ErrorSums, segments: Array, rules: ChampionRules) -> Champions:
    """Replay the choice over days of rolling sums, oldest first, and say where it stands on the last.

    Args:
        rolling: m x T x n, of ``rules.models`` in their order; the series in order of name.
        segments: n; the name of each series' segment.
    """
    evidence = weigh(rolling, segments, rules)
    allowed, start = rules.routed(segments)
    acceptable = allowed[:, None, :] & _bias_acceptable(evidence.bias, rules)
    ratio = evidence.ratio(PRIOR_DAYS)
    model, incumbent, followed, days_held = replay(ratio, acceptable, start, rules)

    at = np.arange(len(segments))
    last = ratio[:, -1]
    against = np.where(followed != model, last[followed, at], 0.0)
    own = evidence.weight[rules.floor, -1] > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        rmsse = np.sqrt(rolling.scaled_sq[:, -1] / rolling.n_scaled[:, -1])
        bias = rolling.error[:, -1] / np.where(rolling.actual[:, -1] > 0, rolling.actual[:, -1], np.nan)
    skill = -np.expm1(evidence.ratio(SKILL_DAYS)[:, -1])
    return Champions(
        model=model,
        incumbent=incumbent,
        followed=followed,
        days_held=days_held,
        lead=-np.expm1(last[model, at] - against),
        own=own,
        n=rolling.n[:, -1],
        rmsse=np.where(own, rmsse, evidence.segment_rmsse[:, -1]),
        bias=np.where(own, bias, evidence.bias[:, -1]),
        confidence=np.clip(np.nan_to_num(skill, nan=0.0), 0.0, 1.0),
    )


def weigh(rolling: ErrorSums, segments: Array, rules: ChampionRules) -> Evidence:
    """What rolling sums say of each model, by series and by segment; see ``Evidence``."""
    floor = rules.floor
    covered = (rolling.n_scaled > 0) & (rolling.n_scaled >= MIN_COVERAGE * rolling.n_scaled[floor])
    covered &= rolling.n_scaled[floor] > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_sq = np.where(covered, rolling.scaled_sq / rolling.n_scaled, 0.0)
    soft = np.sqrt(mean_sq + SOFTENING)
    enough = covered & (rolling.n[floor] >= rules.min_errors)
    shape = mean_sq.shape
    pooled, bias, segment_rmsse = (np.empty(shape) for _ in range(3))
    rmsse, everyone = np.sqrt(mean_sq), np.ones(len(segments), dtype=bool)
    overall = _pool(rolling, soft, covered, everyone, floor)
    for name in sorted(set(segments)):
        here = segments == name
        part = _pool(rolling, soft, covered, here, floor)
        share = part.series / (part.series + PRIOR_SERIES)
        pooled[:, :, here] = _blend(share, part.ratio, overall.ratio)[:, :, None]
        bias[:, :, here] = _blend(share, part.bias, overall.bias)[:, :, None]
        segment_rmsse[:, :, here] = _mean(rmsse, covered, here)[:, :, None]
    return Evidence(
        own=np.where(enough, np.log(soft / soft[floor]), 0.0),
        pooled=pooled,
        weight=np.where(enough, rolling.days[floor], 0),
        bias=bias,
        segment_rmsse=segment_rmsse,
    )


def replay(ratio: Array, acceptable: Array, start: Array, rules: ChampionRules) -> tuple[Array, Array, Array, Array]:
    """Champions after T days, all series at once.

    On each day a model beats the champion if its ratio is below it by the margin; the floor beats it without one, and
    any model beats one whose bias has become unacceptable. One that did so on ``for_days`` days in a row takes over;
    of several, the one with the lowest ratio. Then all start counting again.

    Args:
        ratio: m x T x n, log; NaN where a model has no evidence: it neither beats nor, as champion, is beaten.
        acceptable: m x T x n; whether the model may be chosen on the day.
        start: n; the champion before the first day.

    Returns:
        ``model``, ``incumbent``, ``followed``, ``days_held``, n each; see ``Champions``.
    """
    at = np.arange(len(start))
    margin = np.full((len(rules.models), 1), np.log1p(-rules.margin))
    margin[rules.floor] = 0.0
    model = start.copy()
    incumbent, followed, held = start.copy(), start.copy(), np.zeros(len(start), dtype=np.int64)
    streak = np.zeros((len(rules.models), len(start)), dtype=np.int64)
    for day in range(ratio.shape[1]):
        today, may = ratio[:, day], acceptable[:, day]
        reign = today[model, at]
        beats = (today < reign + margin) | (~np.isnan(today) & ~np.isnan(reign) & ~may[model, at])
        beats &= may
        beats[model, at] = False
        streak = np.where(beats, streak + 1, 0)
        ready = streak >= rules.for_days
        changes = ready.any(axis=0)
        best = np.where(ready, today, np.inf).argmin(axis=0)
        incumbent = model
        held = np.where(changes, 1, held + (held > 0))
        followed = np.where(changes, model, followed)
        model = np.where(changes, best, model)
        streak[:, changes] = 0
    return model, incumbent, followed, held


@dataclass(frozen=True)
class _Pool:
    """Of many series, m x T each: log of the mean RMSSE over the floor's, bias, and how many were compared."""

    ratio: Array
    bias: Array
    series: Array


def _pool(rolling: ErrorSums, soft: Array, covered: Array, here: Array, floor: int) -> _Pool:
    compared = covered[:, :, here]
    series = compared.sum(axis=2)
    known = (series >= MIN_COVERAGE * series[floor]) & (rolling.days[floor][:, here].max(axis=1, initial=0) >= MIN_DAYS)
    error, actual = (
        np.where(compared, values[:, :, here], 0.0).sum(axis=2) for values in (rolling.error, rolling.actual)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.where(compared, soft[:, :, here], 0.0).sum(axis=2)
        floors = np.where(compared, soft[floor][:, here], 0.0).sum(axis=2)
        ratio = np.where(known & (series > 0), np.log(own / floors), np.nan)
        return _Pool(ratio, np.where(actual > 0, error / actual, np.nan), series)


def _mean(values: Array, counted: Array, here: Array) -> Array:
    counted = counted[:, :, here]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counted, values[:, :, here], 0.0).sum(axis=2) / counted.sum(axis=2)


def _blend(share: Array, part: Array, whole: Array) -> Array:
    """``part`` moved to ``whole``; the one where the other is not known."""
    both = share * part + (1.0 - share) * whole
    return np.where(np.isnan(part), whole, np.where(np.isnan(whole), part, both))


def _bias_acceptable(bias: Array, rules: ChampionRules) -> Array:
    limit = np.fmax(rules.max_bias, np.abs(bias[rules.floor]) + BIAS_OF_THE_SEASON)
    return ~(np.abs(bias) > limit)


def _trailing(values: Array, days: int) -> Array:
    length = values.shape[1] - days + 1
    total = values[:, :length].copy()
    for offset in range(1, days):
        total += values[:, offset : offset + length]
    return total
