{{ config(materialized='view', group='accuracy', tags=['ledger', 'view']) }}
-- What is published, by name: of each series and origin the newest publication, with the quantiles it was published with (of
-- each horizon the newest calibration up to its own). `age_days` counts from the origin to the newest one of all. Ask for
-- one origin.
with newest as (
  select *, row_number() over (partition by origin_date, series_id order by batch_id desc) as age
  from {{ source('warehouse', 'publications') }}
),

quantiles as (
  select
    intervals.origin_date,
    intervals.version_id,
    intervals.series_id,
    intervals.horizon,
    {%- for q in quantile_levels() %}
    intervals.{{ q }},
    {%- endfor %}
    row_number() over (
      partition by intervals.origin_date, intervals.version_id, intervals.series_id, intervals.horizon
      order by intervals.calibration_id desc
    ) as age
  from newest
  join {{ source('warehouse', 'forecast_intervals') }} as intervals
    on intervals.origin_date = newest.origin_date
    and intervals.version_id = newest.version_id
    and intervals.series_id = newest.series_id
    and intervals.calibration_id <= newest.calibration_id
  where newest.age = 1
)

select
  newest.origin_date,
  cast(newest.origin_date + forecasts.horizon as date) as target_date,
  forecasts.horizon,
  series.sku,
  series.location,
  versions.model,
  forecasts.mean,
  {%- for q in quantile_levels() %}
  quantiles.{{ q }},
  {%- endfor %}
  newest.confidence,
  forecasts.status,
  newest.published_at,
  cast(
    (select max(origin_date) from {{ source('warehouse', 'publications') }}) - newest.origin_date as integer
  ) as age_days,
  versions.live,
  versions.digest as version_digest,
  newest.series_id,
  newest.version_id,
  newest.calibration_id,
  newest.batch_id
from newest
join {{ source('warehouse', 'forecasts') }} as forecasts
  on forecasts.origin_date = newest.origin_date
  and forecasts.version_id = newest.version_id
  and forecasts.series_id = newest.series_id
join quantiles
  on quantiles.origin_date = newest.origin_date
  and quantiles.version_id = newest.version_id
  and quantiles.series_id = newest.series_id
  and quantiles.horizon = forecasts.horizon
  and quantiles.age = 1
join {{ source('warehouse', 'series') }} as series on series.series_id = newest.series_id
join {{ source('warehouse', 'forecast_versions') }} as versions on versions.version_id = newest.version_id
where newest.age = 1
