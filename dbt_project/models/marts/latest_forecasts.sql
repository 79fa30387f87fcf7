{{ config(materialized='view', group='accuracy', tags=['ledger', 'view']) }}
-- The newest version of each series, origin and model. Ask for one origin.
with ranked as (
  select
    *,
    max(version_id) over (partition by origin_date, series_id, model) as newest_version_id
  from {{ ref('forecasts_by_sku') }}
)

select
  origin_date,
  target_date,
  horizon,
  sku,
  location,
  model,
  mean,
  status,
  version_id,
  series_id,
  version_digest,
  live
from ranked
where version_id = newest_version_id
