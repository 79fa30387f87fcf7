"""Checks of how good the forecasts are: one-sided errors, a sudden shift, errors above their history, coverage, drift.

Each looks at the newest closed day of its run and the days before it. Watched is, for each series, the model that was
published for it last. None blocks: a forecast that has become worse is still the best there is.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from forecast_platform.accuracy.drift import (
    Shift,
    ShiftRules,
    Weeks,
    against_history,
    kolmogorov_smirnov,
    level_shift,
    population_stability,
    shift_told,
    tracking_signals,
)
from forecast_platform.assets.champions import champion_rules
from forecast_platform.assets.checks.suite import EXAMPLES, Check, Finding, Look, failed
from forecast_platform.assets.report_reading import EXACT
from forecast_platform.tenant import Tenant

WINDOW, LONG_WINDOW = 7, 28
"""Days of errors that are looked at together."""

NEVER_UNSOLD = 8
"""Units forecast of a day from which one without any sale is an empty shelf or an article's end, no day of half the
level: of 4 units expected, none is sold on 2 % of the days."""


def checks(tenant: Tenant) -> list[Check]:
    rules = tenant.monitoring
    return [
        Check(
            "forecast_errors",
            "level_shift",
            f"No sudden shift by {rules.shift:.0%} of {rules.shifted_share:.0%} of the series, up or down, within a"
            " week.",
            shifted,
            alert="drift",
        ),
        Check(
            "error_sums",
            "tracking_signal",
            f"Errors of {LONG_WINDOW} days are not one-sided: over all series, and of at most"
            f" {rules.tracking_share:.0%} of them.",
            one_sided,
            alert="drift",
        ),
        Check(
            "error_sums",
            "error_history",
            f"The WAPE of {WINDOW} days is at most {rules.error_rise:.0%} above the median of its own history.",
            risen,
            alert="drift",
        ),
        Check(
            "interval_scores",
            "coverage",
            f"The 80 and 95 % intervals of {LONG_WINDOW} days hold what they say, within"
            f" {rules.coverage_deviation:.0%}.",
            coverage,
            alert="coverage",
        ),
        Check(
            "features",
            "population",
            f"Each feature of the last {LONG_WINDOW} days is distributed as in the {rules.reference_days} days before.",
            population,
            alert="drift",
        ),
    ]


# The newest champions up to the day; before there are any, the default model.
PUBLISHED = """
    with chosen as (
      select series_id, model from champions
      where as_of = (select max(as_of) from champions where as_of <= :last)
    ),
    published as (
      select series.series_id, coalesce(chosen.model, :default_model) as model
      from series left join chosen on chosen.series_id = series.series_id
    )
"""

# Without promoted days: what a promotion lifts is known least, and it lifts an article everywhere at once. Days of
# them are named, or features of all history would be joined; a version's errors are added up before the newest is told.
WEEKS_AHEAD = f"""
    {PUBLISHED},
    promoted as (
      select sale_date, series_id from features where sale_date between :since and :last and on_promotion
    ),
    met as (
      select errors.origin_date, errors.series_id, sum(errors.forecast) as forecast, sum(errors.actual) as actual,
        sum((errors.actual - errors.forecast) * (errors.actual - errors.forecast)) as squares, count(*) as n,
        row_number() over (partition by errors.origin_date, errors.series_id order by errors.version_id desc) as age
      from forecast_errors errors
      join forecast_versions versions on versions.version_id = errors.version_id
      join published on published.series_id = errors.series_id and published.model = versions.model
      left join promoted on promoted.sale_date = errors.target_date and promoted.series_id = errors.series_id
      where errors.target_date between :since and :last and errors.horizon <= :window and errors.in_stock
        and errors.origin_date between :since - 1 and :origin
        and promoted.series_id is null and (errors.actual > 0 or errors.forecast < {NEVER_UNSOLD})
      group by errors.origin_date, errors.series_id, errors.version_id
    )
    select origin_date, series_id, forecast, actual, squares, n from met where age = 1
"""

DAYS_AHEAD = f"""
    {PUBLISHED}
    select sums.target_date, sums.series_id, sum(sums.sum_error) / sum(sums.n) as error,
      sum(sums.sum_abs_error) / sum(sums.n) as abs_error, sum(sums.sum_actual) / sum(sums.n) as actual
    from error_sums sums
    join published on published.series_id = sums.series_id and published.model = sums.model
    where sums.target_date between :since and :last and sums.horizon_bucket in ('1', '2-7')
    group by sums.target_date, sums.series_id
"""

ALL_AHEAD = f"""
    select target_date, {EXACT.format("abs_error")} as abs_error, {EXACT.format("actual")} as actual
    from ({DAYS_AHEAD}) as days group by target_date order by target_date
"""

SCORED = "select min(target_date), max(target_date) from error_sums where target_date between :since and :last"

NAMES = "select series_id, sku, location from series"


def shifted(look: Look) -> Finding:
    """Sales of whole weeks against the forecasts made just before them, over all series together."""
    rules = shift_rules(look)
    last = _closed(look)
    since, origin = last - timedelta(days=rules.reference + 4 * rules.window - 1), last - timedelta(days=rules.window)
    needed, days = rules.least + rules.window, _scored_days(look, since, last)
    # A week counts of which more than half is scored.
    if days - rules.window // 2 < needed:
        return _too_young(max(days - rules.window + 1, 0), needed, "weeks forecast and met")
    rows = _frame(look, WEEKS_AHEAD, since, last, window=rules.window, origin=origin)
    rows = rows[rows["n"] * 2 > rules.window]
    of_days = (rows["actual"] - rows["forecast"]) ** 2 / rows["n"]
    rows["noise"] = (rows["squares"] - of_days) * rows["n"] / (rows["n"] - 1).clip(lower=1)
    forecast, actual, noise = (_by_day(rows, "origin_date", name) for name in ("forecast", "actual", "noise"))
    if len(forecast) < needed:
        return _too_young(len(forecast), needed, "weeks forecast and met")
    weeks = Weeks(forecast.to_numpy(), actual.to_numpy(), noise.to_numpy())
    ends = range(max(len(forecast) - rules.window + 1, rules.least + rules.window), len(forecast) + 1)
    seen = [level_shift(weeks.until(end), rules) for end in ends]
    problems = []
    for way in ("up", "down"):
        evidence = [getattr(each, way) for each in seen]
        if shift_told(evidence, rules):
            place = int(np.flatnonzero(np.array(evidence) > rules.evidence)[-1])
            end = forecast.index[ends[place] - 1] + timedelta(days=rules.window)
            week = forecast.iloc[ends[place] - 1], actual.iloc[ends[place] - 1]
            problems.append(_shift_in_words(look, end.date(), way, evidence[place], seen[place], *week))
    newest = seen[-1]
    figures = {"evidence_up": round(newest.up, 2), "evidence_down": round(newest.down, 2)}
    return failed(problems, warn=True, **figures)


def shift_rules(look: Look) -> ShiftRules:
    rules = look.scope.tenant.monitoring
    return ShiftRules(
        shift=rules.shift,
        share=rules.shifted_share,
        evidence=rules.shift_evidence,
        window=min(WINDOW, look.scope.tenant.horizon),
        reference=rules.reference_days,
        least=min(rules.least_days, rules.reference_days),
    )


def _shift_in_words(
    look: Look, end: date, way: str, evidence: float, shift: Shift, forecast: pd.Series, actual: pd.Series
) -> str:
    z = np.nan_to_num(shift.deviations if way == "up" else -shift.deviations, nan=-np.inf)
    names = {series_id: f"{sku} at {location}" for series_id, sku, location in look.session.execute(NAMES)}
    worst = [
        f"{names[forecast.index[place]]} sold {actual.iloc[place]:,.0f}, forecast {forecast.iloc[place]:,.0f}"
        for place in np.argsort(-z)[:EXAMPLES]
    ]
    return (
        f"{end}: sales of the week have shifted {way}, evidence {evidence:.1f}: {int((z > 2).sum())} of"
        f" {int(np.isfinite(z).sum())} series are more than two standard deviations off ({'; '.join(worst)})"
    )


def one_sided(look: Look) -> Finding:
    rules, last = look.scope.tenant.monitoring, _closed(look)
    rows = _frame(look, DAYS_AHEAD, last - timedelta(days=LONG_WINDOW - 1), last)
    errors = _by_day(rows, "target_date", "error")
    if len(errors) < LONG_WINDOW:
        return _too_young(len(errors), LONG_WINDOW, "days of errors")
    of_total = float(tracking_signals(errors.sum(axis=1).to_numpy()[:, None])[0])
    bias = float(rows["error"].sum() / rows["actual"].sum()) if rows["actual"].sum() else 0.0
    signals = pd.Series(tracking_signals(errors.to_numpy()), index=errors.columns).dropna()
    beyond = signals[signals.abs() > rules.tracking_limit].sort_values(key=np.abs, ascending=False)
    share = len(beyond) / max(len(signals), 1)
    problems = []
    if abs(of_total) > rules.tracking_limit and abs(bias) > rules.max_bias:
        over = "over" if bias > 0 else "under"
        problems.append(f"{last}: all series together are {over}-forecast by {abs(bias):.0%}, signal {of_total:.1f}")
    if share > rules.tracking_share:
        names = {series_id: f"{sku} at {location}" for series_id, sku, location in look.session.execute(NAMES)}
        worst = ", ".join(f"{names[series_id]} {signal:.1f}" for series_id, signal in beyond[:EXAMPLES].items())
        problems.append(f"{last}: errors of {len(beyond)} of {len(signals)} series are one-sided ({worst})")
    figures = {"tracking_signal": round(of_total, 2), "bias": round(bias, 4), "one_sided_share": round(share, 4)}
    return failed(problems, warn=True, **figures)


def risen(look: Look) -> Finding:
    rules, last = look.scope.tenant.monitoring, _closed(look)
    since = last - timedelta(days=rules.reference_days + 2 * WINDOW - 1)
    needed = min(rules.least_days, rules.reference_days) + WINDOW
    weeks = max(_scored_days(look, since, last) - WINDOW + 1, 0)
    if weeks < needed:
        return _too_young(weeks, needed, "weeks of errors")
    days = _frame(look, ALL_AHEAD, since, last).set_index("target_date").rolling(WINDOW).sum().dropna()
    if len(days) < needed:
        return _too_young(len(days), needed, "weeks of errors")
    wape = (days["abs_error"] / days["actual"].where(days["actual"] > 0)).to_numpy()
    rise = against_history(wape, recent=WINDOW)
    problems = []
    if rise.above(share=rules.error_rise):
        problems.append(
            f"{last}: WAPE of {WINDOW} days is {rise.value:.1%}, usually {rise.usual:.1%}"
            f" (median of {len(days) - WINDOW} days)"
        )
    return failed(problems, warn=True, wape=round(rise.value, 4), usual_wape=round(rise.usual, 4))


COVERED = """
    select cast(sum(n) as double precision), cast(sum(n_below_q025) as double precision),
      cast(sum(n_upto_q025) as double precision), cast(sum(n_below_q10) as double precision),
      cast(sum(n_upto_q10) as double precision), cast(sum(n_below_q90) as double precision),
      cast(sum(n_upto_q90) as double precision), cast(sum(n_below_q975) as double precision),
      cast(sum(n_upto_q975) as double precision), count(distinct target_date)
    from interval_scores where model = :default_model and target_date between :since and :last
"""


def coverage(look: Look) -> Finding:
    """Of the default model. Counts sit on quantiles: too narrow is judged with both ends, too wide without them."""
    rules, last = look.scope.tenant.monitoring, _closed(look)
    asked = {"since": last - timedelta(days=LONG_WINDOW - 1), "default_model": _default_model(look), "last": last}
    ((n, *counts, days),) = look.session.execute(COVERED, asked)
    if days < LONG_WINDOW or not n:
        return _too_young(days, LONG_WINDOW, "days of scored intervals")
    below025, upto025, below10, upto10, below90, upto90, below975, upto975 = (each / n for each in counts)
    held = {0.8: (below90 - upto10, upto90 - below10), 0.95: (below975 - upto025, upto975 - below025)}
    problems = []
    for level, (inside, with_ends) in held.items():
        if with_ends < level - rules.coverage_deviation:
            problems.append(
                f"{last}: the {level:.0%} intervals of {LONG_WINDOW} days held {with_ends:.1%} (too narrow)"
            )
        if inside > level + rules.coverage_deviation:
            problems.append(f"{last}: the {level:.0%} intervals of {LONG_WINDOW} days held {inside:.1%}: too wide")
    figures = {f"inside_{round(level * 100)}": round(ends, 4) for level, (_, ends) in held.items()}
    return failed(problems, warn=True, **figures)


WATCHED = {
    **{name: name for name in ("units", "rolling_mean_28", "trend_index", "price_ratio")},
    **{name: f"case when {name} then 1.0e0 else 0.0e0 end" for name in ("on_promotion", "in_stock")},
}
"""Features that say something of their own, as SQL: other lags are units of other days, the calendar moves as it
must."""

POPULATION = "select cast({value} as double precision) from features where sale_date between :since and :last"
"""One feature at a time: of 118 days of 300,000 series each is 0.3 GB."""

POPULATED = "select count(distinct sale_date) from features where sale_date between :since and :last"


def population(look: Look) -> Finding:
    rules, last = look.scope.tenant.monitoring, _closed(look)
    since, recent = (
        last - timedelta(days=rules.reference_days + LONG_WINDOW - 1),
        last - timedelta(days=LONG_WINDOW - 1),
    )
    ((days,),) = look.session.execute(POPULATED, {"since": since, "last": last})
    if days < rules.least_days + LONG_WINDOW:
        return _too_young(days, rules.least_days + LONG_WINDOW, "days of features")
    problems, figures = [], {}
    for name, value in WATCHED.items():
        before, now = (
            look.session.arrow(POPULATION.format(value=value), {"since": begin, "last": end})[0].to_numpy()
            for begin, end in ((since, recent - timedelta(days=1)), (recent, last))
        )
        index = population_stability(before, now)
        figures[f"psi_{name}"] = round(index, 4)
        if index > rules.feature_psi:
            problems.append(
                f"{last}: {name} has drifted: stability index {index:.2f},"
                f" distance {kolmogorov_smirnov(before, now):.2f}; median {np.median(now):.3g},"
                f" in the {rules.reference_days} days before {np.median(before):.3g}"
            )
    return failed(problems, warn=True, **figures)


def _closed(look: Look) -> date:
    return min(look.last, look.scope.today() - timedelta(days=1))


def _scored_days(look: Look, since: date, last: date) -> int:
    """Days from the first to the last that there are errors of: a young ledger is told by them before it is read, which
    takes seconds of 30,490 series."""
    ((first, newest),) = look.session.execute(SCORED, {"since": since, "last": last})
    return 0 if first is None else (newest - first).days + 1


def _default_model(look: Look) -> str:
    return champion_rules(look.scope.tenant).default_model


def _frame(look: Look, query: str, since: date, last: date, **asked: object) -> pd.DataFrame:
    given = {"since": since, "last": last} | asked
    if ":default_model" in query:
        given["default_model"] = _default_model(look)
    rows = look.session.arrow(query, given).to_pandas()
    return rows.assign(**{name: pd.to_datetime(rows[name]) for name in rows.columns if name.endswith("_date")})


def _by_day(rows: pd.DataFrame, day: str, value: str) -> pd.DataFrame:
    """Days x series, without gaps between days."""
    table = rows.pivot(index=day, columns="series_id", values=value)
    return table.asfreq("D") if len(table) else table


def _too_young(found: int, needed: int, what: str) -> Finding:
    return Finding(description=f"not enough errors yet: {found} of {needed} {what}")
