{{ config(materialized='view', group='accuracy', tags=['scores', 'view']) }}
-- How intervals have held, by model, horizon bucket and demand class (each also 'all'), over rolling windows of 7, 28 and 90
-- target days ending at `as_of`. Ask for one `as_of`: the whole view is every window of every day.
with scored_days as (
  select day as as_of from {{ source('warehouse', 'partition_log') }} where asset = 'interval_scores'
),

summed as (
  select
    scored_days.as_of,
    windows.window_days,
    scores.model,
    case when pools.bucket then 'all' else scores.horizon_bucket end as horizon_bucket,
    case when pools.segment then 'all' else scores.segment end as segment,
    {{ summed_interval_scores() }}
  from scored_days
  cross join (select 7 as window_days union all select 28 union all select 90) as windows
  cross join (
    select true as bucket, true as segment union all select true, false
    union all select false, true union all select false, false
  ) as pools
  join {{ ref('interval_scores') }} as scores
    on scores.target_date between scored_days.as_of - (windows.window_days - 1) and scored_days.as_of
  group by 1, 2, 3, 4, 5
)

select
  cast(as_of as date) as as_of,
  cast(window_days as integer) as window_days,
  model,
  horizon_bucket,
  segment,
  n,
  n_out_of_stock,
  sum_actual,
  {%- for q in quantile_levels() %}
  below_{{ q }},
  upto_{{ q }},
  {%- endfor %}
  upto_q90 - below_q10 as inside_80,
  upto_q975 - below_q025 as inside_95,
  ({%- for q in quantile_levels() %}{{ ' + ' if not loop.first }}pinball_{{ q }}{% endfor %}) / 5 as pinball,
  width_80,
  width_95
from summed
