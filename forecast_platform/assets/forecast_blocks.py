"""``forecasts`` as a graph: a step for each block of series, so that workers share one origin, and one that appends.

``plan`` says which models are not on record. Then, side by side: ``block_NN`` forecasts its series by the models that
treat every series alone, ``pooled`` everybody by the others. What they make is staged (``staged_forecasts``).
``ledger`` does what the asset of one step does, but takes the parts that are staged, and appends through the same IO
manager in the same transaction. It makes what is missing by itself: the steps before it save time and decide nothing.

The number of blocks is static: all steps of a range are known before it runs, each is retried, resumed and shown by
itself, and no step waits for one that counts series. What a part is, is in ``forecasting.parts``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from forecast_platform.assets.panels import read_block
from forecast_platform.assets.scope import TenantScope
from forecast_platform.assets.staged_forecasts import Staging, sweep
from forecast_platform.assets.version_candidates import asking_of, candidates, seen_origins
from forecast_platform.assets.wanted import wanted_of
from forecast_platform.forecasting import ModelSpec, version_digest
from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.parts import forecast_part
from forecast_platform.io_managers.asking import begin, failing
from forecast_platform.io_managers.frames import ended_runs_of
from forecast_platform.io_managers.ledger import VersionStream
from forecast_platform.io_managers.retries import retrying

AFTER = "after"
"""Name of the input by which a step waits for others; nothing is handed over."""

Models = tuple[ModelSpec, ...]


def forecast_graph(
    scope: TenantScope, models: Models, *, inputs: Sequence[str], metadata: Mapping[str, Any]
) -> dg.GraphDefinition:
    """The steps of a tenant's ``forecasts``.

    Args:
        inputs: names of what must be made before; the graph's inputs, all of ``Nothing``.
        metadata: of the output, where the IO manager looks for it.
    """
    blocks = range(scope.tenant.forecast_blocks)
    steps = {
        "plan": _plan_step(scope, models, inputs),
        **{f"block_{number:02}": _block_step(scope, models, number) for number in blocks},
        "pooled": _pooled_step(scope, models),
        "ledger": _ledger_step(scope, models, metadata),
    }
    between = [name for name in steps if name not in ("plan", "ledger")]
    after_plan = {AFTER: dg.DependencyDefinition("plan")}
    after_all = {AFTER: dg.MultiDependencyDefinition([dg.DependencyDefinition(name) for name in between])}
    return dg.GraphDefinition(
        name=f"{scope.name}__forecasts",
        node_defs=list(steps.values()),
        dependencies={
            dg.NodeInvocation(steps["plan"].name, alias="plan"): {},
            **{dg.NodeInvocation(steps[name].name, alias=name): after_plan for name in between},
            dg.NodeInvocation(steps["ledger"].name, alias="ledger"): after_all,
        },
        input_mappings=[
            dg.InputMapping(graph_input_name=name, mapped_node_name="plan", mapped_node_input_name=name)
            for name in inputs
        ],
        output_mappings=[
            dg.OutputMapping(graph_output_name="result", mapped_node_name="ledger", mapped_node_output_name="result")
        ],
    )


def _step(scope: TenantScope, name: str, **given: Any):
    """An op whose name no other tenant's has. Steps that only read take no slot of the pool, except on DuckDB, whose
    file lets one run in at a time."""
    pool = scope.pool if name == "ledger" or scope.settings.backend == "duckdb" else None
    return dg.op(name=f"{scope.name}__forecasts__{name}", pool=pool, **given)


def _plan_step(scope: TenantScope, models: Models, inputs: Sequence[str]) -> dg.OpDefinition:
    @_step(scope, "plan", ins={name: dg.In(dg.Nothing) for name in inputs}, out=dg.Out(dg.Nothing))
    def plan(context: dg.AssetExecutionContext) -> None:
        """Stage which models are to be computed for each origin: those of which the ledger has no such version."""
        asked = wanted_of(context, scope, models)
        asking = asking_of(context, asked)
        begin(scope.warehouse, asking, run_id=context.run_id, status_of=ended_runs_of(context))
        with failing(scope.warehouse, run_id=context.run_id):
            for run in sweep(scope, context.instance):
                context.log.info(f"removed what run {run} had left staged")
            seen = seen_origins(context, scope, asked, asking)
            wanted = {each.panel.origin: [model.name for model in each.wanted] for each in seen}
            Staging(scope, context.run).put_plan(wanted)

    return plan


def _block_step(scope: TenantScope, models: Models, block: int) -> dg.OpDefinition:
    @_step(scope, f"block_{block:02}", ins={AFTER: dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
    def forecast_block(context: dg.AssetExecutionContext) -> None:
        """Stage the forecasts of one block of series by the models that treat every series alone."""
        with failing(scope.warehouse, run_id=context.run_id):
            _stage_block(context, scope, models, block)

    return forecast_block


def _stage_block(context: dg.AssetExecutionContext, scope: TenantScope, models: Models, block: int) -> None:
    staging, tenant = Staging(scope, context.run), scope.tenant
    wanted = {
        day: [model for model in models if model.local and model.name in names] for day, names in staging.plan().items()
    }
    days = [day for day, local in wanted.items() if local]
    if not days:
        context.log.info("every model of blocks is on record")
        return
    with retrying():
        history = read_block(context, scope, min(days), max(days), block=block, blocks=tenant.forecast_blocks)
    for day in days:
        panel = history.panel_at(day, window=tenant.training_window)
        for model in wanted[day]:
            digest = version_digest(panel, model, horizon=tenant.horizon)
            if staging.holds(digest):
                continue  # this step was killed after it had staged it
            part = forecast_part(panel, model, horizon=tenant.horizon)
            staging.put(digest, part)
            context.log.info(f"{model.name} of {day}: {len(panel.series)} series in {part.seconds:.2f} s")


def _pooled_step(scope: TenantScope, models: Models) -> dg.OpDefinition:
    @_step(scope, "pooled", ins={AFTER: dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
    def pooled(context: dg.AssetExecutionContext) -> None:
        """Stage the forecasts of all series by the models that learn from many series at once."""
        with failing(scope.warehouse, run_id=context.run_id):
            _stage_pooled(context, scope, models)

    return pooled


def _stage_pooled(context: dg.AssetExecutionContext, scope: TenantScope, models: Models) -> None:
    staging, horizon = Staging(scope, context.run), scope.tenant.horizon
    names = {name for wanted in staging.plan().values() for name in wanted}
    if not any(model.name in names and not model.local for model in models):
        context.log.info("every pooled model is on record")
        return
    asked = wanted_of(context, scope, models)
    for seen in seen_origins(context, scope, asked, asking_of(context, asked)):
        shared, learned = PanelContext.of(seen.panel), seen.learned(scope)
        for model in seen.wanted:
            digest = seen.digests[model.name]
            if model.local or staging.holds(digest):
                continue
            part = forecast_part(seen.panel, model, horizon=horizon, context=shared, artifact=learned.get(model.name))
            staging.put(digest, part)
            context.log.info(f"{model.name} of {seen.panel.origin}: {part.seconds:.2f} s")


def _ledger_step(scope: TenantScope, models: Models, metadata: Mapping[str, Any]) -> dg.OpDefinition:
    out = dg.Out(VersionStream, io_manager_key=scope.ledger_key, metadata=metadata)

    @_step(scope, "ledger", ins={AFTER: dg.In(dg.Nothing)}, out=out)
    def ledger(context: dg.AssetExecutionContext) -> VersionStream:
        """Append the staged forecasts of every origin, each origin in one transaction."""
        asked, staging = wanted_of(context, scope, models), Staging(scope, context.run)
        asking = asking_of(context, asked, begun=True)
        return VersionStream(candidates(context, scope, asked, asking, staging), asking, done=staging.remove)

    return ledger
