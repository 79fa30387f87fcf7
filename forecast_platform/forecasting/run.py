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
from forecast_platform.forecasting.models import ModelSpec
from forecast_platform.forecasting.panel import Panel, SeriesIndex
from forecast_platform.forecasting.parts import Part, forecast_part, joined, on_one_line, panel_of_part, rows_of_parts

Array = np.ndarray
Artifacts = Mapping[str, Callable[[], bytes]]
Made = Callable[[Panel, ModelSpec], Part | None]


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

    def of_series(self, rows: Array) -> ModelForecast:
        """The same of some series, by their rows: the numbers that they have among all the others."""
        mean, status = (None if each is None else each[rows] for each in (self.mean, self.status))
        index = self.series
        return replace(
            self,
            series=SeriesIndex(*(each[rows] for each in (index.series_id, index.sku, index.location, index.category))),
            mean=mean,
            status=status,
            fallbacks=0 if status is None else _fallbacks(status),
        )

    def frame(self) -> pd.DataFrame:
        """The forecasts as rows: ``series_id``, ``horizon``, ``mean``, ``status``, in the ledger's order: by horizon
        and series.

        Raises:
            ValueError: the model failed and has no forecasts.
        """
        if self.mean is None:
            raise ValueError(f"model {self.model!r} has no forecasts for origin {self.origin}: {self.error}")
        series, horizon = self.mean.shape
        order = np.argsort(self.series.series_id, kind="stable")
        status = pa.array(self.status[order].T.reshape(-1))
        status = pa.DictionaryArray.from_arrays(status, list(STATUSES)).cast(pa.string())
        return pd.DataFrame(
            {
                "series_id": np.tile(self.series.series_id[order], horizon),
                "horizon": np.repeat(np.arange(1, horizon + 1, dtype=np.int16), series),
                "mean": self.mean[order].T.reshape(-1),
                "status": pd.array(status, dtype=pd.ArrowDtype(pa.string())),
            }
        )


def forecast_origin(
    panel: Panel,
    models: Sequence[ModelSpec],
    *,
    horizon: int,
    artifacts: Artifacts | None = None,
    blocks: int = 1,
    made: Made | None = None,
) -> Iterator[ModelForecast]:
    """Forecast the days after ``panel.origin`` by each model in turn.

    A model that raises, runs out of memory or gives another shape yields its error and stops no other.

    Args:
        panel: what the origin sees.
        models: those to run, in order.
        horizon: days ahead, H.
        artifacts: by model, what gives the bytes that it learned on its refit day; where that raises, the model fails.
            A model that refits and is not among them learns from the panel itself.
        blocks: into how many blocks of series the local models' work is cut; no bit depends on it.
        made: gives a part that was made already, from the part's own panel and model; None for one to be made here.

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
        rows = rows_of_parts(panel, model, blocks)
        artifact = (artifacts or {}).get(model.name)
        parts = []
        for at in rows:
            seen = panel if blocks == 1 else panel_of_part(panel, model, at)
            part = None if made is None else made(seen, model)
            shared = context if seen is panel else None
            parts.append(part or forecast_part(seen, model, horizon=horizon, context=shared, artifact=artifact))
        yield _guarded(panel, model, joined(parts, rows, horizon=horizon), fallback)


def _guarded(panel: Panel, model: ModelSpec, part: Part, fallback: Array) -> ModelForecast:
    started = time.perf_counter()
    mean = status = None
    error, fallbacks = part.error, 0
    if part.mean is not None:
        try:
            mean, status = guard(part.mean, panel.y, fallback, min_history=model.min_history)
            fallbacks = _fallbacks(status)
        except Exception as raised:  # out of memory, say: no other model's forecasts
            error = on_one_line(raised)
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
        seconds=part.seconds + time.perf_counter() - started,
    )


def _fallbacks(status: Array) -> int:
    """Series of which at least one day is not the model's own."""
    return int(((status == FALLBACK) | (status == COLD_START)).any(axis=1).sum())
