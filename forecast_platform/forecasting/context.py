"""What a forecaster of this project may know of a panel beside its numbers. No number of the panel itself belongs here.

sktime's interface carries ``y`` and ``X`` only. Groups, calendar days and what was learned earlier reach a
forecaster by ``in_context``; without it all series are one group and days have no date.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast_platform.forecasting.panel import Panel

Array = np.ndarray


@dataclass(frozen=True)
class PanelContext:
    """The context of n series over W days.

    Attributes:
        group: n codes of (location, category), from 0 on, in codepoint order; ``location`` and ``category`` likewise.
        dates: the W days.
        covariates: names of the k rows of ``X``, in order.
        artifact: what the model learned on its refit day, as its own bytes; None where it learns at every fit.
    """

    group: Array
    location: Array
    category: Array
    dates: pd.DatetimeIndex
    covariates: tuple[str, ...] = ()
    artifact: bytes | None = None

    @classmethod
    def of(cls, panel: Panel, *, artifact: bytes | None = None) -> PanelContext:
        """The context of ``panel``."""
        series = panel.series
        return cls(
            group=series.group,
            location=np.unique(series.location.astype(str), return_inverse=True)[1].astype(np.intp),
            category=np.unique(series.category.astype(str), return_inverse=True)[1].astype(np.intp),
            dates=panel.dates,
            covariates=panel.covariates,
            artifact=artifact,
        )
