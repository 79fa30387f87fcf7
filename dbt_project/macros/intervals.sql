{# The five quantiles of forecast_intervals by column, each with its level. #}
{% macro quantile_levels() -%}
  {{ return({'q025': 0.025, 'q10': 0.1, 'q50': 0.5, 'q90': 0.9, 'q975': 0.975}) }}
{%- endmacro %}

{# What interval_scores adds up, summed over its rows. #}
{% macro summed_interval_scores() -%}
  cast(sum(n) as bigint) as n,
  cast(sum(n_out_of_stock) as bigint) as n_out_of_stock,
  {{ exact_sum('sum_actual') }} as sum_actual,
  {%- for q in quantile_levels() %}
  cast(sum(n_below_{{ q }}) as double precision) / nullif(sum(n), 0) as below_{{ q }},
  cast(sum(n_upto_{{ q }}) as double precision) / nullif(sum(n), 0) as upto_{{ q }},
  {{ exact_sum('sum_pinball_' ~ q) }} / nullif(sum(n), 0) as pinball_{{ q }},
  {%- endfor %}
  {{ exact_sum('sum_width_80') }} / nullif(sum(n), 0) as width_80,
  {{ exact_sum('sum_width_95') }} / nullif(sum(n), 0) as width_95
{%- endmacro %}
