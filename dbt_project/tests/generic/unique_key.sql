{# No two rows of the tested days share a key. DuckDB tables carry no row-level key: it costs four times the time and space. #}
{% test unique_key(model, columns, partition) %}
select {{ columns | join(', ') }}, count(*) as n
from {{ model }}
where {{ tested_days(partition) }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
