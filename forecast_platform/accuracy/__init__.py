"""How good forecasts were: pure functions of frames of errors.

The same definitions that dbt computes in the warehouse, for reports, tests and model choice. No I/O, no
Dagster, no database.
"""

from forecast_platform.accuracy.buckets import HORIZON_BUCKETS, horizon_bucket
from forecast_platform.accuracy.intervals import pinball_loss, quantile_scores
from forecast_platform.accuracy.metrics import error_metrics, forecast_value_added, scaled_metrics, series_scaled_errors
from forecast_platform.accuracy.scales import demand_scales, series_scales

__all__ = [
    "HORIZON_BUCKETS",
    "demand_scales",
    "error_metrics",
    "forecast_value_added",
    "horizon_bucket",
    "pinball_loss",
    "quantile_scores",
    "scaled_metrics",
    "series_scaled_errors",
    "series_scales",
]
