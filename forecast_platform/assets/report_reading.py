"""What a day's report reads from the warehouse: SQL that sums there and brings back what a page holds.

Tables only, no dbt view, which may not be there yet. What is made of the figures is in ``reporting``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from forecast_platform.accuracy.intervals import QUANTILE_LEVELS
from forecast_platform.assets.report_accuracy import RangeAccuracy
from forecast_platform.assets.scope import TenantScope
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.reporting.figures import (
    PAST_DAYS,
    WINDOWS,
    Arrival,
    ChampionChange,
    Changes,
    Coverage,
    DayReport,
    Listed,
    Scores,
    Series,
    Stock,
    StockException,
)

LISTED = 8
"""Rows of each list of what changed; how many more there are is said below it."""

MOVERS = 10
"""Rows of the table of series whose coming week differs most."""

EXACT = "cast(sum(cast({0} as numeric(38, 14))) as double precision)"
"""Sums that do not depend on the order of the rows, so that a report made twice is the same to the byte."""

UNITS = """
    select sale_date, cast(sum(units) as double precision) from daily_sales
    where sale_date between :first and :day group by sale_date
"""

RECORDED_SALES = "select day from partition_log where asset = 'daily_sales' and day between :first and :day"

TOTALS = """
    select origin_date, horizon, mean from (
      select origin_date, horizon, mean,
        row_number() over (partition by origin_date, horizon order by batch_id desc) as age
      from hierarchy_forecasts
      where level = 'total' and origin_date between :first and :day and horizon <= :horizon
    ) as ranked where age = 1
"""

MODELS = """
    select v.model, count(*) from (
      select series_id, version_id, row_number() over (partition by series_id order by batch_id desc) as age
      from publications where origin_date = :day
    ) as p join forecast_versions as v on v.version_id = p.version_id
    where p.age = 1 group by v.model
"""

COVERAGE = f"""
    select windows.days, sum(n),
      {", ".join(f"sum(n_below_{q}), sum(n_upto_{q})" for q in QUANTILE_LEVELS)}
    from interval_scores
    join (select 7 as days, :week as since union all select 28, :month union all select 90, :first) as windows
      on interval_scores.target_date >= windows.since
    where interval_scores.target_date between :first and :day and model = :model
    group by windows.days
"""

CHAMPIONS_CHANGED = """
    select s.sku, s.location, b.model, n.model, n.reason, count(*) over () as total
    from champions as n
    join champions as b on b.as_of = :before and b.series_id = n.series_id
    join series as s on s.series_id = n.series_id
    left join (
      select series_id, sum(units) as units from daily_sales where sale_date between :month and :day group by series_id
    ) as sold on sold.series_id = n.series_id
    where n.as_of = :day and n.model <> b.model
    order by coalesce(sold.units, 0) desc, s.sku, s.location limit :most
"""

NEW_SERIES = """
    select sku, location, count(*) over () as total from series
    where first_seen = :day order by sku, location limit :most
"""

ENDED_SERIES = """
    select b.sku, b.location, count(*) over () as total from daily_sales as b
    left join daily_sales as n on n.sale_date = :day and n.series_id = b.series_id
    where b.sale_date = :before and n.series_id is null
    order by b.sku, b.location limit :most
"""

REJECTS = """
    select reason, count(*) from sales_rejects
    where sale_date = :day and reason not like 'ignored%' group by reason order by count(*) desc, reason limit :most
"""

ARRIVALS = """
    select name, rows, days, refused, received_at from landed_batches
    where asset = 'raw_sales' and received_at >= :since and received_at < :until order by ordinal
"""

OPENED = "select min(received_at) from landed_batches where asset = 'raw_sales'"

MOVERS_OF = f"""
    with chosen as (
      select series_id, version_id from (
        select series_id, version_id, row_number() over (partition by series_id order by batch_id desc) as age
        from publications where origin_date = :day
      ) as ranked where age = 1
    ),
    ahead as (
      select f.series_id, {EXACT.format("f.mean")} as expected
      from forecasts as f join chosen as c on c.series_id = f.series_id and c.version_id = f.version_id
      where f.origin_date = :day and f.horizon <= 7 group by f.series_id
    ),
    sold as (
      select series_id, cast(sum(units) as double precision) as units
      from daily_sales where sale_date between :week and :day group by series_id
    )
    select a.series_id, coalesce(sold.units, 0), a.expected
    from ahead as a left join sold on sold.series_id = a.series_id
    order by abs(a.expected - coalesce(sold.units, 0)) desc, a.series_id limit {MOVERS}
"""

NAMES = "select series_id, sku, location from series where series_id in ({ids})"

SOLD_OF = """
    select series_id, cast(sum(units) as double precision) from daily_sales
    where series_id in ({ids}) and sale_date between :since and :day group by series_id
"""

STOCK = """
    select as_of, inventory_value, value_too_much, cover_days, in_stock_share, out_of_stock, to_order, value_to_order
    from inventory_totals where as_of in (:day, :week_before) order by as_of
"""

EXCEPTIONS = """
    select sku, location, exception, on_hand, order_quantity, expected_on, reason, count(*) over () as total
    from inventory_exceptions where as_of = :day
    order by priority, order_value desc nulls last, inventory_value desc nulls last, sku, location limit :most
"""

SENTENCES = """
    select series_id, summary from (
      select series_id, summary, row_number() over (partition by series_id order by batch_id desc) as age
      from forecast_explanations where origin_date = :day and series_id in ({ids})
    ) as ranked where age = 1
"""


def read_report(session: Session, scope: TenantScope, day: date, scored: RangeAccuracy) -> DayReport:
    """Everything that the report of ``day`` says; what a young ledger does not have yet is left empty.

    ``scored``: of a range that holds the day.
    """
    back = {"week": day - timedelta(days=6), "month": day - timedelta(days=27), "first": day - timedelta(days=89)}
    asked: dict[str, Any] = {"day": day, "before": day - timedelta(days=1), "most": LISTED, **back}
    models = dict(session.execute(MODELS, {"day": day}))
    report = DayReport(
        tenant=scope.name,
        day=day,
        horizon=scope.tenant.horizon,
        units=_units(session, day),
        forecasts=_forecasts(session, scope, day),
        series=sum(models.values()),
        models=models,
    )
    accuracy = scored.of(session, day)
    return DayReport(
        **{name: getattr(report, name) for name in ("tenant", "day", "horizon", "units", "forecasts", "series")},
        models=models,
        accuracy=accuracy.accuracy,
        buckets=accuracy.buckets,
        daily=accuracy.daily,
        coverage=_coverage(session, report.lead_model, asked),
        changes=_changes(session, scope, asked),
        worst=_worst(session, accuracy.worst, asked),
        movers=_movers(session, asked),
        **(_stock(session, asked) if scope.plans_stock else {}),
    )


def _stock(session: Session, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The totals of the day and of a week before, and what to act on."""
    totals = session.execute(STOCK, {"day": asked["day"], "week_before": asked["day"] - timedelta(days=7)})
    rows = session.execute(EXCEPTIONS, _given(EXCEPTIONS, asked))
    return {
        "stock": {day: Stock(*figures) for day, *figures in totals},
        "exceptions": _listed(
            rows,
            lambda sku, location, kind, held, ordered, expected, reason: StockException(
                Series(sku, location, sentence=reason), kind, held, ordered, expected
            ),
        ),
    }


def _given(query: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Of the parameters those that a query names: PostgreSQL's driver takes no others."""
    return {name: value for name, value in asked.items() if f":{name}" in query}


def _units(session: Session, day: date) -> dict[date, float]:
    """Total units by day; a day on record without a row sold nothing."""
    asked = {"first": day - timedelta(days=PAST_DAYS - 1), "day": day}
    units = {each: 0.0 for (each,) in session.execute(RECORDED_SALES, asked)}
    return units | {each: float(total) for each, total in session.execute(UNITS, asked)}


def _forecasts(session: Session, scope: TenantScope, day: date) -> dict[tuple[date, int], float]:
    asked = {"first": day - timedelta(days=PAST_DAYS), "day": day, "horizon": scope.tenant.horizon}
    return {(origin, int(horizon)): float(mean) for origin, horizon, mean in session.execute(TOTALS, asked)}


def _coverage(session: Session, model: str | None, asked: Mapping[str, Any]) -> dict[int, Coverage]:
    found = {}
    for days, n, *counts in session.execute(COVERAGE, _given(COVERAGE, asked | {"model": model or ""})):
        if not n:
            continue
        shares = [float(count) / float(n) for count in counts]
        below, upto = (dict(zip(QUANTILE_LEVELS, shares[start::2], strict=True)) for start in (0, 1))
        found[int(days)] = Coverage(
            n=int(n),
            levels=tuple((level, below[q], upto[q]) for q, level in QUANTILE_LEVELS.items()),
            inside_80=upto["q90"] - below["q10"],
            inside_95=upto["q975"] - below["q025"],
        )
    return found


def _listed(rows: Sequence[Sequence[Any]], make) -> Listed:
    """Rows whose last column is how many there are in all."""
    return Listed(tuple(make(*row[:-1]) for row in rows), int(rows[0][-1]) if rows else 0)


def _changes(session: Session, scope: TenantScope, asked: Mapping[str, Any]) -> Changes:
    champions, new, ended, rejects = (
        session.execute(query, _given(query, asked)) for query in (CHAMPIONS_CHANGED, NEW_SERIES, ENDED_SERIES, REJECTS)
    )
    late = _late(session, scope, asked["day"])
    return Changes(
        champions=_listed(champions, lambda sku, location, *words: ChampionChange(Series(sku, location), *words)),
        new=_listed(new, Series),
        ended=_listed(ended, Series),
        rejects=tuple((reason, int(count)) for reason, count in rejects),
        late=Listed(tuple(late[:LISTED]), len(late)),
    )


def _late(session: Session, scope: TenantScope, day: date) -> list[Arrival]:
    """Batches that came on the day or the day after it and hold days that had closed before, or could not be read.

    What comes on the day after a day is on time. The first day on which anything came brought the history.
    """
    zone = ZoneInfo(scope.tenant.timezone)

    def midnight(of: date) -> datetime:
        return datetime.combine(of, time(), zone).astimezone(UTC)

    opened = session.scalar(OPENED)
    if opened is None:
        return []
    asked = {"since": midnight(day), "until": midnight(day + timedelta(days=2))}
    arrivals = []
    for name, rows, days, refused, received in session.execute(ARRIVALS, asked):
        came = _local(received, zone)
        late = tuple(each for each in map(date.fromisoformat, json.loads(days)) if each < came - timedelta(days=1))
        if refused is not None or (late and came > _local(opened, zone)):
            arrivals.append(Arrival(name, int(rows), late, refused))
    return arrivals


def _local(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def _worst(
    session: Session, found: Mapping[int, Mapping[int, Scores]], asked: Mapping[str, Any]
) -> dict[int, tuple[Series, ...]]:
    ids = {each for scores in found.values() for each in scores}
    names, sentences = _names(session, ids), _sentences(session, ids, asked["day"])
    worst: dict[int, tuple[Series, ...]] = {}
    for window, since in zip(WINDOWS[:2], (asked["week"], asked["month"]), strict=True):
        held = sorted(found[window].items(), key=lambda each: (-each[1].abs_error, names[each[0]]))
        sold = _by_ids(session, SOLD_OF, found[window], {"since": since, "day": asked["day"]})
        worst[window] = tuple(
            Series(
                *names[series_id],
                units=float(sold.get(series_id, (0.0,))[0]),
                wape=scores.wape,
                bias=scores.bias,
                sentence=sentences.get(series_id),
            )
            for series_id, scores in held
        )
    return worst


def _movers(session: Session, asked: Mapping[str, Any]) -> tuple[Series, ...]:
    rows = session.execute(MOVERS_OF, _given(MOVERS_OF, asked))
    ids = {row[0] for row in rows}
    names, sentences = _names(session, ids), _sentences(session, ids, asked["day"])
    return tuple(
        Series(*names[series_id], units=float(units), expected=float(expected), sentence=sentences.get(series_id))
        for series_id, units, expected in rows
    )


def _by_ids(session: Session, query: str, ids: Iterable[int], asked: Mapping[str, Any]) -> dict[int, tuple[Any, ...]]:
    """Rows of a query by their first column, a series' id; none are asked for where there are no ids."""
    listed = ", ".join(str(int(each)) for each in sorted(ids))
    return {row[0]: tuple(row[1:]) for row in session.execute(query.format(ids=listed), asked)} if listed else {}


def _names(session: Session, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    return _by_ids(session, NAMES, ids, {})


def _sentences(session: Session, ids: Iterable[int], day: date) -> dict[int, str]:
    return {series_id: summary for series_id, (summary,) in _by_ids(session, SENTENCES, ids, {"day": day}).items()}
