"""What a job and its batches are at, and what they may become. Pure: statuses in, statuses out.

A status that is final stays. A batch may skip what nobody saw (a run that began and ended between two looks), and never
goes back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum


class Status(StrEnum):
    """Of a job and of a batch."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Stage(StrEnum):
    """What is being done for a batch, in order."""

    WAITING = "waiting"
    """Nothing is in Dagster's queue yet."""
    QUEUED = "queued"
    STARTING = "starting"
    PREPARING = "preparing"
    """What comes before its series are forecast: facts, and what all blocks share."""
    FORECASTING = "forecasting"
    FORECAST = "forecast"
    """Its series are forecast and wait for the other blocks."""
    RECORDING = "recording"
    PUBLISHING = "publishing"
    """What is made from forecasts: errors, intervals, champions, publications."""
    DONE = "done"


ORDER = {stage: place for place, stage in enumerate(Stage)}


class StepState(StrEnum):
    """How far a step of a run is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


def following(now: Status, seen: Status) -> Status:
    """The status after one look.

    Args:
        now: the status on record.
        seen: what Dagster's record says.
    """
    if now.final or seen is Status.QUEUED:
        return now
    return seen


def stage_after(now: Stage, seen: Stage) -> Stage:
    """The later of two stages: a run that is tried again is shown where it had been."""
    return max(now, seen, key=ORDER.__getitem__)


def job_status(batches: Collection[Status]) -> Status:
    """What a job is at by its batches: failed as soon as one has failed, completed when all are."""
    found = set(batches)
    if Status.FAILED in found:
        return Status.FAILED
    if Status.CANCELLED in found:
        return Status.CANCELLED
    if found <= {Status.COMPLETED}:
        return Status.COMPLETED
    return Status.QUEUED if found == {Status.QUEUED} else Status.PROCESSING


def stage_of(tenant: str, block: int, steps: Mapping[str, StepState]) -> Stage:
    """Where a run that has begun is with one block of series.

    Args:
        steps: by key, the steps of the run that have begun.
    """
    whole = f"{tenant}__forecasts"
    recording, own, shared = (steps.get(f"{whole}.{name}") for name in ("ledger", f"block_{block:02}", "pooled"))
    if StepState.DONE in (steps.get(whole), recording):
        return Stage.PUBLISHING
    if whole in steps:
        return Stage.FORECASTING
    if recording is not None:
        return Stage.RECORDING
    if own is StepState.DONE:
        return Stage.FORECAST if shared is StepState.DONE else Stage.FORECASTING
    return Stage.PREPARING if own is None else Stage.FORECASTING


def counts(batches: Sequence[Status]) -> dict[str, int]:
    """How many batches are at each status, those that none is at too."""
    return {status.value: sum(each is status for each in batches) for status in Status}
