"""What sums of days ahead are made from: past forecasts and what then sold, of the series that stand for their class.

The database joins; what leaves it is bounded, however many series there are. What is made of the paths is in
``forecasting.paths``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between
from forecast_platform.forecasting.paths import PastPaths, name_ranks, sources
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow
from forecast_platform.tenant import Tenant

SCORES = """
    select e.origin_date, v.model, e.series_id, e.horizon, e.version_id,
      e.actual / sqrt(nullif(s.scale_sq, 0)) as sold, e.forecast / sqrt(nullif(s.scale_sq, 0)) as expected
    from forecast_errors as e
    join forecast_versions as v on v.version_id = e.version_id
    join series_scales as s on s.as_of = e.origin_date and s.series_id = e.series_id
    where e.target_date between :first and :last and e.in_stock and s.scale_sq > 0
"""


@dataclass(frozen=True)
class Past:
    """What the origins of one stretch may look back on; each takes its own days of it.

    Attributes:
        classes: ``as_of``, ``series_id``, ``demand_class``.
        scales: ``as_of``, ``series_id``, ``scale_sq``.
        ranks: ``paths.name_ranks`` of every series, by ``series_id``.
        ids: ``series_id`` along the second axis of ``paths``.
    """

    classes: pd.DataFrame
    scales: pd.DataFrame
    ranks: pd.Series
    ids: np.ndarray
    paths: PastPaths

    def at(self, origin: date, ids: np.ndarray) -> PastOfOrigin:
        """What ``origin`` may look back on, for the series ``ids``."""
        of_day = self.classes[self.classes["as_of"] == pd.Timestamp(origin)]
        classes = of_day.set_index("series_id")["demand_class"]
        scales = self.scales[self.scales["as_of"] == pd.Timestamp(origin)].set_index("series_id")["scale_sq"]
        standing = np.isin(self.ids, of_day["series_id"].to_numpy()[_sources(of_day, self.ranks)])
        held = self.paths
        return PastOfOrigin(
            scale=np.sqrt(scales.reindex(ids).to_numpy(dtype=np.float64)),
            demand_class=classes.reindex(ids).fillna("").to_numpy(dtype=object),
            paths=PastPaths(held.models, held.origins, held.sold[:, standing], held.expected[:, standing]),
            standing_class=classes.reindex(self.ids[standing]).to_numpy(dtype=object),
        )


@dataclass(frozen=True)
class PastOfOrigin:
    """Of n series on one origin, and of the s that stand for their class.

    Attributes:
        scale: n; root mean squared one-day difference, NaN where unknown.
        demand_class: n texts, empty where it was never asked.
        paths: of the s series.
        standing_class: s texts.
    """

    scale: np.ndarray
    demand_class: np.ndarray
    paths: PastPaths
    standing_class: np.ndarray


def reach_of_paths(tenant: Tenant) -> dict[str, DayWindow]:
    """The days before an origin that are read of each asset."""
    window = tenant.calibration_window
    return {
        "demand_classes": DayWindow(0, 0),
        "forecast_errors": DayWindow(1 - window, 0),
        "series_scales": DayWindow(1 - window - tenant.horizon, 0),
        "daily_sales": DayWindow(1 - tenant.training_window, 0),
    }


def inputs_of_paths(
    context: dg.AssetExecutionContext, session: Session, scope: TenantScope, origins: Sequence[date], *, wanted_by: str
) -> dict[str, dict[date, str]]:
    """Digests of what is published of the origins and what they look back on, by asset and day.

    They are registered, so that the writer looks again.

    Raises:
        WindowIncomplete: a day that is looked back on is not materialized.
    """
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
        states = materialized(session, asset, days, start=tenant.start, young=young, wanted_by=wanted_by)
        reads_of(context).saw_partitions(asset, days, states)
        logged[asset] = {day: state.digest for day, state in states.items()}
    # Scales are asked for by the errors of their origin: where there is none, none is missing.
    days = days_between(origins[0] - timedelta(days=tenant.calibration_window - 1 + tenant.horizon), origins[-1])
    states = session.logged("series_scales", days[0], days[-1])
    reads_of(context).saw_partitions("series_scales", days, states)
    logged["series_scales"] = {day: state.digest for day, state in states.items()}
    return logged


def fractional_days(session: Session, scope: TenantScope, origins: Sequence[date]) -> pd.DataFrame:
    """The days on which something was sold in parts of a unit: few, or nearly all of a series."""
    sales = tables.daily_sales.c
    since = origins[0] - timedelta(days=scope.tenant.training_window - 1)
    return session.frame(
        sa.select(sales.sale_date, sales.series_id).where(
            sales.sale_date.between(since, origins[-1]), sales.units != sa.func.floor(sales.units)
        )
    )


def sold_in_parts(fractions: pd.DataFrame, origin: date, window: int) -> np.ndarray:
    """Series that sold in parts of a unit within the origin's window."""
    since = pd.Timestamp(origin) - pd.Timedelta(days=window - 1)
    inside = fractions["sale_date"].between(since, pd.Timestamp(origin))
    return fractions.loc[inside, "series_id"].unique()


def read_past(scope: TenantScope, published: pd.DataFrame, origins: Sequence[date]) -> Past:
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


def _cubes(
    scores: pa.Table, models: tuple[str, ...], ids: np.ndarray, origins: Sequence[date], horizon: int
) -> PastPaths:
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
