{# What every roll-up of daily_sales adds up. #}
{% macro roll_up_measures() -%}
  cast(count(*) as bigint) as series,
  cast(sum(units) as numeric(38, 4)) as units,
  cast(sum(units_sold) as numeric(38, 4)) as units_sold,
  cast(sum(units_returned) as numeric(38, 4)) as units_returned,
  cast(sum(revenue) as numeric(38, 10)) as revenue
{%- endmacro %}
