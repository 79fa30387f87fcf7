{{ config(
    materialized='incremental', incremental_strategy='replace_days', on_schema_change='fail',
    group='accuracy', tags=['scores', 'partitioned'],
    meta={
      'partition': 'target_date',
      'needs': [{'asset': 'daily_sales'}],
      'indexes': [{'columns': ['target_date', 'model', 'horizon_bucket', 'segment'], 'unique': true}]
    }
) }}
-- Where what was sold lay within the intervals around its forecasts: counts and sums by demand class as of the origin. The
-- newest calibration of the newest version of each origin, model and series counts. A censored actual (the shelf was
-- empty) says nothing of an interval and is counted apart. Of counts, P(y < q) <= level <= P(y <= q) is asked for.
with intervals as (
  select
    intervals.origin_date,
    intervals.version_id,
    intervals.series_id,
    intervals.horizon,
    intervals.calibration_id,
    {{ quantile_levels() | join(', ') }},
    intervals.origin_date + intervals.horizon as target_date,
    versions.model
  from {{ source('warehouse', 'forecast_intervals') }} as intervals
  join {{ source('warehouse', 'forecast_versions') }} as versions on versions.version_id = intervals.version_id
  where intervals.origin_date between {{ first_day() }} - {{ horizon() | int }} and {{ last_day() }} - 1
    and intervals.origin_date + intervals.horizon between {{ first_day() }} and {{ last_day() }}
    and intervals.horizon between 1 and {{ horizon() | int }}
),

-- Origins that a model forecast, or that were calibrated, more than once: windows over all rows would take longer than
-- all the rest.
repeated as (
  select origin_date, model
  from (select distinct origin_date, model, version_id, calibration_id from intervals) as calibrations
  group by origin_date, model
  having count(*) > 1
),

ranked as (
  select
    intervals.*,
    max(intervals.version_id) over (
      partition by intervals.origin_date, intervals.model, intervals.series_id, intervals.horizon
    ) as newest_version_id,
    max(intervals.calibration_id) over (
      partition by intervals.origin_date, intervals.version_id, intervals.series_id, intervals.horizon
    ) as newest_calibration_id
  from intervals
  join repeated on repeated.origin_date = intervals.origin_date and repeated.model = intervals.model
),

calibrated as (
  select intervals.origin_date, intervals.target_date, intervals.model, intervals.series_id, intervals.horizon,
    {{ quantile_levels() | join(', ') }}
  from intervals
  left join repeated on repeated.origin_date = intervals.origin_date and repeated.model = intervals.model
  where repeated.model is null
  union all
  select origin_date, target_date, model, series_id, horizon, {{ quantile_levels() | join(', ') }}
  from ranked
  where version_id = newest_version_id and calibration_id = newest_calibration_id
),

actuals as (
  select sale_date, series_id, cast(units as double precision) as units, in_stock
  from {{ ref('daily_sales') }}
  where sale_date between {{ first_day() }} and {{ last_day() }}
),

met as (
  select
    calibrated.target_date,
    calibrated.model,
    {{ horizon_bucket('calibrated.horizon') }} as horizon_bucket,
    classes.demand_class as segment,
    coalesce(actuals.in_stock, true) as in_stock,
    -- A series that has become inactive sold 0.
    coalesce(actuals.units, 0) as y,
    {{ quantile_levels() | join(', ') }}
  from calibrated
  left join {{ source('warehouse', 'demand_classes') }} as classes
    on classes.as_of = calibrated.origin_date and classes.series_id = calibrated.series_id
  left join actuals on actuals.sale_date = calibrated.target_date and actuals.series_id = calibrated.series_id
)

select
  cast(target_date as date) as target_date,
  cast(model as text) as model,
  cast(horizon_bucket as text) as horizon_bucket,
  cast(segment as text) as segment,
  cast(count(case when in_stock then 1 end) as integer) as n,
  cast(count(case when not in_stock then 1 end) as integer) as n_out_of_stock,
  coalesce({{ exact_sum('case when in_stock then y end') }}, 0) as sum_actual,
  {%- for q, level in quantile_levels().items() %}
  cast(count(case when in_stock and y < {{ q }} then 1 end) as integer) as n_below_{{ q }},
  cast(count(case when in_stock and y <= {{ q }} then 1 end) as integer) as n_upto_{{ q }},
  coalesce({{ exact_sum(
    'case when in_stock then case when y >= ' ~ q ~ ' then (y - ' ~ q ~ ') * ' ~ level
    ~ ' else (' ~ q ~ ' - y) * (1 - ' ~ level ~ ') end end') }}, 0) as sum_pinball_{{ q }},
  {%- endfor %}
  coalesce({{ exact_sum('case when in_stock then q90 - q10 end') }}, 0) as sum_width_80,
  coalesce({{ exact_sum('case when in_stock then q975 - q025 end') }}, 0) as sum_width_95
from met
group by target_date, model, horizon_bucket, segment
