"""``weekly_forecasts[D]``: the published forecasts of whole weeks, with quantiles from summed paths of past origins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import columns_of, made_from, passed_on
from forecast_platform.assets.published import Published, PublishedForecasts, published_digest, published_series
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.digest import combine
from forecast_platform.forecasting.paths import PastPaths, name_ranks, pools_of, sources, sum_days
from forecast_platform.forecasting.weekly import CODE_VERSION, weekly_quantiles, whole_weeks
from forecast_platform.io_managers.batches import Batch, BatchStream, batch_digest, recorded_batches
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow

NAME = "weekly_forecasts"

NO_WEEK = pd.DataFrame(
    {column.name: [] for column in tables.weekly_forecasts.columns if column.name != "batch_id"}, dtype="float64"
)
"""What a horizon without a whole week gives."""

ORIGINS_AT_ONCE = 28
"""Origins whose past errors are read together: a range of 28 reads each error once, not 28 times."""

SCORES = """
    select e.origin_date, v.model, e.series_id, e.horizon, e.version_id,
      e.actual / sqrt(nullif(s.scale_sq, 0)) as sold, e.forecast / sqrt(nullif(s.scale_sq, 0)) as expected
    from forecast_errors as e
    join forecast_versions as v on v.version_id = e.version_id
    join series_scales as s on s.as_of = e.origin_date and s.series_id = e.series_id
    where e.target_date between :first and :last and e.in_stock and s.scale_sq > 0
"""

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


@dataclass(frozen=True)
class Past:
    """What the origins of one stretch may look back on; each takes its own days of it.

    Attributes:
        classes: ``as_of``, ``series_id``, ``demand_class``.
        scales: ``as_of``, ``series_id``, ``scale_sq``.
        ranks: ``weekly.name_ranks`` of every series, by ``series_id``.
        ids: ``series_id`` along the second axis of ``paths``.
    """

    classes: pd.DataFrame
    scales: pd.DataFrame
    ranks: pd.Series
    ids: np.ndarray
    paths: PastPaths


def build_weekly_forecasts_asset(scope: TenantScope) -> dg.AssetsDefinition:
    horizon, window = scope.tenant.horizon, scope.tenant.calibration_window
    looks_back = {
        "publications": DayWindow(0, 0),
        "demand_classes": DayWindow(0, 0),
        "forecast_errors": DayWindow(1 - window, 0),
        "series_scales": DayWindow(1 - window - horizon, 0),
        "daily_sales": DayWindow(1 - scope.tenant.training_window, 0),
    }

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
            logged = _inputs(context, session, scope, origins)
            published = published_series(session, origins[0], origins[-1])
            fractions = _fractions(session, scope, origins)
            recorded = recorded_batches(session, NAME, origins[0], origins[-1])
        summaries = {origin: _summary(scope, logged, published, fractions, origin) for origin in origins}
        digests = {origin: batch_digest(NAME, origin, "", CODE_VERSION, summaries[origin]) for origin in origins}
        wanted = [origin for origin in origins if not recorded.holds(origin, "", digests[origin])]
        past, held = None, PublishedForecasts(scope.warehouse, published, horizon=scope.tenant.horizon)
        for origin in origins:
            rows = None
            if origin in wanted:
                past = past or _past(scope, published, wanted)
                parted = _parted(fractions, origin, scope.tenant.training_window)
                rows, figures = weekly_rows(held.at(origin), past, parted, window=scope.tenant.calibration_window)
                add_figures(context, scope.key(NAME), {origin: figures})
            yield Batch(origin, "", CODE_VERSION, summaries[origin], digests[origin], rows)


def _inputs(
    context: dg.AssetExecutionContext, session: Session, scope: TenantScope, origins: Sequence[date]
) -> dict[str, dict[date, str]]:
    """Digests of what the origins look back on, by asset and day; registered, so that the writer looks again."""
    tenant = scope.tenant
    back = {
        "publications": 0,
        "demand_classes": 0,
        "forecast_errors": tenant.calibration_window - 1,
        "daily_sales": tenant.training_window - 1,
    }
    logged = {}
    for asset, reach in back.items():
        days = days_between(origins[0] - timedelta(days=reach), origins[-1])
        young = asset == "forecast_errors"
        states = materialized(session, asset, days, start=tenant.start, young=young, wanted_by=NAME)
        reads_of(context).saw_partitions(asset, days, states)
        logged[asset] = {day: state.digest for day, state in states.items()}
    # Scales are asked for by the errors of their origin: where there is none, none is missing.
    days = days_between(origins[0] - timedelta(days=tenant.calibration_window - 1 + tenant.horizon), origins[-1])
    states = session.logged("series_scales", days[0], days[-1])
    reads_of(context).saw_partitions("series_scales", days, states)
    logged["series_scales"] = {day: state.digest for day, state in states.items()}
    return logged


def _fractions(session: Session, scope: TenantScope, origins: Sequence[date]) -> pd.DataFrame:
    """The days on which something was sold in parts of a unit: few, or nearly all of a series."""
    sales = tables.daily_sales.c
    since = origins[0] - timedelta(days=scope.tenant.training_window - 1)
    return session.frame(
        sa.select(sales.sale_date, sales.series_id).where(
            sales.sale_date.between(since, origins[-1]), sales.units != sa.func.floor(sales.units)
        )
    )


def _summary(
    scope: TenantScope,
    logged: dict[str, dict[date, str]],
    published: pd.DataFrame,
    fractions: pd.DataFrame,
    origin: date,
) -> dict[str, object]:
    """Everything that decides an origin's rows."""
    tenant = scope.tenant
    here = published[published["origin_date"] == origin]
    parted = here[here["series_id"].isin(_parted(fractions, origin, tenant.training_window))]

    def over(asset: str, back: int) -> str:
        days = days_between(origin - timedelta(days=back), origin)
        held = ((day, logged[asset][day]) for day in days if day in logged[asset])
        return combine(*(text for day, digest in held for text in (day.isoformat(), digest)))

    return {
        "horizon": tenant.horizon,
        "calibration_window": tenant.calibration_window,
        "published": published_digest(published, origin),
        "in_parts": combine(*parted["sku"], *parted["location"]),
        "demand_classes": over("demand_classes", 0),
        "forecast_errors": over("forecast_errors", tenant.calibration_window - 1),
        "series_scales": over("series_scales", tenant.calibration_window - 1 + tenant.horizon),
    }


def _parted(fractions: pd.DataFrame, origin: date, window: int) -> np.ndarray:
    """Series that sold in parts of a unit within the origin's window."""
    since = pd.Timestamp(origin) - pd.Timedelta(days=window - 1)
    inside = fractions["sale_date"].between(since, pd.Timestamp(origin))
    return fractions.loc[inside, "series_id"].unique()


def _past(scope: TenantScope, published: pd.DataFrame, origins: Sequence[date]) -> Past:
    """Classes, scales and the scores of the series that stand for their class, for a stretch of origins."""
    first, last = origins[0], origins[-1]
    classes_at, scales_at, names = tables.demand_classes.c, tables.series_scales.c, tables.series.c
    reach = first - timedelta(days=scope.tenant.calibration_window - 1)
    with scope.warehouse.reading() as session:
        series = session.frame(sa.select(names.series_id, names.sku, names.location))
        classes = session.frame(
            sa.select(classes_at.as_of, classes_at.series_id, classes_at.demand_class).where(
                classes_at.as_of.between(first, last)
            )
        ).astype({"demand_class": object})
        scales = session.frame(
            sa.select(scales_at.as_of, scales_at.series_id, scales_at.scale_sq).where(
                scales_at.as_of.between(first, last)
            )
        )
        ranks = pd.Series(name_ranks(series["sku"], series["location"]), index=series["series_id"])
        chosen = [
            of_day["series_id"].to_numpy()[_sources(of_day, ranks)] for _, of_day in classes.groupby("as_of", sort=True)
        ]
        ids = np.unique(np.concatenate([np.empty(0, dtype=np.int32), *chosen]))
        models = tuple(sorted(published.loc[published["origin_date"].isin(origins), "model"].unique()))
        scores = session.arrow(
            sa.text(SCORES + " and e.series_id in :ids and v.model in :models order by e.version_id").bindparams(
                # With their types: an empty list, where nothing ever sold, has none of its own.
                sa.bindparam("ids", ids.tolist(), type_=sa.Integer, expanding=True),
                sa.bindparam("models", list(models), type_=sa.Text, expanding=True),
                first=reach,
                last=last,
            )
        )
    origins_scored = days_between(reach - timedelta(days=scope.tenant.horizon), last)
    return Past(classes, scales, ranks, ids, _cubes(scores, models, ids, origins_scored, scope.tenant.horizon))


def _sources(of_day: pd.DataFrame, ranks: pd.Series) -> np.ndarray:
    return sources(ranks.loc[of_day["series_id"]].to_numpy(), of_day["demand_class"].to_numpy())


def _cubes(scores, models: tuple[str, ...], ids: np.ndarray, origins: Sequence[date], horizon: int) -> PastPaths:
    """Rows of scores, oldest version first, as matrices: the newest version of a day and series is what stays."""
    shape = (len(models), len(ids), len(origins), horizon)
    sold, expected = np.full(shape, np.nan), np.full(shape, np.nan)
    model = pd.Categorical(scores["model"].to_pandas(), categories=models).codes.astype(np.intp)
    day = scores["origin_date"].to_numpy().astype("datetime64[D]") - np.datetime64(origins[0])
    place = (
        model,
        np.searchsorted(ids, scores["series_id"].to_numpy()),
        day.astype(np.intp),
        scores["horizon"].to_numpy().astype(np.intp) - 1,
    )
    inside = place[3] < horizon
    place = tuple(each[inside] for each in place)
    sold[place], expected[place] = scores["sold"].to_numpy()[inside], scores["expected"].to_numpy()[inside]
    return PastPaths(models, tuple(origins), sold, expected)


def weekly_rows(
    forecasts: Published, past: Past, parted: np.ndarray, *, window: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows of one origin, and how many weeks of series rest on measured paths.

    Args:
        parted: series that sell in parts of a unit.
        window: days of errors that count.
    """
    origin, ids = forecasts.origin, forecasts.series.series_id
    classes = past.classes[past.classes["as_of"] == pd.Timestamp(origin)].set_index("series_id")["demand_class"]
    scales = past.scales[past.scales["as_of"] == pd.Timestamp(origin)].set_index("series_id")["scale_sq"]
    scale = np.sqrt(scales.reindex(ids).to_numpy(dtype=np.float64))
    demand_class = classes.reindex(ids).fillna("").to_numpy(dtype=object)
    whole = ~np.isin(ids, parted)
    of_day = classes.reset_index()
    standing = np.isin(past.ids, of_day["series_id"].to_numpy()[_sources(of_day, past.ranks)])
    paths = PastPaths(
        past.paths.models, past.paths.origins, past.paths.sold[:, standing], past.paths.expected[:, standing]
    )
    standing_class = classes.reindex(past.ids[standing]).to_numpy(dtype=object)
    parts, measured = [], 0
    for week in whole_weeks(origin, forecasts.mean.shape[1]):
        pools = pools_of(paths, standing_class, week, first=origin - timedelta(days=window - 1), last=origin)
        mean = sum_days(forecasts.mean[:, week.days])
        quantiles, on_paths = weekly_quantiles(mean, scale, forecasts.model, demand_class, whole, pools)
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
