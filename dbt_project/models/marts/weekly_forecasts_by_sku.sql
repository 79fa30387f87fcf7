{{ config(materialized='view', group='accuracy', tags=['ledger', 'view']) }}
-- The newest published forecast of each week, origin and series, by name. Ask for one origin.
with ranked as (
  select
    *,
    row_number() over (partition by origin_date, series_id, week_ending order by batch_id desc) as age
  from {{ source('warehouse', 'weekly_forecasts') }}
)

select
  weeks.origin_date,
  weeks.week_ending,
  cast(floor((weeks.week_ending - weeks.origin_date) / 7.0) as integer) as weeks_ahead,
  series.sku,
  series.location,
  versions.model,
  weeks.mean,
  weeks.q025,
  weeks.q10,
  weeks.q50,
  weeks.q90,
  weeks.q975,
  weeks.version_id,
  weeks.series_id
from ranked as weeks
join {{ source('warehouse', 'series') }} as series on series.series_id = weeks.series_id
join {{ source('warehouse', 'forecast_versions') }} as versions on versions.version_id = weeks.version_id
where weeks.age = 1
