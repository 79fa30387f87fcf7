"""Column lineage is read from the SQL of dbt models: through CTEs, stars, counts, staging and the partition log."""

from __future__ import annotations

from typing import Any

import pytest

from forecast_platform.assets.dbt_lineage import models_origins


def model(
    name: str, sql: str, *columns: str, partition: str | None = None, tags: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": "model",
        "compiled_code": sql,
        "columns": dict.fromkeys(columns),
        "tags": list(tags),
        "config": {"meta": {"partition": partition} if partition else {}},
    }


@pytest.fixture(params=["duckdb", "postgres"])
def origins_of(request: pytest.FixtureRequest):
    def origins(*models: dict[str, Any]) -> dict[str, Any]:
        nodes = {f"model.project.{node['name']}": node for node in models}
        return models_origins({"nodes": nodes, "metadata": {"adapter_type": request.param}})

    return origins


def test_a_column_is_followed_through_ctes_joins_and_stars(origins_of):
    sql = """
        with sold as (select *, row_number() over (partition by sku) as age from "d"."t"."raw_sales"),
        summed as (select sku, sale_date, sum(quantity * unit_price) as value from sold where age = 1 group by 1, 2)
        select summed.sale_date, items.category, summed.value as revenue
        from summed left join "d"."t"."items" as items on items.sku = summed.sku
    """
    assert origins_of(model("m", sql, "sale_date", "category", "revenue"))["m"] == {
        "sale_date": ("raw_sales.sale_date",),
        "category": ("items.category",),
        "revenue": ("raw_sales.quantity", "raw_sales.unit_price"),
    }


def test_a_staging_view_is_read_through_to_its_sources(origins_of):
    staging = model(
        "stg", "select sku, greatest(quantity, 0) as sold from main.raw_sales", "sku", "sold", tags=("staging",)
    )
    total = model("m", "select sum(sold) as sold from main.stg", "sold")
    assert origins_of(staging, total) == {"m": {"sold": ("raw_sales.quantity",)}}


def test_a_count_of_rows_is_made_from_what_they_are_grouped_by(origins_of):
    sql = "select sku, cast(count(*) as integer) as n, count(order_id) as orders from main.raw_sales group by sku"
    origins = origins_of(model("m", sql, "sku", "n", "orders"))["m"]
    assert origins == {"sku": ("raw_sales.sku",), "n": ("raw_sales.sku",), "orders": ("raw_sales.order_id",)}


def test_a_day_of_the_partition_log_is_the_partition_of_the_asset_it_is_asked_for(origins_of):
    sums = model("sums", "select sale_date as on_day from main.raw_sales", "on_day", partition="on_day")
    sql = "with days as (select day from main.partition_log where asset = 'sums') select day as as_of from days"
    assert origins_of(sums, model("m", sql, "as_of"))["m"] == {"as_of": ("sums.on_day",)}


def test_a_log_that_is_asked_for_no_asset_is_refused(origins_of):
    with pytest.raises(ValueError, match="name one"):
        origins_of(model("m", "select day from main.partition_log where rows > 0", "day"))


def test_tables_that_are_no_assets_stand_for_the_columns_they_are_written_with(origins_of):
    sql = """
        select s.sku, v.model from main.forecasts as f
        join main.series as s on s.series_id = f.series_id
        join main.forecast_versions as v on v.version_id = f.version_id
    """
    assert origins_of(model("m", sql, "sku", "model"))["m"] == {
        "sku": ("raw_sales.sku",),
        "model": ("forecasts.version_id",),
    }


def test_a_model_that_selects_other_columns_than_its_contract_is_named(origins_of):
    with pytest.raises(ValueError, match="dbt model m selects"):
        origins_of(model("m", "select sku from main.raw_sales", "sku", "location"))


def test_a_manifest_without_compiled_sql_is_refused(origins_of):
    with pytest.raises(ValueError, match="not compiled"):
        origins_of(model("m", "", "sku"))
