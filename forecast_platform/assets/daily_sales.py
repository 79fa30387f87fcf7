"""``daily_sales[D]`` and what is summed from it alone: dbt models, one call for a range of days."""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from forecast_platform.assets.dbt import TenantTranslator, dbt_models, run_models
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.io_managers.windows import require_materialized

FIGURES = {
    "daily_sales": """
        with days as (
          select
            sale_date, sum(units) as units, sum(revenue) as revenue, sum(case when units > 0 then 1 else 0 end) as sold
          from daily_sales where sale_date between :first and :last group by sale_date
        )
        select sale_date, 'units', units from days
        union all select sale_date, 'revenue', revenue from days
        union all select sale_date, 'series_sold', sold from days
    """,
}


def build_daily_sales_asset(scope: TenantScope) -> dg.AssetsDefinition:
    membership = (1 - scope.tenant.inactive_after_days, 0)
    training = (1 - scope.tenant.training_window, 0)
    translator = TenantTranslator(scope, windows={"raw_sales": membership, "daily_sales": training})

    @dbt_models(scope, translator, name="daily_sales", select="tag:sales,tag:partitioned")
    def daily_sales(context: dg.AssetExecutionContext) -> Iterator:
        first, last = day_range(context)
        _require_windows(scope, {key.path[-1] for key in context.selected_asset_keys}, first, last)
        yield from run_models(
            context,
            scope,
            translator,
            tag="sales",
            # Over the ledger's tables, which are there from the start, and read before anything is scored.
            views=("tag:ledger",),
            figures=FIGURES,
            first=first,
            last=last,
        )

    return daily_sales


def _require_windows(scope: TenantScope, models: set[str], first: date, last: date) -> None:
    """Refuse a range whose look-back is not materialized, before dbt is started; the models ask again under a lock."""
    tenant, asked = scope.tenant, {"first": first, "last": last, "start": scope.tenant.start}
    if "daily_sales" in models:
        back = tenant.inactive_after_days - 1
        require_materialized(scope.warehouse, "raw_sales", back=back, wanted_by="daily_sales", **asked)
    if "series_scales" in models:
        made_here = (first, last) if "daily_sales" in models else None
        back = tenant.training_window - 1
        require_materialized(
            scope.warehouse, "daily_sales", back=back, made_here=made_here, wanted_by="series_scales", **asked
        )
