"""``interval_scores[D]`` and ``published_sums[D]``: what was said for D and published, against what was sold on D.

The one says where that lay within the intervals, the other how far off what was published was.
"""

import dagster as dg

from forecast_platform.assets.scope import TenantScope
from forecast_platform.assets.scoring import build_scoring_asset

INSIDE = """
        select target_date, '{name}_' || model,
          sum({upper} - {lower}) / nullif(cast(sum(n) as double precision), 0)
        from interval_scores where target_date between :first and :last group by target_date, model
"""

FIGURES = {
    "interval_scores": " union all ".join(
        (
            INSIDE.format(name="inside_80", lower="n_below_q10", upper="n_upto_q90"),
            INSIDE.format(name="inside_95", lower="n_below_q025", upper="n_upto_q975"),
            INSIDE.format(name="upto_q90", lower="0", upper="n_upto_q90"),
        )
    ),
    "published_sums": """
        select target_date, 'wape', sum(sum_abs_error) / nullif(sum(sum_actual), 0)
        from published_sums where target_date between :first and :last group by target_date
        union all
        select target_date, 'bias', sum(sum_error) / nullif(sum(sum_actual), 0)
        from published_sums where target_date between :first and :last group by target_date
    """,
}


def build_interval_scores_asset(scope: TenantScope) -> dg.AssetsDefinition:
    return build_scoring_asset(
        scope,
        "interval_scores",
        tag="scores",
        scores="forecast_intervals",
        also_reads=("demand_classes", "publications", "series_scales"),
        figures=FIGURES,
    )
