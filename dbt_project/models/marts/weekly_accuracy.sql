{{ config(materialized='view', group='accuracy', tags=['accuracy', 'view']) }}
-- Published weekly forecasts against what the week sold, over all series, by week and whole weeks ahead (0: all of them).
-- A week counts once all its days are scored; a series without a row in it sold 0.
with scored_weeks as (
  select cast(day + (6 - cast(extract(dow from day) as integer)) as date) as week_ending
  from {{ source('warehouse', 'partition_log') }}
  where asset = 'forecast_errors'
  group by 1
  having count(*) = 7
),

scored as (
  select
    forecasts.week_ending,
    case when pools.pooled then 0 else forecasts.weeks_ahead end as weeks_ahead,
    coalesce(cast(sales.units as double precision), 0) as actual,
    forecasts.mean - coalesce(cast(sales.units as double precision), 0) as error,
    abs(forecasts.mean - coalesce(cast(sales.units as double precision), 0)) as abs_error,
    forecasts.q025,
    forecasts.q10,
    forecasts.q90,
    forecasts.q975
  from {{ ref('weekly_forecasts_by_sku') }} as forecasts
  join scored_weeks on scored_weeks.week_ending = forecasts.week_ending
  cross join (select true as pooled union all select false) as pools
  left join {{ ref('weekly_sales') }} as sales
    on sales.week_ending = forecasts.week_ending
    and sales.sku = forecasts.sku
    and sales.location = forecasts.location
),

sums as (
  select
    week_ending,
    weeks_ahead,
    count(*) as n,
    {{ exact_sum('error') }} as sum_error,
    {{ exact_sum('abs_error') }} as sum_abs_error,
    {{ exact_sum('actual') }} as sum_actual,
    count(case when actual between q10 and q90 then 1 end) as n_within_80,
    count(case when actual between q025 and q975 then 1 end) as n_within_95
  from scored
  group by week_ending, weeks_ahead
)

select
  week_ending,
  cast(weeks_ahead as integer) as weeks_ahead,
  cast(n as bigint) as n,
  sum_error,
  sum_abs_error,
  sum_actual,
  cast(n_within_80 as bigint) as n_within_80,
  cast(n_within_95 as bigint) as n_within_95,
  sum_abs_error / nullif(sum_actual, 0) as wape,
  sum_error / nullif(sum_actual, 0) as bias,
  cast(n_within_80 as double precision) / n as coverage_80,
  cast(n_within_95 as double precision) / n as coverage_95
from sums
