{{ config(materialized='view', group='accuracy', tags=['ledger', 'view']) }}
-- The newest explanation of each published forecast, by name. Ask for one origin.
with ranked as (
  select
    *,
    row_number() over (partition by origin_date, version_id, series_id order by batch_id desc) as age
  from {{ source('warehouse', 'forecast_explanations') }}
)

select
  explanations.origin_date,
  series.sku,
  series.location,
  versions.model,
  explanations.summary,
  explanations.contributions,
  explanations.version_id,
  explanations.series_id
from ranked as explanations
join {{ source('warehouse', 'series') }} as series on series.series_id = explanations.series_id
join {{ source('warehouse', 'forecast_versions') }} as versions on versions.version_id = explanations.version_id
where explanations.age = 1
