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

from forecast_platform.forecasting import averages, profiles, regression
from forecast_platform.forecasting.containers import covariate_cube, from_matrix, to_matrix
from forecast_platform.forecasting.context import PanelContext, content_of, pools_of
from forecast_platform.forecasting.parameters import above_zero, at_least

BASE_SPREAD = 0.1
"""How far a regression's weekday factors and effects may be from those of its group before its own terms."""
GROWTH_SPREAD = 0.02
"""Standard deviation of a month's growth (``profiles.ProfileDesign``). On Online Retail, origins to 2011-10-14, 0.05
costs 0.002 to 0.006 of WAPE at the same RMSSE."""
LINEAR_MIN_HISTORY = 20
"""Observed days below which a regression on lags is not believed."""


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
        ahead = self._days_ahead(fh)
        horizon = int(ahead.max()) + 1
        forecast = self._predict_matrix(horizon, covariate_cube(X, self._layout, horizon, at=ahead))
        return from_matrix(forecast[:, ahead], self._layout, fh.to_absolute_index(self.cutoff))

    def _once(self, what, y, covariates, make):
        """What ``make`` fits on ``y`` and ``covariates``, or another model of the panel has fitted on the same."""
        return make() if self._context is None else self._context.once(what, content_of(y, covariates), make)

    def _base_and_growth(self, y, covariates, spread, growth_spread):
        """Factors of the days and growth of the locations of n x W units: most models start from the same."""
        pools, over_time = pools_of(self._context, len(y)), np.ascontiguousarray(y.T)

        def fit():
            base = profiles.fit_base(over_time, pools, spread=spread, covariates=covariates)
            return base, profiles.fit_growth(over_time, base.factors, pools, growth_spread)

        return self._once(("base and growth", spread, growth_spread), y, covariates, fit)

    def _days_ahead(self, fh):
        return np.asarray(fh.to_relative(self.cutoff).to_numpy(), dtype=np.intp) - 1


class _ExplainedForecaster(_PanelForecaster):
    """A forecaster whose forecasts are sums of terms with a meaning; subclasses give the terms."""

    def contributions(self, fh, X=None):
        """What each term adds to the forecasts.

        Parameters
        ----------
        fh, X
            As for ``predict``.

        Returns
        -------
        dict of str to np.ndarray
            By term, n x len(fh) in the units of ``y``. They sum to what ``predict`` gives, to the last digits of
            a float; NaN for a series without a forecast.
        """
        self.check_is_fitted()
        ahead = self._days_ahead(self._check_fh(fh))
        horizon = int(ahead.max()) + 1
        terms = self._terms(horizon, covariate_cube(X, self._layout, horizon, at=ahead))
        return {name: values[:, ahead] for name, values in terms.items()}

    def _predict_matrix(self, horizon, covariates):
        return sum(self._terms(horizon, covariates).values())

    def _by_covariate(self, drivers):
        """Terms n x k x horizon by the covariates' names, or by their number without a context."""
        known = self._context.covariates if self._context else ()
        names = known if len(known) == drivers.shape[1] else [f"covariate {k}" for k in range(drivers.shape[1])]
        return {name: drivers[:, k] for k, name in enumerate(names)}


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
        at_least("sp", sp, 1)

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
        at_least("window", window, 1)

    def _fit_matrix(self, y, covariates):
        self.level_ = averages.mean_of_last(y, self.window)

    def _predict_matrix(self, horizon, covariates):
        return averages.repeat_season(self.level_[:, None], horizon)

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{"window": 7}, {"window": 1}]


class WeekdayProfile(_ExplainedForecaster):
    """A recent level of each series, spread over the week as its location and category are.

    The level is a mean of the observed days discounted by age, brought up to the origin by the growth of the
    series' location. Weekday factors, and the effects of covariates known ahead, are pulled to those of the series'
    (location, category), its location and all series (``in_context``; without a context all are one group).

    Parameters
    ----------
    half_life : float, default=14
        Days after which a day weighs half in the level.
    profile_spread : float, default=0.1
        Standard deviation of a series' weekday factors around those of its group; likewise of its effects.
    growth_spread : float, default=0.02
        Standard deviation of a month's growth; little of it leaves the level where it was.

    Attributes
    ----------
    fit_ : ProfileFit
        Level, weekday factors and effects of each series.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.forecasters import WeekdayProfile
    >>> y = pd.Series([4.0, 1.0, 1.0, 1.0, 1.0, 6.0, 7.0] * 8)
    >>> WeekdayProfile().fit(y).predict(fh=[1, 2]).round(1).tolist()
    [4.0, 1.0]
    """

    _tags: ClassVar[dict[str, Any]] = {"capability:exogenous": True}

    def __init__(self, half_life=14.0, profile_spread=0.1, growth_spread=GROWTH_SPREAD):
        self.half_life = half_life
        self.profile_spread = profile_spread
        self.growth_spread = growth_spread
        super().__init__()
        for name in ("half_life", "profile_spread", "growth_spread"):
            above_zero(name, getattr(self, name))

    def _fit_matrix(self, y, covariates):
        base, growth = self._base_and_growth(y, covariates, self.profile_spread, self.growth_spread)
        self.fit_ = profiles.fit_profile(np.ascontiguousarray(y.T), base, growth, half_life=self.half_life)

    def _terms(self, horizon, covariates):
        fit = self.fit_
        level, weekday, drivers = profiles.base_terms(fit.base, fit.levels(horizon), covariates=covariates)
        return {"level": level, "weekday": weekday, **self._by_covariate(drivers)}

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{}, {"half_life": 3.0, "profile_spread": 1.0, "growth_spread": 0.5}]


class Ensemble(_ExplainedForecaster):
    """Weighted mean of a lag regression and a weekday profile; of the profile alone where a series is too short.

    Parameters
    ----------
    linear_weight : float, default=0.5
        Weight of the regression, between 0 and 1; the rest is the profile's.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.forecasters import Ensemble
    >>> y = pd.Series([4.0, 1.0, 1.0, 1.0, 1.0, 6.0, 7.0] * 8)
    >>> Ensemble().fit(y).predict(fh=[1, 2]).round(1).tolist()
    [4.0, 1.0]
    """

    _tags: ClassVar[dict[str, Any]] = {"capability:exogenous": True}

    def __init__(self, linear_weight=0.5):
        self.linear_weight = linear_weight
        super().__init__()
        if not 0 <= linear_weight <= 1:
            raise ValueError(f"linear_weight is {linear_weight!r}; it must be between 0 and 1")

    def _fit_matrix(self, y, covariates):
        self.linear_, self.profile_ = LagRegression(), WeekdayProfile()
        for member in (self.linear_, self.profile_):
            member.in_context(self._context)._fit_matrix(y, covariates)
        self.long_enough_ = (~np.isnan(y)).sum(axis=1) >= LINEAR_MIN_HISTORY

    def _terms(self, horizon, covariates):
        weight = np.where(self.long_enough_, self.linear_weight, 0.0)[:, None]
        linear, profile = (member._terms(horizon, covariates) for member in (self.linear_, self.profile_))
        terms = {}
        for share, member in ((1.0 - weight, profile), (weight, linear)):
            for name, values in member.items():
                terms[name] = terms.get(name, 0.0) + np.where(share > 0, share * values, 0.0)
        return terms

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{}, {"linear_weight": 0.25}]


class LagRegression(_ExplainedForecaster):
    """One ridge regression per series on its own recent past, around its base; recursive over the horizon.

    The base is a short level that grows as its location does, times the weekday factors and covariate effects of
    the series' group, as in ``WeekdayProfile``. Lags and rolling means, as their distance from the base, weekday
    effects and covariate effects of the series' own correct it, each as far as the series' days bear it out.

    Parameters
    ----------
    lags : tuple of int, default=(1, 7, 14, 28)
        Days back, each one regressor.
    windows : tuple of int, default=(7, 28)
        Days of the rolling means that end the day before, each one regressor.
    half_life : float, default=10
        Days after which a day weighs half in the level.
    ridge : float, optional
        Penalty on lags, rolling means and covariates, as a share of the training days. By default it is chosen, and
        with it which lags are used, by rolling origins inside the training window, once for the panel.
    day_shrinkage : float, default=60
        Penalty on the weekday effects, in days: a weekday seen that often counts half.

    Attributes
    ----------
    design_ : LagDesign
        What was chosen.
    weights_ : LagWeights
        The weights, for the explanation of a forecast, and the in-sample R² of each series.

    Examples
    --------
    >>> import pandas as pd
    >>> from forecast_platform.forecasting.forecasters import LagRegression
    >>> y = pd.Series([4.0, 1.0, 1.0, 1.0, 1.0, 6.0, 7.0] * 8)
    >>> LagRegression().fit(y).predict(fh=[1, 2]).round(1).tolist()
    [4.0, 1.0]
    """

    _tags: ClassVar[dict[str, Any]] = {"capability:exogenous": True}

    def __init__(self, lags=(1, 7, 14, 28), windows=(7, 28), half_life=10.0, ridge=None, day_shrinkage=60.0):
        self.lags = lags
        self.windows = windows
        self.half_life = half_life
        self.ridge = ridge
        self.day_shrinkage = day_shrinkage
        super().__init__()
        at_least("lags", min(lags, default=0), 1)
        at_least("windows", min(windows, default=0), 1)
        above_zero("half_life", half_life)
        above_zero("ridge", 1.0 if ridge is None else ridge)
        above_zero("day_shrinkage", day_shrinkage)

    def _fit_matrix(self, y, covariates):
        self.base_, self.growth_ = self._base_and_growth(y, covariates, BASE_SPREAD, GROWTH_SPREAD)
        design = regression.LagDesign(
            lags=tuple(self.lags),
            windows=tuple(self.windows),
            half_life=self.half_life,
            ridge=2.0 if self.ridge is None else self.ridge,
            day_shrinkage=self.day_shrinkage,
        )
        self.design_, self.weights_ = self._once(
            ("regression", design, self.ridge), y, covariates, lambda: self._regressed(y, covariates, design)
        )

    def _regressed(self, y, covariates, design):
        factors = np.ascontiguousarray(self.base_.factors.T)
        if self.ridge is None:
            design = regression.choose_design(y, factors, design, covariates=covariates)
        return design, regression.fit_lag_regression(y, factors, design, covariates=covariates)

    def _terms(self, horizon, covariates):
        grown = profiles.growth_factors(self.growth_, 0.0, horizon)
        levels = self.weights_.level[:, None] * grown
        level, weekday, drivers = profiles.base_terms(self.base_, levels, covariates=covariates)
        factors = np.ascontiguousarray(self.base_.ahead(horizon, covariates).T) * grown
        own_weekday, recent, own_drivers = regression.lag_regression_terms(
            self.weights_, self.design_, factors, covariates=covariates
        )
        terms = {"level": level, "weekday": weekday + own_weekday, "recent sales": recent}
        return {**terms, **self._by_covariate(drivers + own_drivers)}

    @classmethod
    def get_test_params(cls, parameter_set="default"):
        """Settings that sktime's conformance suite runs."""
        return [{}, {"lags": (1,), "windows": (2,), "half_life": 3.0, "ridge": 0.01, "day_shrinkage": 1.0}]
