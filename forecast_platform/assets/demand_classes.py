"""``demand_classes[D]``: what kind of demand each series has as of day D."""

from datetime import date

import dagster as dg
import pandas as pd

from forecast_platform.accuracy.demand_classes import READ_FROM, REQUIRED
from forecast_platform.accuracy.demand_classes import demand_classes as classes_of_days
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import columns_of
from forecast_platform.assets.scope import TenantScope, day_range

MADE_FROM = {name: columns_of("daily_sales", *read) for name, read in READ_FROM.items()}


def build_demand_classes_asset(scope: TenantScope) -> dg.AssetsDefinition:
    window = scope.tenant.training_window

    @dg.asset(
        key=scope.key("demand_classes"),
        ins={"daily_sales": scope.window("daily_sales", 1 - window, columns=REQUIRED)},
        io_manager_key=scope.replace_key,
        metadata=table_metadata(scope, "demand_classes", MADE_FROM),
        code_version="1",
        group_name=scope.name,
        kinds={"pandas", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def demand_classes(context: dg.AssetExecutionContext, daily_sales: pd.DataFrame) -> pd.DataFrame:
        """Smooth, erratic, intermittent, lumpy, new or inactive; A, B, C by revenue; X, Y, Z by steadiness."""
        first, last = day_range(context)
        rows = classes_of_days(daily_sales, first=first, last=last, window=window)
        counts = rows.groupby(["as_of", "demand_class"]).size()
        figures: dict[date, dict[str, int]] = {}
        for (day, name), series in counts.items():
            figures.setdefault(day.date(), {})[name] = int(series)
        add_figures(context, scope.key("demand_classes"), figures)
        return rows

    return demand_classes
