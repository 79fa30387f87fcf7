{# The columns are 0 or more on the tested days. #}
{% test not_negative(model, columns, partition) %}
select *
from {{ model }}
where {{ tested_days(partition) }}
  and ({% for column in columns %}{{ column }} < 0{{ ' or ' if not loop.last }}{% endfor %})
{% endtest %}
