{{ config(materialized='view', group='accuracy', tags=['scores', 'view']) }}
-- How good what was published was, over all series and everything scored: by horizon bucket (and 'all'), beside the same
-- days', series' and buckets' forecasts of every single model, where it forecast each origin that was published and no
-- other. `published` is what counts; a model's row says what publishing it alone would have given.
with cells as (
  select
    'published' as model,
    series_id,
    horizon_bucket,
    {{ additive_columns() | join(', ') }}
  from {{ ref('published_sums') }}
  union all
  select
    sums.model,
    sums.series_id,
    sums.horizon_bucket,
    {% for column in additive_columns() %}sums.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
  from {{ ref('error_sums') }} as sums
  join {{ ref('published_sums') }} as published
    on published.target_date = sums.target_date and published.series_id = sums.series_id
    and published.horizon_bucket = sums.horizon_bucket and published.n = sums.n
),

of_series as (
  select
    cells.model,
    case when pools.pooled then 'all' else cells.horizon_bucket end as horizon_bucket,
    cells.series_id,
    {{ summed_series_errors() }}
  from cells
  cross join (select true as pooled union all select false) as pools
  group by 1, 2, 3
)

select
  model,
  horizon_bucket,
  cast(sum(n) as bigint) as n,
  count(*) as series,
  {{ exact_sum('sum_abs_error') }} / nullif({{ exact_sum('sum_actual') }}, 0) as wape,
  {{ exact_sum('rmsse') }} / nullif(count(rmsse), 0) as mean_rmsse,
  {{ exact_sum('mase') }} / nullif(count(mase), 0) as mean_mase,
  {{ exact_sum('sum_error') }} / nullif({{ exact_sum('sum_actual') }}, 0) as bias,
  cast(sum(n_out_of_stock) as bigint) as n_out_of_stock
from of_series
group by model, horizon_bucket
