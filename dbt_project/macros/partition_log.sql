{#
  partition_log: what each partition holds, written and read by `replace_days`.

  The digest of a day is free of order: every row becomes a line of text, the line a 120-bit number (two halves of its
  MD5), and the numbers are added. It needs no sort and little memory, is the same on both databases wherever the columns
  are of exact types (doubles are written in their shortest form, which can only differ where the values do), and
  names series and versions by sku, location and version digest, because their integers belong to one warehouse.

  A model with millions of rows a day says under `meta` what they follow from, and its digest is that of those partitions,
  and of the versions in its rows: MD5 took 95 % of the time of scoring a day of 30,490 series (8 s of 8.4). Nobody may
  replace those partitions between the insert and the log: see `lock_table`.

    digest_from   list of {asset, origins}: partitions of the same day, or with `origins` of the days whose forecasts reach it
    code_version  text; another one for every change to what the rows are
#}

{# One row for each day of the run, days without rows too. #}
{% macro log_partitions(relation, partition) %}
  insert into {{ partition_log_table() }} as logged (asset, day, "rows", digest, run_id, written_at)
  {%- if config.get('meta').get('digest_from') %}
  {{ partitions_by_sources(relation, partition, config.get('meta')) }}
  {%- else %}
  {{ partitions_by_content(relation, partition) }}
  {%- endif %}
  select
    '{{ this.identifier }}',
    calendar.day,
    coalesce(n, 0),
    coalesce(content, md5('0:0:0')),
    '{{ env_var('PIPELINE_RUN_ID', 'dbt') | replace("'", "''") }}',
    current_timestamp
  from ({{ days_of_run() }}) as calendar
  left join partitions on partitions.day = calendar.day
  on conflict (asset, day) do update set
    "rows" = excluded."rows", digest = excluded.digest, run_id = excluded.run_id, written_at = excluded.written_at
{% endmacro %}

{# CTE `partitions` (day, n, content), from the digests of what the rows follow from. #}
{% macro partitions_by_sources(relation, partition, meta) %}
  with counts as (
    select {{ adapter.quote(partition) }} as day, count(*) as n
    from {{ relation }}
    where {{ adapter.quote(partition) }} between {{ first_day() }} and {{ last_day() }}
    group by {{ adapter.quote(partition) }}
  ),
  read as (
    {%- for source in meta['digest_from'] %}
    select counts.day, sources.asset || ' ' || cast(sources.day as text) || ' ' || sources.digest as part
    from counts
    join {{ partition_log_table() }} as sources on sources.asset = '{{ source['asset'] }}'
      {%- if source.get('origins') %}
      and sources.day between counts.day - {{ horizon() | int }} and counts.day - 1
      {%- else %}
      and sources.day = counts.day
      {%- endif %}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
    {%- if 'version_id' in model['columns'] %}
    union all
    select held.day, 'version ' || versions.digest || ' ' || held.n
    from (
      select {{ adapter.quote(partition) }} as day, version_id, count(*) as n
      from {{ relation }}
      where {{ adapter.quote(partition) }} between {{ first_day() }} and {{ last_day() }}
      group by {{ adapter.quote(partition) }}, version_id
    ) as held
    join {{ warehouse_table('forecast_versions') }} as versions on versions.version_id = held.version_id
    {%- endif %}
  ),
  partitions as (
    select
      counts.day,
      max(counts.n) as n,
      md5('{{ meta['code_version'] }} ' || max(counts.n) || ' ' || coalesce(string_agg(part, ',' order by part), '')) as content
    from counts left join read on read.day = counts.day
    group by counts.day
  )
{% endmacro %}

{# CTE `partitions` (day, n, content), from every row of the days. #}
{% macro partitions_by_content(relation, partition) %}
  {% set columns = model['columns'].values() | list %}
  {% set names = columns | map(attribute='name') | list %}
  {% set by_id = 'series_id' in names and 'sku' not in names %}
  {% set versioned = 'version_id' in names %}
  {% set lines = [] %}
  {% for column in columns if column['name'] not in ('series_id', 'version_id') %}
    {% do lines.append(as_line('t.' ~ adapter.quote(column['name']), column['data_type'])) %}
  {% endfor %}
  {% if by_id %} {% do lines.extend(['s.sku', 's.location']) %} {% endif %}
  {% if versioned %} {% do lines.append('v.digest') %} {% endif %}
  with lines as (
    select t.{{ adapter.quote(partition) }} as day, md5({{ lines | join(" || chr(31) || ") }}) as line
    from {{ relation }} as t
    {% if by_id %} join {{ warehouse_table('series') }} as s on s.series_id = t.series_id {% endif %}
    {% if versioned %} join {{ warehouse_table('forecast_versions') }} as v on v.version_id = t.version_id {% endif %}
    where t.{{ adapter.quote(partition) }} between {{ first_day() }} and {{ last_day() }}
  ),
  sums as (
    select day, count(*) as n, sum({{ hex_number('substr(line, 1, 15)') }}) as head, sum({{ hex_number('substr(line, 16, 15)') }}) as tail
    from lines
    group by day
  ),
  partitions as (
    select day, n, md5(n || ':' || head || ':' || tail) as content from sums
  )
{% endmacro %}

{# Tables that macros read: they cannot call source(), which belongs to a model's own text. #}
{% macro warehouse_table(name) -%}
  {{ api.Relation.create(database=target.database, schema=target.schema, identifier=name) }}
{%- endmacro %}

{% macro partition_log_table() -%} {{ warehouse_table('partition_log') }} {%- endmacro %}

{# A value as text that is the same on both databases; null is told from the empty text. #}
{% macro as_line(column, type) -%}
  {%- if type == 'double precision' -%}
    coalesce({{ double_text(column) }}, chr(30))
  {%- else -%}
    coalesce(cast({{ column }} as text), chr(30))
  {%- endif -%}
{%- endmacro %}

{# Adding 0 turns -0.0 into 0.0. #}
{% macro double_text(column) -%} {{ adapter.dispatch('double_text')(column) }} {%- endmacro %}

{% macro default__double_text(column) -%} cast({{ column }} + 0.0 as text) {%- endmacro %}

{# DuckDB ends a whole number by `.0`. The pattern costs as much as the text: it is kept for those too large for bigint. #}
{% macro duckdb__double_text(column) -%}
  case
    when not abs({{ column }}) < 1e15 then regexp_replace(cast({{ column }} + 0.0 as text), '\.0$', '')
    when {{ column }} = trunc({{ column }}) then cast(cast({{ column }} as bigint) as text)
    else cast({{ column }} as text)
  end
{%- endmacro %}

{# Fifteen hexadecimal digits as a bigint. #}
{% macro hex_number(digits) -%} {{ adapter.dispatch('hex_number')(digits) }} {%- endmacro %}

{% macro default__hex_number(digits) -%} ('x' || {{ digits }})::bit(60)::bigint {%- endmacro %}

{% macro duckdb__hex_number(digits) -%} cast('0x' || {{ digits }} as bigint) {%- endmacro %}

{#
  Fail, naming the days, where a day that this run reads was never materialized. A day without a sale is on record with
  no rows, so the log can tell "nothing sold" from "not computed"; days before the tenant's first are not asked for.
#}
{% macro refuse_missing_days(window) %}
  {% for need in config.get('meta').get('needs', []) %}
    {% set look_back = need.get('look_back', 1) %}
    {% set look_back = {
      'inactive_after_days': inactive_after_days, 'training_window': training_window
    }[look_back]() | int if look_back is string else look_back %}
    {% set asked %}
      {% if 'origins_in' in need %}
        select distinct origin_date as day from {{ warehouse_table(need['origins_in']) }}
        where target_date between {{ first_day() }} and {{ last_day() }}
      {% else %}
        select {{ first_day() }} - {{ look_back - 1 }} + step as day
        from (select {{ steps_to(last_day() ~ ' - ' ~ first_day() ~ ' + ' ~ (look_back - 1)) }} as step) as steps
      {% endif %}
    {% endset %}
    {% call statement('needs', fetch_result=True) %}
      select cast(asked.day as text) as day
      from ({{ asked }}) as asked
      left join {{ partition_log_table() }} as logged on logged.asset = '{{ need['asset'] }}' and logged.day = asked.day
      where logged.day is null and asked.day >= {{ start_day() }}
      order by asked.day
    {% endcall %}
    {% set missing = load_result('needs')['data'] | map('first') | list %}
    {% if missing %}
      {% do exceptions.raise_compiler_error(
        this.identifier ~ " of " ~ window['first'] ~ " to " ~ window['last'] ~ " reads " ~ missing | length
        ~ " days of " ~ need['asset'] ~ " that are not materialized: " ~ missing[:10] | join(', ')
        ~ (', …' if missing | length > 10 else '') ~ ". Materialize those first"
      ) %}
    {% endif %}
  {% endfor %}
{% endmacro %}
