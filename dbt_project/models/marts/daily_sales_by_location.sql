{{ config(materialized='view', group='sales', tags=['sales', 'view']) }}
select
  sale_date,
  location,
  {{ roll_up_measures() }}
from {{ ref('daily_sales') }}
group by sale_date, location
