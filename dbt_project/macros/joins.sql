{#
  Joins on PostgreSQL are by hash, in models and in their tests, for the transaction they are said in; the reason stands
  at `HASH_JOINS` in postgres_dialect.py, which says the same for what is read and written from Python.
#}
{% macro hash_joins() -%} set local enable_nestloop to off; set local enable_mergejoin to off; {%- endmacro %}

{% macro postgres__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
  {{ hash_joins() }}
  {{ dbt.default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) }}
{%- endmacro %}
