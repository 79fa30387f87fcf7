"""``forecasts[D]``: every model's forecast of every series from origin D, appended to the ledger."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any

import dagster as dg
from dagster._time import get_current_datetime

from forecast_platform.assets.catalog import add_figures, origin_figures, table_metadata
from forecast_platform.assets.lineage import Origins, columns_of, made_from
from forecast_platform.assets.model_artifacts import Artifact, artifact_content, artifacts_for, refitting
from forecast_platform.assets.panels import panel_deps, panel_origins, read_panels
from forecast_platform.assets.scope import REASON_TAG, TenantScope, asked_by, day_range
from forecast_platform.days import days_between
from forecast_platform.forecasting import (
    ModelForecast,
    ModelSpec,
    forecast_origin,
    input_summary,
    model_specs,
    panel_figures,
    version_digest,
)
from forecast_platform.io_managers.asking import Asking
from forecast_platform.io_managers.ledger import VersionCandidate, VersionStream, recorded_versions
from forecast_platform.io_managers.retries import retrying
from forecast_platform.partitions import DayWindow


def build_forecasts_asset(scope: TenantScope) -> dg.AssetsDefinition:
    models = model_specs(scope.tenant.models)
    window = DayWindow(1 - scope.tenant.training_window, 0)
    learned = [dg.AssetDep(scope.key("model_artifacts"), partition_mapping=DayWindow(0, 0))] if refitting(scope) else []

    specs = {model.name: model.spec for model in models}

    @dg.asset(
        key=scope.key("forecasts"),
        deps=[dg.AssetDep(scope.key("features"), partition_mapping=window), *panel_deps(scope), *learned],
        io_manager_key=scope.ledger_key,
        metadata=table_metadata(scope, "forecasts", origins_of(scope)) | {"specs": specs},
        code_version=" ".join(f"{model.name}={model.code_version}" for model in models),
        group_name=scope.name,
        kinds={"sktime", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def forecasts(context: dg.AssetExecutionContext) -> VersionStream:
        """Forecasts of every series and model for the days after each origin, from facts dated up to it.

        A version that is on record is not computed again; a series whose numbers are those on record is not
        appended again. Nothing is ever overwritten. Who asked, and how it ended, is logged whatever happens.
        """
        first, last = day_range(context)
        asked = context.run.tags
        asking = Asking(
            origins=days_between(first, last),
            models=[model.name for model in models],
            requested_by=asked_by(asked),
            reason=asked.get(REASON_TAG),
            started_at=get_current_datetime(),
        )
        # All that can fail is done by the stream: once it is read, the asking is on record.
        return VersionStream(_candidates(context, scope, models, asking), asking)

    return forecasts


def origins_of(scope: TenantScope) -> Origins:
    """What each column of a forecast is made from; the days ahead are the tenant's."""
    learned = columns_of("model_artifacts", "digest") if refitting(scope) else ()
    return {
        "origin_date": ("features.sale_date",),
        "series_id": ("features.series_id",),
        "horizon": (),
        **made_from(("version_id", "mean", "status"), *panel_origins(scope), *learned),
    }


def _candidates(
    context: dg.AssetExecutionContext,
    scope: TenantScope,
    models: tuple[ModelSpec, ...],
    asking: Asking,
) -> Iterator[VersionCandidate]:
    """One candidate per origin and model, in order; computed only when the ledger has no equal version."""
    first, last = asking.origins[0], asking.origins[-1]
    scope.require_closed("forecasts", last)
    with retrying():
        panels = read_panels(context, scope, first, last, wanted_by="forecasts")
        artifacts = artifacts_for(context, scope, models, first, last)
        recorded = recorded_versions(scope.warehouse, first, last)
    for origin in asking.origins:
        panel = panels.at(origin)
        figures = panel_figures(panel)
        used = {model.name: artifacts.get((origin, model.name), Artifact()) for model in models}
        digests = {
            model.name: version_digest(panel, model, horizon=scope.tenant.horizon, artifact=used[model.name].digest)
            for model in models
        }
        wanted = [model for model in models if not recorded.holds(origin, model.name, digests[model.name])]
        learned = {
            model.name: partial(artifact_content, scope, used[model.name])
            for model in wanted
            if model.refit_every is not None
        }
        forecasts = forecast_origin(panel, wanted, horizon=scope.tenant.horizon, artifacts=learned)
        made = {each.model: each for each in forecasts}
        shown = origin_figures(models, made, series=len(panel.series))
        add_figures(context, scope.key("forecasts"), {origin: shown})
        for model in models:
            artifact = used[model.name].digest
            summary = input_summary(panel, model, horizon=scope.tenant.horizon, artifact=artifact)
            inputs = summary | {"figures": figures}
            yield _candidate(scope, asking, model, inputs, digests[model.name], made.get(model.name))


def _candidate(
    scope: TenantScope,
    asking: Asking,
    model: ModelSpec,
    inputs: Mapping[str, Any],
    digest: str,
    made: ModelForecast | None,
) -> VersionCandidate:
    origin = date.fromisoformat(inputs["origin"])
    return VersionCandidate(
        origin_date=origin,
        model=model.name,
        model_spec=model.spec,
        code_version=model.code_version,
        horizon=scope.tenant.horizon,
        inputs=inputs,
        input_digest=digest,
        live=scope.today() <= origin + timedelta(days=1),
        forecasts=None if made is None or made.error else made.frame(),
        kept=scope.tenant.kept_horizons(model.name),
        fallbacks=0 if made is None else made.fallbacks,
        outcome=_outcome(made),
        requested_by=asking.requested_by,
        reason=asking.reason,
        started_at=get_current_datetime() - timedelta(seconds=0 if made is None else made.seconds),
    )


def _outcome(made: ModelForecast | None) -> str:
    if made is None:
        return "on record"
    return f"failed: {made.error}" if made.error else "computed"
