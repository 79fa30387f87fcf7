"""``PanelStatsForecast``: classical models of statsforecast over a whole panel, behind sktime's interface.

sktime wraps some of them one series at a time, and none of those for intermittent demand. Here every series goes to
the library in one call, on one thread. Measured per series of 120 days: Croston's kin and TSB 0.1 ms, ADIDA and IMAPA
0.25 ms, AutoTheta 13 ms, AutoETS 40 ms of CPU; importing the library 2.6 s. statsforecast is imported when a forecaster
is fitted; importing this module imports sktime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecast_platform.forecasting.forecasters import _PanelForecaster
from forecast_platform.forecasting.gaps import fill_gaps
from forecast_platform.forecasting.parameters import at_least
from forecast_platform.forecasting.weekdays import SEASON

Array = np.ndarray
SEASONAL = ("AutoETS", "AutoTheta")
INTERMITTENT: Mapping[str, Mapping[str, float]] = {
    "CrostonClassic": {},
    "CrostonOptimized": {},
    "CrostonSBA": {},
    "TSB": {"alpha_d": 0.1, "alpha_p": 0.1},
    "ADIDA": {},
    "IMAPA": {},
}
"""Models of slow sellers, with the arguments that the library has no default for."""


class PanelStatsForecast(_PanelForecaster):
    """A model of statsforecast, fitted to every series alone in one call.

    A series starts with its first observed day; later gaps are filled by the same weekday a week before. A series that
    the library cannot fit has no forecast, and no other one is touched.

    Parameters
    ----------
    model : str, default="CrostonSBA"
        ``AutoETS``, ``AutoTheta``, ``CrostonClassic``, ``CrostonOptimized``, ``CrostonSBA``, ``TSB``, ``ADIDA`` or
        ``IMAPA``.
    season_length : int, default=7
        Days of the cycle, for ``AutoETS`` and ``AutoTheta``.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.statistical import PanelStatsForecast
    >>> y = pd.Series([0.0, 0.0, 3.0] * 10)
    >>> PanelStatsForecast(model="CrostonSBA").fit(y).predict(fh=[1, 2]).round(2).tolist()
    [0.95, 0.95]
    """

    _tags: ClassVar[dict[str, Any]] = {"python_dependencies": ["statsforecast"]}

    def __init__(self, model="CrostonSBA", season_length=7):
        self.model = model
        self.season_length = season_length
        super().__init__()
        if model not in (*SEASONAL, *INTERMITTENT):
            raise ValueError(f"model is {model!r}; it must be one of {', '.join((*SEASONAL, *INTERMITTENT))}")
        at_least("season_length", season_length, 1)

    def _fit_matrix(self, y, covariates):
        self._units = y

    def _predict_matrix(self, horizon, covariates):
        return self._ask(horizon, ())["units"]

    def quantiles(self, levels: Sequence[float], horizon: int) -> Array | None:
        """The model's own quantiles of each day ahead.

        Args:
            levels: L of them, each in (0, 1).
            horizon: days ahead, H.

        Returns:
            n x H x L, not below 0 and not crossing; None for a model that has none (all but AutoETS and AutoTheta).
        """
        if self.model not in SEASONAL:
            return None
        widths = {level: round(abs(2.0 * level - 1.0) * 100.0, 6) for level in levels}
        told = self._ask(horizon, sorted({width for width in widths.values() if width > 0}))
        sides = [
            told["units"] if not widths[level] else told[f"units-{'lo' if level < 0.5 else 'hi'}-{widths[level]:g}"]
            for level in levels
        ]
        order = np.argsort(levels)
        ranked = np.maximum.accumulate(np.stack(sides, axis=2)[:, :, order], axis=2)
        return np.maximum(ranked, 0.0)[:, :, np.argsort(order)]

    def _ask(self, horizon: int, widths: Sequence[float]) -> dict[str, Array]:
        """What the library gives, n x horizon by column; NaN for a series that it cannot fit, or without a day."""
        from statsforecast import StatsForecast, models

        shape = (len(self._units), horizon)
        frame = _frame(self._units)
        if frame.empty:
            columns = ("units", *(f"units-{side}-{width:g}" for width in widths for side in ("lo", "hi")))
            return {name: np.full(shape, np.nan) for name in columns}
        arguments = {"season_length": self.season_length} if self.model in SEASONAL else INTERMITTENT[self.model]
        asked = getattr(models, self.model)(alias="units", **arguments)
        engine = StatsForecast(models=[asked], freq=1, n_jobs=1, fallback_model=models.NaNModel(alias="units"))
        given = engine.forecast(df=frame, h=horizon, level=[_plain(width) for width in widths] or None)
        given = given.sort_values(["unique_id", "ds"], kind="stable")
        rows = given["unique_id"].to_numpy()[::horizon]
        result = {}
        for name in given.columns.difference(["unique_id", "ds"]):
            result[name] = np.full(shape, np.nan)
            result[name][rows] = given[name].to_numpy(dtype=np.float64).reshape(-1, horizon)
        return result

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{"model": "CrostonSBA"}, {"model": "AutoTheta", "season_length": 7}]


def _frame(y: Array) -> pd.DataFrame:
    """The panel as the library's long frame: ``unique_id`` is the row, ``ds`` counts days and ends alike for all."""
    started = np.logical_or.accumulate(~np.isnan(y), axis=1)
    filled = fill_gaps(y.T, season=SEASON, default=0.0).T
    row, day = np.nonzero(started)
    return pd.DataFrame({"unique_id": row, "ds": day, "y": filled[row, day]})


def _plain(width: float) -> float | int:
    """80 rather than 80.0, because the library writes it into a column's name."""
    return int(width) if float(width).is_integer() else width
