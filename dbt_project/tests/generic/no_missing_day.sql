{#
  A series that was in yesterday's partition is in today's, unless it became inactive today: its last positive sale is then
  exactly PIPELINE_INACTIVE_AFTER_DAYS ago. The days are named of both: from `tested` alone PostgreSQL reads all of history.
#}
{% test no_missing_day(model, partition) %}
with tested as (
  select day from {{ partition_log_table() }}
  where asset = '{{ model.identifier }}' and {{ tested_days('day') }}
)

select tested.day as missing_day, yesterday.sku, yesterday.location
from tested
join {{ model }} as yesterday
  on yesterday.{{ partition }} = tested.day - 1 and {{ tested_days('yesterday.' ~ partition, before=1) }}
left join {{ model }} as today
  on today.{{ partition }} = tested.day and {{ tested_days('today.' ~ partition) }}
  and today.sku = yesterday.sku and today.location = yesterday.location
where today.sku is null
  and not exists (
    select 1 from {{ warehouse_table('raw_sales') }} as sold
    where sold.sale_date = tested.day - {{ inactive_after_days() | int }}
      and sold.sku = yesterday.sku and sold.location = yesterday.location and sold.quantity > 0
  )
{% endtest %}
