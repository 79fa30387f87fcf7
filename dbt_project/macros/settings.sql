{#
  What a tenant decides, and the days of this run. Nothing else reads the environment or the flags.

  The environment is read only while executing: read during parsing, dbt would note it and parse every model
  again whenever a tenant's value differs from the last one's.
#}

{% macro tenant_setting(name, default) -%}
  {{- env_var(name, default) if execute else default -}}
{%- endmacro %}

{% macro horizon() -%} {{ tenant_setting('PIPELINE_HORIZON', '28') | int }} {%- endmacro %}

{% macro training_window() -%} {{ tenant_setting('PIPELINE_TRAINING_WINDOW', '120') | int }} {%- endmacro %}

{% macro inactive_after_days() -%} {{ tenant_setting('PIPELINE_INACTIVE_AFTER_DAYS', '365') | int }} {%- endmacro %}

{# The tenant's first day, as a SQL literal. No partition exists before it. #}
{% macro start_day() -%}
  date '{{ modules.datetime.date.fromisoformat(tenant_setting('PIPELINE_START', '1970-01-01')) }}'
{%- endmacro %}

{#
  The days of this run: {first, last}, both inclusive, from --event-time-start (inclusive) and --event-time-end
  (exclusive, as dbt and Dagster's time windows have it). Without both there is no window, and never "everything".
#}
{% macro run_window() %}
  {% set given = invocation_args_dict %}
  {% set from, to = given.get('event_time_start'), given.get('event_time_end') %}
  {% if not from or not to %}
    {% do exceptions.raise_compiler_error(
      model['name'] ~ ": no days given. Pass --event-time-start <first day> and --event-time-end <day after the last>;"
      ~ " a run without dates never means everything"
    ) %}
  {% endif %}
  {% set start, end = as_day(from, '--event-time-start'), as_day(to, '--event-time-end') %}
  {% if end <= start %}
    {% do exceptions.raise_compiler_error(
      model['name'] ~ ": --event-time-end " ~ end ~ " is exclusive and must be after --event-time-start " ~ start
    ) %}
  {% endif %}
  {% set opened = modules.datetime.date.fromisoformat(tenant_setting('PIPELINE_START', '1970-01-01')) %}
  {% if start < opened %}
    {% do exceptions.raise_compiler_error(
      model['name'] ~ ": " ~ start ~ " is before the tenant's first day, PIPELINE_START=" ~ opened
    ) %}
  {% endif %}
  {{ return({'first': start, 'last': end - modules.datetime.timedelta(days=1)}) }}
{% endmacro %}

{% macro as_day(moment, flag) %}
  {% set moment = modules.datetime.datetime.fromisoformat(moment | string) %}
  {% if moment.time() != modules.datetime.time(0) %}
    {% do exceptions.raise_compiler_error(model['name'] ~ ": " ~ flag ~ " is " ~ moment ~ "; partitions are whole days") %}
  {% endif %}
  {{ return(moment.date()) }}
{% endmacro %}

{#
  First and last day of this run as SQL literals; unit tests override these two. `dbt compile` knows no days: what it shows
  of a model is its text, for which any day will do, and runs nothing.
#}
{% macro first_day() -%} date '{{ run_window()['first'] if has_days() else '1970-01-01' }}' {%- endmacro %}

{% macro last_day() -%} date '{{ run_window()['last'] if has_days() else '1970-01-01' }}' {%- endmacro %}

{% macro days_in_run() %}
  {% set window = run_window() if has_days() else none %}
  {{ return((window['last'] - window['first']).days + 1 if window else 1) }}
{% endmacro %}

{% macro has_days() %} {{ return(execute and flags.WHICH != 'compile') }} {% endmacro %}
