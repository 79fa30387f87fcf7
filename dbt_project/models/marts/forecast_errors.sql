{{ config(
    materialized='incremental', incremental_strategy='replace_days', on_schema_change='fail',
    group='accuracy', tags=['accuracy', 'partitioned'],
    meta={
      'partition': 'target_date',
      'needs': [{'asset': 'daily_sales'}],
      'digest_from': [{'asset': 'daily_sales'}],
      'code_version': '1',
      'indexes': [{'columns': ['target_date', 'version_id', 'series_id'], 'unique': true}]
    }
) }}
-- Every forecast on record for the day, of every version, beside what was sold. A series that has become inactive sold 0.
-- Asked for by horizon, because a ledger keeps a version by horizon and series: 28 origins are read in a sixth of the time.
with predictions as (
  {%- for days in range(1, horizon() | int + 1) %}
  select origin_date + {{ days }} as target_date, version_id, series_id, origin_date, horizon, mean
  from {{ source('warehouse', 'forecasts') }}
  where horizon = {{ days }} and origin_date between {{ first_day() }} - {{ days }} and {{ last_day() }} - {{ days }}
  {{- ' union all' if not loop.last }}
  {%- endfor %}
),

actuals as (
  select sale_date, series_id, cast(units as double precision) as units, in_stock
  from {{ ref('daily_sales') }}
  where sale_date between {{ first_day() }} and {{ last_day() }}
)

select
  cast(predictions.target_date as date) as target_date,
  cast(predictions.version_id as integer) as version_id,
  cast(predictions.series_id as integer) as series_id,
  cast(predictions.origin_date as date) as origin_date,
  cast(predictions.horizon as smallint) as horizon,
  cast(predictions.mean as double precision) as forecast,
  cast(coalesce(actuals.units, 0) as double precision) as actual,
  cast(predictions.mean - coalesce(actuals.units, 0) as double precision) as error,
  cast(coalesce(actuals.in_stock, true) as boolean) as in_stock
from predictions
left join actuals on actuals.sale_date = predictions.target_date and actuals.series_id = predictions.series_id
