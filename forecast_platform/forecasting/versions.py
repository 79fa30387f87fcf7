"""What made one model's forecasts of one origin, as a digest: inputs, never outputs.

Series are digested by name, in the panel's own order, so that ids, row order and the run that asked do not
show; the panel of an origin holds the same bits in a range run as in a single one, and so has the same
digest. No forecast is computed here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from forecast_platform.forecasting import fallback, guards
from forecast_platform.forecasting.array_digests import array_digest, digest_of
from forecast_platform.forecasting.models import ModelSpec
from forecast_platform.forecasting.panel import Panel

DEVICE, DTYPE = "cpu", "float64"


def version_digest(panel: Panel, model: ModelSpec, *, horizon: int, artifact: str | None = None) -> str:
    """Digest of everything that decides ``model``'s forecasts of ``panel.origin``: 32 hexadecimal digits.

    ``artifact``: the digest of what the model learned on its refit day; None for a model that learns at every fit.
    """
    summary = input_summary(panel, model, horizon=horizon, artifact=artifact)
    return digest_of(json.dumps(summary, sort_keys=True).encode())


def input_summary(panel: Panel, model: ModelSpec, *, horizon: int, artifact: str | None = None) -> dict[str, Any]:
    """What goes into the digest, for people: settings, code versions and one digest for each declared input."""
    inputs = learned_inputs(panel, model)
    if model.exogenous and panel.covariates:
        inputs["covariates_ahead"] = panel.covariate_digests["covariates_ahead"]
    if artifact is not None:
        inputs["artifact"] = artifact
    return {
        "origin": panel.origin.isoformat(),
        "model": model.name,
        "spec": model.spec,
        "code_version": model.code_version,
        "guards": guards.CODE_VERSION,
        "fallback": fallback.CODE_VERSION,
        "horizon": horizon,
        "window": panel.window,
        "device": DEVICE,
        "dtype": DTYPE,
        "series": len(panel.series),
        "inputs": inputs,
    }


def panel_figures(panel: Panel) -> dict[str, Any]:
    """The history of a panel in figures, over all its series, for people: kept with a version, no part of its digest.

    ``series``, and as ``figures_of`` says.
    """
    return {"series": len(panel.series)} | figures_of(panel.y, panel.dates)


def figures_of(y: np.ndarray, dates: Sequence[Any]) -> dict[str, Any]:
    """What some histories hold.

    Args:
        y: n x W units; NaN before the first day of a series and on days that are not learned from.
        dates: the W days.

    Returns:
        ``rows`` that are learned from, ``first_day`` and ``last_day`` of them, their ``mean`` and ``sd`` (of the
        sample) to nine digits, ``zeros`` among them, and days ``missing`` after a series' first: its shelf was empty.
        What cannot be told of so few rows is None.
    """
    observed = ~np.isnan(y)
    rows, days = int(observed.sum()), np.flatnonzero(observed.any(axis=0))
    started = np.logical_or.accumulate(observed, axis=1)
    return {
        "rows": rows,
        "first_day": dates[days[0]].date().isoformat() if rows else None,
        "last_day": dates[days[-1]].date().isoformat() if rows else None,
        "mean": float(f"{np.mean(y, where=observed):.9g}") if rows else None,
        "sd": float(f"{np.std(y, where=observed, ddof=1):.9g}") if rows > 1 else None,
        "zeros": int((y == 0).sum()),
        "missing": int((started & ~observed).sum()),
    }


def learned_inputs(panel: Panel, model: ModelSpec) -> dict[str, str]:
    """One digest for each input that ``model`` can learn from: what is declared and dated up to the origin."""
    inputs = dict(panel.digests)
    if model.exogenous and panel.covariates:
        inputs |= {name: panel.covariate_digests[name] for name in ("covariates", "covariates_past")}
    return inputs


def history_digest(y: np.ndarray) -> str:
    """Digest of the histories of all series, n x W: the input ``history`` of a version."""
    return array_digest(y)
