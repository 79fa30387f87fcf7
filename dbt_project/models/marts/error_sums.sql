{{ config(
    materialized='incremental', incremental_strategy='replace_days', on_schema_change='fail',
    group='accuracy', tags=['accuracy', 'partitioned'],
    meta={
      'partition': 'target_date',
      'needs': [{'asset': 'forecast_errors'}, {'asset': 'series_scales', 'origins_in': 'forecast_errors'}],
      'digest_from': [{'asset': 'forecast_errors'}, {'asset': 'series_scales', 'origins': true}],
      'code_version': '1',
      'indexes': [{'columns': ['target_date', 'series_id', 'model', 'horizon_bucket'], 'unique': true}]
    }
) }}
-- Additive sums of the errors of a day: every rolling metric is a ratio of sums of these rows. Counts the newest version of
-- each origin, model and series (the newest that has a row for that series). Scaled errors divide by the scale as of
-- their origin, before they are added; a null or zero scale is left out of them and of `n_scaled`.
with errors as (
  select target_date, series_id, origin_date, version_id, horizon, actual, error, in_stock
  from {{ ref('forecast_errors') }}
  where target_date between {{ first_day() }} and {{ last_day() }}
),

-- `repeated`: of an origin that a model forecast more than once. The window below is kept for those: over all rows it
-- takes longer than all the rest.
versions as (
  select
    held.version_id,
    versions.model,
    count(*) over (partition by held.origin_date, versions.model) > 1 as repeated
  from (select distinct origin_date, version_id from errors) as held
  join {{ source('warehouse', 'forecast_versions') }} as versions on versions.version_id = held.version_id
),

ranked as (
  select
    errors.*,
    versions.model,
    row_number() over (
      partition by errors.target_date, errors.origin_date, versions.model, errors.series_id
      order by errors.version_id desc
    ) as age
  from errors
  join versions on versions.version_id = errors.version_id
  where versions.repeated
),

current_errors as (
  select errors.target_date, errors.series_id, versions.model, errors.origin_date, errors.horizon,
    errors.actual, errors.error, errors.in_stock
  from errors
  join versions on versions.version_id = errors.version_id
  where not versions.repeated
  union all
  select target_date, series_id, model, origin_date, horizon, actual, error, in_stock
  from ranked
  where age = 1
),

-- The days are named: neither database takes them over from the origins, and all of history would be joined.
scales as (
  select as_of, series_id, scale_abs, scale_sq
  from {{ ref('series_scales') }}
  where as_of between {{ first_day() }} - {{ horizon() | int }} and {{ last_day() }} - 1
),

newest as (
  select
    errors.target_date,
    errors.series_id,
    errors.model,
    {{ horizon_bucket('errors.horizon') }} as horizon_bucket,
    errors.actual,
    errors.error,
    errors.in_stock,
    {{ error_measures() }}
  from current_errors as errors
  left join scales on scales.as_of = errors.origin_date and scales.series_id = errors.series_id
)

select
  cast(target_date as date) as target_date,
  cast(series_id as integer) as series_id,
  cast(model as text) as model,
  cast(horizon_bucket as text) as horizon_bucket,
  {{ error_sum_columns() }}
from newest
group by target_date, series_id, model, horizon_bucket
