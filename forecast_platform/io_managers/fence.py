"""Fences: what keeps a run that was ended from committing.

A killed run worker can leave its step alive and writing. Just before COMMIT the writer asks Dagster's own record of
its run; if that run has ended, the transaction is rolled back. A run of a backfill that was cancelled counts as ended
as well: the daemon may be launching one while somebody cancels. No warehouse is touched here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance

Fence = Callable[[], None]

PARENT_RUN_TAG = "forecast_platform/parent_run"
"""Tag of a run inside another one, with the id of that: if the outer run has ended, neither may commit."""


class RunEnded(RuntimeError):
    """The run that wants to commit has ended in Dagster's record; its transaction is rolled back."""


def run_fence(instance: DagsterInstance, run_id: str) -> Fence:
    """A fence of the run ``run_id``. A run that the instance does not know (``materialize`` in a test) passes.

    The returned function raises ``RunEnded`` if the run is recorded as finished.
    """

    from dagster._core.storage.tags import BACKFILL_ID_TAG

    def check() -> None:
        run = instance.get_run_by_id(run_id)
        if run is not None and PARENT_RUN_TAG in run.tags and not run.is_finished:
            run = instance.get_run_by_id(run.tags[PARENT_RUN_TAG])
        if run is not None and run.is_finished:
            raise RunEnded(
                f"run {run.run_id} has ended ({run.status.value}) while a step of it was still writing; nothing was"
                " committed. Launch the partition again if it is wanted"
            )
        if run is not None and BACKFILL_ID_TAG in run.tags:
            _require_wanted(instance, run.tags[BACKFILL_ID_TAG])

    return check


def _require_wanted(instance: DagsterInstance, backfill_id: str) -> None:
    from dagster._core.execution.backfill import BulkActionStatus

    backfill = instance.get_backfill(backfill_id)
    if backfill is not None and backfill.status in (BulkActionStatus.CANCELING, BulkActionStatus.CANCELED):
        raise RunEnded(f"backfill {backfill_id} was cancelled while a run of it was writing; nothing was committed")
