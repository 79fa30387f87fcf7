"""Which models there are: names and spec strings in, forecasters out.

A spec is one expression that constructs a forecaster: one of this project's own by class name, or
anything that sktime's ``craft`` builds in its safe mode. Reading the specs costs nothing and imports no
sktime; building does. No forecasting happens here.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from forecast_platform.forecasting import isolated

if TYPE_CHECKING:
    from sktime.forecasting.base import BaseForecaster

ALWAYS: Mapping[str, str] = {"naive": "Naive()", "seasonal_naive_7": "SeasonalNaive(sp=7)"}
"""The floor that every other model must beat; they run whatever the settings say."""

DEFAULT_MODELS: Mapping[str, str] = {
    **ALWAYS,
    "moving_average_7": "MovingAverage(window=7)",
    "linear": "LagRegression()",
    "weekday_profile": "WeekdayProfile()",
    "ensemble": "Ensemble()",
}

MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
ISOLATED_MIN_HISTORY = 20
REFIT_EVERY = 28
"""Days from one refit to the next of a model that learns over all series, unless its spec says otherwise."""


class ModelSpecError(ValueError):
    """A model's name or spec cannot work. The message names the model, the class and what would."""


@dataclass(frozen=True)
class _Own:
    """One of this project's forecasters: its parameters, the version of its code and the history it needs.

    ``code_version`` changes when the forecaster gives other numbers for the same input, and with nothing else.

    Attributes:
        exogenous: reads covariates.
        module: the module of this package that holds the class.
        libraries: packages beyond the core whose version decides the numbers; they are part of the code version.
        refits: learns from a panel of the refit day (``refit_every``), not from every origin's own.
        local: treats every series alone and reads nothing but its sales, so that a block of series gets the same bits.
    """

    parameters: tuple[str, ...]
    code_version: str
    min_history: Callable[[Mapping[str, Any]], int]
    exogenous: bool = False
    module: str = "forecasters"
    libraries: tuple[str, ...] = ()
    refits: bool = False
    local: bool = False

    @property
    def full_version(self) -> str:
        """The code's version with those of its libraries; one that is not installed says so and fails when built."""
        return "+".join([self.code_version, *(f"{name}-{_installed(name)}" for name in self.libraries)])


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _regression_history(given: Mapping[str, Any]) -> int:
    """20 days, or as many as the longest lag or window asked for reaches."""
    return max([20, *given.get("lags", ()), *given.get("windows", ())])


def _statistical_history(given: Mapping[str, Any]) -> int:
    """Two cycles and a few days more, which AutoETS and AutoTheta fail without."""
    return max(ISOLATED_MIN_HISTORY, 2 * given.get("season_length", 7) + 6)


_BOOSTED: Mapping[str, Any] = {
    "min_history": lambda given: 1,
    "exogenous": True,
    "module": "boosting",
    "libraries": ("lightgbm",),
    "refits": True,
}
"""What the forecasters have in common that learn trees."""

OWN: Mapping[str, _Own] = {
    "Naive": _Own((), "1", lambda given: 1, local=True),
    "SeasonalNaive": _Own(("sp",), "1", lambda given: given.get("sp", 7), local=True),
    "MovingAverage": _Own(("window",), "1", lambda given: given.get("window", 7), local=True),
    "LagRegression": _Own(
        ("lags", "windows", "half_life", "ridge", "day_shrinkage"), "4", _regression_history, exogenous=True
    ),
    "WeekdayProfile": _Own(("half_life", "profile_spread", "growth_spread"), "3", lambda given: 1, exogenous=True),
    "Ensemble": _Own(("linear_weight",), "3", lambda given: 1, exogenous=True),
    "GlobalBoosting": _Own(
        (
            "horizon",
            "refit_every",
            "n_estimators",
            "num_leaves",
            "learning_rate",
            "min_data_in_leaf",
            "power",
            "level_weight",
            "max_rows",
        ),
        "1",
        **_BOOSTED,
    ),
    "BoostedEnsemble": _Own(("linear_weight", "profile_weight", "horizon", "refit_every"), "2", **_BOOSTED),
    "PanelStatsForecast": _Own(
        ("model", "season_length"),
        "1",
        _statistical_history,
        module="statistical",
        libraries=("statsforecast",),
        local=True,
    ),
    "Chronos2": _Own(
        ("path", "revision", "device", "dtype", "batch_size", "context_length", "threads"),
        "1",
        lambda given: 1,
        module="chronos",
        libraries=("chronos-forecasting", "torch", "transformers"),
    ),
}


@dataclass(frozen=True)
class ModelSpec:
    """One model of a tenant.

    Attributes:
        name: what the ledger calls it.
        spec: the expression, in one spelling whatever the spaces and quotes of the settings.
        class_name: the forecaster's class, the outermost one of a composition.
        code_version: version of the code behind it; of sktime for a forecaster that is not our own.
        min_history: observed days below which a series is forecast by the fallback.
        own: fits the whole panel at once; anything else goes series by series.
        exogenous: reads covariates.
        refit_every: days from one refit to the next; None for a model that is fitted for every origin.
        local: may be computed by blocks of series: each one's forecast is of its own sales alone.
    """

    name: str
    spec: str
    class_name: str
    code_version: str
    min_history: int
    own: bool
    exogenous: bool
    refit_every: int | None = None
    local: bool = False

    def build(self) -> BaseForecaster:
        """Construct the unfitted forecaster.

        Raises:
            ModelSpecError: sktime has no such class, a package is missing, or an argument cannot work.
        """
        try:
            with warnings.catch_warnings():
                # sktime 1.2 announces at every construction that 1.3 keeps no data by default; no forecast needs it.
                warnings.filterwarnings("ignore", message=".*remember_data.*", category=FutureWarning)
                return _build_own(self.spec) if self.own else _craft(self.spec)
        except Exception as error:
            reason = _unknown_class(self.spec) if not self.own else None
            raise ModelSpecError(
                f"model {self.name!r}: cannot build {self.class_name} from {self.spec!r}: {reason or _one_line(error)}"
            ) from error


def model_specs(models: Mapping[str, str] | None = None) -> tuple[ModelSpec, ...]:
    """Read the models of a tenant, by name to spec; None for the default ones.

    ``naive`` and ``seasonal_naive_7`` are always among them, first.

    Raises:
        ModelSpecError: a name or a spec cannot work. Classes of sktime are looked up by ``ModelSpec.build`` only.
    """
    models = DEFAULT_MODELS if models is None else models
    for name, spec in ALWAYS.items():
        if _parse(name, models.get(name, spec))[1] != spec:
            raise ModelSpecError(f"model {name!r} is always {spec}, not {models[name]!r}; give yours another name")
    return tuple(_read(name, spec) for name, spec in {**ALWAYS, **models}.items())


def _read(name: str, spec: str) -> ModelSpec:
    if not isinstance(name, str) or not MODEL_NAME.fullmatch(name):
        raise ModelSpecError(f"model name {name!r} must be lower-case letters, digits and _, starting with a letter")
    if name == "published":
        raise ModelSpecError("model name 'published' is what reports call the choice among models; give yours another")
    tree, canonical = _parse(name, spec)
    class_name = _outermost_class(tree) or canonical
    own = OWN.get(class_name)
    if own is None or not isinstance(tree, ast.Call):
        return ModelSpec(
            name=name,
            spec=canonical,
            class_name=class_name,
            code_version=f"isolated-{isolated.CODE_VERSION}+sktime-{version('sktime')}",
            min_history=ISOLATED_MIN_HISTORY,
            own=False,
            exogenous=False,
            local=True,
        )
    given = _arguments(name, class_name, tree, own)
    try:
        min_history = int(own.min_history(given))
    except (TypeError, ValueError) as error:
        raise ModelSpecError(f"model {name!r}: {canonical} is not understood: {_one_line(error)}") from error
    return ModelSpec(
        name=name,
        spec=canonical,
        class_name=class_name,
        code_version=own.full_version,
        min_history=min_history,
        own=True,
        exogenous=own.exogenous,
        refit_every=int(given.get("refit_every", REFIT_EVERY)) if own.refits else None,
        local=own.local,
    )


def _parse(name: str, spec: str) -> tuple[ast.expr, str]:
    try:
        tree = ast.parse(spec.strip(), mode="eval").body
    except (SyntaxError, ValueError, AttributeError) as error:
        raise ModelSpecError(
            f"model {name!r}: {spec!r} is not one expression such as SeasonalNaive(sp=7): {_one_line(error)}"
        ) from error
    if isinstance(tree, ast.Name):
        tree = ast.Call(func=tree, args=[], keywords=[])
    return tree, ast.unparse(tree)


def _outermost_class(tree: ast.expr) -> str | None:
    return tree.func.id if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) else None


def _arguments(name: str, class_name: str, tree: ast.Call, own: _Own) -> dict[str, Any]:
    """The arguments of one of our own forecasters: by keyword, and literals only."""
    allowed = ", ".join(own.parameters) or "none"
    if tree.args:
        raise ModelSpecError(f"model {name!r}: give the arguments of {class_name} by name; it has {allowed}")
    given = {}
    for keyword in tree.keywords:
        if keyword.arg not in own.parameters:
            raise ModelSpecError(f"model {name!r}: {class_name} has no argument {keyword.arg!r}; it has {allowed}")
        try:
            given[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError as error:
            raise ModelSpecError(
                f"model {name!r}: {keyword.arg} of {class_name} must be a plain value, not {ast.unparse(keyword.value)}"
            ) from error
    return given


def _build_own(spec: str) -> BaseForecaster:
    tree = ast.parse(spec, mode="eval").body
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in tree.keywords}
    module = import_module(f"forecast_platform.forecasting.{OWN[tree.func.id].module}")
    return getattr(module, tree.func.id)(**arguments)


def _craft(spec: str) -> BaseForecaster:
    from sktime.forecasting.base import BaseForecaster
    from sktime.registry import craft
    from sktime.utils.dependencies import _check_estimator_deps

    forecaster = craft(spec, safe=True)
    if not isinstance(forecaster, BaseForecaster):
        raise TypeError(f"it makes a {type(forecaster).__name__}, which is no forecaster")
    _check_estimator_deps(forecaster)
    return forecaster


def _unknown_class(spec: str) -> str | None:
    """Say which class of a spec sktime does not have; ``craft`` itself does not."""
    from sktime.registry import all_estimators
    from sktime.registry._lookup_sklearn import _all_sklearn_estimators

    known = {name for name, _ in all_estimators()} | {name for name, _ in _all_sklearn_estimators()}
    calls = [node.func for node in ast.walk(ast.parse(spec, mode="eval")) if isinstance(node, ast.Call)]
    unknown = sorted({func.id for func in calls if isinstance(func, ast.Name)} - known)
    if not unknown:
        return None
    return f"{', '.join(unknown)} is no class of sktime or scikit-learn, nor one of ours ({', '.join(OWN)})"


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
