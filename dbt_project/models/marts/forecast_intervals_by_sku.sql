{{ config(materialized='view', group='accuracy', tags=['ledger', 'view']) }}
-- Every interval on record, by name. Ask for one origin; of several calibrations of a version the last one is the newest.
select
  intervals.origin_date,
  cast(intervals.origin_date + intervals.horizon as date) as target_date,
  intervals.horizon,
  series.sku,
  series.location,
  versions.model,
  {%- for q in quantile_levels() %}
  intervals.{{ q }},
  {%- endfor %}
  intervals.version_id,
  intervals.calibration_id,
  intervals.series_id,
  versions.digest as version_digest
from {{ source('warehouse', 'forecast_intervals') }} as intervals
join {{ source('warehouse', 'series') }} as series on series.series_id = intervals.series_id
join {{ source('warehouse', 'forecast_versions') }} as versions on versions.version_id = intervals.version_id
