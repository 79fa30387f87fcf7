-- The category of an item and the days it holds for; `valid_to` is exclusive and null for the newest row.
select
  sku,
  location,
  category,
  valid_from,
  lead(valid_from) over (partition by sku, location order by valid_from) as valid_to
from {{ source('warehouse', 'items') }}
