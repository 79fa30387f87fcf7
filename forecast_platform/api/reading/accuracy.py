"""How good forecasts were, from sums of errors that add up: over all series, or of one SKU.

What a metric is, is design's: ratios of sums over the whole scope, null where undefined. The sums are dbt's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from forecast_platform.accuracy.buckets import HORIZON_BUCKETS
from forecast_platform.api.reading.base import records
from forecast_platform.assets.report_reading import EXACT
from forecast_platform.days import days_between
from forecast_platform.io_managers.statements import days_listed
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.reporting.figures import FLOOR, PUBLISHED

ALL = "all"
"""Stands for all horizon buckets together."""

ENOUGH = 0.9
"""Share of the floor's errors that a model must have to be compared with it: one that is new has other weeks."""

SUMS = ("sum_error", "sum_abs_error", "sum_sq_error", "sum_actual", "sum_ape_positive")
COUNTS = ("n", "n_positive", "n_out_of_stock")
ADDED = ", ".join(
    [*(f"{EXACT.format(f's.{name}')} as {name}" for name in SUMS), *(f"sum(s.{name}) as {name}" for name in COUNTS)]
)
SCALED = ", ".join(
    [
        *(f"{EXACT.format(f's.{name}')} as {name}" for name in ("sum_scaled_abs", "sum_scaled_sq")),
        "sum(s.n_scaled) as n_scaled",
    ]
)

NEWEST = "select max(target_date) from accuracy_sums"
OVER_ALL = f"""
    select s.model, s.horizon_bucket, {{day}} as day, {ADDED} from accuracy_sums as s
    where s.target_date between :first and :last group by 1, 2, 3
"""
OF_SERIES = f"""
    select s.series_id, s.model, s.horizon_bucket, {ADDED}, {SCALED} from error_sums as s
    where s.target_date in ({{days}}) and s.series_id in ({{series}}) group by 1, 2, 3
    union all
    select s.series_id, '{PUBLISHED}', s.horizon_bucket, {ADDED}, {SCALED} from published_sums as s
    where s.target_date in ({{days}}) and s.series_id in ({{series}}) group by 1, 2, 3
"""


@dataclass(frozen=True)
class Accuracy:
    """The figures of one scope; what is undefined is ``None``.

    Attributes:
        scored: forecasts that met their actual. ``mape`` is over those of them whose actual is above 0: it leaves out
            ``mape_skipped``, and ``mape_coverage`` is the share it does not. ``out_of_stock`` were scored with the
            shelf empty.
        fva_wape, fva_mae, fva_rmse: how much lower the metric is than that of ``seasonal_naive_7``.
    """

    scored: int
    mape_skipped: int
    out_of_stock: int
    wape: float | None
    mape: float | None
    mape_coverage: float | None
    mae: float | None
    rmse: float | None
    bias: float | None
    mase: float | None = None
    rmsse: float | None = None
    unscaled: int | None = None
    fva_wape: float | None = None
    fva_mae: float | None = None
    fva_rmse: float | None = None


def newest_scored(session: Session) -> date | None:
    """The newest day that has met its forecasts."""
    return session.scalar(NEWEST)


def over_all(session: Session, first: date, last: date, *, by_day: bool) -> list[dict[str, Any]]:
    """Accuracy over all series of the target days ``first`` to ``last``, by model and horizon bucket (and ``all``), and
    by day."""
    query = OVER_ALL.format(day="s.target_date" if by_day else "cast(null as date)")
    return _told(records(session, query, {"first": first, "last": last}), ("day",))


def of_series(session: Session, ids: Iterable[int], first: date, last: date) -> list[dict[str, Any]]:
    """The same of some series, each by itself, with its scaled errors."""
    series = ", ".join(str(int(each)) for each in sorted(ids))
    return _told(
        records(session, OF_SERIES.format(days=days_listed(days_between(first, last)), series=series)), ("series_id",)
    )


def _told(rows: Sequence[dict[str, Any]], scope: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of sums as figures, each compared with the floor of its scope and bucket."""
    cells: dict[tuple, dict[str, Any]] = {}
    for row in rows:
        place = tuple(row[name] for name in scope)
        for bucket in (row["horizon_bucket"], ALL):
            cell = cells.setdefault((*place, bucket, row["model"]), {})
            for name in row.keys() - {*scope, "horizon_bucket", "model"}:
                cell[name] = cell.get(name, 0) + row[name]
    figures = {key: measured(cell) for key, cell in cells.items()}
    order = (ALL, *HORIZON_BUCKETS)
    told = []
    for *place, bucket, model in sorted(figures, key=lambda key: (str(key[:-2]), order.index(key[-2]), key[-1])):
        of_floor = figures.get((*place, bucket, FLOOR))
        found = compared(figures[*place, bucket, model], of_floor)
        told.append({**dict(zip(scope, place, strict=True)), "model": model, "horizon_bucket": bucket, **asdict(found)})
    return told


def measured(sums: dict[str, Any]) -> Accuracy:
    """The metrics of additive sums."""
    n, positive, actual = int(sums["n"]), int(sums["n_positive"]), sums["sum_actual"]
    scaled = int(sums.get("n_scaled", 0))
    return Accuracy(
        scored=n,
        mape_skipped=n - positive,
        out_of_stock=int(sums["n_out_of_stock"]),
        wape=_ratio(sums["sum_abs_error"], actual),
        mape=_ratio(sums["sum_ape_positive"], positive),
        mape_coverage=_ratio(positive, n),
        mae=_ratio(sums["sum_abs_error"], n),
        rmse=_root(_ratio(sums["sum_sq_error"], n)),
        bias=_ratio(sums["sum_error"], actual),
        mase=_ratio(sums.get("sum_scaled_abs", 0.0), scaled),
        rmsse=_root(_ratio(sums.get("sum_scaled_sq", 0.0), scaled)),
        unscaled=n - scaled if "n_scaled" in sums else None,
    )


def compared(model: Accuracy, floor: Accuracy | None) -> Accuracy:
    """A model's figures with its added value over the floor, where both have met as many actuals."""
    if floor is None or model.scored < ENOUGH * floor.scored:
        return model
    added = {f"fva_{name}": _less(getattr(floor, name), getattr(model, name)) for name in ("wape", "mae", "rmse")}
    return Accuracy(**{**asdict(model), **added})


def _ratio(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


def _root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)


def _less(floor: float | None, model: float | None) -> float | None:
    return None if floor is None or model is None else floor - model
