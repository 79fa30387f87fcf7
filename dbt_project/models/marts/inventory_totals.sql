{{ config(materialized='view', group='inventory', tags=['ledger', 'view']) }}
-- The state of the stock by day. A series counts where it is stocked and demand is expected; the risk is the share of
-- expected demand whose stock is as likely as not gone before a delivery.
with rows_of_plan as (
  select
    *,
    stocked and demand_daily > 0 as wanted
  from {{ source('warehouse', 'inventory_plan') }}
)

select
  as_of,
  cast(count(*) as bigint) as series,
  cast(count(*) filter (where wanted) as bigint) as series_wanted,
  cast(count(*) filter (where wanted and status = 'out of stock') as bigint) as out_of_stock,
  cast(count(*) filter (where status = 'understocked') as bigint) as understocked,
  cast(count(*) filter (where status = 'overstocked') as bigint) as overstocked,
  cast(count(*) filter (where status = 'dead stock') as bigint) as dead_stock,
  cast(count(*) filter (where status = 'stock unknown') as bigint) as stock_unknown,
  cast(count(*) filter (where wanted and on_hand > 0) as double precision)
    / nullif(count(*) filter (where wanted and on_hand is not null), 0) as in_stock_share,
  {{ exact_sum('case when wanted then demand_daily * stockout_probability end') }}
    / nullif({{ exact_sum('case when wanted and stockout_probability is not null then demand_daily end') }}, 0)
    as stockout_risk,
  {{ exact_sum('inventory_value') }} as inventory_value,
  {{ exact_sum("case when status in ('overstocked', 'dead stock') then inventory_value end") }} as value_too_much,
  {{ exact_sum('inventory_value') }}
    / nullif({{ exact_sum('case when on_hand is not null then demand_daily * unit_cost end') }}, 0) as cover_days,
  cast(count(*) filter (where action in ('reorder now', 'reorder')) as bigint) as to_order,
  {{ exact_sum("case when action in ('reorder now', 'reorder') then order_quantity end") }} as units_to_order,
  {{ exact_sum("case when action in ('reorder now', 'reorder') then order_value end") }} as value_to_order
from rows_of_plan
group by as_of
