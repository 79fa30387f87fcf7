{{ config(materialized='view', group='accuracy', tags=['accuracy', 'view']) }}
-- Accuracy over all series, by model, horizon bucket (and 'all') and rolling window of 7, 28 and 90 target days ending at
-- `as_of`. Weights are a series' revenue of the 28 days up to `as_of`, not below 0.
with weights as (
  select
    scored_days.day as as_of,
    sales.series_id,
    greatest(cast(sum(sales.revenue) as double precision), 0) as weight
  from {{ source('warehouse', 'partition_log') }} as scored_days
  join {{ ref('daily_sales') }} as sales on sales.sale_date between scored_days.day - 27 and scored_days.day
  where scored_days.asset = 'error_sums'
  group by scored_days.day, sales.series_id
),

over_series as (
  select
    scores.as_of,
    scores.window_days,
    scores.model,
    scores.horizon_bucket,
    {{ summed_over_series() }}
  from {{ ref('forecast_accuracy_by_series') }} as scores
  left join weights on weights.as_of = scores.as_of and weights.series_id = scores.series_id
  group by 1, 2, 3, 4
),

measured as (
  select *, {{ accuracy_measures() }} from over_series
)

select
  as_of,
  window_days,
  model,
  horizon_bucket,
  {{ accuracy_columns('as_of, window_days, horizon_bucket') }}
from measured
