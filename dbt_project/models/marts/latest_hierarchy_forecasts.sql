{{ config(materialized='view', group='accuracy', tags=['ledger', 'view']) }}
-- The newest forecast of each node and day ahead. A node that no longer has a series is on record as 0, so that the rows
-- of an origin add up. Ask for one origin.
with ranked as (
  select
    *,
    row_number() over (partition by origin_date, level, node, horizon order by batch_id desc) as age
  from {{ source('warehouse', 'hierarchy_forecasts') }}
)

select
  origin_date,
  cast(origin_date + horizon as date) as target_date,
  horizon,
  level,
  node,
  mean
from ranked
where age = 1
