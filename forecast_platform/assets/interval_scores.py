"""``interval_scores[D]``: where what was sold on D lay within the intervals around its forecasts."""

import dagster as dg

from forecast_platform.assets.scope import TenantScope
from forecast_platform.assets.scoring import build_scoring_asset

FIGURES = {
    "interval_scores": """
        select target_date, 'upto_q90_' || model, sum(n_upto_q90) / nullif(cast(sum(n) as double precision), 0)
        from interval_scores where target_date between :first and :last group by target_date, model
    """,
}


def build_interval_scores_asset(scope: TenantScope) -> dg.AssetsDefinition:
    return build_scoring_asset(
        scope,
        "interval_scores",
        tag="intervals",
        scores="forecast_intervals",
        also_reads="demand_classes",
        figures=FIGURES,
    )
