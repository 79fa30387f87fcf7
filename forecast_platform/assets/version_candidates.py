"""What a run of ``forecasts`` asks for, sees and offers the ledger, origin by origin.

Shared by the asset that is one step and by the steps of blocks. How the work is cut into steps is no business of this
module, nor is what the ledger appends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import dagster as dg
from dagster._time import get_current_datetime

from forecast_platform.assets.catalog import add_figures, origin_figures
from forecast_platform.assets.model_artifacts import Artifact, artifact_content, artifacts_for
from forecast_platform.assets.panels import read_panels
from forecast_platform.assets.scope import REASON_TAG, TenantScope, asked_by, day_range
from forecast_platform.assets.staged_forecasts import Staging
from forecast_platform.assets.wanted import Wanted
from forecast_platform.days import days_between
from forecast_platform.forecasting import (
    ModelForecast,
    ModelSpec,
    Panel,
    forecast_origin,
    input_summary,
    panel_figures,
    version_digest,
)
from forecast_platform.forecasting.run import Made
from forecast_platform.io_managers.asking import Asking
from forecast_platform.io_managers.ledger import VersionCandidate, recorded_versions
from forecast_platform.io_managers.retries import retrying


def asking_of(context: dg.AssetExecutionContext, wanted: Wanted, *, begun: bool = False) -> Asking:
    """What this run asks for, by whom and why; ``begun`` where an earlier step has logged it."""
    asked = context.run.tags
    return Asking(
        origins=days_between(*day_range(context)),
        models=[model.name for model in wanted.models],
        requested_by=asked_by(asked),
        reason=asked.get(REASON_TAG),
        started_at=get_current_datetime(),
        begun=begun,
    )


@dataclass(frozen=True)
class SeenOrigin:
    """One origin as its run sees it.

    Attributes:
        panel: what it may learn from.
        artifacts: by model, what it learned on its refit day.
        digests: by model, what identifies the version of all series that these inputs make.
        on_record: by model, the digest under which the ledger has a version of what is asked for; where it has none,
            that of the version to be made.
        wanted: the models of which the ledger has no such version, in order.
    """

    panel: Panel
    artifacts: Mapping[str, Artifact]
    digests: Mapping[str, str]
    on_record: Mapping[str, str]
    wanted: tuple[ModelSpec, ...]

    def learned(self, scope: TenantScope) -> dict[str, Any]:
        """By wanted model that refits by date, what gives the bytes that it learned."""
        return {
            model.name: partial(artifact_content, scope, self.artifacts[model.name])
            for model in self.wanted
            if model.refit_every is not None
        }


def seen_origins(
    context: dg.AssetExecutionContext, scope: TenantScope, asked: Wanted, asking: Asking
) -> Iterator[SeenOrigin]:
    """The origins that are asked for, in order; the warehouse is read once for all of them, at the first."""
    models = asked.models
    first, last = asking.origins[0], asking.origins[-1]
    scope.require_closed("forecasts", last)
    with retrying():
        panels = read_panels(context, scope, first, last, wanted_by="forecasts")
        artifacts = artifacts_for(context, scope, models, first, last)
        recorded = recorded_versions(scope.warehouse, first, last)
    for origin in asking.origins:
        panel = panels.at(origin)
        used = {model.name: artifacts.get((origin, model.name), Artifact()) for model in models}
        digests = {
            model.name: version_digest(panel, model, horizon=scope.tenant.horizon, artifact=used[model.name].digest)
            for model in models
        }
        # A version of all series is one of those that are asked for, too.
        held = {name: each for name, each in digests.items() if recorded.holds(origin, name, each)}
        own = {name: asked.digest(each) for name, each in digests.items()}
        wanted = tuple(
            model
            for model in models
            if model.name not in held and not recorded.holds(origin, model.name, own[model.name])
        )
        yield SeenOrigin(panel, used, digests, own | held, wanted)


def candidates(
    context: dg.AssetExecutionContext,
    scope: TenantScope,
    asked: Wanted,
    asking: Asking,
    staging: Staging | None = None,
) -> Iterator[list[VersionCandidate]]:
    """The candidates of each origin, one a model, in order; computed only when the ledger has no equal version.

    Args:
        staging: parts that other steps have made; what is not there is made here.
    """
    horizon = scope.tenant.horizon
    for seen in seen_origins(context, scope, asked, asking):
        panel, origin = seen.panel, seen.panel.origin
        figures = panel_figures(panel)
        forecasts = forecast_origin(
            panel,
            seen.wanted,
            horizon=horizon,
            artifacts=seen.learned(scope),
            blocks=1 if staging is None else scope.tenant.forecast_blocks,
            made=None if staging is None else _staged(context, scope, seen, staging),
        )
        made = {each.model: asked.of(each) for each in forecasts}
        shown = origin_figures(asked.models, made, series=len(panel.series))
        add_figures(context, scope.key("forecasts"), {origin: shown})
        offered = []
        for model in asked.models:
            summary = input_summary(panel, model, horizon=horizon, artifact=seen.artifacts[model.name].digest)
            inputs = asked.summary(summary) | {"figures": figures}
            digest, forecast = seen.on_record[model.name], made.pop(model.name, None)
            offered.append(_candidate(scope, asking, model, inputs, digest, forecast))
        yield offered
        del offered


def _staged(context: dg.AssetExecutionContext, scope: TenantScope, seen: SeenOrigin, staging: Staging) -> Made:
    """The parts of an origin that other steps have staged, by all that decides their numbers."""

    def made(panel: Panel, model: ModelSpec):
        part = staging.get(
            version_digest(panel, model, horizon=scope.tenant.horizon, artifact=seen.artifacts[model.name].digest)
        )
        if part is None:
            context.log.warning(
                f"{model.name} of {panel.origin}: {len(panel.series)} series are computed in this step, because none of"
                " the others has staged them: what they read has changed since, or the staged files are gone"
            )
        return part

    return made


def _candidate(
    scope: TenantScope,
    asking: Asking,
    model: ModelSpec,
    inputs: Mapping[str, Any],
    digest: str,
    made: ModelForecast | None,
) -> VersionCandidate:
    origin = date.fromisoformat(inputs["origin"])
    return VersionCandidate(
        origin_date=origin,
        model=model.name,
        model_spec=model.spec,
        code_version=model.code_version,
        horizon=scope.tenant.horizon,
        inputs=inputs,
        input_digest=digest,
        live=scope.today() <= origin + timedelta(days=1),
        forecasts=None if made is None or made.error else made.frame,
        kept=scope.tenant.kept_horizons(model.name),
        fallbacks=0 if made is None else made.fallbacks,
        outcome=_outcome(made),
        requested_by=asking.requested_by,
        reason=asking.reason,
        started_at=get_current_datetime() - timedelta(seconds=0 if made is None else made.seconds),
    )


def _outcome(made: ModelForecast | None) -> str:
    if made is None:
        return "on record"
    return f"failed: {made.error}" if made.error else "computed"
