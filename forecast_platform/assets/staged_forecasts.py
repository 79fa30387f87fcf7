"""Where parts of forecasts wait between the step that makes them and the one that appends them to the ledger.

Files under ``FORECAST_STAGING``, which every worker reaches: ``<tenant>/<run>/plan.json`` with the models that are to
be computed, and one Parquet file a part, named by the digest of all that decides its numbers. So a part that was made
from other sales than the ledger's step reads is not found by it, and none is ever taken for another; a step that was
killed and runs again goes on with the parts that are not there yet. What is computed is no business of this module.

A run's files go once it has appended its forecasts; those of a run that failed are kept for ``KEPT``, so that it can be
resumed from its failed step, and swept by the tenant's next run after that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._core.storage.tags import ROOT_RUN_ID_TAG
from dagster._time import get_current_datetime

from forecast_platform.assets.scope import TenantScope
from forecast_platform.forecasting.parts import Part
from forecast_platform.sources.store import Store

KEPT = timedelta(hours=6)
PLAN = "plan.json"
FACTS = b"part"
"""Where a file's schema has what a part holds beside its numbers."""


class PlanMissing(RuntimeError):
    """A block's step does not find what it is to compute: the files of its run were swept or never made."""


class Staging:
    """The staged parts of one run; a run that resumes another shares the first one's."""

    def __init__(self, scope: TenantScope, run: dg.DagsterRun) -> None:
        self._store = _store(scope)
        self._run = run.root_run_id or run.run_id

    def put_plan(self, wanted: Mapping[date, Sequence[str]]) -> None:
        """Keep which models are to be computed for each origin."""
        plan = {
            "staged_at": get_current_datetime().isoformat(),
            "wanted": {day.isoformat(): list(names) for day, names in wanted.items()},
        }
        with self._store.scratch() as file:
            file.write_text(json.dumps(plan))
            self._store.put(file, f"{self._run}/{PLAN}", durable=False)

    def plan(self) -> dict[date, list[str]]:
        """Which models are to be computed for each origin.

        Raises:
            PlanMissing: see there.
        """
        plan = _read_plan(self._store, self._run)
        if plan is None:
            raise PlanMissing(
                f"no {PLAN} is staged for run {self._run}: FORECAST_STAGING must be one place that every worker"
                f" reaches, and files of a failed run are kept for {KEPT}. Launch the partitions anew"
            )
        return {date.fromisoformat(day): names for day, names in plan["wanted"].items()}

    def put(self, digest: str, part: Part) -> None:
        """Keep a part: others see none of it or all of it."""
        with self._store.scratch() as file:
            pq.write_table(_to_table(part), file)
            self._store.put(file, self._path(digest), durable=False)

    def get(self, digest: str) -> Part | None:
        """The part of that digest, if it is there."""
        try:
            with self._store.open(self._path(digest)) as stream:
                return _from_table(pq.read_table(stream))
        except FileNotFoundError:
            return None

    def holds(self, digest: str) -> bool:
        return self._store.exists(self._path(digest))

    def remove(self) -> None:
        """Remove all that the run has staged."""
        self._store.remove_folder(self._run)

    def _path(self, digest: str) -> str:
        return f"{self._run}/{digest}.parquet"


def sweep(scope: TenantScope, instance: dg.DagsterInstance) -> list[str]:
    """Remove what ended runs have left staged; their ids.

    A run that Dagster does not know (of another instance, or deleted) counts as ended once its files are ``KEPT`` old.
    """
    store = _store(scope)
    store.sweep()
    over = [run for run in sorted(store.names("") - {"incoming"}) if _is_over(store, instance, run)]
    for run in over:
        store.remove_folder(run)
    return over


def _is_over(store: Store, instance: dg.DagsterInstance, root: str) -> bool:
    run = instance.get_run_by_id(root)
    if run is not None and not run.is_finished:
        return False
    if run is not None and run.status == dg.DagsterRunStatus.SUCCESS:
        return True
    resumed = dg.RunsFilter(tags={ROOT_RUN_ID_TAG: root}, statuses=IN_PROGRESS_RUN_STATUSES)
    if instance.get_runs(resumed, limit=1):
        return False
    plan = _read_plan(store, root)
    return plan is None or datetime.fromisoformat(plan["staged_at"]) < get_current_datetime() - KEPT


def _read_plan(store: Store, run: str) -> dict | None:
    try:
        with store.open(f"{run}/{PLAN}") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None


def _store(scope: TenantScope) -> Store:
    return Store(f"{scope.settings.staging_url.rstrip('/')}/{scope.name}")


def _to_table(part: Part) -> pa.Table:
    mean = np.empty((0, 1)) if part.mean is None else part.mean
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(mean).reshape(-1)), mean.shape[1])
    facts = {
        "made": part.mean is not None,
        "error": part.error,
        "tried": part.tried,
        "failed": part.failed,
        "first": part.first,
        "seconds": part.seconds,
    }
    return pa.table({"mean": values}).replace_schema_metadata({FACTS: json.dumps(facts)})


def _from_table(table: pa.Table) -> Part:
    facts = json.loads(table.schema.metadata[FACTS])
    column = table["mean"].combine_chunks()
    horizon = column.type.list_size
    mean = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, horizon) if facts["made"] else None
    first = facts["first"]
    return Part(
        mean=mean,
        error=facts["error"],
        tried=facts["tried"],
        failed=facts["failed"],
        first=None if first is None else (first[0], first[1]),
        seconds=facts["seconds"],
    )
