{{ config(materialized='view', group='accuracy', tags=['accuracy', 'view']) }}
-- Accuracy of each series, by model, horizon bucket (and 'all') and rolling window of 7, 28 and 90 target days ending at
-- `as_of`. Ask for one `as_of`: the whole view is every window of every day.
with scored_days as (
  select day as as_of from {{ source('warehouse', 'partition_log') }} where asset = 'error_sums'
),

sums as (
  select
    scored_days.as_of,
    windows.window_days,
    errors.series_id,
    errors.model,
    case when pools.pooled then 'all' else errors.horizon_bucket end as horizon_bucket,
    {{ summed_series_errors() }}
  from scored_days
  cross join (select 7 as window_days union all select 28 union all select 90) as windows
  cross join (select true as pooled union all select false) as pools
  join {{ ref('error_sums') }} as errors
    on errors.target_date between scored_days.as_of - (windows.window_days - 1) and scored_days.as_of
  group by 1, 2, 3, 4, 5
)

select
  cast(sums.as_of as date) as as_of,
  cast(sums.window_days as integer) as window_days,
  cast(sums.series_id as integer) as series_id,
  series.sku,
  series.location,
  sums.model,
  sums.horizon_bucket,
  sums.n,
  sums.sum_error,
  sums.sum_abs_error,
  sums.sum_sq_error,
  sums.sum_actual,
  sums.n_positive,
  sums.sum_ape_positive,
  sums.n_scaled,
  sums.n_out_of_stock,
  {{ accuracy_measures() }},
  sums.mase,
  sums.rmsse
from sums
join {{ source('warehouse', 'series') }} as series on series.series_id = sums.series_id
