{{ config(
    materialized='incremental', incremental_strategy='replace_days', on_schema_change='fail',
    group='sales', tags=['sales', 'partitioned'],
    meta={
      'partition': 'sale_date',
      'needs': [{'asset': 'raw_sales', 'look_back': 'inactive_after_days'}],
      'indexes': [{'columns': ['sale_date', 'series_id'], 'unique': true}]
    }
) }}
-- One row per active series and day, zeros included. Active on D: a positive sale in the last
-- PIPELINE_INACTIVE_AFTER_DAYS days up to and including D, so whether a series is in D depends on facts up to D only.
with events as (
  select * from {{ ref('stg_sales') }}
  where sale_date between {{ first_day() }} - {{ inactive_after_days() | int - 1 }} and {{ last_day() }}
    and sale_date >= {{ start_day() }}
),

-- Of the sales before the first day the last of each series is enough: earlier ones keep nothing in that is asked for.
sold_on as (
  select distinct sku, location, sale_date from events where units_sold > 0 and sale_date >= {{ first_day() }}
  union all
  select sku, location, max(sale_date) as sale_date
  from events
  where units_sold > 0 and sale_date < {{ first_day() }}
  group by sku, location
),

-- A positive sale keeps its series in until the next one, or until it has become inactive.
stays as (
  select
    sku,
    location,
    greatest(sale_date, {{ first_day() }}) as first_in,
    least(
      sale_date + {{ inactive_after_days() | int - 1 }},
      lead(sale_date) over (partition by sku, location order by sale_date) - 1,
      {{ last_day() }}
    ) as last_in
  from sold_on
),

members as (
  select sku, location, first_in + step as sale_date
  from (
    select sku, location, first_in, {{ steps_to('last_in - first_in') }} as step
    from stays
    where last_in >= first_in
  ) as days_in
),

-- avg_price is over the lines sold whose price is known.
by_day as (
  select
    sale_date,
    sku,
    location,
    sum(units_sold) as units_sold,
    sum(units_returned) as units_returned,
    sum(revenue) as revenue,
    count(distinct order_id) as orders,
    sum(case when units_sold > 0 then revenue end) as priced_revenue,
    sum(case when revenue is not null then units_sold end) as priced_units,
    bool_or(on_promotion) as on_promotion
  from events
  where sale_date >= {{ first_day() }}
  group by sale_date, sku, location
),

-- What somebody has given as the day's total counts instead of its events, until it is withdrawn.
given as (
  select sale_date, sku, location, units
  from (
    select
      sale_date,
      sku,
      location,
      units,
      row_number() over (partition by sale_date, sku, location order by entry desc) as age
    from {{ source('warehouse', 'actual_overrides') }}
    where sale_date between {{ first_day() }} and {{ last_day() }}
  ) as entries
  where age = 1 and units is not null
)

select
  cast(members.sale_date as date) as sale_date,
  cast(members.sku as text) as sku,
  cast(members.location as text) as location,
  cast(series.series_id as integer) as series_id,
  cast(
    coalesce(given.units, greatest(coalesce(by_day.units_sold - by_day.units_returned, 0), 0)) as numeric(18, 4)
  ) as units,
  cast(coalesce(by_day.units_sold, 0) as numeric(18, 4)) as units_sold,
  cast(coalesce(by_day.units_returned, 0) as numeric(18, 4)) as units_returned,
  cast(coalesce(by_day.revenue, 0) as numeric(38, 10)) as revenue,
  cast(coalesce(by_day.orders, 0) as integer) as orders,
  cast(by_day.priced_revenue as double precision)
    / nullif(cast(by_day.priced_units as double precision), 0) as avg_price,
  cast(coalesce(by_day.on_promotion, false) as boolean) as on_promotion,
  cast(
    not (coalesce(given.units, by_day.units_sold, 0) = 0 and coalesce(stock.on_hand <= 0, false)) as boolean
  ) as in_stock
from members
left join by_day
  on by_day.sale_date = members.sale_date and by_day.sku = members.sku and by_day.location = members.location
left join given
  on given.sale_date = members.sale_date and given.sku = members.sku and given.location = members.location
left join {{ source('warehouse', 'series') }} as series
  on series.sku = members.sku and series.location = members.location
left join {{ source('warehouse', 'inventory_levels') }} as stock
  on stock.snapshot_date = members.sale_date and stock.sku = members.sku and stock.location = members.location
