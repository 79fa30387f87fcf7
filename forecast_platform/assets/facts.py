"""Dated facts beside sales: items, locations, suppliers, plan, covariates, inventory levels, open orders."""

import dagster as dg
import pandas as pd

from forecast_platform import tables
from forecast_platform.assets.arrivals import arrived
from forecast_platform.assets.catalog import table_metadata
from forecast_platform.assets.lineage import made_from
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.assets.upstream import upstream_columns, upstream_deps
from forecast_platform.tenant import FACTS, FactName


def build_fact_assets(scope: TenantScope) -> list[dg.AssetsDefinition]:
    """An asset for each fact table that a source feeds."""
    return [_build(scope, name) for name in FACTS if name not in scope.unfed_facts()]


def _build(scope: TenantScope, name: FactName) -> dg.AssetsDefinition:
    table = tables.metadata.tables[name]

    @dg.asset(
        key=scope.key(name),
        deps=upstream_deps(scope, name),
        description=table.comment,
        io_manager_key=scope.replace_key,
        metadata=table_metadata(scope, name, made_from(table.columns.keys()), upstream_columns(scope, name)),
        code_version="1",
        group_name=scope.name,
        kinds={"python", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def fact(context: dg.AssetExecutionContext) -> pd.DataFrame:
        first, last = day_range(context)
        rows, rejects = arrived(context, scope, name, first, last)
        for reject in rejects.head(20).itertuples():
            context.log.warning(f"{name}: {reject.source} row {reject.row_number} left out: {reject.reason}")
        if len(rejects) > 20:
            context.log.warning(f"{name}: {len(rejects) - 20} more rows left out")
        return rows

    return fact
