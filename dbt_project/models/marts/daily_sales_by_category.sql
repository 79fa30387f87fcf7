{{ config(materialized='view', group='sales', tags=['sales', 'view']) }}
-- The category as it was on that day: the item's own row at that location, else its row for location `all`.
select
  sales.sale_date,
  coalesce(here.category, everywhere.category, 'unknown') as category,
  {{ roll_up_measures() }}
from {{ ref('daily_sales') }} as sales
left join {{ ref('stg_item_categories') }} as here
  on here.sku = sales.sku
  and here.location = sales.location
  and sales.sale_date >= here.valid_from
  and (here.valid_to is null or sales.sale_date < here.valid_to)
left join {{ ref('stg_item_categories') }} as everywhere
  on everywhere.sku = sales.sku
  and everywhere.location = 'all'
  and sales.sale_date >= everywhere.valid_from
  and (everywhere.valid_to is null or sales.sale_date < everywhere.valid_to)
group by 1, 2
