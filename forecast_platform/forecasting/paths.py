"""Sums of demand over days ahead: what past origins expected of such days, and what they then sold. Matrices only.

Quantiles of days do not add up: the 95 % quantile of 14 days of Poisson(5) is 84, the sum of the daily ones 126. What
adds up are paths. A path is what really sold on consecutive days ahead of one past origin, beside what was forecast for
them; its sum against the sum forecast says how far a sum of days may be from its mean. Paths are pooled by model and
demand class, and within a pool by the level of the forecast in units of the series' scale. Which errors there are is
read elsewhere; nothing here knows a table. Weeks are made of them in ``weekly``, lead times in ``inventory``.

Which series stand for a class is chosen by a hash of names, so that a forecast has the same quantiles whenever and
wherever it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import xxhash

Array = np.ndarray

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)

SOURCES = 96
"""Series whose errors stand for a demand class: with 28 origins 2,688 paths."""

BANDS = 8
"""Bands of a pool by forecast level, of equal number: in proportion, a slow seller varies more than a quick one.

On Online Retail (a 28-day mean x weekday profile, seven origins of 2011-09-26 to 10-14, 25,682 weeks of series) the
shares of weeks below and up to the five quantiles are .01-.35, .04-.38, .37-.63, .88-.92 and .97-.97. Errors in
units of the scale, laid around the forecast and cut at 0, left a remainder where nothing sold: .14 of the weeks were
below the 2.5 % quantile.
"""

LEAST_PATHS = 100
LEAST_ORIGINS = 7
"""Below these a pool is too young, and a band has at least that many: paths of one origin share its weather."""


@dataclass(frozen=True, order=True)
class Span:
    """Days ``first`` .. ``last`` ahead of an origin."""

    first: int
    last: int

    @property
    def days(self) -> slice:
        """Their columns in a matrix of days ahead."""
        return slice(self.first - 1, self.last)


@dataclass(frozen=True)
class PastPaths:
    """What past origins expected and what sold, in units of the scale as of each: m models x s series x o origins x H.

    Attributes:
        models: m names.
        origins: o days.
        sold, expected: m x s x o x H; NaN where there is no score, or the shelf was empty.
    """

    models: tuple[str, ...]
    origins: tuple[date, ...]
    sold: Array
    expected: Array


@dataclass(frozen=True)
class Pool:
    """The paths of one span by level: ``edges`` (ascending, one less than bands) and the paths of each band.

    ``bands`` hold p x 2 sums over the span, sold and expected, in units of the scale.
    """

    edges: Array
    bands: tuple[Array, ...]

    def quantiles(self, mean: Array, scale: Array, *, whole: Array) -> Array:
        """n x levels, around n summed means of series with n scales."""
        result = np.empty((len(mean), len(LEVELS)))
        for rows, unit, sums in self.around(mean, scale):
            result[rows] = path_quantiles(unit, sums, whole=whole[rows])
        return result

    def around(self, mean: Array, scale: Array) -> Iterator[tuple[Array, Array, Array]]:
        """By band: the places of its series among n, what a unit of the sums is worth for each, and p sums of paths.

        Demand of a series over the span is its unit times one of the sums.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.nan_to_num(mean / scale, nan=0.0, posinf=np.inf)
        place = np.searchsorted(self.edges, level, side="right")
        for band, paths in enumerate(self.bands):
            rows = np.flatnonzero(place == band)
            # Of the lowest level is known how much sells at all, not how that compares with a forecast near 0.
            yield rows, *((scale[rows], paths[:, 0]) if band == 0 else (mean[rows], paths[:, 0] / paths[:, 1]))


@dataclass(frozen=True)
class Pools:
    """The paths that stand for one span: ``by_class`` (model, demand class), ``by_model`` where that is too young."""

    by_class: Mapping[tuple[str, str], Pool] = field(default_factory=dict)
    by_model: Mapping[str, Pool] = field(default_factory=dict)

    def of(self, model: str, demand_class: str) -> Pool | None:
        """The pool for a forecast, or ``None`` while the ledger is young."""
        return self.by_class.get((model, demand_class), self.by_model.get(model))


def sources(rank: Array, demand_class: Array, *, most: int = SOURCES) -> Array:
    """Rows whose errors stand for their class: of each class the ``most`` of the smallest ``name_ranks``, in order."""
    chosen = [np.empty(0, dtype=np.intp)]
    for label in sorted(set(demand_class.tolist())):
        rows = np.flatnonzero(demand_class == label)
        chosen.append(rows[np.argsort(rank[rows], kind="stable")][:most])
    return np.sort(np.concatenate(chosen))


def name_ranks(sku: Sequence[str], location: Sequence[str]) -> Array:
    """A number for each name, without order or meaning, and the same in every warehouse."""
    pairs = zip(sku, location, strict=True)
    hashed = [xxhash.xxh3_64_intdigest(f"{len(s)} {s} {w}".encode("utf-8", "surrogatepass")) for s, w in pairs]
    return np.array(hashed, dtype=np.uint64)


def pools_of(past: PastPaths, demand_class: Array, span: Span, *, first: date, last: date) -> Pools:
    """The paths of a span of days ahead that were complete between the target days ``first`` and ``last``.

    Args:
        past: scores; those of other target days than ``first`` .. ``last`` are not read.
        demand_class: s texts, of the series of ``past`` as of the origin.
        span: the days ahead.
    """
    usable = [
        position
        for position, origin in enumerate(past.origins)
        if first <= origin + timedelta(days=span.first) and origin + timedelta(days=span.last) <= last
    ]
    by_class, by_model = {}, {}
    for index, model in enumerate(past.models):
        sold, expected = (sum_days(each[index][:, usable, span.days]) for each in (past.sold, past.expected))
        for label in (None, *sorted(set(demand_class.tolist()))):
            among = np.ones(len(demand_class), dtype=bool) if label is None else demand_class == label
            pool = _pool(sold[among], expected[among])
            if pool is not None and label is None:
                by_model[model] = pool
            elif pool is not None:
                by_class[model, label] = pool
    return Pools(by_class, by_model)


def _pool(sold: Array, expected: Array) -> Pool | None:
    """Sums of s series x o origins in bands of equal number; ``None`` where the complete ones are too few."""
    complete = ~np.isnan(sold)
    found = int(complete.sum())
    if found < LEAST_PATHS or complete.any(axis=0).sum() < LEAST_ORIGINS:
        return None
    paths = np.stack([sold[complete], expected[complete]], axis=1)
    level = np.sort(paths[:, 1])
    bands = min(BANDS, found // LEAST_PATHS)
    # Equal levels stay in one band, and a forecast of nothing in the lowest: none is divided by.
    edges = np.unique([each for band in range(1, bands) if (each := level[found * band // bands]) > level[0]])
    if not len(edges) and level[0] > 0:
        return Pool(np.array([0.0]), (paths, paths))
    place = np.searchsorted(edges, paths[:, 1], side="right")
    return Pool(edges, tuple(paths[place == band] for band in range(len(edges) + 1)))


def path_quantiles(unit: Array, sums: Array, *, whole: Array | bool, levels: Sequence[float] = LEVELS) -> Array:
    """Quantiles of summed demand: at a level, the smallest sum that at least that share of the paths do not exceed.

    Args:
        unit: n; what one unit of ``sums`` is worth: the mean where they are shares of it, else the scale.
        sums: p sums of paths, at least one, none below 0.
        whole: n, or one for all; whether the history is in whole numbers, and so the sums are.
        levels: ascending, in (0, 1).

    Returns:
        n x len(levels), never crossing and never below 0.
    """
    rank = [max(int(np.ceil(level * len(sums) - 1e-9)), 1) - 1 for level in levels]
    quantiles = unit[:, None] * np.sort(sums)[rank][None, :]
    return np.where(np.broadcast_to(whole, len(unit))[:, None], np.floor(quantiles + 0.5), quantiles)


def sum_days(values: Array) -> Array:
    """Sum over the last axis, first day first: the same bits whatever the number of series."""
    total = np.zeros(values.shape[:-1])
    for day in range(values.shape[-1]):
        total = total + values[..., day]
    return total
