"""Forecasts of all series for one origin: pure functions of matrices, behind sktime's interface.

Panels (``panel``), models (``models``, ``forecasters``), what every forecast is held to (``guards``,
``fallback``), one origin's run (``run``) and what identifies it (``versions``). No I/O, no clock, no
environment, no Dagster, no database. Importing this package does not import sktime.
"""

from forecast_platform.forecasting.guards import STATUSES
from forecast_platform.forecasting.models import DEFAULT_MODELS, ModelSpec, ModelSpecError, model_specs
from forecast_platform.forecasting.panel import Panel, PanelError, PanelHistory, SeriesIndex
from forecast_platform.forecasting.run import ModelForecast, forecast_origin
from forecast_platform.forecasting.versions import input_summary, panel_figures, version_digest

__all__ = [
    "DEFAULT_MODELS",
    "STATUSES",
    "ModelForecast",
    "ModelSpec",
    "ModelSpecError",
    "Panel",
    "PanelError",
    "PanelHistory",
    "SeriesIndex",
    "forecast_origin",
    "input_summary",
    "model_specs",
    "panel_figures",
    "version_digest",
]
