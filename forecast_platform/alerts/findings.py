"""What is wrong now with a tenant, from Dagster's instance: evaluations of checks, failed runs, days not made.

No warehouse is opened: a sensor may look while a run holds the file of the tenant's DuckDB.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, partial
from typing import cast
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from dagster._core.definitions.assets.job.asset_job import is_reserved_asset_job_name
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.tags import ROOT_RUN_ID_TAG, WILL_RETRY_TAG

from forecast_platform.alerts.evaluations import Seen, look_again
from forecast_platform.alerts.incidents import (
    FailedRun,
    Finding,
    Incident,
    Key,
    Kind,
    failures_by_subject,
    listed,
    run_finding,
    stale_finding,
)
from forecast_platform.assets.scope import ALERT, TOLD_OF, TenantScope, days_of_run
from forecast_platform.io_managers.fence import PARENT_RUN_TAG
from forecast_platform.runs import own_reason

NAMED: tuple[Kind, ...] = ("drift", "coverage", "stale", "quality")

PUBLISHED = "publications"
"""The last asset of the chain: where it is made for a day, everything is."""

CHECK_FAILED = "DagsterAssetCheckFailedError"

OVERLAP = timedelta(minutes=10)
"""How far each look at runs goes back before the one before it: what another host's clock dates earlier is not missed.
What is seen twice is one incident."""


@dataclass(frozen=True)
class Look:
    """What was seen at one moment.

    Attributes:
        findings: what is wrong now.
        evaluations: id of the newest evaluation of every check that may alert, good or bad.
    """

    findings: list[Finding]
    evaluations: dict[Key, str]


@dataclass
class Memory:
    """What a process keeps from look to look, so that one costs the same after years; without it nothing is missed.

    Attributes:
        checks: what the last look saw of the evaluations of checks.
        reasons: why runs failed that were seen lately; to read it opens the log of the run.
        without_success: of failed runs without days, up to when no success of the same was seen.
        forgot_at: when what is long over was forgotten last.
    """

    checks: Seen = field(default_factory=Seen)
    reasons: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    without_success: Mapping[str, datetime] = field(default_factory=dict)
    forgot_at: datetime | None = None


@dataclass(frozen=True)
class Observer:
    """One look at the instance on behalf of a tenant."""

    scope: TenantScope
    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    now: datetime
    memory: Memory = field(default_factory=Memory)
    _unmade: dict[str, dict[str, bool]] = field(default_factory=dict)
    _without_success: dict[str, datetime] = field(default_factory=dict)

    @cached_property
    def _graph(self):
        return self.repository.asset_graph

    def look(self, *, failed_since: datetime, open_incidents: Sequence[Incident], known_runs: Iterable[str]) -> Look:
        """Everything that is wrong.

        Args:
            failed_since: runs that failed after it are new.
            open_incidents: what was wrong before and may be still.
            known_runs: failed runs whose incident has ended already.
        """
        checks, evaluations = self._checks()
        told = {each.run_id for each in (*checks, *open_incidents) if each.run_id and each.kind != "run"}
        known = set(known_runs)
        new = self.failed_runs(failed_since, known)
        failures = failures_by_subject(new, open_incidents, told_by_checks=told)
        unmade = {subject: [each for each in runs if self.is_unmade(each)] for subject, runs in failures.items()}
        self.memory.without_success = self._without_success
        runs = [run_finding(subject, remaining) for subject, remaining in unmade.items() if remaining]
        stale = self.stale()
        return Look([*checks, *runs, *([stale] if stale else [])], evaluations)

    def _checks(self) -> tuple[list[Finding], dict[Key, str]]:
        keys = [key for key in self._graph.asset_check_keys if key.asset_key.path[0] == self.scope.name]
        self.memory.checks = look_again(self.instance.event_log_storage, keys, self.memory.checks)
        findings, evaluations = [], {}
        for key, record in sorted(self.memory.checks.newest.items()):
            evaluation = record.evaluation
            kind = alert_kind(key.name, self._graph.get_check_spec(key).metadata or {}, evaluation)
            if kind is None:
                continue
            subject = f"{key.asset_key.path[-1]}/{key.name}"
            evaluations[kind, subject] = f"{record.id} {record.event.timestamp}"
            if is_wrong(kind, evaluation):
                findings.append(self._check_finding(kind, subject, key, record))
        return findings, evaluations

    def _check_finding(
        self, kind: Kind, subject: str, key: dg.AssetCheckKey, record: AssetCheckExecutionRecord
    ) -> Finding:
        evaluation = record.evaluation
        name = {"drift": "Drift", "coverage": "Coverage", "stale": "Stale", "quality": "Quality"}.get(kind)
        failed = "Blocking check failed" if evaluation.blocking else "Check failed"
        return Finding(
            kind=kind,
            subject=subject,
            title=f"{name or failed}: {subject}",
            what=evaluation.description or self._graph.get_check_spec(key).description or "did not pass",
            affects=self._affected_by(key.asset_key) + self._days_of(record),
            since=datetime.fromtimestamp(record.event.timestamp, UTC),
            run_id=record.run_id,
            evaluation=f"{record.id} {record.event.timestamp}",
            days=frozenset(getattr(evaluation.metadata.get(TOLD_OF), "value", ())),
        )

    def _affected_by(self, key: dg.AssetKey) -> str:
        following, level = [], [key]
        while level:
            level = sorted({child for each in level for child in self._graph.get(each).child_keys} - {*following, key})
            following += level
        names = [each.path[-1] for each in following]
        return key.path[-1] + (f", and what is made from it: {listed(names)}" if names else "")

    def _days_of(self, record: AssetCheckExecutionRecord) -> str:
        run = self.instance.get_run_by_id(record.run_id)
        first, last = (run and days_of_run(run.tags)) or (None, None)
        first, last = (record.evaluation.partition or first), (record.evaluation.partition or last)
        if first is None:
            return ""
        return f" (run of {first})" if first == last else f" (run of {first} to {last})"

    def failed_runs(self, since: datetime, known: Collection[str] = ()) -> list[FailedRun]:
        """The tenant's runs that failed after a moment, those inside others and those that are known apart.

        A cancelled one has not failed.
        """
        runs = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since.astimezone(UTC))
        records = [
            record
            for record in self.instance.get_run_records(runs)
            if self._is_ours(record.dagster_run)
            and PARENT_RUN_TAG not in record.dagster_run.tags
            and record.dagster_run.run_id not in known
        ]
        ids, held = [each.dagster_run.run_id for each in records], self.memory.reasons
        reasons = self.memory.reasons = {run_id: held.get(run_id) or self._reason(run_id) for run_id in ids}
        return [self._failed(record, *reasons[record.dagster_run.run_id]) for record in records]

    def _is_ours(self, run: dg.DagsterRun) -> bool:
        if self._is_our_job(run.job_name) or self._assets_of(run):
            return True
        return any(each.asset_key.path[0] == self.scope.name for each in run.asset_check_selection or ())

    def _is_our_job(self, name: str) -> bool:
        # A tenant's name may hold two underscores, as its jobs' names do; what stands last is the job's own.
        return name.rpartition("__")[0] == self.scope.name

    def _failed(self, record: dg.RunRecord, reason: str, by_check: bool) -> FailedRun:
        run = record.dagster_run
        assets = self._assets_of(run)
        first, last = days_of_run(run.tags) or (None, None)
        ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp
        return FailedRun(
            run_id=run.run_id,
            root_id=run.tags.get(ROOT_RUN_ID_TAG, run.run_id),
            asked=asked_of(run, assets),
            assets=assets,
            first=first,
            last=last,
            failed_at=ended,
            will_retry=run.tags.get(WILL_RETRY_TAG) == "true",
            reason=reason,
            by_check=by_check,
        )

    def _assets_of(self, run: dg.DagsterRun) -> tuple[str, ...]:
        keys = run.asset_selection
        # A run of everything has an empty selection, and so has one of checks alone.
        if not keys and not run.asset_check_selection and self.repository.has_job(run.job_name):
            keys = self.repository.get_job(run.job_name).asset_layer.selected_asset_keys
        return tuple(sorted(key.path[-1] for key in keys or () if key.path[0] == self.scope.name))

    def _reason(self, run_id: str) -> tuple[str, bool]:
        """Why a run failed, and whether nothing but checks failed in it."""
        steps = self.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
        events = [each.event_log_entry.get_dagster_event() for each in steps]
        if events:
            errors = [event.step_failure_data.error for event in events]
            by_check = all(error is not None and error.cls_name == CHECK_FAILED for error in errors)
            return f"{events[0].step_key}: {own_reason(errors[0])}", by_check
        ended = self.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
        messages = [each.event_log_entry.get_dagster_event().message for each in ended]
        return (messages[-1] if messages and messages[-1] else "the run failed without a word"), False

    def is_unmade(self, failure: FailedRun) -> bool:
        """Whether a failure has not been put right.

        It has been where every asset and day that the run was to make was made by it before it failed, or since; for
        a run without days, where a later run that was asked for the same succeeded.
        """
        if not failure.assets or failure.first is None or failure.last is None:
            return not self._succeeded_since(failure)
        days = range((failure.last - failure.first).days + 1)
        wanted = {(failure.first + timedelta(days=offset)).isoformat() for offset in days}
        return any(self._any_unmade(asset, wanted) for asset in failure.assets)

    def _any_unmade(self, asset: str, days: set[str]) -> bool:
        """Whether a run that did not make it, or not yet, was the last to be asked for one of some days of an asset."""
        key = self.scope.key(asset)
        if not self._graph.has(key):
            return False
        known = self._unmade.setdefault(asset, {})
        if asked := days - known.keys():
            newest = partial(self.instance.event_log_storage.get_latest_storage_id_by_partition, key, partitions=asked)
            planned = newest(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
            made = newest(dg.DagsterEventType.ASSET_MATERIALIZATION)
            known |= {day: day in planned and planned[day] > made.get(day, 0) for day in asked}
        return any(known[day] for day in days)

    def _succeeded_since(self, failure: FailedRun) -> bool:
        """Whether a run that was asked for the same has succeeded since.

        Nothing else ends what was asked for once and by nobody again: its incident may stay open for months, and to
        look through 1,400 successes at each look took 1 s. Of a job one is enough; what is chosen has no name.
        """
        since = self.memory.without_success.get(failure.run_id, failure.failed_at)
        job = failure.asked if self._is_our_job(failure.asked) else None
        after = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=since.astimezone(UTC))
        for run in self.instance.get_runs(after, limit=1 if job else None):
            if self._is_ours(run) and asked_of(run, self._assets_of(run)) == failure.asked:
                return True
        self._without_success[failure.run_id] = max(since, self.now - OVERLAP)
        return False

    def stale(self) -> Finding | None:
        """Whether a closed day is overdue. A tenant that has never published is being set up, not stale."""
        key = self.scope.key(PUBLISHED)
        if not self._graph.has(key):
            return None
        # The newest day that is due: the night after, when the next one has closed and is not due, is no relief.
        day = self.scope.today() - timedelta(days=1)
        while self._due(day) > self.now:
            day -= timedelta(days=1)
        log = self.instance.event_log_storage
        made = dg.DagsterEventType.ASSET_MATERIALIZATION
        if log.get_latest_storage_id_by_partition(key, made, {day.isoformat()}):
            return None
        held = self.instance.get_materialized_partitions(key)
        if not held:
            return None
        return stale_finding(PUBLISHED, date.fromisoformat(max(held)), day=day, due_at=self._due(day))

    def _due(self, day: date) -> datetime:
        close = datetime.combine(day + timedelta(days=1), time(0), ZoneInfo(self.scope.tenant.timezone))
        return close.astimezone(UTC) + timedelta(minutes=self.scope.tenant.alerts.stale_after_minutes)


def alert_kind(name: str, metadata: Mapping[str, object], evaluation: AssetCheckEvaluation) -> Kind | None:
    """Which kind of alert a check's failure is; None where it is none. What an evaluation says counts before its spec.

    A kind that is not known is ``quality``: a slip in one check must not silence the others.
    """
    said = evaluation.metadata.get(ALERT, metadata.get(ALERT))
    said = getattr(said, "value", said)
    if said == "none":
        return None
    if said is not None:
        return cast(Kind, said) if said in NAMED else "quality"
    first = name.partition("_")[0]
    return cast(Kind, first) if first in NAMED else "check"


def is_wrong(kind: Kind, evaluation: AssetCheckEvaluation) -> bool:
    """Whether an evaluation is worth telling: any failure of a kind that was named, else one that is no warning."""
    if evaluation.passed:
        return False
    return kind != "check" or bool(evaluation.blocking) or evaluation.severity == dg.AssetCheckSeverity.ERROR


def asked_of(run: dg.DagsterRun, assets: Sequence[str]) -> str:
    """What a run was to do, by which its failures are told apart: its job, or the assets that somebody chose."""
    if not is_reserved_asset_job_name(run.job_name):
        return run.job_name
    checks = sorted(f"{each.asset_key.path[-1]}/{each.name}" for each in run.asset_check_selection or ())
    return ", ".join(assets or checks) or "everything"
