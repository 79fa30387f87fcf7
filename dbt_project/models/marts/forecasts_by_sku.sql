{{ config(materialized='view', group='accuracy', tags=['ledger', 'view']) }}
-- Every forecast on record, by name.
select
  forecasts.origin_date,
  cast(forecasts.origin_date + forecasts.horizon as date) as target_date,
  forecasts.horizon,
  series.sku,
  series.location,
  versions.model,
  forecasts.mean,
  forecasts.status,
  forecasts.version_id,
  forecasts.series_id,
  versions.digest as version_digest,
  versions.live
from {{ source('warehouse', 'forecasts') }} as forecasts
join {{ source('warehouse', 'series') }} as series on series.series_id = forecasts.series_id
join {{ source('warehouse', 'forecast_versions') }} as versions on versions.version_id = forecasts.version_id
