"""``hierarchy_forecasts[D]``: published forecasts of locations, categories and the total, which add up."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from importlib.metadata import version

import dagster as dg
import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import Origins, columns_of, made_from, passed_on
from forecast_platform.assets.panels import Panels, panel_deps, panel_origins, read_panels
from forecast_platform.assets.published import Published, PublishedForecasts, published_digest, published_series
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.digest import combine
from forecast_platform.forecasting import ModelSpec, Panel, input_summary, model_specs
from forecast_platform.forecasting.categories import category_of
from forecast_platform.forecasting.hierarchy import CODE_VERSION, SERIES, nodes_of, reconciled
from forecast_platform.io_managers.batches import Batch, BatchStream, batch_digest, recorded_batches
from forecast_platform.io_managers.reads import RECORDED, reads_of
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow

NAME = "hierarchy_forecasts"
BOTTOM_UP = "bottom_up"


def build_hierarchy_forecasts_asset(scope: TenantScope) -> dg.AssetsDefinition:
    reconciling = scope.tenant.reconciliation != BOTTOM_UP
    published = dg.AssetDep(scope.key("publications"), partition_mapping=DayWindow(0, 0))
    fed = {"items"} - scope.unfed_facts()
    items = [dg.AssetDep(scope.key(name), partition_mapping=DayWindow(0, 0)) for name in fed]
    features = DayWindow(1 - scope.tenant.training_window, 0)
    fitted = [dg.AssetDep(scope.key("features"), partition_mapping=features), *panel_deps(scope)]

    @dg.asset(
        key=scope.key(NAME),
        deps=[published, *(fitted if reconciling else items)],
        io_manager_key=scope.batches_key,
        metadata=table_metadata(scope, NAME, origins_of(scope)) | {"method": scope.tenant.reconciliation},
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"numpy", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def hierarchy_forecasts(context: dg.AssetExecutionContext) -> BatchStream:
        """Published forecasts summed to locations, categories and the total, bottom-up unless the settings reconcile.

        Where they do, the level `series` holds the reconciled forecasts that the others are the sums of; its nodes
        are `["sku", "location"]` as JSON.
        """
        first, last = day_range(context)
        scope.require_closed(NAME, last)
        return BatchStream(_batches(context, scope, first, last))

    return hierarchy_forecasts


def origins_of(scope: TenantScope) -> Origins:
    """What each column of a node's forecast is made from: sums, and what base forecasts of the nodes are fitted on."""
    nodes = (
        *columns_of("publications", "series_id"),
        *columns_of("items", "valid_from", "sku", "location", "category"),
    )
    fitted = () if scope.tenant.reconciliation == BOTTOM_UP else panel_origins(scope)
    return {
        **passed_on("publications", "origin_date"),
        **passed_on("forecasts", "horizon"),
        "level": (),
        "node": nodes,
        **made_from(("mean", "batch_id"), *nodes, "publications.version_id", "forecasts.mean", *fitted),
    }


def base_model(scope: TenantScope) -> ModelSpec:
    """The model that forecasts the sums: the tenant's default one to publish, else the last of its models."""
    models = {model.name: model for model in model_specs(scope.tenant.models)}
    wanted = scope.tenant.publication.default_model or "ensemble"
    return models.get(wanted, list(models.values())[-1])


def _batches(context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date) -> Iterator[Batch]:
    method, days = scope.tenant.reconciliation, days_between(first, last)
    items_known = sa.select(tables.items).where(tables.items.c.valid_from <= last)
    with scope.warehouse.reading() as session:
        states = materialized(session, "publications", days, start=scope.tenant.start, wanted_by=NAME)
        reads_of(context).saw_partitions("publications", days, states)
        reads_of(context).saw_rows(session, "items", RECORDED, {"asset": "items", "last": last})
        items = session.frame(items_known)
        published = published_series(session, first, last)
        recorded = recorded_batches(session, NAME, first, last)
    panels = None if method == BOTTOM_UP else read_panels(context, scope, first, last)
    held = PublishedForecasts(scope.warehouse, published, horizon=scope.tenant.horizon)
    for origin in days:
        named = held.named(origin)
        category = category_of(named["sku"].to_numpy(), named["location"].to_numpy(), items, as_of=origin)
        summary = {
            "method": method,
            "horizon": scope.tenant.horizon,
            "published": published_digest(named),
            "categories": combine(*category),
        }
        panel = None if panels is None else _panel_of(panels, named, origin)
        if panel is not None:
            summary["base"] = input_summary(panel, base_model(scope), horizon=scope.tenant.horizon)
            summary["library"] = version("hierarchicalforecast")
        digest = batch_digest(NAME, origin, "", CODE_VERSION, summary)
        rows = None
        if not recorded.holds(origin, "", digest):
            forecasts = held.at(origin)
            forecasts = replace(forecasts, series=replace(forecasts.series, category=category))
            rows = hierarchy_rows(forecasts, panel, scope)
            if (origin, "") in recorded.histories:
                rows = _with_emptied(rows, scope, origin)
            nodes = rows.loc[rows["horizon"] == 1, "level"].value_counts()
            add_figures(context, scope.key(NAME), {origin: {f"nodes_{level}": int(n) for level, n in nodes.items()}})
        yield Batch(origin, "", CODE_VERSION, summary, digest, rows)


def _panel_of(panels: Panels, published: pd.DataFrame, origin: date) -> Panel:
    """What the origin sees of the published series, without what is known beside their sales, in their order.

    Raises:
        ValueError: a published series has no day of history; facts were taken back after it was forecast.
    """
    panel = panels.at(origin)
    place = {pair: row for row, pair in enumerate(zip(panel.series.sku, panel.series.location, strict=True))}
    pairs = list(zip(published["sku"], published["location"], strict=True))
    lost = [pair for pair in pairs if pair not in place]
    if lost:
        raise ValueError(
            f"{len(lost)} series published from {origin} have no history any more, first {lost[0][0]} at {lost[0][1]}:"
            " forecast that origin again, or set reconciliation: bottom_up"
        )
    rows = np.array([place[pair] for pair in pairs], dtype=np.intp)
    index = panel.series
    taken = replace(
        index,
        series_id=index.series_id[rows],
        sku=index.sku[rows],
        location=index.location[rows],
        category=index.category[rows],
    )
    return Panel(origin=origin, series=taken, y=panel.y[rows])


def _with_emptied(rows: pd.DataFrame, scope: TenantScope, origin: date) -> pd.DataFrame:
    """``rows`` and zeros for the nodes on record that have no series any more: the newest row of each node counts.

    Levels and days ahead that are not made any more, after a change of settings, keep what they had.
    """
    h = tables.hierarchy_forecasts.c
    with scope.warehouse.reading() as session:
        held = session.frame(sa.select(h.level, h.node, h.horizon).where(h.origin_date == origin).distinct())
    key = ["level", "node", "horizon"]
    held = held[held["level"].isin(rows["level"]) & held["horizon"].isin(rows["horizon"])]
    gone = held.astype({"level": object, "node": object}).merge(rows[key], how="left", on=key, indicator=True)
    gone = gone.loc[gone["_merge"] == "left_only", key].assign(origin_date=pd.Timestamp(origin), mean=0.0)
    return pd.concat([rows, gone.sort_values(key)], ignore_index=True) if len(gone) else rows


def hierarchy_rows(forecasts: Published, panel: Panel | None, scope: TenantScope) -> pd.DataFrame:
    """The rows of one origin: each node's forecast of each day; with a panel, reconciled, and the series' rows too."""
    nodes = nodes_of(forecasts.series)
    mean, method = forecasts.mean, scope.tenant.reconciliation
    if panel is not None:
        mean = reconciled(mean, panel, nodes, base_model(scope), method=method)
    level, name, values = list(nodes.level), list(nodes.name), nodes.sums(mean)
    if panel is not None:
        level += [SERIES] * len(mean)
        pairs = zip(forecasts.series.sku, forecasts.series.location, strict=True)
        name += [json.dumps(pair, ensure_ascii=False) for pair in pairs]
        values = np.concatenate([values, mean])
    horizon = values.shape[1]
    return pd.DataFrame(
        {
            "origin_date": pd.Timestamp(forecasts.origin),
            "level": np.repeat(np.array(level, dtype=object), horizon),
            "node": np.repeat(np.array(name, dtype=object), horizon),
            "horizon": np.tile(np.arange(1, horizon + 1, dtype=np.int16), len(values)),
            "mean": values.reshape(-1),
        }
    )
