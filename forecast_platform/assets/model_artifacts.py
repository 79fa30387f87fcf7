"""``model_artifacts[D]``: what the models that refit by date learned, and which of it day D uses.

The bytes are kept under ``FORECAST_ARTIFACTS`` by the digest of their content, written whole before the row that names
them is committed; a file without a row is read by nobody. Which day is a refit day, and the learning itself, is in
``forecasting.artifacts``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg
import pandas as pd
import sqlalchemy as sa
import xxhash

from forecast_platform import tables
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.panels import panel_deps, panel_origins, read_panels
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.forecasting import ModelSpec, Panel, model_specs
from forecast_platform.forecasting.artifacts import Lineage, learn, lineage_of, refit_day
from forecast_platform.io_managers.fence import run_fence
from forecast_platform.io_managers.reads import Reads, reads_of
from forecast_platform.io_managers.retries import retrying
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.partitions import DayWindow
from forecast_platform.sources.store import Store

ASSET = "model_artifacts"
LOCK = tables.model_artifacts.name


class ArtifactMissing(RuntimeError):
    """No artefact is on record that a model could use on a day, or its bytes are not there. Costs that model only."""


@dataclass(frozen=True)
class Artifact:
    """What a model uses on a day: the artefact's digest and where its bytes are, or why there is none."""

    digest: str | None = None
    location: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Choices:
    """What the tenant chose, the newest last: model, the day from which it holds, and the digest or None."""

    rows: tuple[tuple[str, date, str | None], ...]

    def digest(self, model: str, day: date) -> str | None:
        """The artefact chosen for a day; None where none is, or a choice was let go again."""
        held = [digest for name, since, digest in self.rows if name == model and since <= day]
        return held[-1] if held else None


def refitting(scope: TenantScope) -> tuple[ModelSpec, ...]:
    """The tenant's models that learn on refit days only."""
    return tuple(model for model in model_specs(scope.tenant.models) if model.refit_every is not None)


def build_model_artifacts_asset(scope: TenantScope) -> dg.AssetsDefinition | None:
    """The asset, where the tenant has a model that refits by date."""
    models = refitting(scope)
    if not models:
        return None
    look_back = max(model.refit_every for model in models) - 1 + scope.tenant.training_window - 1
    features = dg.AssetDep(scope.key("features"), partition_mapping=DayWindow(-look_back, 0))

    specs = {model.name: model.spec for model in models}
    # Days, models and a tenant's choices are settings.
    origins = {"as_of": (), "model": (), "chosen": (), "digest": panel_origins(scope)}

    @dg.asset(
        key=scope.key(ASSET),
        deps=[features, *panel_deps(scope)],
        metadata=table_metadata(scope, "artifact_days", origins) | {"specs": specs},
        code_version=" ".join(f"{model.name}={model.code_version}" for model in models),
        group_name=scope.name,
        kinds={"sktime", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def model_artifacts(context: dg.AssetExecutionContext) -> None:
        """What each model that refits by date uses on each day: learned on the last refit day, or a tenant's choice.

        An artefact on record is not learned again. One that cannot be learned costs its own model's forecasts only.
        """
        first, last = day_range(context)
        scope.require_closed(ASSET, last)
        with retrying():
            _make(context, scope, models, first, last)

    return model_artifacts


def refit_days(scope: TenantScope, model: ModelSpec, days: Iterable[date]) -> dict[date, date]:
    """The refit day of each day; before the tenant's first day there is nothing to learn from, so not before it."""
    return {day: max(refit_day(day, model.refit_every), scope.tenant.start) for day in days}


def _make(
    context: dg.AssetExecutionContext, scope: TenantScope, models: Sequence[ModelSpec], first: date, last: date
) -> None:
    days = days_between(first, last)
    reads = reads_of(context)
    with scope.warehouse.reading() as session:
        choices = _choices(session, reads, last)
    learned = _learn_all(context, scope, {model: refit_days(scope, model, days) for model in models}, choices)
    rows = pd.DataFrame(
        [(pd.Timestamp(day), name, digest, chosen) for (day, name), (digest, chosen) in sorted(learned.items())],
        columns=["as_of", "model", "digest", "chosen"],
    ).astype({"as_of": "datetime64[ns]", "chosen": bool})

    def record(session: Session) -> None:
        session.lock(LOCK)
        reads.verify(session)
        session.replace_days(tables.artifact_days, rows, first, last, asset=ASSET, run_id=context.run_id)

    scope.warehouse.repeat(record, fence=run_fence(context.instance, context.run_id))
    for day in days:
        held = {name: digest for (of, name), (digest, _) in learned.items() if of == day}
        add_figures(context, scope.key(ASSET), {day: {"artifacts": len(held), **held}})


def _learn_all(
    context: dg.AssetExecutionContext,
    scope: TenantScope,
    wanted: Mapping[ModelSpec, Mapping[date, date]],
    choices: Choices,
) -> dict[tuple[date, str], tuple[str, bool]]:
    """The artefact of each day and model, and whether it was chosen; each refit day is learned once, in order."""
    held = {
        (day, model.name): (choices.digest(model.name, day), True)
        for model, refits in wanted.items()
        for day in refits
        if choices.digest(model.name, day)
    }
    open_days = {
        (refit, model): [day for day in refits if refits[day] == refit and (day, model.name) not in held]
        for model, refits in wanted.items()
        for refit in sorted(set(refits.values()))
    }
    needed = sorted({refit for (refit, _), days in open_days.items() if days})
    if not needed:
        return held
    panels = read_panels(context, scope, needed[0], needed[-1])
    for refit in needed:
        panel = panels.at(refit)
        for model in wanted:
            days = open_days.get((refit, model), [])
            digest = _learned(context, scope, panel, model) if days else None
            held |= {(day, model.name): (digest, False) for day in days if digest}
    return held


def _learned(context: dg.AssetExecutionContext, scope: TenantScope, panel: Panel, model: ModelSpec) -> str | None:
    """The digest of what ``model`` learned on the panel's day, learned now unless it is on record; None if it fails."""
    lineage = lineage_of(panel, model)
    digest = lineage.digest
    with scope.warehouse.reading() as session:
        if _on_record(session, digest):
            return digest
    try:
        content = learn(panel, model)
    except Exception as error:  # whatever a model raises costs its own forecasts only; `models_ran` says so
        context.log.error(f"{model.name} learned nothing on {panel.origin}: {type(error).__name__}: {error}")
        return None
    location = _keep(scope, model.name, content)
    row = _row(lineage, location, len(content))

    def append(session: Session) -> None:
        session.lock(LOCK)
        if not _on_record(session, digest):
            session.append(tables.model_artifacts, row)

    scope.warehouse.repeat(append, fence=run_fence(context.instance, context.run_id))
    context.log.info(f"{model.name} learned on {panel.origin}: {digest}, {len(content)} bytes in {location}")
    return digest


def _on_record(session: Session, digest: str) -> bool:
    held = tables.model_artifacts.c
    return session.scalar(sa.select(held.digest).where(held.digest == digest)) is not None


def _row(lineage: Lineage, location: str, size: int) -> pd.DataFrame:
    text = {
        "digest": lineage.digest,
        "model": lineage.model,
        "spec": lineage.spec,
        "code_version": lineage.code_version,
        "input_digest": lineage.input_digest,
        "libraries": json.dumps(lineage.libraries, sort_keys=True),
        "location": location,
    }
    return pd.DataFrame([text | {"trained_to": pd.Timestamp(lineage.trained_to), "bytes": size}])


def _store(scope: TenantScope) -> Store:
    return Store(f"{scope.settings.artifacts_url.rstrip('/')}/{scope.name}")


def _keep(scope: TenantScope, model: str, content: bytes) -> str:
    """Store bytes under their own digest, durably; where they are."""
    location = f"{model}/{xxhash.xxh3_128_hexdigest(content)}"
    store = _store(scope)
    with store.scratch() as file:
        file.write_bytes(content)
        store.put(file, location)
    return location


def artifact_content(scope: TenantScope, artifact: Artifact) -> bytes:
    """The bytes of an artefact.

    Raises:
        ArtifactMissing: there is none, or its file is gone or damaged.
    """
    if artifact.problem is not None:
        raise ArtifactMissing(artifact.problem)
    where = f"{scope.settings.artifacts_url}/{scope.name}/{artifact.location}"
    try:
        with _store(scope).open(artifact.location) as stream:
            content = stream.read()
    except FileNotFoundError as error:
        raise ArtifactMissing(f"{where} is gone; put it back from a backup, or choose another artefact") from error
    if xxhash.xxh3_128_hexdigest(content) != artifact.location.rpartition("/")[2]:
        raise ArtifactMissing(f"{where} is damaged; put it back from a backup, or choose another artefact")
    return content


USED = """
    select d.as_of, d.model, d.digest, d.chosen, a.spec, a.code_version, a.location
    from artifact_days d left join model_artifacts a on a.digest = d.digest and a.model = d.model
    where d.as_of between :first and :last
"""


def artifacts_for(
    context: dg.AssetExecutionContext, scope: TenantScope, models: Sequence[ModelSpec], first: date, last: date
) -> dict[tuple[date, str], Artifact]:
    """What each model that refits uses on each day, by day and name. Read once for a range, and remembered as read.

    A day without one has the reason in ``Artifact.problem``.
    """
    refits = [model for model in models if model.refit_every is not None]
    if not refits:
        return {}
    with scope.warehouse.reading() as session:
        days = days_between(first, last)
        reads_of(context).saw_partitions(ASSET, days, session.logged(ASSET, first, last))
        rows = {(day, model): rest for day, model, *rest in session.execute(USED, {"first": first, "last": last})}
    return {
        (day, model.name): _usable(scope, model, day, rows.get((day, model.name))) for day in days for model in refits
    }


def _usable(scope: TenantScope, model: ModelSpec, day: date, row: Sequence | None) -> Artifact:
    again = f"materialize partition {day} of {scope.name}/{ASSET}"
    if row is None:
        return Artifact(problem=f"{model.name} has no artefact for {day}: {again}")
    digest, chosen, spec, code_version, location = row
    if location is None:
        return Artifact(problem=f"artefact {digest}, chosen for {model.name} on {day}, is not one of its own")
    if not chosen and (spec, code_version) != (model.spec, model.code_version):
        return Artifact(
            problem=f"the artefact of {model.name} for {day} was learned by {spec} ({code_version}), not by"
            f" {model.spec} ({model.code_version}): {again}"
        )
    return Artifact(digest, location)


CHOSEN = """
    select model, valid_from, digest from artifact_choices where valid_from <= :last order by choice_id
"""


def _choices(session: Session, reads: Reads, last: date) -> Choices:
    return Choices(tuple(reads.saw_rows(session, "artifact_choices", CHOSEN, {"last": last})))
