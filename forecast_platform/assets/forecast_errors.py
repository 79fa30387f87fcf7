"""``forecast_errors[D]``: every prediction for D against what really sold, and the sums that accuracy is made of."""

from collections.abc import Iterator

import dagster as dg

from forecast_platform.assets.dbt import TenantTranslator, dbt_models, run_models
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.io_managers.windows import require_materialized

FIGURES = {
    "error_sums": """
        select target_date, 'wape_' || model, sum(sum_abs_error) / nullif(sum(sum_actual), 0)
        from error_sums where target_date between :first and :last group by target_date, model
    """,
}


def build_forecast_errors_asset(scope: TenantScope) -> dg.AssetsDefinition:
    horizon = scope.tenant.horizon
    translator = TenantTranslator(scope, windows={"forecasts": (-horizon, -1), "series_scales": (-horizon, -1)})

    @dbt_models(scope, translator, name="forecast_errors", select="tag:accuracy,tag:partitioned")
    def forecast_errors(context: dg.AssetExecutionContext) -> Iterator:
        first, last = day_range(context)
        scope.require_closed("forecast_errors", last)
        require_materialized(
            scope.warehouse,
            "forecasts",
            first=first,
            last=last,
            back=horizon,
            end=1,
            start=scope.tenant.start,
            young=True,
            wanted_by="forecast_errors",
        )
        yield from run_models(
            context, scope, translator, views="tag:accuracy,tag:view", figures=FIGURES, first=first, last=last
        )

    return forecast_errors
