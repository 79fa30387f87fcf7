"""One origin forecast by every model asked for, guarded, each model on its own.

Panel in, forecasts out. What is already on record is decided by the caller, with ``versions``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.fallback import fallback_forecast
from forecast_platform.forecasting.guards import COLD_START, FALLBACK, STATUSES, guard
from forecast_platform.forecasting.isolated import forecast_each
from forecast_platform.forecasting.models import ModelSpec
from forecast_platform.forecasting.panel import Panel, SeriesIndex

Array = np.ndarray
Artifact = Callable[[], bytes] | None
Artifacts = Mapping[str, Callable[[], bytes]]


@dataclass(frozen=True, kw_only=True)
class ModelForecast:
    """What one model gave for one origin.

    Attributes:
        origin, model, spec, code_version: what it is.
        series: n; the rows of ``mean`` and ``status``.
        mean: n x H expected units, finite and not below 0; None where the model failed.
        status: n x H positions in ``STATUSES``; None where the model failed.
        fallbacks: series of which at least one day is not the model's own.
        error: why the model failed, on one line; None where it did not.
        seconds: wall time of fit, predict and guards.
    """

    origin: date
    model: str
    spec: str
    code_version: str
    series: SeriesIndex
    mean: Array | None
    status: Array | None
    fallbacks: int
    error: str | None
    seconds: float

    def frame(self) -> pd.DataFrame:
        """The forecasts as rows: ``series_id``, ``horizon``, ``mean``, ``status``, series by series.

        Raises:
            ValueError: the model failed and has no forecasts.
        """
        if self.mean is None:
            raise ValueError(f"model {self.model!r} has no forecasts for origin {self.origin}: {self.error}")
        series, horizon = self.mean.shape
        status = pa.DictionaryArray.from_arrays(pa.array(self.status.reshape(-1)), list(STATUSES)).cast(pa.string())
        return pd.DataFrame(
            {
                "series_id": np.repeat(self.series.series_id, horizon),
                "horizon": np.tile(np.arange(1, horizon + 1, dtype=np.int16), series),
                "mean": self.mean.reshape(-1),
                "status": pd.array(status, dtype=pd.ArrowDtype(pa.string())),
            }
        )


def forecast_origin(
    panel: Panel, models: Sequence[ModelSpec], *, horizon: int, artifacts: Artifacts | None = None
) -> Iterator[ModelForecast]:
    """Forecast the days after ``panel.origin`` by each model in turn.

    A model that raises, runs out of memory or gives another shape yields its error and stops no other.

    Args:
        panel: what the origin sees.
        models: those to run, in order.
        horizon: days ahead, H.
        artifacts: by model, what gives the bytes that it learned on its refit day; where that raises, the model fails.
            A model that refits and is not among them learns from the panel itself.

    Yields:
        One ``ModelForecast`` a model, as soon as it is there.
    """
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; it must be at least 1 day")
    if not models:
        return
    fallback = fallback_forecast(panel.y, panel.series.group, horizon=horizon)
    context = PanelContext.of(panel)
    for model in models:
        yield _forecast(panel, context, model, fallback, horizon, (artifacts or {}).get(model.name))


def _forecast(
    panel: Panel, context: PanelContext, model: ModelSpec, fallback: Array, horizon: int, artifact: Artifact
) -> ModelForecast:
    started = time.perf_counter()
    mean = status = error = None
    fallbacks = 0
    try:
        raw = _predict(panel, context, model, horizon, artifact)
        if raw.shape != fallback.shape:
            raise ValueError(f"{model.class_name} gave forecasts of shape {raw.shape} instead of {fallback.shape}")
        mean, status = guard(raw, panel.y, fallback, min_history=model.min_history)
        fallbacks = int(((status == FALLBACK) | (status == COLD_START)).any(axis=1).sum())
    except Exception as raised:  # whatever a model raises costs its own forecasts only
        error = " ".join(f"{type(raised).__name__}: {raised}".split())
    return ModelForecast(
        origin=panel.origin,
        model=model.name,
        spec=model.spec,
        code_version=model.code_version,
        series=panel.series,
        mean=mean,
        status=status,
        fallbacks=fallbacks,
        error=error,
        seconds=time.perf_counter() - started,
    )


def _predict(panel: Panel, context: PanelContext, model: ModelSpec, horizon: int, artifact: Artifact) -> Array:
    """n x H of whatever the model says, not guarded."""
    if not len(panel.series):
        return np.empty((0, horizon))
    forecaster = model.build()
    if not model.own:
        return forecast_each(forecaster, panel.y, panel.dates, horizon=horizon, min_history=model.min_history)
    forecaster.in_context(context if artifact is None else replace(context, artifact=artifact()))
    with_covariates = model.exogenous and bool(panel.covariates)
    forecaster.fit(panel.y[:, None, :], X=panel.past if with_covariates else None)
    ahead = forecaster.predict(fh=np.arange(1, horizon + 1), X=panel.future if with_covariates else None)
    return ahead[:, 0, :]
