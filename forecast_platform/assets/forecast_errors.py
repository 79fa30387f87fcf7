"""``forecast_errors[D]``: every prediction for D against what really sold, and the sums that accuracy is made of."""

import dagster as dg

from forecast_platform.assets.scope import TenantScope
from forecast_platform.assets.scoring import build_scoring_asset

FIGURES = {
    "forecast_errors": """
        select target_date, 'origins', count(distinct origin_date)
        from forecast_errors where target_date between :first and :last group by target_date
        union all
        select target_date, 'out_of_stock', count(case when not in_stock then 1 end)
        from forecast_errors where target_date between :first and :last group by target_date
    """,
    "error_sums": """
        select target_date, 'wape_' || model, sum(sum_abs_error) / nullif(sum(sum_actual), 0)
        from error_sums where target_date between :first and :last group by target_date, model
        union all
        select target_date, 'bias_' || model, sum(sum_error) / nullif(sum(sum_actual), 0)
        from error_sums where target_date between :first and :last group by target_date, model
    """,
}


def build_forecast_errors_asset(scope: TenantScope) -> dg.AssetsDefinition:
    return build_scoring_asset(
        scope, "forecast_errors", tag="accuracy", scores="forecasts", also_reads=("series_scales",), figures=FIGURES
    )
