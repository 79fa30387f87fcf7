"""``forecast_explanations[D]``: why each published forecast is what it is, in parts and in a sentence."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import dagster as dg
import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables, text_generator
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import made_from, passed_on
from forecast_platform.assets.model_cards import model_cards
from forecast_platform.assets.panels import panel_deps, panel_origins, read_panels
from forecast_platform.assets.published import Published, PublishedForecasts, published_digest, published_series
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.forecasting import ModelSpec, ModelSpecError, Panel, SeriesIndex, model_specs, version_digest
from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.explanations import (
    CODE_VERSION,
    Explained,
    contributions_json,
    explain,
    level_ahead,
    parts_of,
    tell,
    term_shares,
)
from forecast_platform.io_managers.batches import Batch, BatchStream, batch_digest, recorded_batches
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow
from forecast_platform.settings import variables
from forecast_platform.text_generator import TextGenerator

NAME = "forecast_explanations"


def build_forecast_explanations_asset(scope: TenantScope) -> dg.AssetsDefinition:
    published = dg.AssetDep(scope.key("publications"), partition_mapping=DayWindow(0, 0))
    features = dg.AssetDep(scope.key("features"), partition_mapping=DayWindow(1 - scope.tenant.training_window, 0))

    origins = {
        **passed_on("publications", "origin_date", "version_id", "series_id"),
        **made_from(("summary", "contributions", "batch_id"), "forecasts.mean", *panel_origins(scope)),
    }

    @dg.asset(
        key=scope.key(NAME),
        deps=[published, features, *panel_deps(scope)],
        io_manager_key=scope.batches_key,
        metadata=table_metadata(scope, NAME, origins),
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"numpy", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def forecast_explanations(context: dg.AssetExecutionContext) -> BatchStream:
        """What each part of its model adds to a published forecast, day by day, and a sentence for who plans by it.

        The parts sum to the mean on record. Models that cannot be taken apart have a single part. The metadata of a
        run's last origin holds a card of each model: spec, weights, accuracy, and plots of three of its series.
        """
        first, last = day_range(context)
        scope.require_closed(NAME, last)
        return BatchStream(_batches(context, scope, first, last))

    return forecast_explanations


def _batches(context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date) -> Iterator[Batch]:
    days = days_between(first, last)
    with scope.warehouse.reading() as session:
        states = materialized(session, "publications", days, start=scope.tenant.start, wanted_by=NAME)
        reads_of(context).saw_partitions("publications", days, states)
        published = published_series(session, first, last)
        recorded = recorded_batches(session, NAME, first, last)
    panels = read_panels(context, scope, first, last)
    generator = text_generator.from_settings(scope.tenant.text_generator, variables(), context.log.warning)
    held = PublishedForecasts(scope.warehouse, published, horizon=scope.tenant.horizon)
    for origin in days:
        panel = panels.at(origin)
        named = held.named(origin)
        models = published_models(named)
        summary = {
            "horizon": scope.tenant.horizon,
            "published": published_digest(named),
            "models": {f"{name} {spec}": _seen(panel, model, scope) for (name, spec), model in models.items()},
        }
        digest = batch_digest(NAME, origin, "", CODE_VERSION, summary)
        rows = None
        if not recorded.holds(origin, "", digest):
            forecasts = held.at(origin)
            rows, shares = explanation_rows(forecasts, panel, models)
            if (origin, "") in recorded.histories:
                rows = _as_phrased_before(rows, scope, origin)
            figures = {"explained": len(rows)}
            if generator is not None:
                rows, figures["phrased"] = phrased(rows, forecasts, generator, most=scope.tenant.text_generator.series)
            if origin == last:
                cards = model_cards(scope, forecasts, panel, shares)
                figures["model_cards"] = dg.MetadataValue.md(cards)
            add_figures(context, scope.key(NAME), {origin: figures})
        yield Batch(origin, "", CODE_VERSION, summary, digest, rows)


def published_models(published: pd.DataFrame) -> dict[tuple[str, str], ModelSpec | None]:
    """The models of an origin's publications by name and spec, as they were then; ``None``: known here no more."""
    models: dict[tuple[str, str], ModelSpec | None] = {}
    for name, spec in sorted(set(zip(published["model"], published["model_spec"], strict=True))):
        try:
            models[name, spec] = model_specs({name: spec})[-1] if name not in FLOOR else FLOOR[name]
        except ModelSpecError:
            models[name, spec] = None
    return models


FLOOR = {model.name: model for model in model_specs({"naive": "Naive()"})}
"""The models that always run."""


def _seen(panel: Panel, model: ModelSpec | None, scope: TenantScope) -> str:
    """Digest of what is read for one model: also of what is known ahead, which the sentence tells for any model."""
    model = FLOOR["naive"] if model is None else model
    return version_digest(panel, replace(model, exogenous=True), horizon=scope.tenant.horizon)


def explanation_rows(
    forecasts: Published, panel: Panel, models: dict[tuple[str, str], ModelSpec | None]
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """The rows of one origin, and by model how much each part moves its forecasts."""
    panel = with_unseen(panel, forecasts.series)
    place = {pair: row for row, pair in enumerate(zip(panel.series.sku, panel.series.location, strict=True))}
    at = np.array([place[pair] for pair in zip(forecasts.series.sku, forecasts.series.location, strict=True)], np.intp)
    summary, contributions = np.empty(len(at), dtype=object), np.empty(len(at), dtype=object)
    context, shares = PanelContext.of(panel), {}
    for (name, spec), model in models.items():
        rows = np.flatnonzero((forecasts.model == name) & (forecasts.spec == spec))
        explained = _explained(forecasts, panel, context, model, at, rows)
        said = tell(explained, panel, at[rows])
        summary[rows] = [each.sentence for each in said]
        contributions[rows] = contributions_json(explained, said, at[rows], origin=forecasts.origin, model=name)
        shares[name] = term_shares({term: values[at[rows]] for term, values in explained.terms.items()})
    made = pd.DataFrame(
        {
            "origin_date": pd.Timestamp(forecasts.origin),
            "version_id": forecasts.version_id,
            "series_id": forecasts.series.series_id,
            "summary": summary,
            "contributions": contributions,
        }
    )
    return made, shares


def _explained(
    forecasts: Published,
    panel: Panel,
    context: PanelContext,
    model: ModelSpec | None,
    at: np.ndarray,
    rows: np.ndarray,
) -> Explained:
    """The panel's forecasts by one model taken apart; those of series that it is not published for are 0."""
    mean = np.zeros((len(panel.series), forecasts.mean.shape[1]))
    mean[at[rows]] = forecasts.mean[rows]
    parts = None
    if model is not None:
        try:
            parts = parts_of(panel, model, horizon=mean.shape[1], context=context)
        except Exception:  # a model that fails today leaves what it forecast then in one part
            parts = None
    return explain(mean, panel, model, parts)


def with_unseen(panel: Panel, series: SeriesIndex) -> Panel:
    """``panel`` with the series that were published but have no history any more: days never observed, at the end."""
    known = set(zip(panel.series.sku, panel.series.location, strict=True))
    lost = [row for row, pair in enumerate(zip(series.sku, series.location, strict=True)) if pair not in known]
    if not lost:
        return panel
    names = {
        name: np.concatenate([getattr(panel.series, name), getattr(series, name)[lost]])
        for name in ("series_id", "sku", "location", "category")
    }
    count = len(lost)
    return replace(
        panel,
        series=SeriesIndex(**names),
        y=np.concatenate([panel.y, np.full((count, panel.window), np.nan)]),
        past=np.concatenate([panel.past, np.zeros((count, *panel.past.shape[1:]))]),
        future=np.concatenate([panel.future, np.zeros((count, *panel.future.shape[1:]))]),
    )


def _as_phrased_before(rows: pd.DataFrame, scope: TenantScope, origin: date) -> pd.DataFrame:
    """``rows`` with the words on record wherever what they say is unchanged: a phrase is asked for once."""
    e = tables.forecast_explanations.c
    with scope.warehouse.reading() as session:
        session.recall([origin], NAME)
        held = session.frame(
            sa.select(e.version_id, e.series_id, e.batch_id, e.summary, e.contributions).where(e.origin_date == origin)
        )
    held = held.sort_values("batch_id", kind="stable").drop_duplicates(["version_id", "series_id"], keep="last")
    keys = ["version_id", "series_id", "contributions"]
    both = rows.merge(
        held[[*keys, "summary"]].astype({"contributions": object, "summary": object}), how="left", on=keys
    )
    return rows.assign(summary=both["summary_y"].where(both["summary_y"].notna(), both["summary_x"]).to_numpy())


def phrased(
    rows: pd.DataFrame, forecasts: Published, generator: TextGenerator, *, most: int
) -> tuple[pd.DataFrame, int]:
    """``rows`` with the sentences of the largest forecasts phrased by the generator; and how many are."""
    own = [json.loads(text)["sentence"] for text in rows["contributions"]]
    level = level_ahead(forecasts.mean)
    summary = rows["summary"].to_numpy(dtype=object).copy()
    for row in np.argsort(-level, kind="stable")[:most]:
        if summary[row] == own[row]:
            summary[row] = generator.phrase(own[row])
    return rows.assign(summary=summary), int((summary != np.array(own, dtype=object)).sum())
