{{ config(materialized='view', group='sales', tags=['sales', 'view']) }}
-- Weeks end on Saturday (pandas W-SAT). A week that is not over holds the days there are.
select
  cast(sale_date + (6 - cast(extract(dow from sale_date) as integer)) as date) as week_ending,
  sku,
  location,
  cast(sum(units) as numeric(38, 4)) as units,
  cast(sum(revenue) as numeric(38, 10)) as revenue,
  cast(coalesce(sum(case when not on_promotion then units end), 0) as numeric(38, 4)) as units_without_promotion
from {{ ref('daily_sales') }}
group by 1, 2, 3
