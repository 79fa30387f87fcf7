"""Any sktime forecaster, one series at a time, so that no series can fail another.

sktime's own loop over a panel stops at the first series that raises, and its ``FallbackForecaster`` then
downgrades every series. Here each series is fitted by a clone of its own; one that raises gives NaN, which
the guards turn into the fallback. Expect 3 to 7 ms of CPU a series from the cheapest forecasters.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from forecast_platform.forecasting.gaps import fill_gaps
from forecast_platform.forecasting.weekdays import SEASON

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

CODE_VERSION = "1"
SEED = 20_240_229
"""Where a forecaster draws random numbers it starts here for every series, whatever ran before."""


class Attempt(NamedTuple):
    """What came of fitting some series one by one.

    Attributes:
        mean: n x H; NaN for a series that raised or was not tried.
        tried: series with history enough.
        failed: those of them that raised.
        first: row and reason of the first that raised, None where none did.
    """

    mean: np.ndarray
    tried: int
    failed: int
    first: tuple[int, str] | None


def forecast_each(
    forecaster: BaseForecaster, y: np.ndarray, dates: pd.DatetimeIndex, *, horizon: int, min_history: int
) -> Attempt:
    """Fit and predict every series alone.

    Args:
        forecaster: an unfitted sktime forecaster; it is cloned, never fitted itself.
        y: n x W, NaN where not observed. Each series starts with its first observed day; later gaps are filled
            by the same weekday a week before, because few forecasters accept gaps.
        dates: the W days.
        horizon: days ahead.
        min_history: observed days below which a series is not tried.
    """
    observed = ~np.isnan(y)
    tried = np.flatnonzero(observed.sum(axis=1) >= min_history)
    filled = fill_gaps(y.T, season=SEASON, default=0.0).T
    result = np.full((len(y), horizon), np.nan)
    failed, first = 0, None
    for row in tried:
        start = observed[row].argmax()
        series = pd.Series(filled[row, start:], index=dates[start:], name="units")
        try:
            with _reproducible():
                result[row] = _forecast_one(forecaster, series, horizon)
        except Exception as error:  # a forecaster may raise anything, and costs this series only
            failed += 1
            first = first or (int(row), f"{type(error).__name__}: {error}")
    return Attempt(result, len(tried), failed, first)


def _forecast_one(forecaster: BaseForecaster, series: pd.Series, horizon: int) -> np.ndarray:
    clone = forecaster.clone()
    unseeded = [name for name, value in clone.get_params().items() if name.endswith("random_state") and value is None]
    clone.set_params(**dict.fromkeys(unseeded, SEED))
    steps = list(range(1, horizon + 1))
    mean = np.asarray(clone.fit(series, fh=steps).predict(fh=steps), dtype=np.float64).reshape(-1)
    if len(mean) != horizon:
        raise ValueError(f"{type(forecaster).__name__} gave {len(mean)} days for a horizon of {horizon}")
    return mean


@contextmanager
def _reproducible() -> Iterator[None]:
    """Global random numbers from a fixed start, put back afterwards; no warnings, which would be one a series."""
    state = np.random.get_state()
    np.random.seed(SEED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(state)
