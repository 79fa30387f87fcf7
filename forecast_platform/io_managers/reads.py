"""What a step has read, so that its writer can tell whether that still holds when it commits.

Two runs of one partition on PostgreSQL must end as if one ran after the other. A lock at the write is not enough: the
second may have read its inputs before the first changed them. So each read is remembered with the digest it had, and
looked at again under the lock, in the transaction that writes. Nothing is remembered across processes: a step reads
and writes in one.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from forecast_platform.days import in_words

if TYPE_CHECKING:
    from forecast_platform.io_managers.statements import Query
    from forecast_platform.io_managers.warehouse import PartitionState, Session

RECORDED = "select day, digest from partition_log where asset = :asset and day <= :last order by day"
"""The partitions of an asset up to a day, for ``Reads.saw_rows``: what a dated fact says of a day is in all of them."""

REMEMBERED_STEPS = 256
"""Steps of a long-lived process whose reads are kept; the oldest are forgotten first."""


class InputsChanged(RuntimeError):
    """What a step read was changed by another run before the step could commit. Run the step again."""


@dataclass
class Reads:
    """The reads of one step. Registered while it loads and computes; verified by its writer, under the lock, while the
    step may be computing on.

    ``begun`` is when the step first asked for them (``time.monotonic``), before it loaded or computed anything.
    """

    begun: float = field(default_factory=time.monotonic)
    partitions: dict[tuple[str, date], str | None] = field(default_factory=dict)
    queries: dict[str, tuple[Query, Mapping[str, Any] | None, list[tuple[Any, ...]]]] = field(default_factory=dict)

    def seconds(self, days: int) -> dict[str, float]:
        """The step's time so far as a figure of each of its ``days``: shared evenly, so that a range adds up."""
        return {"seconds": round((time.monotonic() - self.begun) / max(days, 1), 3)}

    def saw_partitions(self, asset: str, days: list[date], states: Mapping[date, PartitionState]) -> None:
        """Remember the digests of the days of ``asset`` that were read; a day not on record is remembered as that."""
        for day in days:
            self.partitions[asset, day] = states[day].digest if day in states else None

    def saw_rows(
        self, session: Session, name: str, query: Query, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run a small query (a count, a maximum), remember its rows as ``name`` and return them.

        It is run again in the writer's transaction. Call it in the session that does the reading it stands for.
        """
        rows = session.execute(query, parameters)
        self.queries[name] = (query, parameters, rows)
        return rows

    def verify(self, session: Session) -> None:
        """Look at everything again in ``session``.

        Raises:
            InputsChanged: naming the partitions or queries that are no longer as they were read.
        """
        changed = [
            f"{asset} of {in_words(days)}" for asset, days in sorted(self._changed_partitions(session).items()) if days
        ]
        changed += [
            name
            for name, (query, parameters, rows) in list(self.queries.items())
            if session.execute(query, parameters) != rows
        ]
        if changed:
            raise InputsChanged(
                f"another run changed what this one had read: {'; '.join(changed)}. Nothing was written;"
                " run the step again"
            )

    def _changed_partitions(self, session: Session) -> dict[str, list[date]]:
        days_of: dict[str, list[date]] = {}
        seen = dict(self.partitions)
        for asset, day in seen:
            days_of.setdefault(asset, []).append(day)
        changed: dict[str, list[date]] = {}
        for asset, days in days_of.items():
            now = session.logged(asset, min(days), max(days))
            changed[asset] = [day for day in days if (now[day].digest if day in now else None) != seen[asset, day]]
        return changed


_steps: OrderedDict[tuple[str, str], Reads] = OrderedDict()
_guard = threading.Lock()


def reads_of(context: Any) -> Reads:
    """The reads of the step behind an asset's, an input's or an output's ``context``.

    A context outside any step (``build_output_context`` in a test) gets reads of its own that nobody remembers.
    """
    step = step_of(context)
    if step is None:
        return Reads()
    with _guard:
        reads = _steps.setdefault((step.run_id, step.step.key), Reads())
        _steps.move_to_end((step.run_id, step.step.key))
        while len(_steps) > REMEMBERED_STEPS:
            _steps.popitem(last=False)
        return reads


def step_of(context: Any) -> Any | None:
    """The ``StepExecutionContext`` behind a context, or ``None`` outside a step."""
    from dagster import DagsterInvariantViolationError

    if hasattr(context, "get_step_execution_context"):
        return context.get_step_execution_context()
    if hasattr(context, "op_execution_context"):
        return context.op_execution_context.get_step_execution_context()
    try:
        return context.step_context
    except DagsterInvariantViolationError:
        return None
