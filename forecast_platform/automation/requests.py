"""What every tick asks before it asks for a run: is one on its way, did the last ones fail, is it time to try again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES, DagsterRunStatus, RunRecord
from dagster._core.storage.tags import WILL_RETRY_TAG

FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=1)
"""Pauses after a failed run double from the one to the other: an outage of two hours is five failed runs, and is over
within an hour of its end."""

LOOKED_AT = 8
"""How many of a job's newest runs are looked at."""


def was_made(instance: dg.DagsterInstance, key: dg.AssetKey, day: date) -> bool:
    """Whether Dagster has a materialization of a day of an asset on record."""
    asked = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[day.isoformat()])
    return bool(instance.fetch_materializations(asked, limit=1).records)


def ever_made(instance: dg.DagsterInstance, key: dg.AssetKey) -> bool:
    """Whether Dagster has a materialization of an asset on record."""
    return bool(instance.fetch_materializations(key, limit=1).records)


@dataclass(frozen=True)
class Runs:
    """The newest runs of a job, newest first."""

    records: tuple[RunRecord, ...]

    @classmethod
    def of(cls, instance: dg.DagsterInstance, job: str) -> Runs:
        return cls(tuple(instance.get_run_records(dg.RunsFilter(job_name=job), limit=LOOKED_AT)))

    @property
    def active(self) -> str | None:
        """Id of a run that waits or works, or of a failed one that Dagster is about to run again."""
        for record in self.records:
            run = record.dagster_run
            if run.status in (*IN_PROGRESS_RUN_STATUSES, DagsterRunStatus.QUEUED):
                return run.run_id
        newest = self.records[0].dagster_run if self.records else None
        if (
            newest is not None
            and newest.status is DagsterRunStatus.FAILURE
            and newest.tags.get(WILL_RETRY_TAG) == "true"
        ):
            return newest.run_id
        return None

    @property
    def last(self) -> str:
        """What the next run comes after: part of its key, so that a tick that is repeated asks for it once."""
        return self.records[0].dagster_run.run_id if self.records else "none"

    @property
    def failed(self) -> int:
        """How many of the newest runs failed in a row."""
        for count, record in enumerate(self.records):
            if record.dagster_run.status is not DagsterRunStatus.FAILURE:
                return count
        return len(self.records)

    def again_at(self) -> datetime | None:
        """When a job that failed may be tried again; None if its last run did not fail."""
        if not self.failed:
            return None
        ended = self.records[0].end_time or self.records[0].update_timestamp.replace(tzinfo=UTC).timestamp()
        pause = min(FIRST_PAUSE * 2 ** (self.failed - 1), LONGEST_PAUSE)
        return datetime.fromtimestamp(ended, UTC) + pause


def why_not_yet(runs: Runs, now: datetime) -> str | None:
    """Why no run may be asked for now, or None."""
    if runs.active is not None:
        return f"run {runs.active} is on its way"
    again = runs.again_at()
    if again is not None and now < again:
        return (
            f"{runs.failed} runs in a row failed, the last one {runs.last}; tried again at {again:%Y-%m-%d %H:%M} UTC"
        )
    return None
