"""Assets that score what was said of a day once the day has closed: dbt models over the origins that reach it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import dagster as dg

from forecast_platform.assets.dbt import TenantTranslator, dbt_models, run_models
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.io_managers.archive import require_in_warehouse
from forecast_platform.io_managers.windows import require_materialized


def build_scoring_asset(
    scope: TenantScope, name: str, *, tag: str, scores: str, also_reads: Sequence[str], figures: Mapping[str, str]
) -> dg.AssetsDefinition:
    """The dbt models of ``tag``, for closed days.

    Args:
        name: of the op, and in errors.
        scores: the asset that is scored; every origin whose horizon reaches the day must be on record, or lie before
            the tenant's first.
        also_reads: other assets of which the same origins are read.
        figures: see ``run_models``.
    """
    horizon = scope.tenant.horizon
    translator = TenantTranslator(scope, windows=dict.fromkeys((scores, *also_reads), (-horizon, -1)))

    @dbt_models(scope, translator, name=name, select=f"tag:{tag},tag:partitioned")
    def scored(context: dg.AssetExecutionContext) -> Iterator:
        first, last = day_range(context)
        scope.require_closed(name, last)
        require_materialized(
            scope.warehouse,
            scores,
            first=first,
            last=last,
            back=horizon,
            end=1,
            start=scope.tenant.start,
            young=True,
            wanted_by=name,
        )
        require_in_warehouse(
            scope.warehouse, scores, first - timedelta(days=horizon), last - timedelta(days=1), wanted_by=name
        )
        yield from run_models(context, scope, translator, tag=tag, figures=figures, first=first, last=last)

    return scored
