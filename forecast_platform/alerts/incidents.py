"""Incidents: from what is wrong now and what was wrong before, which ones begin, go on and end. Pure.

What is wrong is found out in ``findings``; what is said about it is in ``messages``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["run", "check", "quality", "stale", "drift", "coverage"]
Event = Literal["opened", "ended"]
Key = tuple[Kind, str]

SETTLED = timedelta(hours=36)
"""A check that was good for so long needs no second evaluation: one that is evaluated daily and fails every other
day stays one incident, one that is seldom evaluated does not stay open for weeks."""

RETRY_GRACE = timedelta(minutes=15)
"""How long a failed run that Dagster says it will retry may wait for its retry before somebody is told. The daemon
launches one within a minute where the queue has a place."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong now.

    Attributes:
        subject: what tells it from other findings of its kind; the same matter has the same subject for ever.
        title: a few words.
        what: what is known of it, as the check or the error says it.
        affects: the assets and days it touches, in words.
        run_id: the run to look at.
        evaluation: id of the evaluation that says so; None where nothing is evaluated.
        may_pass: something that is under way may put it right before anybody need know.
        days: what is wrong with these days (as YYYY-MM-DD) stays so; if an incident that has ended was about all of
            them, somebody looked at them again, and nobody is told again. Empty: it is wrong now.
        details: plain values that later findings of the same subject rest on.
    """

    kind: Kind
    subject: str
    title: str
    what: str
    affects: str
    since: datetime
    run_id: str | None = None
    evaluation: str | None = None
    may_pass: bool = False
    days: frozenset[str] = frozenset()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.kind, self.subject


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One matter, from when it was first seen until all was well for long enough.

    Attributes:
        told: whether somebody was told; False while it ``may_pass``.
        good_since: when it was first seen to be well again; None while it is wrong.
        good_evaluations: evaluations in a row that passed since it was last wrong.
        last_evaluation: the evaluation that was counted last.
    """

    id: int | None = None
    kind: Kind
    subject: str
    title: str
    what: str
    affects: str
    since: datetime
    run_id: str | None
    details: Mapping[str, Any]
    opened_at: datetime
    last_seen_at: datetime
    told: bool = False
    good_since: datetime | None = None
    good_evaluations: int = 0
    last_evaluation: str | None = None
    ended_at: datetime | None = None

    @property
    def key(self) -> Key:
        return self.kind, self.subject


@dataclass(frozen=True)
class Rules:
    """When an incident is over (``settings.Alerts``)."""

    hold: timedelta = timedelta(minutes=30)
    good_evaluations: int = 2


@dataclass(frozen=True)
class Change:
    """An incident as it is to be recorded, and what people are to be told of it, if anything."""

    incident: Incident
    event: Event | None = None


def judge(
    findings: Iterable[Finding],
    open_incidents: Iterable[Incident],
    *,
    evaluations: Mapping[Key, str],
    now: datetime,
    rules: Rules,
    told_of: Mapping[Key, Collection[str]] = MappingProxyType({}),
) -> list[Change]:
    """What becomes of the open incidents and of what is wrong now.

    An incident ends when its matter was well for ``rules.hold`` and, if a check says so, through
    ``rules.good_evaluations`` evaluations in a row (or for ``SETTLED``). What is wrong again before that is the same
    incident: nobody is told anew.

    Args:
        evaluations: id of the newest evaluation of everything that is evaluated, good or bad.
        now: aware; not before any earlier call's.
        told_of: days that incidents of the same matter were about, which have ended.
    """
    held = {incident.key: incident for incident in open_incidents}
    changes = {}
    for finding in findings:
        known = finding.days and finding.days <= set(told_of.get(finding.key, ()))
        if finding.key in held or not known:
            changes[finding.key] = _wrong(finding, held.get(finding.key), now)
    for key, incident in held.items():
        if key not in changes:
            changes[key] = _well(incident, evaluations.get(key), now, rules)
    return list(changes.values())


def days_of(incident: Incident | None) -> frozenset[str]:
    """The days that an incident is or was about, as far as it is about days."""
    return frozenset(incident.details.get(DAYS, ()) if incident else ())


def _wrong(finding: Finding, before: Incident | None, now: datetime) -> Change:
    incident = before
    if incident is None:
        incident = Incident(
            **{name: getattr(finding, name) for name in _SHARED}, since=finding.since, opened_at=now, last_seen_at=now
        )
    else:
        incident = replace(
            incident,
            **{name: getattr(finding, name) for name in _SHARED},
            since=min(incident.since, finding.since),
            last_seen_at=now,
        )
    if finding.days:
        incident = replace(incident, details={**incident.details, DAYS: sorted(finding.days | days_of(before))})
    incident = replace(incident, good_since=None, good_evaluations=0, last_evaluation=finding.evaluation)
    if incident.told or (finding.may_pass and now - incident.opened_at < RETRY_GRACE):
        return Change(incident)
    return Change(replace(incident, told=True), "opened")


DAYS = "days"
"""Where the details of an incident keep the days that it was about."""

_SHARED = ("kind", "subject", "title", "what", "affects", "run_id", "details")


def _well(incident: Incident, evaluation: str | None, now: datetime, rules: Rules) -> Change:
    if not incident.told:
        return Change(replace(incident, ended_at=now))
    fresh = evaluation is not None and evaluation != incident.last_evaluation
    incident = replace(
        incident,
        good_since=incident.good_since or now,
        good_evaluations=incident.good_evaluations + fresh,
        last_evaluation=evaluation if fresh else incident.last_evaluation,
    )
    good_for = now - incident.good_since
    enough = evaluation is None or incident.good_evaluations >= rules.good_evaluations or good_for >= SETTLED
    if enough and good_for >= rules.hold:
        return Change(replace(incident, ended_at=now), "ended")
    return Change(incident)


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run of the tenant that failed.

    Attributes:
        asked: what it was to make: the job's name, or the assets'. Failures of the same are one incident.
        assets: names of the assets it was to make; empty for a job that makes none.
        first, last: days it was to make; None for a run without.
        will_retry: Dagster is going to run it again by itself.
        by_check: all that failed in it is a blocking check, which is told of as such.
    """

    run_id: str
    root_id: str
    asked: str
    assets: tuple[str, ...]
    first: date | None
    last: date | None
    failed_at: datetime
    will_retry: bool
    reason: str
    by_check: bool = False

    def to_json(self) -> dict[str, Any]:
        days = {name: day.isoformat() if (day := getattr(self, name)) else None for name in ("first", "last")}
        return vars(self) | days | {"assets": list(self.assets), "failed_at": self.failed_at.isoformat()}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> FailedRun:
        days = {name: date.fromisoformat(held[name]) if held[name] else None for name in ("first", "last")}
        times = {"failed_at": datetime.fromisoformat(held["failed_at"])}
        return cls(**{**held, **days, **times, "assets": tuple(held["assets"])})


def failures_by_subject(
    failures: Iterable[FailedRun], open_incidents: Iterable[Incident], *, told_by_checks: Iterable[str] = ()
) -> dict[str, list[FailedRun]]:
    """Failures that may not have been put right yet, newest last, under the subject of their incident.

    The failures of open incidents are among them. A retry belongs to the incident of the run it retries, even if it
    was to make less. Of several failures to make the same assets for the same days the newest stands for all.

    Args:
        told_by_checks: runs whose failed check is an incident of its own.
    """
    subjects: dict[str, dict[tuple, FailedRun]] = {}
    of_root: dict[str, str] = {}
    told = set(told_by_checks)

    def add(subject: str, failure: FailedRun) -> None:
        of_root[failure.root_id] = subject
        same = subjects.setdefault(subject, {})
        asked = (failure.assets, failure.first, failure.last)
        same.pop(asked, None)
        same[asked] = failure

    for incident in open_incidents:
        if incident.kind == "run":
            for held in incident.details["runs"]:
                add(incident.subject, FailedRun.from_json(held))
    for failure in sorted(failures, key=lambda each: each.failed_at):
        if not (failure.by_check and failure.run_id in told):
            add(of_root.get(failure.root_id, failure.asked), failure)
    return {subject: list(same.values()) for subject, same in subjects.items()}


def run_finding(subject: str, failures: list[FailedRun]) -> Finding:
    """What is wrong where ``failures`` (newest last, at least one) have not been put right."""
    newest = failures[-1]
    return Finding(
        kind="run",
        subject=subject,
        title=f"Run failed: {subject if len(subject) <= 80 else subject[:79] + '…'}",
        what=newest.reason,
        affects=_affected_by(failures),
        since=min(each.failed_at for each in failures),
        run_id=newest.run_id,
        may_pass=all(each.will_retry for each in failures),
        details={"runs": [each.to_json() for each in failures]},
    )


def _affected_by(failures: list[FailedRun]) -> str:
    assets = sorted({asset for each in failures for asset in each.assets})
    days = [day for each in failures for day in (each.first, each.last) if day]
    if not assets:
        return "what the job does; nothing else is known to have failed"
    span = "" if not days else f" of {min(days)}" + (f" to {max(days)}" if max(days) > min(days) else "")
    return listed(assets) + span


def stale_finding(asset: str, newest: date, *, day: date, due_at: datetime) -> Finding | None:
    """Stale data: ``asset``, the last of the chain, is made up to ``newest``, and ``day`` was due at ``due_at``."""
    if newest >= day:
        return None
    behind = (day - newest).days
    first = newest + timedelta(days=1)
    return Finding(
        kind="stale",
        subject=asset,
        title=f"Data is stale: nothing is published for {day}",
        what=f"The newest published day is {newest}, {behind} {'day' if behind == 1 else 'days'} behind what is due.",
        affects=f"forecasts and everything made from them, of {first}" + (f" to {day}" if day > first else ""),
        # The first missing day was due a day earlier for each that followed.
        since=due_at - timedelta(days=behind - 1),
    )


def listed(names: list[str], most: int = 8) -> str:
    """Names in words, the first ``most`` of them."""
    if len(names) <= most:
        return ", ".join(names)
    return ", ".join(names[:most]) + f" and {len(names) - most} more"
