"""The project's own forecasters behind sktime's interface: one fit for all series of a panel.

sktime loops over the series of a panel unless a forecaster accepts the whole panel, and its loop costs 3
to 7 ms a series. These accept it whole and hand matrices to the pure functions of ``averages`` and
``regression``. Importing this module imports sktime (1.3 s): import it inside functions.

Every forecaster leaves out days that were not observed (NaN), gives NaN for a series without any, and
keeps what ``predict`` needs itself.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sktime.forecasting.base import BaseForecaster

from forecast_platform.forecasting import averages, regression
from forecast_platform.forecasting.containers import covariate_cube, from_matrix, to_matrix
from forecast_platform.forecasting.context import PanelContext


class _PanelForecaster(BaseForecaster):
    """Lays the containers out as matrices; subclasses see n x W in and give n x horizon out."""

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "forecast_platform",
        "maintainers": "forecast_platform",
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier", "numpy3D"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier", "numpy3D"],
        "capability:multivariate": False,
        "capability:exogenous": False,
        "capability:missing_values": True,
        "capability:insample": False,
        "capability:pred_int": False,
        "capability:unequal_length": True,
        "requires-fh-in-fit": False,
    }
    # sktime 1.2 announces at every construction and fit that 1.3 keeps no data by default; no forecast here needs it.
    _config: ClassVar[dict[str, Any]] = {"warnings": "off"}
    _context: PanelContext | None = None

    def in_context(self, context):
        """Say what is known of the panel beside its numbers (``context.PanelContext``), before ``fit``.

        Forgotten by ``clone`` and ``reset``, because it belongs to one panel.
        """
        self._context = context
        return self

    def _fit(self, y, X, fh):
        matrix, self._layout = to_matrix(y)
        self._fit_matrix(matrix, covariate_cube(X, self._layout, matrix.shape[1]))
        return self

    def _predict(self, fh, X):
        ahead = np.asarray(fh.to_relative(self.cutoff).to_numpy(), dtype=np.intp) - 1
        horizon = int(ahead.max()) + 1
        forecast = self._predict_matrix(horizon, covariate_cube(X, self._layout, horizon, at=ahead))
        return from_matrix(forecast[:, ahead], self._layout, fh.to_absolute_index(self.cutoff))


class Naive(_PanelForecaster):
    """Every day to come is like the last observed one.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.forecasters import Naive
    >>> y = pd.Series([1.0, 2.0, 5.0])
    >>> Naive().fit(y).predict(fh=[1, 2]).tolist()
    [5.0, 5.0]
    """

    def _fit_matrix(self, y, covariates):
        self.level_ = averages.last_observed(y)

    def _predict_matrix(self, horizon, covariates):
        return averages.repeat_season(self.level_[:, None], horizon)


class SeasonalNaive(_PanelForecaster):
    """Every day to come is like the last observed one at the same place of the cycle.

    Parameters
    ----------
    sp : int, default=7
        Days of the cycle.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.forecasters import SeasonalNaive
    >>> y = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0])
    >>> SeasonalNaive(sp=2).fit(y).predict(fh=[1, 2, 3]).tolist()
    [4.0, 5.0, 4.0]
    """

    def __init__(self, sp=7):
        self.sp = sp
        super().__init__()
        _at_least("sp", sp, 1)

    def _fit_matrix(self, y, covariates):
        self.season_ = averages.last_season(y, self.sp)

    def _predict_matrix(self, horizon, covariates):
        return averages.repeat_season(self.season_, horizon)

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{"sp": 7}, {"sp": 2}]


class MovingAverage(_PanelForecaster):
    """Every day to come is the mean of the last observed days.

    Parameters
    ----------
    window : int, default=7
        Observed days in the mean; all of them where a series has fewer.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.forecasters import MovingAverage
    >>> y = pd.Series([9.0, 1.0, 2.0])
    >>> MovingAverage(window=2).fit(y).predict(fh=[1, 2]).tolist()
    [1.5, 1.5]
    """

    def __init__(self, window=7):
        self.window = window
        super().__init__()
        _at_least("window", window, 1)

    def _fit_matrix(self, y, covariates):
        self.level_ = averages.mean_of_last(y, self.window)

    def _predict_matrix(self, horizon, covariates):
        return averages.repeat_season(self.level_[:, None], horizon)

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{"window": 7}, {"window": 1}]


class LagRegression(_PanelForecaster):
    """One ridge regression per series on its own past and the day of the week; recursive over the horizon.

    Lags, rolling mean and covariates are standardised by series, so that one penalty suits slow and fast
    sellers. The intercept is not held back: with much penalty the forecast is the mean of the training days.

    Parameters
    ----------
    lags : tuple of int, default=(1, 7, 14)
        Days back, each one regressor.
    window : int, default=7
        Days of the rolling mean that ends the day before.
    sp : int, default=7
        Days of the weekday cycle, one effect for each.
    ridge : float, default=0.5
        Penalty on lags, rolling mean and covariates, as a share of the training days.
    day_shrinkage : float, default=4.0
        Penalty on the weekday effects, in days: a weekday seen that often counts half.

    Attributes
    ----------
    weights_ : LagWeights
        The weights, for the explanation of a forecast, and the in-sample R² of each series.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.forecasters import LagRegression
    >>> y = pd.Series([4.0, 1.0, 1.0, 1.0, 1.0, 6.0, 7.0] * 8)
    >>> LagRegression().fit(y).predict(fh=[1, 2]).round(1).tolist()
    [4.0, 1.4]
    """

    _tags: ClassVar[dict[str, Any]] = {"capability:exogenous": True}

    def __init__(self, lags=(1, 7, 14), window=7, sp=7, ridge=0.5, day_shrinkage=4.0):
        self.lags = lags
        self.window = window
        self.sp = sp
        self.ridge = ridge
        self.day_shrinkage = day_shrinkage
        super().__init__()
        _at_least("lags", min(lags, default=0), 1)
        _at_least("window", window, 1)
        _at_least("sp", sp, 1)
        _above_zero("ridge", ridge)
        _above_zero("day_shrinkage", day_shrinkage)

    def _design(self):
        return regression.LagDesign(
            lags=tuple(self.lags),
            window=self.window,
            season=self.sp,
            ridge=self.ridge,
            day_shrinkage=self.day_shrinkage,
        )

    def _fit_matrix(self, y, covariates):
        self.weights_ = regression.fit_lag_regression(y, self._design(), covariates=covariates)

    def _predict_matrix(self, horizon, covariates):
        return regression.predict_lag_regression(self.weights_, self._design(), horizon=horizon, covariates=covariates)

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{}, {"lags": (1,), "window": 2, "sp": 2, "ridge": 0.01, "day_shrinkage": 1.0}]


def _at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of days, {least} or more")


def _above_zero(name: str, value: float) -> None:
    # Without a penalty, weekday effects beside an intercept have no single solution.
    if not value > 0:
        raise ValueError(f"{name} is {value!r}; it must be above 0")
