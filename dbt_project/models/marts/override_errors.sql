{{ config(materialized='view', group='accuracy', tags=['scores', 'view']) }}
-- What planners expected of a day that has been scored, beside what sold: of each series and day the newest override that
-- was made before the day began and, when it began, was neither withdrawn nor expired. `published` and `naive` are what was
-- published, and what seasonal_naive_7 said, from the last origin before the override was made: what its author could know.
with withdrawals as (
  select
    withdraws as entry,
    min(received_on) as received_on
  from {{ source('warehouse', 'planner_overrides') }}
  where withdraws is not null
  group by withdraws
),

standing as (
  select
    overrides.*,
    row_number() over (
      partition by overrides.sku, overrides.location, overrides.target_date order by overrides.entry desc
    ) as age
  from {{ source('warehouse', 'planner_overrides') }} as overrides
  left join withdrawals on withdrawals.entry = overrides.entry
  where overrides.units is not null
    and overrides.received_on < overrides.target_date
    and (withdrawals.received_on is null or withdrawals.received_on >= overrides.target_date)
    and (overrides.holds_through is null or overrides.holds_through >= overrides.target_date)
    and overrides.target_date in (
      select day from {{ source('warehouse', 'partition_log') }} where asset = 'forecast_errors'
    )
),

informed as (
  select
    standing.entry,
    publications.origin_date,
    publications.version_id,
    row_number() over (
      partition by standing.entry order by publications.origin_date desc, publications.batch_id desc
    ) as age
  from standing
  join {{ source('warehouse', 'series') }} as series
    on series.sku = standing.sku and series.location = standing.location
  join {{ source('warehouse', 'publications') }} as publications
    on publications.series_id = series.series_id and publications.origin_date < standing.received_on
  where standing.age = 1
),

-- A version holds the series that differ from those before it: of each series the newest that has it.
naive as (
  select
    standing.entry,
    forecasts.mean,
    row_number() over (partition by standing.entry order by forecasts.version_id desc) as age
  from standing
  join {{ source('warehouse', 'series') }} as series
    on series.sku = standing.sku and series.location = standing.location
  join informed on informed.entry = standing.entry and informed.age = 1
  join {{ source('warehouse', 'forecasts') }} as forecasts
    on forecasts.origin_date = informed.origin_date
    and forecasts.series_id = series.series_id
    and forecasts.horizon = standing.target_date - informed.origin_date
  join {{ source('warehouse', 'forecast_versions') }} as versions
    on versions.version_id = forecasts.version_id
    and versions.origin_date = informed.origin_date
    and versions.model = 'seasonal_naive_7'
),

scored as (
  select
    standing.target_date,
    standing.sku,
    standing.location,
    standing.entry,
    standing.author,
    standing.reason,
    standing.received_at,
    cast(standing.units as double precision) as units,
    cast(coalesce(actuals.units, 0) as double precision) as actual,
    coalesce(actuals.in_stock, true) as in_stock,
    informed.origin_date,
    published.mean as published,
    naive.mean as naive
  from standing
  join {{ source('warehouse', 'series') }} as series
    on series.sku = standing.sku and series.location = standing.location
  left join {{ ref('daily_sales') }} as actuals
    on actuals.sale_date = standing.target_date
    and actuals.sku = standing.sku
    and actuals.location = standing.location
  left join informed on informed.entry = standing.entry and informed.age = 1
  left join {{ source('warehouse', 'forecasts') }} as published
    on published.origin_date = informed.origin_date
    and published.version_id = informed.version_id
    and published.series_id = series.series_id
    and published.horizon = standing.target_date - informed.origin_date
  left join naive on naive.entry = standing.entry and naive.age = 1
  where standing.age = 1
)

select
  target_date,
  sku,
  location,
  entry,
  author,
  reason,
  received_at,
  units,
  actual,
  units - actual as error,
  abs(units - actual) as abs_error,
  in_stock,
  origin_date,
  published,
  published - actual as published_error,
  naive,
  naive - actual as naive_error
from scored
