{# What a data test looks at: the days of the run where there are any, else everything; or so many days `before` each. #}
{% macro tested_days(partition, before=0) -%}
  {%- if execute and invocation_args_dict.get('event_time_start') -%}
    {{ partition }} between {{ first_day() }} - {{ before }} and {{ last_day() }} - {{ before }}
  {%- else -%}
    true
  {%- endif -%}
{%- endmacro %}
