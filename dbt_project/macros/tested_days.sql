{# What a data test looks at: the days of the run where there are any, else everything. #}
{% macro tested_days(partition) -%}
  {%- if execute and invocation_args_dict.get('event_time_start') -%}
    {{ partition }} between {{ first_day() }} and {{ last_day() }}
  {%- else -%}
    true
  {%- endif -%}
{%- endmacro %}
