"""``weekly_forecasts[D]``: the published forecasts of whole weeks, with quantiles from summed paths of past origins."""

from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd

from forecast_platform import tables
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import columns_of, made_from, passed_on
from forecast_platform.assets.past_paths import (
    Past,
    fractional_days,
    inputs_of_paths,
    reach_of_paths,
    read_past,
    sold_in_parts,
)
from forecast_platform.assets.published import Published, PublishedForecasts, published_digest, published_series
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.digest import combine
from forecast_platform.forecasting.paths import pools_of, sum_days
from forecast_platform.forecasting.weekly import CODE_VERSION, weekly_quantiles, whole_weeks
from forecast_platform.io_managers.batches import Batch, BatchStream, batch_digest, recorded_batches
from forecast_platform.partitions import DayWindow

NAME = "weekly_forecasts"

NO_WEEK = pd.DataFrame(
    {column.name: [] for column in tables.weekly_forecasts.columns if column.name != "batch_id"}, dtype="float64"
)
"""What a horizon without a whole week gives."""

ORIGINS_AT_ONCE = 28
"""Origins whose past errors are read together: a range of 28 reads each error once, not 28 times."""

SUMMED = ("publications.version_id", "forecasts.mean")
MADE_FROM = {
    **passed_on("publications", "origin_date", "series_id", "version_id"),
    "week_ending": ("publications.origin_date",),
    "mean": SUMMED,
    **made_from(
        (*tables.QUANTILES, "batch_id"),
        *SUMMED,
        *columns_of("forecast_errors", "origin_date", "horizon", "version_id", "forecast", "actual"),
        "series_scales.scale_sq",
        "demand_classes.demand_class",
        "daily_sales.units",
    ),
}


def build_weekly_forecasts_asset(scope: TenantScope) -> dg.AssetsDefinition:
    looks_back = {"publications": DayWindow(0, 0), **reach_of_paths(scope.tenant)}

    @dg.asset(
        key=scope.key(NAME),
        deps=[dg.AssetDep(scope.key(name), partition_mapping=days) for name, days in looks_back.items()],
        io_manager_key=scope.batches_key,
        metadata=table_metadata(scope, NAME, MADE_FROM),
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"numpy", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def weekly_forecasts(context: dg.AssetExecutionContext) -> BatchStream:
        """Published forecasts of the whole weeks (Sunday to Saturday) within the horizon.

        Means are summed. Quantiles are those of summed paths: what past origins expected of a week and what it then
        sold, of the same model and demand class, days up to the origin only. While the ledger is young they are
        assumed from the series' own scale instead; `weeks_measured` says how many are not.
        """
        first, last = day_range(context)
        scope.require_closed(NAME, last)
        return BatchStream(_batches(context, scope, first, last))

    return weekly_forecasts


def _batches(context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date) -> Iterator[Batch]:
    days = days_between(first, last)
    for start in range(0, len(days), ORIGINS_AT_ONCE):
        origins = days[start : start + ORIGINS_AT_ONCE]
        with scope.warehouse.reading() as session:
            logged = inputs_of_paths(context, session, scope, origins, wanted_by=NAME)
            published = published_series(session, origins[0], origins[-1])
            fractions = fractional_days(session, scope, origins)
            recorded = recorded_batches(session, NAME, origins[0], origins[-1])
        held = PublishedForecasts(scope.warehouse, published, horizon=scope.tenant.horizon)
        summaries = {origin: _summary(scope, logged, held.named(origin), fractions, origin) for origin in origins}
        digests = {origin: batch_digest(NAME, origin, "", CODE_VERSION, summaries[origin]) for origin in origins}
        wanted = [origin for origin in origins if not recorded.holds(origin, "", digests[origin])]
        past = None
        for origin in origins:
            rows = None
            if origin in wanted:
                past = past or read_past(scope, published, wanted)
                parted = sold_in_parts(fractions, origin, scope.tenant.training_window)
                rows, figures = weekly_rows(held.at(origin), past, parted, window=scope.tenant.calibration_window)
                add_figures(context, scope.key(NAME), {origin: figures})
            yield Batch(origin, "", CODE_VERSION, summaries[origin], digests[origin], rows)


def _summary(
    scope: TenantScope,
    logged: dict[str, dict[date, str]],
    named: pd.DataFrame,
    fractions: pd.DataFrame,
    origin: date,
) -> dict[str, object]:
    """Everything that decides an origin's rows; ``named``: what is published of it."""
    tenant = scope.tenant
    parted = named[named["series_id"].isin(sold_in_parts(fractions, origin, tenant.training_window))]

    def over(asset: str, back: int) -> str:
        days = days_between(origin - timedelta(days=back), origin)
        held = ((day, logged[asset][day]) for day in days if day in logged[asset])
        return combine(*(text for day, digest in held for text in (day.isoformat(), digest)))

    return {
        "horizon": tenant.horizon,
        "calibration_window": tenant.calibration_window,
        "published": published_digest(named),
        "in_parts": combine(*parted["sku"], *parted["location"]),
        "demand_classes": over("demand_classes", 0),
        "forecast_errors": over("forecast_errors", tenant.calibration_window - 1),
        "series_scales": over("series_scales", tenant.calibration_window - 1 + tenant.horizon),
    }


def weekly_rows(
    forecasts: Published, past: Past, parted: np.ndarray, *, window: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows of one origin, and how many weeks of series rest on measured paths.

    Args:
        parted: series that sell in parts of a unit.
        window: days of errors that count.
    """
    origin, ids = forecasts.origin, forecasts.series.series_id
    seen, whole = past.at(origin, ids), ~np.isin(ids, parted)
    parts, measured = [], 0
    for week in whole_weeks(origin, forecasts.mean.shape[1]):
        pools = pools_of(seen.paths, seen.standing_class, week, first=origin - timedelta(days=window - 1), last=origin)
        mean = sum_days(forecasts.mean[:, week.days])
        quantiles, on_paths = weekly_quantiles(mean, seen.scale, forecasts.model, seen.demand_class, whole, pools)
        measured += int(on_paths.sum())
        parts.append(
            pd.DataFrame(
                {
                    "origin_date": pd.Timestamp(origin),
                    "series_id": ids,
                    "week_ending": pd.Timestamp(week.week_ending),
                    "version_id": forecasts.version_id,
                    "mean": mean,
                    **dict(zip(tables.QUANTILES, quantiles.T, strict=True)),
                }
            )
        )
    rows = pd.concat(parts, ignore_index=True) if parts else NO_WEEK.copy()
    return rows, {"weeks": len(parts), "weeks_of_series": len(rows), "weeks_measured": measured}
