"""What a run of ``forecasts`` is to make: every model of every series, or what the job that it is of asks for.

A series' numbers do not depend on who else is asked for: every origin is seen whole, and what nobody asked for is left
out at the end. So a run over some series appends the rows that a run over all would append for them, and the ledger
tells the two apart by the digest of what was asked (``Wanted.digest``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import numpy as np

from forecast_platform.assets.scope import JOB_TAG, TenantScope
from forecast_platform.forecasting import ModelForecast, ModelSpec
from forecast_platform.forecasting.array_digests import digest_of
from forecast_platform.forecasting.panel import SeriesIndex
from forecast_platform.jobs.record import Jobs
from forecast_platform.jobs.states import Status


class JobGone(dg.Failure):
    """The job that a run belongs to is not on record, or was cancelled: what it asks for is not known."""


@dataclass(frozen=True)
class Wanted:
    """Models, and the names of series; ``None``: all series."""

    models: tuple[ModelSpec, ...]
    series: frozenset[tuple[str, str]] | None = None

    def digest(self, whole: str) -> str:
        """What tells a version of what is asked for, made from inputs with digest ``whole``, from one of all series."""
        if self.series is None:
            return whole
        return digest_of(json.dumps({"of": whole, "series": sorted(self.series)}).encode())

    def summary(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What a version's inputs say, and of how many series."""
        return dict(inputs) if self.series is None else {**inputs, "asked_series": len(self.series)}

    def of(self, made: ModelForecast) -> ModelForecast:
        """The forecasts of the series that are asked for."""
        return made if self.series is None or made.error else made.of_series(self._rows(made.series))

    def _rows(self, index: SeriesIndex) -> np.ndarray:
        assert self.series is not None
        names = zip(index.sku, index.location, strict=True)
        return np.flatnonzero(np.fromiter((name in self.series for name in names), dtype=bool, count=len(index)))


def wanted_of(context: dg.AssetExecutionContext, scope: TenantScope, models: tuple[ModelSpec, ...]) -> Wanted:
    """What this run is to make of a tenant's ``models``.

    Raises:
        JobGone: see there.
    """
    everything, job_id = Wanted(models), context.run.tags.get(JOB_TAG)
    if job_id is None:
        return everything
    job = Jobs(scope.state).find(scope.name, job_id)
    if job is None or job.status is Status.CANCELLED:
        state = "is not on record in FORECAST_STATE" if job is None else "was cancelled"
        raise JobGone(f"job {job_id} of {scope.name} {state}: launch the days anew without it", allow_retries=False)
    asked = job.asked
    if asked.only_models is not None:
        everything = replace(everything, models=tuple(each for each in models if each.name in asked.only_models))
    return everything if asked.only_series is None else replace(everything, series=frozenset(asked.only_series))
