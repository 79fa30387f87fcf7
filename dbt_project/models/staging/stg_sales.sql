-- Sales events with what the aggregation adds up: units sold and returned apart, and the value of each line.
select
  sale_date,
  sku,
  location,
  order_id,
  cast(greatest(quantity, 0) as numeric(18, 4)) as units_sold,
  cast(greatest(-quantity, 0) as numeric(18, 4)) as units_returned,
  cast(cast(quantity as numeric(38, 4)) * unit_price as numeric(38, 10)) as revenue,
  coalesce(on_promotion, false) as on_promotion
from {{ source('warehouse', 'raw_sales') }}
