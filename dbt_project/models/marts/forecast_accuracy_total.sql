{{ config(materialized='view', group='accuracy', tags=['accuracy', 'view']) }}
-- Accuracy over everything on record, by model and horizon bucket (and 'all'). Weights are a series' revenue of the 28 days
-- up to the newest scored day, not below 0.
with newest as (
  select max(day) as as_of from {{ source('warehouse', 'partition_log') }} where asset = 'error_sums'
),

weights as (
  select sales.series_id, greatest(cast(sum(sales.revenue) as double precision), 0) as weight
  from newest
  join {{ ref('daily_sales') }} as sales on sales.sale_date between newest.as_of - 27 and newest.as_of
  group by sales.series_id
),

by_series as (
  select
    errors.series_id,
    errors.model,
    case when pools.pooled then 'all' else errors.horizon_bucket end as horizon_bucket,
    {{ summed_series_errors() }}
  from (select true as pooled union all select false) as pools
  cross join {{ ref('error_sums') }} as errors
  group by 1, 2, 3
),

over_series as (
  select
    scores.model,
    scores.horizon_bucket,
    {{ summed_over_series() }}
  from by_series as scores
  left join weights on weights.series_id = scores.series_id
  group by 1, 2
),

measured as (
  select *, {{ accuracy_measures() }} from over_series
)

select
  (select as_of from newest) as as_of,
  model,
  horizon_bucket,
  {{ accuracy_columns('horizon_bucket') }}
from measured
