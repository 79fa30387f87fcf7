"""What one model says of a part of a panel, before any guard, and how the parts become the whole.

A part is a block of series, or all of them. A series belongs to a block by its own number alone, so that others come
and go without moving it. Models that treat every series alone (``ModelSpec.local``) are computed by blocks, to the same
bits; the others see everybody, in one part. Where parts are kept between two processes is no business of this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.isolated import forecast_each
from forecast_platform.forecasting.models import ModelSpec
from forecast_platform.forecasting.panel import Panel

Array = np.ndarray
Artifact = Callable[[], bytes] | None


class EverySeriesFailed(RuntimeError):
    """A forecaster raised for every series; the message is the first one's."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One model's forecasts of n series.

    Attributes:
        mean: n x H, whatever the model gave; None where it raised.
        error: what it raised, on one line.
        tried, failed: series that a model which goes one by one has tried, and those of them that raised.
        first: row and reason of the first that raised.
        seconds: wall time.
    """

    mean: Array | None
    error: str | None = None
    tried: int = 0
    failed: int = 0
    first: tuple[int, str] | None = None
    seconds: float = 0.0


def forecast_part(
    panel: Panel, model: ModelSpec, *, horizon: int, context: PanelContext | None = None, artifact: Artifact = None
) -> Part:
    """Fit and predict ``model`` on the series of ``panel``. Whatever it raises is its part's error.

    Args:
        context: of ``panel``, to share what models have in common; made here by default.
        artifact: gives the bytes that the model learned on its refit day.
    """
    started = time.perf_counter()
    try:
        part = _predict(panel, model, horizon, context, artifact)
        expected = (len(panel.series), horizon)
        if part.mean.shape != expected:
            raise ValueError(f"{model.class_name} gave forecasts of shape {part.mean.shape} instead of {expected}")
    except Exception as raised:  # whatever a model raises costs its own forecasts only
        part = Part(mean=None, error=on_one_line(raised))
    return replace(part, seconds=time.perf_counter() - started)


def _predict(panel: Panel, model: ModelSpec, horizon: int, context: PanelContext | None, artifact: Artifact) -> Part:
    if not len(panel.series):
        return Part(mean=np.empty((0, horizon)))
    forecaster = model.build()
    if not model.own:
        attempt = forecast_each(forecaster, panel.y, panel.dates, horizon=horizon, min_history=model.min_history)
        return Part(mean=attempt.mean, tried=attempt.tried, failed=attempt.failed, first=attempt.first)
    context = PanelContext.of(panel) if context is None else context
    forecaster.in_context(context if artifact is None else replace(context, artifact=artifact()))
    with_covariates = model.exogenous and bool(panel.covariates)
    forecaster.fit(panel.y[:, None, :], X=panel.past if with_covariates else None)
    ahead = forecaster.predict(fh=np.arange(1, horizon + 1), X=panel.future if with_covariates else None)
    return Part(mean=np.asarray(ahead[:, 0, :], dtype=np.float64))


def rows_of_parts(panel: Panel, model: ModelSpec, blocks: int) -> list[Array]:
    """The rows of each part in which ``model`` is computed: those of each block, or all of them in one."""
    if blocks == 1 or not model.local:
        return [np.arange(len(panel.series))]
    block = block_of(panel.series.series_id, blocks)
    return [np.flatnonzero(block == number) for number in range(blocks)]


def block_of(series_id: Array, blocks: int) -> Array:
    """The block of each series, 0 .. ``blocks`` - 1: by its own number, whoever else there is."""
    return series_id % blocks


def panel_of_part(panel: Panel, model: ModelSpec, rows: Array) -> Panel:
    """What ``model`` sees of a part: of a block the sales of its series, without what a local model does not read."""
    if not model.local:
        return panel
    series = panel.series
    taken = replace(
        series,
        series_id=series.series_id[rows],
        sku=series.sku[rows],
        location=series.location[rows],
        category=np.full(len(rows), "", dtype=object),
    )
    return Panel(origin=panel.origin, series=taken, y=panel.y[rows])


def joined(parts: Sequence[Part], rows: Sequence[Array], *, horizon: int) -> Part:
    """The whole of ``parts``, whose series are at ``rows`` of the panel. An error in one is the model's error."""
    seconds = sum(part.seconds for part in parts)
    failed = next((part for part in parts if part.error is not None), None)
    if failed is not None:
        return replace(failed, seconds=seconds)
    mean = np.full((sum(map(len, rows)), horizon), np.nan)
    for part, at in zip(parts, rows, strict=True):
        mean[at] = part.mean
    firsts = [(int(at[part.first[0]]), part.first[1]) for part, at in zip(parts, rows, strict=True) if part.first]
    whole = Part(
        mean=mean,
        tried=sum(part.tried for part in parts),
        failed=sum(part.failed for part in parts),
        first=min(firsts, default=None),
        seconds=seconds,
    )
    if whole.first is not None and whole.failed == whole.tried:
        return replace(whole, mean=None, error=on_one_line(EverySeriesFailed(whole.first[1])))
    return whole


def on_one_line(error: BaseException) -> str:
    """An error as a model's outcome has it."""
    return " ".join(f"{type(error).__name__}: {error}".split())
