"""``raw_sales[D]`` and ``sales_rejects[D]``: the events of day D, a pure function of what has landed."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd

from forecast_platform import tables
from forecast_platform.assets.arrivals import arrived
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import made_from
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.assets.upstream import rejects_columns, upstream_columns, upstream_deps
from forecast_platform.days import days_between


def build_raw_sales_asset(scope: TenantScope) -> dg.AssetsDefinition:
    read = {"raw_sales": upstream_columns(scope, "raw_sales"), "sales_rejects": rejects_columns(scope)}

    def out(name: str, description: str) -> dg.AssetOut:
        return dg.AssetOut(
            key=scope.key(name),
            dagster_type=pd.DataFrame,
            description=description,
            io_manager_key=scope.replace_key,
            metadata=table_metadata(scope, name, made_from(tables.metadata.tables[name].columns.keys()), read[name]),
            code_version="1",
            group_name=scope.name,
            kinds={"python", scope.settings.backend},
            owners=scope.tenant.owners,
        )

    @dg.multi_asset(
        name=f"{scope.name}__raw_sales",
        deps=upstream_deps(scope, "raw_sales"),
        outs={
            "raw_sales": out("raw_sales", "Sales events by business day; returns are negative."),
            "sales_rejects": out("sales_rejects", "Rows that are no sale, with the reason and the row as it came."),
        },
        **scope.partitioned(),
    )
    def raw_sales(context: dg.AssetExecutionContext) -> Iterator[dg.Output]:
        first, last = day_range(context)
        rows, rejects = arrived(context, scope, "raw_sales", first, last)
        days = days_between(first, last)
        bad = rejects[~rejects["reason"].astype(str).str.startswith("ignored")]
        bad_rows = per_day(bad.groupby("sale_date").size(), days)
        units = per_day(rows.set_index("sale_date")["quantity"].astype("float64"), days)
        orders = per_day(rows.groupby("sale_date")["order_id"].nunique(), days)
        ignored = per_day(rejects.drop(bad.index).groupby("sale_date").size(), days)
        for name, shown in (
            ("raw_sales", {"units": units, "orders": orders, "bad_rows": bad_rows}),
            ("sales_rejects", {"bad_rows": bad_rows, "ignored_rows": ignored}),
        ):
            figures = {day: {figure: values[day] for figure, values in shown.items()} for day in days}
            add_figures(context, scope.key(name), figures)
        yield dg.Output(rows, "raw_sales")
        yield dg.Output(rejects, "sales_rejects")

    return raw_sales


def per_day(values: pd.Series, days: list) -> dict:
    """Sums of ``values`` by their index (days), 0 where a day has none."""
    sums = values.groupby(level=0).sum()
    return {day: float(sums.get(pd.Timestamp(day), 0)) for day in days}
