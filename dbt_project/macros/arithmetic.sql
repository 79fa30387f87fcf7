{#
  Arithmetic that gives the same bits on every run, and on both databases.

  DuckDB adds doubles in the order its threads finish, so sum(double) differs in the last bits from run to run. Sums
  here are of DECIMAL, which are exact and need no order, and become double once, at the end.
#}

{#
  Sum of a double expression, as double: each value is rounded to 14 decimals, then added exactly. What is rounded away
  is below 5e-15 a row. A value beyond 1e22 counts as 1e22, so that one absurd forecast cannot overflow the
  sum that all the others are part of. With `times`, a column of whole numbers, each value is added so often.
#}
{% macro exact_sum(expression, times=none) -%}
  cast(sum(cast(
    case when {{ expression }} > 1e22 then 1e22 when {{ expression }} < -1e22 then -1e22 else {{ expression }} end
    as numeric(38, 14)){{ ' * ' ~ times if times }}) as double precision)
{%- endmacro %}

{# 0, 1, …, last as rows, in a select list. #}
{% macro steps_to(last) -%} {{ adapter.dispatch('steps_to')(last) }} {%- endmacro %}

{% macro default__steps_to(last) -%} generate_series(0, {{ last }}) {%- endmacro %}

{% macro duckdb__steps_to(last) -%} cast(unnest(generate_series(0, {{ last }})) as integer) {%- endmacro %}

{# A query of one column, `day`: every day of this run. #}
{% macro days_of_run() -%}
  select {{ first_day() }} + step as day
  from (select {{ steps_to(last_day() ~ ' - ' ~ first_day()) }} as step) as steps
{%- endmacro %}

{# The horizon bucket that accuracy is reported by. #}
{% macro horizon_bucket(horizon) -%}
  case
    when {{ horizon }} <= 1 then '1'
    when {{ horizon }} <= 7 then '2-7'
    when {{ horizon }} <= 14 then '8-14'
    when {{ horizon }} <= 28 then '15-28'
    else '29+'
  end
{%- endmacro %}
