{#
  Views are replaced in place, and only when they changed.

  dbt's own materialization builds a view beside the old one, swaps them and drops the old one with CASCADE: on PostgreSQL
  that takes every view standing on it along, and two runs at once collide on the temporary name. Here a view whose text
  is on record (as its comment) is left alone, which is nearly always; else it is replaced under a lock. A view whose columns
  changed cannot be replaced in place on PostgreSQL and is dropped first: run all views after an upgrade.
#}

{% materialization view, default -%}
  {% set target_relation = this.incorporate(type='view') %}
  {% set existing = load_cached_relation(this) %}
  {% set fingerprint = 'dbt ' ~ local_md5(sql) %}

  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {% call statement('lock') %} {{ lock_table(target_relation) }} {% endcall %}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {% if existing is not none and view_comment(target_relation) == fingerprint %}
    {% call statement('main') %} select 'unchanged' {% endcall %}
  {% else %}
    {{ get_assert_columns_equivalent(sql) }}
    {% if existing is not none and target.type == 'postgres' %}
      {% set stored = shape_of("select * from " ~ existing ~ " where false") %}
      {% if stored != shape_of(get_empty_schema_sql(model['columns'])) %}
        {% call statement('drop') %} drop view if exists {{ target_relation }} cascade {% endcall %}
      {% endif %}
    {% endif %}
    {% call statement('main') %} create or replace view {{ target_relation }} as {{ sql }} {% endcall %}
    {% call statement('comment') %} comment on view {{ target_relation }} is '{{ fingerprint }}' {% endcall %}
  {% endif %}

  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {% do adapter.commit() %}
  {{ run_hooks(post_hooks, inside_transaction=False) }}

  {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{% macro view_comment(relation) %}
  {% set rows = run_query(adapter.dispatch('view_comment_query')(relation)) %}
  {{ return(rows[0][0] if rows | length else none) }}
{% endmacro %}

{% macro default__view_comment_query(relation) -%}
  select obj_description(to_regclass('{{ relation }}'), 'pg_class')
{%- endmacro %}

{% macro duckdb__view_comment_query(relation) -%}
  select comment from duckdb_views()
  where database_name = '{{ relation.database }}' and schema_name = '{{ relation.schema }}'
    and view_name = '{{ relation.identifier }}'
{%- endmacro %}
