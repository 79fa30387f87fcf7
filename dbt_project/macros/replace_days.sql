{#
  Incremental strategy `replace_days`: the days of this run are replaced whole, in one transaction, on both databases.

  No built-in strategy of dbt is right when a correction empties a SKU or a day: delete+insert deletes only the keys that
  come back, microbatch is a MERGE on PostgreSQL. Here the window goes and what the model gives for it comes, also nothing.
  The same statements run whether the table is new, old, or already holds those days; `--full-refresh` changes nothing,
  because a ledger's facts are not rebuilt by accident.

  Order of statements in the transaction: lock (PostgreSQL), create if missing, check that the days read are on record,
  delete, insert, partition_log, commit. The lock comes before anything is read, so that two runs of one partition end as if
  one after the other under READ COMMITTED.

  dbt's own `incremental` cannot be used with it: it builds a temporary copy first, writes no log, and looks for the table
  before a lock can be taken, so that two first runs collide. This one takes its place in this project.

  Each statement starts with a comment `replace_days <step>`: `dbt_child.py` hangs crash points on it, and it tells in
  pg_stat_activity how far a run is.

  Config (under `meta`):
    partition     the date column the window replaces
    needs         list of {asset, look_back, origins_in}: days that must be in partition_log before this model runs
    indexes       list of {columns, unique}: created on PostgreSQL with the table
#}

{% materialization incremental, default -%}
  {{ return(replace_days()) }}
{%- endmaterialization %}

{# dbt-duckdb brings an `incremental` of its own, which would win over the default one. #}
{% materialization incremental, adapter='duckdb' -%}
  {{ return(replace_days()) }}
{%- endmaterialization %}

{% macro replace_days() %}
  {% if config.get('incremental_strategy') != 'replace_days' %}
    {% do exceptions.raise_compiler_error(model['name'] ~ ": incremental models of this project use incremental_strategy replace_days") %}
  {% endif %}
  {% set target_relation = this.incorporate(type='table') %}
  {% set partition = config.get('meta')['partition'] %}
  {% set window = run_window() %}
  {% set between = adapter.quote(partition) ~ " between date '" ~ window['first'] ~ "' and date '" ~ window['last'] ~ "'" %}

  {{ run_hooks(pre_hooks, inside_transaction=False) }}

  {% call statement('lock') %} {{ step('lock') }} {{ lock_table(target_relation) }} {% endcall %}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}

  {% do create_once(target_relation, load_cached_relation(this)) %}
  {% do refuse_missing_days(window) %}

  {% call statement('delete') %} {{ step('delete') }} delete from {{ target_relation }} where {{ between }} {% endcall %}

  {% set columns = model['columns'].values() | map(attribute='name') | map('string') | list %}
  {% call statement('main') %}
    {{ step('insert') }}
    insert into {{ target_relation }} ({{ quoted(columns) }})
    select {{ quoted(columns) }} from ({{ sql }}) as model
  {% endcall %}

  {% call statement('log') %} {{ step('log') }} {{ log_partitions(target_relation, partition) }} {% endcall %}

  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {% do adapter.commit() %}
  {{ run_hooks(post_hooks, inside_transaction=False) }}

  {{ return({'relations': [target_relation]}) }}
{% endmacro %}

{% macro step(name) -%} /* replace_days {{ name }} */ {%- endmacro %}

{% macro quoted(columns) -%}
  {%- for column in columns -%} {{ adapter.quote(column) }}{{ ', ' if not loop.last }} {%- endfor -%}
{%- endmacro %}

{#
  One writer a table at a time, until the end of the transaction; the name is the one the IO managers lock. Tables whose
  digests the log takes in (`digest_from`) may be read meanwhile, and not written. DuckDB lets one process in anyway.
  Dates are written into digests as text, so their style must not be the server's.
#}
{% macro lock_table(relation) -%} {{ adapter.dispatch('lock_table')(relation) }} {%- endmacro %}

{% macro default__lock_table(relation) -%}
  set local datestyle to 'ISO, YMD'; set local timezone to 'UTC'; set local lock_timeout to '15min';
  {{ hash_joins() }}
  select pg_advisory_xact_lock(hashtextextended('{{ relation.schema }}.{{ relation.identifier }}', 0))
  {%- for source in config.get('meta').get('digest_from', []) %},
    pg_advisory_xact_lock_shared(hashtextextended('{{ relation.schema }}.{{ source['asset'] }}', 0))
  {%- endfor %}
{%- endmacro %}

{% macro duckdb__lock_table(relation) -%} select 1 {%- endmacro %}

{#
  Create the table of the contract if it is not there, under the lock; refuse a table of another shape before anything
  is deleted. The model's own columns are checked against the contract each time.
#}
{% macro create_once(relation, existing) %}
  {{ get_assert_columns_equivalent(sql) }}
  {% if existing is none %}
    {% call statement('create') %}
      {{ step('create') }} create table if not exists {{ relation }} {{ get_table_columns_and_constraints() }}
    {% endcall %}
    {% if target.type == 'postgres' %}
      {% for index in config.get('meta').get('indexes', []) %}
        {% call statement('index') %}
          create {{ 'unique' if index.get('unique') }} index if not exists
          {{ adapter.quote(relation.identifier ~ '_by_' ~ index['columns'] | join('_')) }}
          on {{ relation }} ({{ quoted(index['columns']) }})
        {% endcall %}
      {% endfor %}
    {% endif %}
  {% else %}
    {% set stored = shape_of("select * from " ~ existing ~ " where false") %}
    {% set declared = shape_of(get_empty_schema_sql(model['columns'])) %}
    {% if stored != declared %}
      {% do exceptions.raise_compiler_error(
        this.identifier ~ " in the warehouse has the columns (" ~ stored | join(', ') ~ ") and its contract has ("
        ~ declared | join(', ') ~ "). Nothing was changed; migrate the table first"
      ) %}
    {% endif %}
  {% endif %}
{% endmacro %}

{# The columns of a query as sorted "name type" strings. #}
{% macro shape_of(query) %}
  {{ return(format_columns(get_column_schema_from_query(query)) | map(attribute='formatted') | sort | list) }}
{% endmacro %}
