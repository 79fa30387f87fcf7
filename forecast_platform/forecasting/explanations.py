"""Why a forecast is what it is: what each part of a model adds to it, and a sentence for the people who plan by it.

Parts come from the forecaster's own ``contributions``, refitted for the origin; what the guards changed is a part of
its own, so that the parts add up to the mean on record. The sentence says a few rounded figures; each of them is kept
beside it. Reading the ledger and storing the result is the asset's business, phrasing it better ``text_generator``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import orjson

from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.fallback import fallback_forecast
from forecast_platform.forecasting.guards import CAPPED, COLD_START, FALLBACK, guard
from forecast_platform.forecasting.models import ModelSpec
from forecast_platform.forecasting.panel import Panel, SeriesIndex

Array = np.ndarray
CODE_VERSION = "2"

WHOLE, LIMITS, GROUP, SINCE = "forecast", "limits", "group's pattern", "changed since"
"""Parts that no model names: a forecast that is not taken apart; what clipping and capping changed; the fallback; and
what facts that were corrected after the forecast would make different."""

LEVEL_DAYS = 28
"""Days ahead whose mean is the level that the sentence speaks of: whole weeks, so that no weekday counts twice."""

BASE_DAYS = 28
LEAST_BASE_DAYS = 14
"""The level four weeks ago is the mean of the ``BASE_DAYS`` days up to then, at least 14 of them observed."""

NEXT_DAYS = 7
PROMOTION, HOLIDAY = "on_promotion", "is_holiday"

STRONG_DAY = 1.2
"""Times the average that the strongest weekday must sell to be spoken of."""

MANY_TIMES = 3.0
"""From here on a rise is told in times, not in percent."""

WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


@dataclass(frozen=True)
class Parts:
    """What each part adds to the forecasts of n series, by name, n x H each; NaN where the model has no number.

    ``in_sample_r2``: n, of the regression in it; ``None`` where there is none.
    """

    terms: Mapping[str, Array]
    in_sample_r2: Array | None = None


def parts_of(panel: Panel, model: ModelSpec, *, horizon: int, context: PanelContext | None = None) -> Parts | None:
    """Refit ``model`` on ``panel`` and take its forecasts apart; ``None`` for a model that cannot be.

    As in ``run``: the same forecaster, panel and covariates, and so the same forecasts to the bit. ``context`` is the
    panel's, where several models of it are taken apart.
    """
    if not model.own or not len(panel.series):
        return None
    forecaster = model.build()
    if not hasattr(forecaster, "contributions"):
        return None
    forecaster.in_context(PanelContext.of(panel) if context is None else context)
    with_covariates = model.exogenous and bool(panel.covariates)
    forecaster.fit(panel.y[:, None, :], X=panel.past if with_covariates else None)
    ahead = np.arange(1, horizon + 1)
    terms = forecaster.contributions(ahead, X=panel.future if with_covariates else None)
    return Parts(terms, _in_sample_r2(forecaster))


def _in_sample_r2(forecaster: object) -> Array | None:
    """R² of the regression that a forecaster is or holds."""
    regression = getattr(forecaster, "linear_", forecaster)
    return getattr(getattr(regression, "weights_", None), "in_sample_r2", None)


@dataclass(frozen=True)
class Explained:
    """Parts that add up to the means on record: n series.

    Attributes:
        mean: n x H, as on record.
        terms: by name n x H; their sum, in their order, is ``mean`` but for the last digit of the largest term.
        capped: n; days held back by the cap.
        grouped: n; whether a day is its group's pattern, for want of history.
        in_sample_r2: n, NaN where there is none.
    """

    mean: Array
    terms: Mapping[str, Array]
    capped: Array
    grouped: Array
    in_sample_r2: Array


def explain(
    mean: Array,
    panel: Panel,
    model: ModelSpec | None,
    parts: Parts | None,
    *,
    rows: Array | None = None,
    fallback: Array | None = None,
) -> Explained:
    """Bring a model's parts up to the means on record.

    Args:
        mean: of the n series, n x H.
        panel, model: what was refitted.
        parts: of ``panel``; ``None``: the forecasts are a single part.
        rows: the n series among those of ``panel``, by default all of them: a model explains what it is published for.
        fallback: of ``panel`` (``fallback_forecast``), where several models of it are taken apart.
    """
    series, horizon = mean.shape
    none = np.full(series, np.nan)
    if parts is None:
        flat = np.zeros(series, dtype=np.intp)
        return Explained(mean, {WHOLE: mean}, flat, flat.astype(bool), none)
    if fallback is None:
        fallback = fallback_forecast(panel.y, panel.series.group, horizon=horizon)
    rows = slice(None) if rows is None else rows
    own = {name: values[rows] for name, values in parts.terms.items()}
    total = sum_terms(own)
    guarded, status = guard(total, panel.y[rows], fallback[rows], min_history=model.min_history)
    lost = (status == FALLBACK) | (status == COLD_START)
    terms = {name: np.where(lost, 0.0, values) for name, values in own.items()}
    terms[LIMITS] = np.where(lost, 0.0, guarded - np.where(lost, 0.0, total))
    terms[GROUP] = np.where(lost, guarded, 0.0)
    terms[SINCE] = mean - guarded
    return Explained(
        mean=mean,
        terms=terms,
        capped=(status == CAPPED).sum(axis=1),
        grouped=lost.any(axis=1),
        in_sample_r2=none if parts.in_sample_r2 is None else parts.in_sample_r2[rows],
    )


def what_is_told(panel: Panel, rows: Array) -> Panel:
    """As much of some series of ``panel`` as ``tell`` reads: half of the days, and no covariate of the past."""
    names = (getattr(panel.series, name)[rows] for name in ("series_id", "sku", "location", "category"))
    return replace(
        panel,
        series=SeriesIndex(*names),
        y=panel.y[rows, max(0, panel.window - 28 - BASE_DAYS) :],
        past=np.empty((len(rows), len(panel.covariates), 0)),
        future=panel.future[rows, :, :NEXT_DAYS] if panel.covariates else np.empty((len(rows), 0, 0)),
    )


def sum_terms(terms: Mapping[str, Array]) -> Array:
    """The sum of the terms, in their order, as the forecasters themselves add them."""
    return sum(terms.values())


@dataclass(frozen=True)
class Told:
    """A sentence, and the figures in it in the order in which it names them."""

    sentence: str
    figures: Mapping[str, float]


def tell(explained: Explained, panel: Panel, rows: Array) -> list[Told]:
    """The sentences of some series, in the order of ``rows``.

    Defined for every series: without a sale, without a history to compare with, with one day ahead.
    """
    mean = explained.mean[rows]
    horizon = mean.shape[1]
    levels, before = level_ahead(mean), level_before(panel.y[rows])
    factors, promised = weekday_factors(mean, panel.origin), _days_promised(panel, rows, horizon)
    corrected = explained.terms[SINCE][rows].any(axis=1) if SINCE in explained.terms else np.zeros(len(rows), bool)
    # Plain numbers and lists from here on: one look at an element of an array costs as much as the rest of a sentence.
    strongest = np.argmax(np.round(factors, 9), axis=1)
    best = np.take_along_axis(factors, strongest[:, None], axis=1)[:, 0].tolist()
    closed = (factors == 0.0).any(axis=1).tolist()
    strongest, capped, grouped = (
        each.tolist() for each in (strongest, explained.capped[rows], explained.grouped[rows])
    )
    levels, before = levels.tolist(), before.tolist()
    promised = [(key, words, days.tolist()) for key, words, days in promised]
    said = []
    for place in range(len(rows)):
        figures: dict[str, float] = {}
        clauses = [_level(levels[place], before[place], figures)]
        if best[place] >= STRONG_DAY:
            figures["weekday_times"] = rounded(best[place])
            clauses.append(f"{WEEKDAYS[strongest[place]]} sell {amount(figures['weekday_times'])} times the average")
        if closed[place]:
            shut = [WEEKDAYS[day] for day in range(7) if factors[place, day] == 0.0]
            clauses.append(f"nothing sells on {' and '.join(shut)}")
        clauses += _ahead([(key, words, days[place]) for key, words, days in promised], horizon, figures)
        if capped[place]:
            days = figures["capped_days"] = capped[place]
            clauses.append(f"held back to twice its best day on {amount(days)} {'day' if days == 1 else 'days'}")
        if grouped[place]:
            clauses.append("its own history is too short for the model, so its group's pattern stands in")
        if corrected[place]:
            clauses.append("sales were corrected after it was made")
        said.append(Told("; ".join(clauses) + ".", figures))
    return said


def level_ahead(mean: Array) -> Array:
    """Mean a day over the first whole weeks, at most ``LEVEL_DAYS``; over all days of a horizon below a week.

    ``mean``: n x H; n figures, each added from the first day on.
    """
    days = min(mean.shape[1], LEVEL_DAYS)
    days = days // 7 * 7 or days
    return np.add.accumulate(mean[:, :days], axis=1)[:, -1] / days


def level_before(y: Array) -> Array:
    """Mean of the observed days of the ``BASE_DAYS`` up to four weeks before the window's end; NaN if too few.

    ``y``: n x W; n figures.
    """
    window = y.shape[1]
    before = y[:, max(0, window - 28 - BASE_DAYS) : max(0, window - 28)]
    seen = ~np.isnan(before)
    count = seen.sum(axis=1)
    if not before.shape[1]:
        return np.full(len(y), np.nan)
    total = np.add.accumulate(np.where(seen, before, 0.0), axis=1)[:, -1]
    return np.where(count >= LEAST_BASE_DAYS, total / np.maximum(count, 1), np.nan)


def _level(level: float, before: float, figures: dict[str, float]) -> str:
    shown = rounded(level)
    if level == 0.0:
        return "No sale is expected"
    if shown == 0.0:
        return "Hardly a sale is expected"
    figures["per_day"] = shown
    start = f"About {amount(shown)} a day"
    if before != before:
        return f"{start}, with too short a history to compare with four weeks ago"
    if before == 0.0:
        return f"{start}, with no sale to compare with four weeks ago"
    ratio = level / before
    percent = round(100.0 * (ratio - 1.0))
    if ratio >= MANY_TIMES:
        figures["change_times"] = rounded(ratio)
        return f"{start}, {amount(figures['change_times'])} times as much as four weeks ago"
    if percent == 0:
        return f"{start}, as much as four weeks ago"
    figures["change_percent"] = percent
    return f"{start}, {'up' if percent > 0 else 'down'} {amount(abs(percent))} % on four weeks ago"


def weekday_factors(mean: Array, origin: date) -> Array:
    """Mean of the days ahead of each weekday, Monday first, over the mean of the seven; NaN without a whole week.

    ``mean``: n x H; the factors are n x 7.
    """
    series, horizon = mean.shape
    weeks = min(horizon, LEVEL_DAYS) // 7
    if not weeks:
        return np.full((series, 7), np.nan)
    by_slot = np.add.accumulate(mean[:, : weeks * 7].reshape(series, weeks, 7), axis=1)[:, -1]
    by_day = by_slot[:, (np.arange(7) - (origin + timedelta(days=1)).weekday()) % 7]
    average = np.add.accumulate(by_day, axis=1)[:, -1:] / 7
    return np.where(average > 0, by_day / np.where(average > 0, average, 1.0), np.nan)


def _days_promised(panel: Panel, rows: Array, horizon: int) -> list[tuple[str, str, Array]]:
    """Promotions and holidays among the next days, where any are known: key and words, and days of each series."""
    days = min(NEXT_DAYS, horizon)
    named = ((PROMOTION, "promotion_days", "promotion"), (HOLIDAY, "holiday_days", "a holiday"))
    return [
        (key, words, (panel.future[rows, panel.covariates.index(covariate), :days] > 0.5).sum(axis=1))
        for covariate, key, words in named
        if covariate in panel.covariates
    ]


def _ahead(promised: list[tuple[str, str, int]], horizon: int, figures: dict[str, float]) -> list[str]:
    """The clause of one series' promotions and holidays, where there are any."""
    counted = [each for each in promised if each[2]]
    if not counted:
        return []
    days = min(NEXT_DAYS, horizon)
    if days == 1:
        return [" and ".join(words for _, words, _ in counted) + " on the next day"]
    figures |= {key: count for key, _, count in counted}
    figures["next_days"] = days
    return [
        " and ".join(f"{words} on {amount(count)}" for _, words, count in counted) + f" of the next {amount(days)} days"
    ]


def rounded(value: float) -> float:
    """As many digits as a planner reads: whole from 10 on, one decimal from 1 on, else two."""
    for least, digits in ((10.0, 0), (1.0, 1)):
        if round(value, digits + 1) >= least:
            return round(value, digits) + 0.0
    return round(value, 2) + 0.0


def amount(value: float) -> str:
    """A rounded figure in a sentence: no digit that it does not have, thousands apart."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def contributions_json(
    explained: Explained, said: Sequence[Told], rows: Array, *, origin: date, model: str
) -> list[str]:
    """The parts of some series' forecasts, day by day and to the last digit, each with its sentence and its figures.

    Parts that add nothing on any day are left out. ``said`` is in the order of ``rows``.
    """
    horizon = explained.mean.shape[1]
    mean = explained.mean[rows]
    days = [(origin + timedelta(days=day)).isoformat() for day in range(1, horizon + 1)]
    terms = {name: values[rows] + 0.0 for name, values in explained.terms.items()}
    moves = {name: values.any(axis=1).tolist() for name, values in terms.items()}
    r2 = explained.in_sample_r2[rows].tolist()
    nothing = {next(iter(terms)): [0.0] * horizon}
    texts = []
    for place, told in enumerate(said):
        parts = {name: values[place] for name, values in terms.items() if moves[name][place]}
        held: dict[str, object] = {
            "model": model,
            "days": days,
            "mean": mean[place],
            "parts": parts or nothing,
            "figures": told.figures,
            "sentence": told.sentence,
        }
        if r2[place] == r2[place]:
            held["in_sample_r2"] = r2[place]
        texts.append(orjson.dumps(held, option=orjson.OPT_SERIALIZE_NUMPY).decode())
    return texts


def term_shares(terms: Mapping[str, Array]) -> dict[str, float]:
    """How much each part moves the forecasts: its share of the sum of absolute contributions, over series and days."""
    moved = {name: float(np.abs(values).sum()) for name, values in terms.items()}
    total = sum(moved.values())
    return {name: value / total for name, value in moved.items()} if total > 0 else {}
