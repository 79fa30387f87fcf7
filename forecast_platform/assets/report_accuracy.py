"""How good forecasts were, as the reports of a range of days tell it: read once for all of them.

Neighbouring days' reports add up the same errors but for their windows' ends and the champions of their day. So what is
read are sums that no window's end and no change of champion cuts, as whole numbers: each day's report adds up its own,
and they come to the same whichever range it is made in. Nothing but sums of errors belongs here; what a page shows of
them is decided in ``reporting``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Context, localcontext

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast_platform.io_managers.warehouse import Session
from forecast_platform.reporting.figures import CHAMPIONS, FLOOR, PUBLISHED, SOURCES, WINDOWS, Scores

SPAN = 14
"""Days of reports that are read for at once: of 30,490 series 60 MB, and 250 MB where 90 days have been scored."""

AT_ONCE = 28
"""Target days that one statement adds up: their cells are kept once for both sums, 90 days of them would be 2.5 GB."""

WORST = 10
"""Rows of a table of the series that missed the most, of each window but the longest."""

DIGITS = 14
"""Digits after the point that are added up, the same in both databases."""
UNIT = 10**DIGITS

TOTALS = ("sum_error", "sum_abs_error", "sum_actual")
CELL = ", ".join(
    f"sums.{name}" for name in ("target_date", "series_id", "horizon_bucket", "n", *TOTALS, "n_scaled", "sum_scaled_sq")
)


def _exact(name: str) -> str:
    return f"cast(sum(cast({name} as numeric(38, {DIGITS}))) as numeric(38, {DIGITS}))"


def _parts(name: str, prefix: str) -> str:
    """A sum as its whole units and what is left over, in 1e-14: of doubles, and still in whatever order."""
    left = f"cast(({name} - floor({name})) * 1e{DIGITS} as bigint)"
    return f"sum(floor({name})) as {prefix}_whole, cast(sum({left}) as bigint) as {prefix}_left"


NONE = ", ".join([f"cast(null as numeric(38, {DIGITS}))"] * len(TOTALS))

SUMS = f"""
    with held as (
      select series_id, model,
        cast(sum(cast(1 as bigint) << cast(as_of - :opens as integer)) as bigint) as champion_on
      from champions where as_of between :opens and :closes group by series_id, model
    ),
    wanted as (
      select series_id, model, champion_on from held where model <> '{FLOOR}'
      union all
      select series.series_id, '{FLOOR}', coalesce(held.champion_on, 0)
      from series left join held on held.series_id = series.series_id and held.model = '{FLOOR}'
    ),
    scored as materialized (
      select {SOURCES.index(PUBLISHED)} as source, cast(0 as bigint) as champion_on, {CELL}
      from published_sums as sums where sums.target_date between :since and :until
      union all
      select case when sums.model = '{FLOOR}' then {SOURCES.index(FLOOR)} else {SOURCES.index(CHAMPIONS)} end,
        wanted.champion_on, {CELL}
      from error_sums as sums
      join wanted on wanted.series_id = sums.series_id and wanted.model = sums.model
      where sums.target_date between :since and :until and exists (
        select 1 from published_sums as published
        where published.target_date between :since and :until and published.target_date = sums.target_date
          and published.series_id = sums.series_id and published.horizon_bucket = sums.horizon_bucket
          and published.n = sums.n
      )
    )
    select source, champion_on, target_date, cast(null as integer) as series_id, horizon_bucket,
      cast(sum(n) as bigint) as n, {", ".join(f"{_exact(name)} as {name}" for name in TOTALS)},
      cast(null as double precision) as sq_whole, cast(null as bigint) as sq_left,
      cast(null as double precision) as abs_whole, cast(null as bigint) as abs_left
    from scored group by source, champion_on, target_date, horizon_bucket
    union all
    select source, champion_on,
      case when target_date > :far_from and target_date < :far_to then :far_from
        when target_date > :near_from and target_date < :near_to then :near_from else target_date end as stretch,
      series_id, null, cast(sum(n_scaled) as bigint), {NONE},
      {_parts("sum_scaled_sq", "sq")}, {_parts("sum_abs_error", "abs")}
    from scored group by source, champion_on, stretch, series_id
"""
"""Each forecast that met its actual, as what was published, what the champions of some days give (``champion_on`` has a
bit for each of these days), and the floor, where they are of the very origins that were published: totals by target day
and horizon bucket, and of each series over the stretches of days that windows have in common. Read from sums by day
and bucket: from the errors themselves it took 28 s for 27 origins of 30,490 series. ``exists`` takes half the time of a
join."""

SCORES_OF = f"""
    select series_id, sum(n), {", ".join(f"cast({_exact(name)} as double precision)" for name in TOTALS)}
    from published_sums where target_date between :since and :day and series_id in ({{ids}}) group by series_id
"""


@dataclass(frozen=True)
class Accuracy:
    """What a report has of its day's ``DayReport``; ``worst``: by window, series by id, the worst first."""

    accuracy: dict[tuple[int, str], Scores] = field(default_factory=dict)
    buckets: dict[tuple[str, str], Scores] = field(default_factory=dict)
    daily: dict[tuple[date, str], Scores] = field(default_factory=dict)
    worst: dict[int, dict[int, Scores]] = field(default_factory=dict)


def read_accuracy(session: Session, first: date, last: date) -> RangeAccuracy:
    """What the reports of ``first`` to ``last`` need, at most ``SPAN`` days."""
    assert (last - first).days < SPAN, (first, last)
    near, far = (timedelta(days=window - 1) for window in WINDOWS[:2])
    longest = timedelta(days=WINDOWS[2] - 1)
    asked = {"opens": first, "closes": last}
    # Days between the starts of two windows: every report that has one of a stretch has all of it.
    asked |= {"far_from": last - longest, "far_to": first - far, "near_from": last - far, "near_to": first - near}
    tables, since = [], first - longest
    while since <= last:
        until = min(last, since + timedelta(days=AT_ONCE - 1))
        tables.append(session.arrow(SUMS, asked | {"since": since, "until": until}))
        since = until + timedelta(days=1)
    totals = pa.concat_tables(table.filter(pc.is_null(table["series_id"])) for table in tables)
    series = [table.filter(pc.is_valid(table["series_id"])) for table in tables]
    return RangeAccuracy(first, totals, pa.concat_tables(series))


class RangeAccuracy:
    """The sums behind some days' reports."""

    def __init__(self, first: date, totals: pa.Table, series: pa.Table) -> None:
        self._first = first
        self._totals, self._series = _Totals(totals), _BySeries(series)

    def of(self, session: Session, day: date) -> Accuracy:
        """The accuracy that the report of ``day`` tells."""
        bit = (day - self._first).days
        accuracy = {}
        for window, source, scores in self._totals.windows(day, bit):
            rmsse = self._series.mean_rmsse(day, window, source, bit)
            accuracy[window, source] = Scores(scores.n, scores.error, scores.abs_error, scores.actual, rmsse)
        worst = {}
        for window in WINDOWS[:2]:
            ids = self._series.worst(day, window)
            worst[window] = _scores_of(session, ids, day, window)
        return Accuracy(accuracy, self._totals.buckets(day), self._totals.daily(day), worst)


def _scores_of(session: Session, ids: list[int], day: date, window: int) -> dict[int, Scores]:
    """What was published of some series, in their order."""
    if not ids:
        return {}
    asked = {"since": day - timedelta(days=window - 1), "day": day}
    rows = session.execute(SCORES_OF.format(ids=", ".join(map(str, ids))), asked)
    found = {row[0]: Scores(int(row[1]), *map(float, row[2:])) for row in rows}
    return {each: found[each] for each in ids}


class _Totals:
    """Sums over all series by source, target day and horizon bucket, as integers in units of 1e-14."""

    def __init__(self, rows: pa.Table) -> None:
        self._source, self._champion_on, self._day = _keys(rows, "source", "champion_on", "target_date")
        self._bucket = np.array(rows["horizon_bucket"].to_pylist(), dtype=object)
        self._sums = np.empty((rows.num_rows, 1 + len(TOTALS)), dtype=object)
        self._sums[:, 0] = rows["n"].to_pylist()
        with localcontext(Context(prec=60)):
            for place, name in enumerate(TOTALS, 1):
                self._sums[:, place] = [int(value.scaleb(DIGITS)) for value in rows[name].to_pylist()]
        by_day = {SOURCES.index(source): source for source in (PUBLISHED, FLOOR)}
        self._daily: dict[tuple[date, str], Scores] = {}
        for source, target in sorted({(s, d) for s, d in zip(self._source, self._day, strict=True) if s in by_day}):
            chosen = (self._source == source) & (self._day == target)
            self._daily[date.fromordinal(target), by_day[source]] = self._scores(chosen)

    def windows(self, day: date, bit: int) -> Iterator[tuple[int, str, Scores]]:
        for window in WINDOWS:
            recent = self._within(day, window)
            for source in SOURCES:
                chosen = recent & _of_source(source, self._source, self._champion_on, bit)
                if chosen.any():
                    yield window, source, self._scores(chosen)

    def buckets(self, day: date) -> dict[tuple[str, str], Scores]:
        recent, found = self._within(day, WINDOWS[1]), {}
        for source in (PUBLISHED, FLOOR):
            of_source = recent & (self._source == SOURCES.index(source))
            for bucket in sorted(set(self._bucket[of_source])):
                found[bucket, source] = self._scores(of_source & (self._bucket == bucket))
        return found

    def daily(self, day: date) -> dict[tuple[date, str], Scores]:
        return {key: scores for key, scores in self._daily.items() if 0 <= (day - key[0]).days < WINDOWS[2]}

    def _within(self, day: date, window: int) -> np.ndarray:
        return _within(self._day, day, window)

    def _scores(self, chosen: np.ndarray) -> Scores:
        n, *sums = self._sums[chosen].sum(axis=0)
        return Scores(n, *(value / UNIT for value in sums))


class _BySeries:
    """Sums of each series and source: a column for each, a row for each stretch of days."""

    def __init__(self, rows: pa.Table) -> None:
        source, champion_on, series, day = _keys(rows, "source", "champion_on", "series_id", "target_date")
        columns, keys = pd.factorize(series << (SPAN + 2) | champion_on << 2 | source)
        stretches, self._days = pd.factorize(day, sort=True)
        self._source, self._champion_on, self._ids = keys & 3, keys >> 2 & (1 << SPAN) - 1, keys >> (SPAN + 2)
        self._published = np.flatnonzero(self._source == SOURCES.index(PUBLISHED))
        shape = len(self._days), len(keys)
        self._sums: dict[str, np.ndarray] = {}
        for name, kind in {"n": np.int32, "sq_whole": float, "sq_left": np.int64}.items():
            self._sums[name] = _laid_out(shape, stretches, columns, rows[name].to_numpy(), kind)
        for name, kind in {"abs_whole": float, "abs_left": np.int64}.items():
            # Only of what was published.
            own = np.isin(columns, self._published)
            place = np.searchsorted(self._published, columns[own])
            values = rows[name].to_numpy()[own]
            self._sums[name] = _laid_out((len(self._days), len(self._published)), stretches[own], place, values, kind)
        self._rmsse: tuple[date, dict[int, np.ndarray]] | None = None

    def mean_rmsse(self, day: date, window: int, source: str, bit: int) -> float | None:
        """The plain mean over the series of a source; those without a scale have none."""
        if self._rmsse is None or self._rmsse[0] != day:
            self._rmsse = day, {each: self._rmsse_of(day, each) for each in WINDOWS}
        values = self._rmsse[1][window][_of_source(source, self._source, self._champion_on, bit)]
        values = values[~np.isnan(values)]
        return math.fsum(values) / len(values) if len(values) else None

    def _rmsse_of(self, day: date, window: int) -> np.ndarray:
        n = self._added("n", day, window)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(np.where(n > 0, self._units("sq", day, window) / n, np.nan))

    def worst(self, day: date, window: int) -> list[int]:
        """The series whose published forecasts missed the most units; of equals those with the lower ids."""
        missed, ids = self._units("abs", day, window), self._ids[self._published]
        order = np.lexsort((ids, -missed))[:WORST]
        return ids[order[missed[order] > 0]].tolist()

    def _units(self, name: str, day: date, window: int) -> np.ndarray:
        carried, left = np.divmod(self._added(f"{name}_left", day, window), UNIT)
        return self._added(f"{name}_whole", day, window) + carried + left / UNIT

    def _added(self, name: str, day: date, window: int) -> np.ndarray:
        return self._sums[name][_within(self._days, day, window)].sum(axis=0)


def _keys(rows: pa.Table, *names: str) -> list[np.ndarray]:
    """Columns as int64, days as their ordinals."""
    epoch = date(1970, 1, 1).toordinal()
    return [
        rows[name].cast(pa.int32()).to_numpy().astype(np.int64) + epoch
        if pa.types.is_date(rows[name].type)
        else rows[name].to_numpy().astype(np.int64)
        for name in names
    ]


def _of_source(source: str, sources: np.ndarray, champion_on: np.ndarray, bit: int) -> np.ndarray:
    """The rows of a source, the champions of a day being what has that day's bit."""
    return (champion_on >> bit & 1).astype(bool) if source == CHAMPIONS else sources == SOURCES.index(source)


def _within(days: np.ndarray, day: date, window: int) -> np.ndarray:
    return (days <= day.toordinal()) & (days > day.toordinal() - window)


def _laid_out(shape: tuple[int, int], row: np.ndarray, column: np.ndarray, values: np.ndarray, kind) -> np.ndarray:
    made = np.zeros(shape, dtype=kind)
    # Statements split a stretch of days, so that a place may come twice.
    np.add.at(made, (row, column), values.astype(kind))
    return made
