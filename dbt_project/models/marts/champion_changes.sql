{{ config(materialized='view', group='accuracy', tags=['ledger', 'view']) }}
-- The days on which a series' champion is another one than on the day before, as both days' partitions have it.
with neighbours as (
  select
    champions.*,
    lag(model) over by_day as model_before,
    lag(as_of) over by_day as day_before
  from {{ source('warehouse', 'champions') }} as champions
  window by_day as (partition by series_id order by as_of)
)

select
  neighbours.as_of,
  series.sku,
  series.location,
  neighbours.model_before,
  neighbours.model,
  neighbours.segment,
  neighbours.reason,
  neighbours.n,
  neighbours.rmsse,
  neighbours.incumbent_rmsse,
  neighbours.floor_rmsse,
  neighbours.bias,
  neighbours.confidence,
  neighbours.series_id
from neighbours
join {{ source('warehouse', 'series') }} as series on series.series_id = neighbours.series_id
where neighbours.model <> neighbours.model_before and neighbours.day_before = neighbours.as_of - 1
