{#
  The metrics of design's accuracy section, each a ratio of sums over the whole scope; undefined is null.
#}

{# Metrics of one row of summed error_sums. #}
{% macro accuracy_measures() -%}
  sum_abs_error / nullif(sum_actual, 0) as wape,
  sum_ape_positive / nullif(n_positive, 0) as mape,
  cast(n_positive as double precision) / nullif(n, 0) as mape_coverage,
  sum_abs_error / nullif(n, 0) as mae,
  sqrt(sum_sq_error / nullif(n, 0)) as rmse,
  sum_error / nullif(sum_actual, 0) as bias
{%- endmacro %}

{# What of an error is added up: absolute and squared, also in units of the series' scale as of the origin. #}
{% macro error_measures() -%}
  abs(error) as abs_error,
  error * error as sq_error,
  abs(error) / nullif(scale_abs, 0) as scaled_abs,
  error * error / nullif(scale_sq, 0) as scaled_sq
{%- endmacro %}

{# The additive columns of a group of errors, after its keys: those of error_sums and published_sums. #}
{% macro error_sum_columns() -%}
  cast(count(*) as integer) as n,
  {{ exact_sum('error') }} as sum_error,
  {{ exact_sum('abs_error') }} as sum_abs_error,
  {{ exact_sum('sq_error') }} as sum_sq_error,
  {{ exact_sum('actual') }} as sum_actual,
  cast(count(case when actual > 0 then 1 end) as integer) as n_positive,
  coalesce({{ exact_sum('case when actual > 0 then abs_error / actual end') }}, 0) as sum_ape_positive,
  cast(count(scaled_sq) as integer) as n_scaled,
  coalesce({{ exact_sum('scaled_abs') }}, 0) as sum_scaled_abs,
  coalesce({{ exact_sum('scaled_sq') }}, 0) as sum_scaled_sq,
  cast(count(case when not in_stock then 1 end) as integer) as n_out_of_stock
{%- endmacro %}

{# Their names. #}
{% macro additive_columns() %}
  {{ return([
    'n', 'sum_error', 'sum_abs_error', 'sum_sq_error', 'sum_actual', 'n_positive', 'sum_ape_positive', 'n_scaled',
    'sum_scaled_abs', 'sum_scaled_sq', 'n_out_of_stock'
  ]) }}
{% endmacro %}

{# The additive columns of error_sums, summed over the rows of a group. #}
{% macro summed_errors() -%}
  cast(sum(n) as bigint) as n,
  {{ exact_sum('sum_error') }} as sum_error,
  {{ exact_sum('sum_abs_error') }} as sum_abs_error,
  {{ exact_sum('sum_sq_error') }} as sum_sq_error,
  {{ exact_sum('sum_actual') }} as sum_actual,
  cast(sum(n_positive) as bigint) as n_positive,
  {{ exact_sum('sum_ape_positive') }} as sum_ape_positive,
  cast(sum(n_scaled) as bigint) as n_scaled
{%- endmacro %}

{# Sums of a series, with its MASE and RMSSE: the mean, and the root of the mean, of errors scaled as of their origin. #}
{% macro summed_series_errors() -%}
  {{ summed_errors() }},
  {{ exact_sum('sum_scaled_abs') }} / nullif(sum(n_scaled), 0) as mase,
  sqrt({{ exact_sum('sum_scaled_sq') }} / nullif(sum(n_scaled), 0)) as rmsse,
  cast(sum(n_out_of_stock) as bigint) as n_out_of_stock
{%- endmacro %}

{# Over many series: sums over all, plain and revenue-weighted means of the series' scaled errors, and how many have none. #}
{% macro summed_over_series() -%}
  {{ summed_errors() }},
  cast(sum(n_out_of_stock) as bigint) as n_out_of_stock,
  count(*) as series,
  count(case when rmsse is null then 1 end) as series_unscaled,
  {{ exact_sum('mase') }} / nullif(count(mase), 0) as mean_mase,
  {{ exact_sum('rmsse') }} / nullif(count(rmsse), 0) as mean_rmsse,
  {{ exact_sum('mase * weight') }}
    / nullif({{ exact_sum('case when mase is not null then weight end') }}, 0) as weighted_mase,
  {{ exact_sum('rmsse * weight') }}
    / nullif({{ exact_sum('case when rmsse is not null then weight end') }}, 0) as weighted_rmsse
{%- endmacro %}

{#
  Forecast value added: the metric of seasonal_naive_7 minus the model's. Null for a model that has less than nine tenths
  of the floor's errors: one that is new has other weeks, and only its easy first horizons.
#}
{% macro added_value(metric, scope) -%}
  case when n >= 0.9 * max(case when model = 'seasonal_naive_7' then n end) over (partition by {{ scope }})
    then max(case when model = 'seasonal_naive_7' then {{ metric }} end) over (partition by {{ scope }}) - {{ metric }}
  end
{%- endmacro %}

{# The columns of the accuracy views after their keys. `scope` are the columns that a model is compared within. #}
{% macro accuracy_columns(scope) -%}
  n,
  cast(series as bigint) as series,
  wape,
  mape,
  mape_coverage,
  mae,
  rmse,
  bias,
  mean_mase,
  mean_rmsse,
  weighted_mase,
  weighted_rmsse,
  cast(series_unscaled as bigint) as series_unscaled,
  n - n_scaled as n_unscaled,
  n_out_of_stock,
  {{ added_value('wape', scope) }} as fva_wape,
  {{ added_value('mean_rmsse', scope) }} as fva_rmsse
{%- endmacro %}
