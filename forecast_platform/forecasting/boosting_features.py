"""What a boosted model is told of a series, an origin and a day to come: matrices in, a table of numbers out.

One row is one (series, origin, horizon). Everything that has a unit is divided by the series' level as of the
origin, so that one set of trees serves slow and fast sellers; what a row may know is dated up to its origin, but for
covariates, which are known ahead. The trees, their target and their training are in ``boosting``.

Time is the first axis and sums are taken day by day: a series' numbers do not depend, to the bit, on its neighbours,
but for what is pooled on purpose: the weekday profile of its group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_platform.forecasting.linear_systems import sum_rows

Array = np.ndarray
REACH = 56
"""Days before an origin that a row looks at. With a window of 120 days and a horizon of 28 it leaves 64 to 37 origins
to learn from."""
WEEK = 7
MEANS = (3, 7, 14, 28, REACH)
PRIOR_DAYS = 7.0
"""The level of a series is that of its days and of this many days without a sale but for one unit in all of them."""

LARGE_LEVELS, LARGE_UNITS = 10.0, 1.0


@dataclass(frozen=True)
class PanelFacts:
    """The panel as rows are made of it, time first.

    Attributes:
        units: T x n, 0 where not observed; ``observed``: T x n of 0.0 and 1.0.
        started: T x n; whether the first observed day is past.
        group: n codes.
        covariates: (T + H) x n each, by name, past and ahead; NaN where not known.
        weekday: T + H; 0 is Monday. NaN without dates. No month: a window of some months would learn its trend from it,
            as from the recent growth of the group (on Online Retail both made the bias worse by 8 points).
    """

    units: Array
    observed: Array
    started: Array
    group: Array
    covariates: Mapping[str, Array]
    weekday: Array


def facts_of(
    y: Array,
    *,
    horizon: int,
    group: Array | None = None,
    dates: pd.DatetimeIndex | None = None,
    covariates: Sequence[str] = (),
    past: Array | None = None,
    future: Array | None = None,
) -> PanelFacts:
    """Lay a panel out.

    Args:
        y: n x W units, NaN where not observed.
        horizon: days ahead that rows will be asked of.
        group: n codes from 0 on; None for one group.
        dates: the W days; None if they have no date.
        covariates: names of the k covariates.
        past: n x k x W; ``future``: n x k x horizon; None for none.
    """
    series, days = y.shape
    observed = ~np.isnan(y.T)
    known = np.full((len(covariates), days + horizon, series), np.nan)
    if past is not None:
        known[:, :days] = past.transpose(1, 2, 0)
    if future is not None:
        known[:, days : days + future.shape[2]] = future.transpose(1, 2, 0)
    weekday = np.full(days + horizon, np.nan)
    if dates is not None and len(dates):
        weekday = pd.date_range(dates[0], periods=days + horizon, freq="D").dayofweek.to_numpy(dtype=float)
    return PanelFacts(
        # A model of counts knows nothing below 0.
        units=np.where(observed, np.maximum(y.T, 0.0), 0.0),
        observed=observed.astype(float),
        started=np.logical_or.accumulate(observed, axis=0),
        group=np.zeros(series, dtype=np.intp) if group is None else group,
        covariates=dict(zip(covariates, known, strict=True)),
        weekday=weekday,
    )


@dataclass(frozen=True)
class OriginFacts:
    """What is known of every series on one origin, whatever the day ahead.

    Attributes:
        level: n; the unit of everything else, above 0.
        large: n; units of a day that is out of the ordinary: above ten times the level and above one.
        table: n x p of float32; ``names`` its columns.
        by_weekday: 7 x n x q of float32 for the seven slots ahead; ``slot_names`` its columns.
    """

    level: Array
    large: Array
    table: Array
    by_weekday: Array
    names: tuple[str, ...]
    slot_names: tuple[str, ...]


def origin_facts(facts: PanelFacts, origin: int) -> OriginFacts:
    """Look back from day ``origin`` (a position in the panel) over the ``REACH`` days that end with it."""
    units, observed = _last(facts.units, origin), _last(facts.observed, origin)
    sums = {days: (sum_rows(units[-days:]), sum_rows(observed[-days:])) for days in MEANS}
    level = (sums[REACH][0] + 1.0) / (sums[REACH][1] + PRIOR_DAYS)
    columns: dict[str, Array] = {"log_level": np.log(level)}
    for days, (total, count) in sums.items():
        columns[f"mean_{days}"] = _ratio(total, count) / level
    columns |= _sales_facts(units, observed, level)
    columns |= _recent_facts(facts, origin, level)
    slots = _weekday_facts(units, observed, level, facts.group)
    return OriginFacts(
        level=level,
        large=np.maximum(LARGE_LEVELS * level, LARGE_UNITS),
        table=np.stack(list(columns.values()), axis=1).astype(np.float32),
        by_weekday=np.stack([np.stack(list(slot.values()), axis=1) for slot in slots]).astype(np.float32),
        names=tuple(columns),
        slot_names=tuple(slots[0]),
    )


def rows_of(
    facts: PanelFacts,
    known: OriginFacts,
    origin: int,
    ahead: int,
    chosen: Array,
    *,
    covariates: Sequence[str] = (),
    taught: int | None = None,
) -> Array:
    """Rows of some series for one day ahead of one origin, in the order of ``columns_of``.

    Args:
        facts, known: the panel and what is known of it on the origin.
        origin: position of the origin in the panel; ``ahead``: days after it.
        chosen: positions of the r series.
        covariates: names of those to show; one that the panel does not have is NaN.
        taught: longest horizon to be shown; a day beyond shows the last one of its weekday.

    Returns:
        r x p of float32.
    """
    target = origin + ahead
    shown = ahead if taught is None or ahead <= taught else max(taught - (taught - ahead) % WEEK, 1)
    slot = known.by_weekday[ahead % WEEK][chosen]
    calendar = np.empty((len(chosen), 2), dtype=np.float32)
    calendar[:] = shown, facts.weekday[target]
    outside = _covariate_facts(facts, covariates, origin, target, chosen)
    return np.concatenate([known.table[chosen], slot, calendar, outside], axis=1)


def columns_of(known: OriginFacts, covariates: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of ``rows_of``."""
    ahead = [name for covariate in covariates for name in (f"{covariate}", f"{covariate}_change")]
    return (*known.names, *known.slot_names, "horizon", "weekday", *ahead)


def _last(matrix: Array, origin: int) -> Array:
    """The ``REACH`` rows that end with ``origin``, zeros before the first."""
    first = origin + 1 - REACH
    part = matrix[max(first, 0) : origin + 1]
    return part if first >= 0 else np.concatenate([np.zeros((-first, matrix.shape[1])), part])


def _ratio(total: Array, count: Array) -> Array:
    """``total / count``, NaN where ``count`` is 0."""
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _sales_facts(units: Array, observed: Array, level: Array) -> dict[str, Array]:
    """How often a series sells, how much at a time, how unevenly, and how long ago it last did."""
    sold = (units > 0).astype(float)
    facts: dict[str, Array] = {}
    for days in (28, REACH):
        facts[f"zeros_{days}"] = 1.0 - _ratio(sum_rows(sold[-days:]), sum_rows(observed[-days:]))
    facts["size"] = _ratio(sum_rows(units), sum_rows(sold)) / level
    # Days since the last sale and since the first observed day, at most REACH.
    facts["since_sale"] = _days_since(sold)
    facts["age"] = REACH - np.where(observed.any(axis=0), observed.argmax(axis=0), REACH).astype(float)
    ordered = np.sort(np.where(observed[-28:] > 0, units[-28:], 0.0), axis=0)
    for place, name in ((13, "median"), (20, "q75"), (25, "q90"), (27, "max")):
        facts[f"{name}_28"] = ordered[place] / level
    return facts


def _days_since(sold: Array) -> Array:
    return np.where(sold.any(axis=0), sold[::-1].argmax(axis=0), REACH).astype(float)


def _recent_facts(facts: PanelFacts, origin: int, level: Array) -> dict[str, Array]:
    """The last days one by one, and faded means that weigh them less the older they are."""
    units, observed = _last(facts.units, origin), _last(facts.observed, origin)
    shown = np.where(observed > 0, units, np.nan)
    columns = {f"last_{back}": shown[-back] / level for back in range(1, WEEK + 1)}
    for share in (0.1, 0.3):
        total, weight = np.zeros_like(level), np.zeros_like(level)
        for day, seen in zip(units, observed, strict=True):
            total = total * (1 - share) + share * day
            weight = weight * (1 - share) + share * seen
        columns[f"faded_{share}"] = _ratio(total, weight) / level
    return columns


def _weekday_facts(units: Array, observed: Array, level: Array, group: Array) -> list[dict[str, Array]]:
    """For each slot (0: the origin's own weekday, 1: the day after): what that weekday was like."""
    groups = int(group.max(initial=-1)) + 1
    totals, counts, sales = np.zeros((3, WEEK, len(level)))
    recent, seen = np.zeros((2, WEEK, len(level)))
    last = np.full((WEEK, len(level)), np.nan)
    for slot in range(WEEK):
        days = units[(slot - 1) % WEEK :: WEEK], observed[(slot - 1) % WEEK :: WEEK]
        totals[slot], counts[slot], sales[slot] = sum_rows(days[0]), sum_rows(days[1]), sum_rows((days[0] > 0) * 1.0)
        recent[slot], seen[slot] = sum_rows(days[0][-4:]), sum_rows(days[1][-4:])
        last[slot] = np.where(days[1][-1] > 0, days[0][-1], np.nan)
    pooled = np.stack([np.bincount(group, weights=row, minlength=groups) for row in totals])
    pooled_days = np.stack([np.bincount(group, weights=row, minlength=groups) for row in counts])
    profile = _ratio(pooled, pooled_days)
    profile = _ratio(profile, np.broadcast_to(sum_rows(profile) / WEEK, profile.shape))
    everything = sum_rows(totals) / np.maximum(sum_rows(counts), 1.0)
    return [
        {
            "weekday_mean_8": _ratio(totals[slot], counts[slot]) / level,
            "weekday_mean_4": _ratio(recent[slot], seen[slot]) / level,
            "weekday_last": last[slot] / level,
            "weekday_zeros": 1.0 - _ratio(sales[slot], counts[slot]),
            # A weekday's own factor, held towards 1 by two weeks' worth.
            "weekday_factor": (totals[slot] + 2.0 * everything)
            / ((counts[slot] + 2.0) * np.maximum(everything, 1e-12)),
            "group_weekday": profile[slot][group],
        }
        for slot in range(WEEK)
    ]


def _covariate_facts(facts: PanelFacts, names: Sequence[str], origin: int, target: int, chosen: Array) -> Array:
    """Each covariate on the target day, and how far that is from its mean over the four weeks before."""
    columns = np.full((len(chosen), 2 * len(names)), np.nan, dtype=np.float32)
    for place, name in enumerate(names):
        if name not in facts.covariates:
            continue
        covariate = facts.covariates[name]
        before = covariate[max(origin + 1 - 28, 0) : origin + 1]
        columns[:, 2 * place] = covariate[target][chosen]
        columns[:, 2 * place + 1] = (covariate[target] - sum_rows(before) / len(before))[chosen]
    return columns
