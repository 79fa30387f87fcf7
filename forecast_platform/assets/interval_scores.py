"""``interval_scores[D]``: where what was sold on D lay within the intervals around its forecasts."""

from collections.abc import Iterator

import dagster as dg

from forecast_platform.assets.dbt import TenantTranslator, dbt_models, run_models
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.io_managers.windows import require_materialized

FIGURES = {
    "interval_scores": """
        select target_date, 'upto_q90_' || model, sum(n_upto_q90) / nullif(cast(sum(n) as double precision), 0)
        from interval_scores where target_date between :first and :last group by target_date, model
    """,
}


def build_interval_scores_asset(scope: TenantScope) -> dg.AssetsDefinition:
    horizon = scope.tenant.horizon
    before = (-horizon, -1)
    translator = TenantTranslator(scope, windows={"forecast_intervals": before, "demand_classes": before})

    @dbt_models(scope, translator, name="interval_scores", select="tag:intervals,tag:partitioned")
    def interval_scores(context: dg.AssetExecutionContext) -> Iterator:
        first, last = day_range(context)
        scope.require_closed("interval_scores", last)
        require_materialized(
            scope.warehouse,
            "forecast_intervals",
            first=first,
            last=last,
            back=horizon,
            end=1,
            start=scope.tenant.start,
            young=True,
            wanted_by="interval_scores",
        )
        yield from run_models(
            context, scope, translator, views="tag:intervals,tag:view", figures=FIGURES, first=first, last=last
        )

    return interval_scores
