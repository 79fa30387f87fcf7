{{ config(materialized='view', group='accuracy', tags=['accuracy', 'view']) }}
-- How good what was published was, over all series and everything scored: by horizon bucket (and 'all'), beside the same
-- origins' and series' forecasts of every single model. `published` is what counts; a model's row says what publishing it
-- alone would have given.
with newest as (
  select origin_date, series_id, version_id,
    row_number() over (partition by origin_date, series_id order by batch_id desc) as age
  from {{ source('warehouse', 'publications') }}
),

newest_versions as (
  select
    errors.*,
    versions.model,
    newest.version_id as published_version_id,
    row_number() over (
      partition by errors.target_date, errors.origin_date, versions.model, errors.series_id
      order by errors.version_id desc
    ) as age
  from {{ ref('forecast_errors') }} as errors
  join newest
    on newest.origin_date = errors.origin_date and newest.series_id = errors.series_id and newest.age = 1
  join {{ source('warehouse', 'forecast_versions') }} as versions on versions.version_id = errors.version_id
),

scored as (
  select 'published' as model, series_id, origin_date, horizon, actual, error, in_stock
  from newest_versions where version_id = published_version_id
  union all
  select model, series_id, origin_date, horizon, actual, error, in_stock from newest_versions where age = 1
),

scaled as (
  select
    scored.*,
    {{ error_measures() }}
  from scored
  left join {{ ref('series_scales') }} as scales
    on scales.as_of = scored.origin_date and scales.series_id = scored.series_id
),

of_series as (
  select
    scaled.model,
    case when pools.bucket then 'all' else {{ horizon_bucket('scaled.horizon') }} end as horizon_bucket,
    scaled.series_id,
    count(*) as n,
    {{ exact_sum('error') }} as sum_error,
    {{ exact_sum('abs_error') }} as sum_abs_error,
    {{ exact_sum('sq_error') }} as sum_sq_error,
    {{ exact_sum('actual') }} as sum_actual,
    {{ exact_sum('scaled_abs') }} / nullif(count(scaled_abs), 0) as mase,
    sqrt({{ exact_sum('scaled_sq') }} / nullif(count(scaled_sq), 0)) as rmsse,
    count(case when not in_stock then 1 end) as n_out_of_stock
  from scaled
  cross join (select true as bucket union all select false) as pools
  group by 1, 2, 3
)

select
  model,
  horizon_bucket,
  cast(sum(n) as bigint) as n,
  count(*) as series,
  {{ exact_sum('sum_abs_error') }} / nullif({{ exact_sum('sum_actual') }}, 0) as wape,
  {{ exact_sum('rmsse') }} / nullif(count(rmsse), 0) as mean_rmsse,
  {{ exact_sum('mase') }} / nullif(count(mase), 0) as mean_mase,
  {{ exact_sum('sum_error') }} / nullif({{ exact_sum('sum_actual') }}, 0) as bias,
  cast(sum(n_out_of_stock) as bigint) as n_out_of_stock
from of_series
group by model, horizon_bucket
