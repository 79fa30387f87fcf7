{{ config(materialized='view', group='inventory', tags=['ledger', 'view']) }}
-- What somebody has to act on, one row a series and day: to order, running out whatever is on its way, dead, too much,
-- or not counted. Ask for one day.
with told as (
  select
    *,
    case
      when action in ('reorder now', 'reorder') then 'order'
      when status = 'stock unknown' and stocked and demand_daily > 0 then 'count'
      when stocked and demand_daily > 0 and stockout_probability >= 0.5 then 'runs out'
      when status in ('dead stock', 'overstocked') then status
    end as exception
  from {{ source('warehouse', 'inventory_plan') }}
)

select
  as_of,
  exception,
  sku,
  location,
  supplier,
  category,
  status,
  priority,
  on_hand,
  on_order,
  demand_daily,
  days_of_inventory,
  stockout_probability,
  stockout_on,
  order_quantity,
  expected_on,
  order_value,
  inventory_value,
  reason
from told
where exception is not null
