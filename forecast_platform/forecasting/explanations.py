"""Why a forecast is what it is: what each part of a model adds to it, and a sentence for the people who plan by it.

Parts come from the forecaster's own ``contributions``, refitted for the origin; what the guards changed is a part of
its own, so that the parts add up to the mean on record. The sentence says a few rounded figures; each of them is kept
beside it. Reading the ledger and storing the result is the asset's business, phrasing it better ``text_generator``'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.fallback import fallback_forecast
from forecast_platform.forecasting.guards import CAPPED, COLD_START, FALLBACK, guard
from forecast_platform.forecasting.models import ModelSpec
from forecast_platform.forecasting.panel import Panel

Array = np.ndarray
CODE_VERSION = "1"

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


def parts_of(panel: Panel, model: ModelSpec, *, horizon: int, artifact: bytes | None = None) -> Parts | None:
    """Refit ``model`` on ``panel`` and take its forecasts apart; ``None`` for a model that cannot be.

    As in ``run``: the same forecaster, panel and covariates, and so the same forecasts to the bit.
    """
    if not model.own or not len(panel.series):
        return None
    forecaster = model.build()
    if not hasattr(forecaster, "contributions"):
        return None
    forecaster.in_context(PanelContext.of(panel, artifact=artifact))
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


def explain(mean: Array, panel: Panel, model: ModelSpec | None, parts: Parts | None) -> Explained:
    """Bring a model's parts up to the means on record.

    Args:
        mean: n x H, of the series of ``panel``, row by row.
        panel, model: what was refitted.
        parts: of ``panel``; ``None``: the forecasts are a single part.
    """
    series, horizon = mean.shape
    none = np.full(series, np.nan)
    if parts is None:
        flat = np.zeros(series, dtype=np.intp)
        return Explained(mean, {WHOLE: mean}, flat, flat.astype(bool), none)
    total = sum_terms(parts.terms)
    fallback = fallback_forecast(panel.y, panel.series.group, horizon=horizon)
    guarded, status = guard(total, panel.y, fallback, min_history=model.min_history)
    lost = (status == FALLBACK) | (status == COLD_START)
    terms = {name: np.where(lost, 0.0, values) for name, values in parts.terms.items()}
    terms[LIMITS] = np.where(lost, 0.0, guarded - np.where(lost, 0.0, total))
    terms[GROUP] = np.where(lost, guarded, 0.0)
    terms[SINCE] = mean - guarded
    return Explained(
        mean=mean,
        terms=terms,
        capped=(status == CAPPED).sum(axis=1),
        grouped=lost.any(axis=1),
        in_sample_r2=none if parts.in_sample_r2 is None else parts.in_sample_r2,
    )


def sum_terms(terms: Mapping[str, Array]) -> Array:
    """The sum of the terms, in their order, as the forecasters themselves add them."""
    return sum(terms.values())


@dataclass(frozen=True)
class Told:
    """A sentence, and the figures in it in the order in which it names them."""

    sentence: str
    figures: Mapping[str, float]


def told(explained: Explained, panel: Panel, row: int) -> Told:
    """The sentence of one series.

    Defined for every series: without a sale, without a history to compare with, with one day ahead.
    """
    mean = explained.mean[row]
    figures: dict[str, float] = {}
    clauses = [_level(mean, panel.y[row], figures)]
    clauses += _weekdays(mean, panel.origin, figures)
    clauses += _ahead(panel, row, len(mean), figures)
    if explained.capped[row]:
        days = figures["capped_days"] = int(explained.capped[row])
        clauses.append(f"held back to twice its best day on {amount(days)} {'day' if days == 1 else 'days'}")
    if explained.grouped[row]:
        clauses.append("its own history is too short for the model, so its group's pattern stands in")
    if SINCE in explained.terms and explained.terms[SINCE][row].any():
        clauses.append("sales were corrected after it was made")
    return Told("; ".join(clauses) + ".", figures)


def level_ahead(mean: Array) -> float:
    """Mean a day over the first whole weeks, at most ``LEVEL_DAYS``; over all days of a horizon below a week."""
    days = min(len(mean), LEVEL_DAYS)
    days = days // 7 * 7 or days
    return float(np.add.accumulate(mean[:days])[-1] / days)


def level_before(y: Array) -> float:
    """Mean of the observed days of the ``BASE_DAYS`` up to four weeks before the window's end; NaN if too few."""
    before = y[max(0, len(y) - 28 - BASE_DAYS) : max(0, len(y) - 28)]
    seen = before[~np.isnan(before)]
    return float(np.add.accumulate(seen)[-1] / len(seen)) if len(seen) >= LEAST_BASE_DAYS else float("nan")


def _level(mean: Array, y: Array, figures: dict[str, float]) -> str:
    level, before = level_ahead(mean), level_before(y)
    shown = rounded(level)
    if level == 0.0:
        return "No sale is expected"
    if shown == 0.0:
        return "Hardly a sale is expected"
    figures["per_day"] = shown
    start = f"About {amount(shown)} a day"
    if np.isnan(before):
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
    """Mean of the days ahead of each weekday, Monday first, over the mean of the seven; NaN without a whole week."""
    weeks = min(len(mean), LEVEL_DAYS) // 7
    if not weeks:
        return np.full(7, np.nan)
    by_slot = np.add.accumulate(mean[: weeks * 7].reshape(weeks, 7))[-1]
    by_day = by_slot[(np.arange(7) - (origin + timedelta(days=1)).weekday()) % 7]
    average = np.add.accumulate(by_day)[-1] / 7
    return by_day / average if average > 0 else np.full(7, np.nan)


def _weekdays(mean: Array, origin: date, figures: dict[str, float]) -> list[str]:
    factors = weekday_factors(mean, origin)
    if np.isnan(factors).any():
        return []
    clauses = []
    strongest = int(np.argmax(np.round(factors, 9)))
    if factors[strongest] >= STRONG_DAY:
        figures["weekday_times"] = rounded(float(factors[strongest]))
        clauses.append(f"{WEEKDAYS[strongest]} sell {amount(figures['weekday_times'])} times the average")
    closed = [WEEKDAYS[day] for day in range(7) if factors[day] == 0.0]
    if closed:
        clauses.append(f"nothing sells on {' and '.join(closed)}")
    return clauses


def _ahead(panel: Panel, row: int, horizon: int, figures: dict[str, float]) -> list[str]:
    """Promotions and holidays of the next days, where there are any."""
    days = min(NEXT_DAYS, horizon)
    counted = []
    for covariate, key, words in ((PROMOTION, "promotion_days", "promotion"), (HOLIDAY, "holiday_days", "a holiday")):
        if covariate not in panel.covariates:
            continue
        count = int((panel.future[row, panel.covariates.index(covariate), :days] > 0.5).sum())
        if count:
            counted.append((key, words, count))
    if not counted:
        return []
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


def contributions_json(explained: Explained, told: Told, row: int, *, origin: date, model: str) -> str:
    """The parts of one series' forecast, day by day and to the last digit, with the sentence and its figures.

    Parts that add nothing on any day are left out.
    """
    horizon = explained.mean.shape[1]
    parts = {name: (values[row] + 0.0).tolist() for name, values in explained.terms.items() if values[row].any()}
    if not parts:
        parts = {next(iter(explained.terms)): [0.0] * horizon}
    held: dict[str, object] = {
        "model": model,
        "days": [(origin + timedelta(days=day)).isoformat() for day in range(1, horizon + 1)],
        "mean": explained.mean[row].tolist(),
        "parts": parts,
        "figures": dict(told.figures),
        "sentence": told.sentence,
    }
    r2 = float(explained.in_sample_r2[row])
    if not np.isnan(r2):
        held["in_sample_r2"] = r2
    return json.dumps(held, ensure_ascii=False, separators=(",", ":"))


def term_shares(terms: Mapping[str, Array]) -> dict[str, float]:
    """How much each part moves the forecasts: its share of the sum of absolute contributions, over series and days."""
    moved = {name: float(np.abs(values).sum()) for name, values in terms.items()}
    total = sum(moved.values())
    return {name: value / total for name, value in moved.items()} if total > 0 else {}
