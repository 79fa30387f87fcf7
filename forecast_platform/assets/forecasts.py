"""``forecasts[D]``: every model's forecast of every series from origin D, appended to the ledger."""

from typing import Any

import dagster as dg

from forecast_platform.assets.catalog import table_metadata
from forecast_platform.assets.forecast_blocks import forecast_graph
from forecast_platform.assets.lineage import Origins, columns_of, made_from
from forecast_platform.assets.model_artifacts import refitting
from forecast_platform.assets.panels import panel_deps, panel_origins
from forecast_platform.assets.scope import TenantScope
from forecast_platform.assets.version_candidates import asking_of, candidates
from forecast_platform.assets.wanted import wanted_of
from forecast_platform.forecasting import model_specs
from forecast_platform.io_managers.ledger import VersionStream
from forecast_platform.partitions import BACKFILL_POLICY, DayWindow

DESCRIPTION = """Forecasts of every series and model for the days after each origin, from facts dated up to it.

A version that is on record is not computed again; a series whose numbers are those on record is not
appended again. Nothing is ever overwritten. Who asked, and how it ended, is logged whatever happens.
"""


def build_forecasts_asset(scope: TenantScope) -> dg.AssetsDefinition:
    """The asset: one step, or with ``forecast_blocks`` above 1 a graph of steps that make the same rows."""
    models = model_specs(scope.tenant.models)
    deps = _deps(scope)
    metadata = table_metadata(scope, "forecasts", origins_of(scope))
    shown: dict[str, Any] = metadata | {"specs": {model.name: model.spec for model in models}}
    code_version = " ".join(f"{model.name}={model.code_version}" for model in models)
    kinds = {"sktime", scope.settings.backend}
    if scope.tenant.forecast_blocks > 1:
        inputs = {dep.asset_key.path[-1]: dep for dep in deps}
        return dg.AssetsDefinition.from_graph(
            forecast_graph(scope, models, inputs=list(inputs), metadata=metadata),
            keys_by_input_name={name: dep.asset_key for name, dep in inputs.items()},
            keys_by_output_name={"result": scope.key("forecasts")},
            partition_mappings={name: dep.partition_mapping for name, dep in inputs.items()},
            partitions_def=scope.partitions,
            backfill_policy=BACKFILL_POLICY,
            group_name=scope.name,
            descriptions_by_output_name={"result": DESCRIPTION},
            metadata_by_output_name={"result": shown},
            code_versions_by_output_name={"result": code_version},
            owners_by_output_name={"result": list(scope.tenant.owners)},
            tags_by_output_name={"result": {f"dagster/kind/{kind}": "" for kind in kinds}},
        )

    @dg.asset(
        key=scope.key("forecasts"),
        description=DESCRIPTION,
        deps=deps,
        io_manager_key=scope.ledger_key,
        metadata=shown,
        code_version=code_version,
        group_name=scope.name,
        kinds=kinds,
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def forecasts(context: dg.AssetExecutionContext) -> VersionStream:
        wanted = wanted_of(context, scope, models)
        asking = asking_of(context, wanted)
        # All that can fail is done by the stream: once it is read, the asking is on record.
        return VersionStream(candidates(context, scope, wanted, asking), asking)

    return forecasts


def _deps(scope: TenantScope) -> list[dg.AssetDep]:
    window = DayWindow(1 - scope.tenant.training_window, 0)
    learned = [dg.AssetDep(scope.key("model_artifacts"), partition_mapping=DayWindow(0, 0))] if refitting(scope) else []
    return [dg.AssetDep(scope.key("features"), partition_mapping=window), *panel_deps(scope), *learned]


def origins_of(scope: TenantScope) -> Origins:
    """What each column of a forecast is made from; the days ahead are the tenant's."""
    learned = columns_of("model_artifacts", "digest") if refitting(scope) else ()
    return {
        "origin_date": ("features.sale_date",),
        "series_id": ("features.series_id",),
        "horizon": (),
        **made_from(("version_id", "mean", "status"), *panel_origins(scope), *learned),
    }
