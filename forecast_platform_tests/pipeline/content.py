"""The whole content of a warehouse by name: what two runs, or two warehouses, must agree on.

Ids are replaced by what they stand for; clocks and run ids are left out.
"""

from __future__ import annotations

import pandas as pd

from forecast_platform.io_managers.warehouse import Warehouse

NAMED = "join series using (series_id)"
VERSION = "join forecast_versions v using (version_id)"

QUERIES: dict[str, str] = {
    "partition_log": "select asset, day, rows from partition_log",
    "series": "select sku, location from series",
    "raw_sales": "select * from raw_sales",
    "sales_rejects": "select * from sales_rejects",
    "daily_sales": """
        select sale_date, sku, location, units, units_sold, units_returned, revenue, orders, avg_price,
               on_promotion, in_stock
        from daily_sales""",
    "weekly_sales": "select * from weekly_sales",
    "series_scales": f"select as_of, sku, location, scale_abs, scale_sq from series_scales {NAMED}",
    "features": "select f.*, s.sku, s.location from features f join series s on s.series_id = f.series_id",
    "demand_classes": f"select c.*, sku, location from demand_classes c {NAMED}",
    "forecast_versions": """
        select digest, origin_date, model, model_spec, code_version, horizon, series, live from forecast_versions""",
    "forecasts": f"""
        select f.origin_date, v.digest, sku, location, f.horizon, f.mean, f.status
        from forecasts f {VERSION} {NAMED}""",
    "forecast_errors": f"""
        select e.target_date, v.digest, sku, location, e.origin_date, e.horizon, e.forecast, e.actual, e.error,
               e.in_stock
        from forecast_errors e {VERSION} {NAMED}""",
    "error_sums": f"select e.*, sku, location from error_sums e {NAMED}",
    "forecast_intervals": f"""
        select i.origin_date, v.digest, sku, location, i.horizon, i.q025, i.q10, i.q50, i.q90, i.q975,
               rank() over (partition by version_id, series_id, i.horizon order by i.calibration_id) as calibration
        from forecast_intervals i {VERSION} {NAMED}""",
    "interval_scores": "select * from interval_scores",
    "published_sums": f"select p.*, sku, location from published_sums p {NAMED}",
    "champions": f"select c.*, sku, location from champions c {NAMED}",
    "publications": f"""
        select p.origin_date, v.digest, sku, location, p.confidence,
               rank() over (partition by p.origin_date, p.series_id order by p.batch_id) as publication
        from publications p {VERSION} {NAMED}""",
    "published_latest": f"""
        select l.origin_date, v.digest, sku, location, l.confidence from published_latest l {VERSION} {NAMED}""",
    "served_forecasts": "select origin_date, sku, location from served_forecasts",
    "accuracy_sums": """
        select target_date, model, horizon_bucket, n, sum_error, sum_abs_error, sum_sq_error, sum_actual, n_positive,
               sum_ape_positive, n_out_of_stock
        from accuracy_sums""",
    "plan_inputs": "select as_of, sku, location, model, demand_class, whole, later from plan_inputs",
    "plan_paths": "select as_of, model, demand_class from plan_paths",
    "items": "select * from items",
    "locations": "select * from locations",
    "suppliers": "select * from suppliers",
    "plan": "select * from plan",
    "weekly_forecasts": f"""
        select w.origin_date, v.digest, sku, location, w.week_ending, w.mean, w.q025, w.q10, w.q50, w.q90, w.q975,
               rank() over (partition by w.origin_date, w.series_id, w.week_ending order by w.batch_id) as batch
        from weekly_forecasts w {VERSION} {NAMED}""",
    "hierarchy_forecasts": """
        select origin_date, level, node, horizon, mean,
               rank() over (partition by origin_date, level, node, horizon order by batch_id) as batch
        from hierarchy_forecasts""",
    "forecast_explanations": f"""
        select e.origin_date, v.digest, sku, location, e.summary, e.contributions,
               rank() over (partition by e.origin_date, e.version_id, e.series_id order by e.batch_id) as batch
        from forecast_explanations e {VERSION} {NAMED}""",
    "covariates": "select * from covariates",
    "inventory_levels": "select * from inventory_levels",
    "open_orders": "select * from open_orders",
    "actual_overrides": "select * from actual_overrides",
    "inventory_plan": "select * from inventory_plan",
    "inventory_simulation": "select * from inventory_simulation",
}
VIEWS: dict[str, str] = {
    name: f"select * from {name}"
    for name in (
        *("weekly_sales", "daily_sales_by_location", "daily_sales_by_category", "daily_sales_total"),
        *("forecasts_by_sku", "latest_forecasts"),
        *("forecast_intervals_by_sku", "interval_coverage"),
        *("weekly_forecasts_by_sku", "latest_hierarchy_forecasts", "forecast_explanations_by_sku"),
        *("forecast_accuracy", "forecast_accuracy_by_series", "forecast_accuracy_total"),
        *("published_forecasts", "published_accuracy", "champion_changes"),
        *("inventory_totals", "inventory_exceptions"),
    )
}
IDS = {"series_id", "version_id", "calibration_id", "batch_id", "published_at"}


def contents(warehouse: Warehouse, *, only: set[str] | None = None) -> dict[str, pd.DataFrame]:
    """The rows by name of every table there is, as text and floats, in one order; ``only`` may name views too."""
    tables = {}
    there = warehouse.read(
        "select table_name from information_schema.tables where table_schema = :schema", {"schema": warehouse.schema}
    )
    wanted = set(there["table_name"]) & set(QUERIES) if only is None else only
    for name, query in (QUERIES | VIEWS).items():
        if name in wanted:
            frame = warehouse.read(query)
            frame = frame[sorted(column for column in frame.columns if column not in IDS)]
            tables[name] = ordered(frame)
    return tables


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of their exact columns; floats last, because they may differ in the last bits."""
    exact = frame.select_dtypes(exclude="float").columns.tolist()
    shown = frame.assign(**{column: frame[column].astype(str) for column in exact})
    return shown.sort_values(exact, ignore_index=True, kind="stable")


def assert_same(one: dict[str, pd.DataFrame], other: dict[str, pd.DataFrame], *, tolerance: float = 0.0) -> None:
    """Both hold the same rows; floats to ``tolerance`` (relative), everything else exactly."""
    assert one.keys() == other.keys()
    for name in one:
        pd.testing.assert_frame_equal(
            one[name], other[name], check_exact=tolerance == 0.0, rtol=tolerance or 1e-5, obj=name, check_dtype=False
        )
