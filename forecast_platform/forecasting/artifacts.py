"""What a model learns on its refit days: which day that is, what it was learned from, and the learning itself.

An artefact is a function of the refit day, of the facts up to it and of the code, never of what ran before: a past day
forecast again uses what that day would have used. Where artefacts are kept, and which one a tenant chose instead, is
decided by the asset ``model_artifacts``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from forecast_platform.forecasting.array_digests import digest_of
from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.models import ModelSpec
from forecast_platform.forecasting.panel import Panel
from forecast_platform.forecasting.versions import learned_inputs


def refit_day(day: date, every: int) -> date:
    """The last day not after ``day`` on which a model that is refitted ``every`` days learns.

    Days are counted from the calendar's first, so that every tenant and every run sees the same ones.

    Raises:
        ValueError: ``every`` is below 1.
    """
    if every < 1:
        raise ValueError(f"a model is refitted every {every!r} days; it must be 1 or more")
    return date.fromordinal(day.toordinal() - day.toordinal() % every)


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """What an artefact was learned from, by what.

    Attributes:
        model, spec: as in the settings.
        code_version: of the forecaster and of the libraries behind it.
        trained_to: last day of the facts.
        input_digest: of the panel's series, groups, history and covariates.
    """

    model: str
    spec: str
    code_version: str
    trained_to: date
    input_digest: str

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that stand for all of it: equal ones need not be learned twice."""
        parts = [self.model, self.spec, self.code_version, self.trained_to.isoformat(), self.input_digest]
        return digest_of(json.dumps(parts).encode())

    @property
    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that decide the numbers, by name."""
        named = self.code_version.split("+")[1:]
        return dict(part.rsplit("-", 1) for part in named)


def lineage_of(panel: Panel, model: ModelSpec) -> Lineage:
    """What ``learn`` would learn from; nothing is computed."""
    return Lineage(
        model=model.name,
        spec=model.spec,
        code_version=model.code_version,
        trained_to=panel.origin,
        input_digest=digest_of(json.dumps(learned_inputs(panel, model), sort_keys=True).encode()),
    )


def learn(panel: Panel, model: ModelSpec) -> bytes:
    """Fit ``model`` on the panel of its refit day.

    Returns:
        The model's own bytes, for ``forecast_origin(..., artifacts=)``.

    Raises:
        ValueError: the model keeps nothing from one day to the next.
    """
    if model.refit_every is None:
        raise ValueError(f"model {model.name!r} ({model.spec}) is fitted for every origin and keeps no artefact")
    forecaster = model.build()
    forecaster.in_context(PanelContext.of(panel))
    forecaster.fit(panel.y[:, None, :], X=panel.past if model.exogenous and panel.covariates else None)
    return forecaster.artifact()
