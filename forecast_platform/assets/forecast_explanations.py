"""``forecast_explanations[D]``: why each published forecast is what it is, in parts and in a sentence."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import dagster as dg
import pandas as pd

from forecast_platform import text_generator
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.explained_origin import ExplainedOrigin, sentences_on_record
from forecast_platform.assets.lineage import made_from, passed_on
from forecast_platform.assets.model_cards import model_cards
from forecast_platform.assets.panels import panel_deps, panel_origins, read_panels
from forecast_platform.assets.published import PublishedForecasts, published_digest, published_series
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.forecasting import ModelSpec, ModelSpecError, Panel, model_specs, version_digest
from forecast_platform.forecasting.explanations import CODE_VERSION
from forecast_platform.io_managers.batches import Batch, BatchStream, RowBlocks, batch_digest, recorded_batches
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow
from forecast_platform.settings import variables

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
        if origin == last:
            del panels  # 400 MB of 300,000 series, while the last origin is written
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
            explained = ExplainedOrigin.of(forecasts, panel, models)
            if (origin, "") in recorded.histories:
                with scope.warehouse.reading() as session:
                    session.recall([origin], NAME)
                    explained = replace(explained, on_record=sentences_on_record(session, origin))
            figures = {"explained": len(explained)}
            if generator is not None:
                explained, figures["phrased"] = explained.phrased(generator, most=scope.tenant.text_generator.series)
            if origin == last:
                cards = model_cards(scope, forecasts, panel, explained.shares)
                figures["model_cards"] = dg.MetadataValue.md(cards)
            add_figures(context, scope.key(NAME), {origin: figures})
            rows = RowBlocks(len(explained), explained.blocks)
            del forecasts, explained
        del panel
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
