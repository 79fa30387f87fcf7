{{ config(
    materialized='incremental', incremental_strategy='replace_days', on_schema_change='fail',
    group='accuracy', tags=['scores', 'partitioned'],
    meta={
      'partition': 'target_date',
      'needs': [{'asset': 'forecast_errors'}, {'asset': 'series_scales', 'origins_in': 'forecast_errors'}],
      'digest_from': [
        {'asset': 'forecast_errors'}, {'asset': 'publications', 'origins': true}, {'asset': 'series_scales', 'origins': true}
      ],
      'code_version': '1',
      'indexes': [{'columns': ['target_date', 'series_id', 'horizon_bucket'], 'unique': true}]
    }
) }}
-- Additive sums of the errors of a day of what was published: of each origin and series the newest publication counts. A
-- report of many days reads these, and not the 28 times as many errors that they are of.
with ranked as (
  select
    origin_date,
    series_id,
    version_id,
    row_number() over (partition by origin_date, series_id order by batch_id desc) as age
  from {{ source('warehouse', 'publications') }}
  where origin_date between {{ first_day() }} - {{ horizon() | int }} and {{ last_day() }} - 1
),

-- The days are named: neither database takes them over from the origins, and all of history would be joined.
scales as (
  select as_of, series_id, scale_abs, scale_sq
  from {{ ref('series_scales') }}
  where as_of between {{ first_day() }} - {{ horizon() | int }} and {{ last_day() }} - 1
),

published as (
  select
    errors.target_date,
    errors.series_id,
    {{ horizon_bucket('errors.horizon') }} as horizon_bucket,
    errors.actual,
    errors.error,
    errors.in_stock,
    {{ error_measures() }}
  from {{ ref('forecast_errors') }} as errors
  join ranked
    on ranked.origin_date = errors.origin_date and ranked.series_id = errors.series_id
    and ranked.version_id = errors.version_id and ranked.age = 1
  left join scales on scales.as_of = errors.origin_date and scales.series_id = errors.series_id
  where errors.target_date between {{ first_day() }} and {{ last_day() }}
)

select
  cast(target_date as date) as target_date,
  cast(series_id as integer) as series_id,
  cast(horizon_bucket as text) as horizon_bucket,
  {{ error_sum_columns() }}
from published
group by target_date, series_id, horizon_bucket
