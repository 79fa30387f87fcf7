"""``forecast_runs``, the log of asking: a row for each model and origin from the moment a step begins.

A step that dies by ``kill -9`` leaves rows without an end: until the next step begins they say ``started``, and then
how the run ended by Dagster's record. What each model came to is logged with its version, in ``ledger``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pandas as pd

from forecast_platform.io_managers.retries import retrying
from forecast_platform.io_managers.warehouse import Session, Warehouse
from forecast_platform.logs import masked, one_line
from forecast_platform.tables import forecast_runs

STARTED = "started"
LONGEST = 500
"""Characters of an error that are kept; a traceback is in the log of the run."""

StatusOf = Callable[[str], str | None]
"""How a run ended, by its id; ``None`` while it has not."""

OPEN_RUNS = "select distinct run_id from forecast_runs where ended_at is null"
OWN_OPEN = "select count(*) from forecast_runs where run_id = :run_id and ended_at is null"
END_RUN = """
    update forecast_runs set outcome = :outcome, ended_at = current_timestamp
    where run_id = :run_id and ended_at is null
"""
END_ORIGIN = "delete from forecast_runs where run_id = :run_id and origin_date = :origin and ended_at is null"


@dataclass(frozen=True)
class Asking:
    """What a step asks for: every model from every origin, by whom and why.

    ``begun``: an earlier step of the run has logged that it started.
    """

    origins: Sequence[date]
    models: Sequence[str]
    requested_by: str
    reason: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: bool = False


@contextmanager
def on_record(warehouse: Warehouse, asking: Asking, *, run_id: str, status_of: StatusOf) -> Iterator[None]:
    """Log that ``asking`` has started, and where what is done inside fails, that it failed and by what.

    Rows that other runs left open are given the end that Dagster knows.

    Raises:
        RetryRequested: the warehouse is not to be had just now.
    """
    begin(warehouse, asking, run_id=run_id, status_of=status_of)
    with failing(warehouse, run_id=run_id):
        yield


def begin(warehouse: Warehouse, asking: Asking, *, run_id: str, status_of: StatusOf) -> None:
    """Log that ``asking`` has started, unless an earlier step of the run has and goes on (``Asking.begun``).

    Raises:
        RetryRequested: the warehouse is not to be had just now.
    """
    with retrying(), warehouse.transaction(crash_points=False) as session:
        session.lock(forecast_runs.name)
        if asking.begun and session.scalar(OWN_OPEN, {"run_id": run_id}):
            return
        _end_others(session, run_id, status_of)
        session.append(forecast_runs, _rows(asking, run_id))


@contextmanager
def failing(warehouse: Warehouse, *, run_id: str) -> Iterator[None]:
    """Where what is done inside fails, log that what the run has begun failed, and by what."""
    try:
        yield
    except BaseException as error:
        # The error itself matters more than that it could not be logged.
        with suppress(Exception), warehouse.transaction(crash_points=False) as session:
            session.execute(END_RUN, {"run_id": run_id, "outcome": failure(error)})
        raise


def end_origin(session: Session, origin: date, *, run_id: str) -> None:
    """Take back that an origin has started, in the transaction that logs how each model of it ended."""
    session.execute(END_ORIGIN, {"run_id": run_id, "origin": origin})


def failure(error: BaseException) -> str:
    """An error as an outcome: ``failed: Name: message`` on one line, secrets masked; below Dagster's request to retry,
    its cause."""
    retried = type(error).__name__ == "RetryRequested" and error.__cause__ is not None
    cause = error.__cause__ if retried and error.__cause__ is not None else error
    text = " ".join(f"{type(cause).__name__}: {cause}".split())
    return one_line(masked(f"failed{', to be tried again' if retried else ''}: {text}"))[:LONGEST]


def _end_others(session: Session, run_id: str, status_of: StatusOf) -> None:
    for (other,) in session.execute(OPEN_RUNS):
        status = "tried again in the same run" if other == run_id else status_of(other)
        if status is not None:
            session.execute(END_RUN, {"run_id": other, "outcome": f"failed: the run ended without a word ({status})"})


def _rows(asking: Asking, run_id: str) -> pd.DataFrame:
    pairs = [(origin, model) for origin in asking.origins for model in asking.models]
    rows = pd.DataFrame(pairs, columns=["origin_date", "model"])
    return rows.assign(
        origin_date=pd.to_datetime(rows["origin_date"]),
        run_id=run_id,
        version_id=pd.array([pd.NA] * len(rows), dtype="Int32"),
        appended=0,
        fallbacks=0,
        requested_by=asking.requested_by,
        reason=pd.array([asking.reason] * len(rows), dtype="string"),
        outcome=STARTED,
        started_at=pd.Timestamp(asking.started_at).as_unit("us"),
        ended_at=pd.array([pd.NaT] * len(rows), dtype="datetime64[us, UTC]"),
    )
