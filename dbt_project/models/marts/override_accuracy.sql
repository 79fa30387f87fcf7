{{ config(materialized='view', group='accuracy', tags=['scores', 'view']) }}
-- How good planners' overrides were, over all that is scored: all of them, by author, by SKU and by reason. Value is added
-- where the metric of the other, over the overrides that have one, minus that of the overrides is above 0.
with cells as (
  {%- for scope in ['all', 'author', 'sku', 'reason'] %}
  select
    '{{ scope }}' as scope,
    {{ "'all'" if scope == 'all' else scope }} as name,
    error,
    abs_error,
    actual,
    in_stock,
    abs(published_error) as published_error,
    abs(naive_error) as naive_error
  from {{ ref('override_errors') }}
  {{ 'union all' if not loop.last }}
  {%- endfor %}
),

sums as (
  select
    scope,
    name,
    count(*) as n,
    count(published_error) as n_published,
    count(naive_error) as n_naive,
    count(case when not in_stock then 1 end) as n_out_of_stock,
    {{ exact_sum('error') }} as sum_error,
    {{ exact_sum('abs_error') }} as sum_abs_error,
    {{ exact_sum('actual') }} as sum_actual,
    {%- for other in ['published', 'naive'] %}
    {{ exact_sum('case when ' ~ other ~ '_error is not null then actual end') }} as {{ other }}_actual,
    {{ exact_sum('case when ' ~ other ~ '_error is not null then abs_error end') }} as {{ other }}_own,
    {{ exact_sum(other ~ '_error') }} as {{ other }}_abs_error{{ ',' if not loop.last }}
    {%- endfor %}
  from cells
  group by scope, name
)

select
  scope,
  name,
  cast(n as bigint) as n,
  cast(n_published as bigint) as n_published,
  cast(n_naive as bigint) as n_naive,
  cast(n_out_of_stock as bigint) as n_out_of_stock,
  sum_abs_error / n as mae,
  sum_abs_error / nullif(sum_actual, 0) as wape,
  sum_error / nullif(sum_actual, 0) as bias,
  {%- for other in ['published', 'naive'] %}
  ({{ other }}_abs_error - {{ other }}_own) / nullif(n_{{ other }}, 0) as fva_mae_{{ other }},
  ({{ other }}_abs_error - {{ other }}_own) / nullif({{ other }}_actual, 0) as fva_wape_{{ other }}{{ ',' if not loop.last }}
  {%- endfor %}
from sums
