"""What becomes of incidents, whatever the order of good and bad."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.alerts.incidents import (
    RETRY_GRACE,
    SETTLED,
    FailedRun,
    Finding,
    Incident,
    Rules,
    failures_by_subject,
    judge,
    run_finding,
    stale_finding,
)

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
RULES = Rules(hold=timedelta(minutes=30), good_evaluations=2)
FINDING = Finding(kind="check", subject="a/b", title="t", what="w", affects="a", since=NOW, evaluation="1")


class Record:
    """Open incidents and events over ticks, as the platform's state would keep them."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules, self.now, self.open, self.events = rules, NOW, [], []

    def tick(self, *findings: Finding, minutes: float = 1, evaluation: str | None = None) -> None:
        self.now += timedelta(minutes=minutes)
        evaluations = {} if evaluation is None else {FINDING.key: evaluation}
        changes = judge(findings, self.open, evaluations=evaluations, now=self.now, rules=self.rules)
        self.events += [change.event for change in changes if change.event]
        self.open = [change.incident for change in changes if change.incident.ended_at is None]


def test_what_goes_on_is_told_once():
    record = Record()
    for _ in range(100):
        record.tick(FINDING, evaluation="1")
    assert record.events == ["opened"]
    assert record.open[0].opened_at == NOW + timedelta(minutes=1)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.sampled_from([1, 5, 29]))
@settings(max_examples=200, deadline=None)
def test_begin_and_end_are_told_in_turn_and_an_end_only_after_the_hold(outcomes: list[bool], minutes: int):
    record = Record()
    good_for = 0
    for number, good in enumerate(outcomes):
        before = len(record.events)
        finding = replace(FINDING, evaluation=str(number))
        record.tick(*(() if good else (finding,)), minutes=minutes, evaluation=str(number))
        good_for = good_for + 1 if good else 0
        if record.events[before:] == ["ended"]:
            assert (good_for - 1) * minutes >= 30
            assert good_for >= 2
    assert record.events == (["opened", "ended"] * len(record.events))[: len(record.events)]
    assert bool(record.open) == (len(record.events) % 2 == 1)


def test_a_check_that_is_not_evaluated_again_stays_open_until_it_has_settled():
    record = Record()
    record.tick(FINDING, evaluation="1")
    for _ in range(20):
        record.tick(minutes=60, evaluation="2")
    assert record.events == ["opened"]
    record.tick(minutes=SETTLED.total_seconds() / 60, evaluation="2")
    assert record.events == ["opened", "ended"]


def test_a_check_that_no_longer_exists_ends_after_the_hold():
    record = Record()
    record.tick(FINDING, evaluation="1")
    record.tick()
    record.tick(minutes=31)
    assert record.events == ["opened", "ended"]


def test_what_may_pass_is_told_only_when_it_does_not():
    waiting = replace(FINDING, kind="run", evaluation=None, may_pass=True)
    record = Record()
    record.tick(waiting)
    record.tick()
    assert (record.events, record.open) == ([], [])
    record.tick(waiting)
    record.tick(waiting, minutes=RETRY_GRACE.total_seconds() / 60)
    assert record.events == ["opened"]


def test_an_incident_keeps_when_it_began_and_says_what_is_known_last():
    record = Record()
    record.tick(FINDING, evaluation="1")
    record.tick(replace(FINDING, what="worse", since=NOW + timedelta(hours=3), evaluation="2"), evaluation="2")
    assert (record.open[0].what, record.open[0].since) == ("worse", NOW)


def test_a_day_that_was_told_of_is_not_told_again_when_somebody_looks_at_it_again():
    record = Record()
    monday, tuesday = (replace(FINDING, days=frozenset([f"2026-01-{day}"])) for day in (19, 20))
    record.tick(monday, evaluation="1")
    record.tick(replace(tuesday, evaluation="2"), evaluation="2")
    assert record.open[0].details == {"days": ["2026-01-19", "2026-01-20"]}
    ended = {FINDING.key: record.open[0].details["days"]}
    for number in (3, 4):
        record.tick(minutes=30, evaluation=str(number))
    assert (record.events, record.open) == (["opened", "ended"], [])
    for days in (monday.days, monday.days | tuesday.days):
        again = replace(FINDING, days=days)
        assert judge([again], [], evaluations={}, now=record.now, rules=RULES, told_of=ended) == []
    for new in (replace(FINDING, days=frozenset(["2026-01-21"]) | monday.days), FINDING):
        (change,) = judge([new], [], evaluations={}, now=record.now, rules=RULES, told_of=ended)
        assert change.event == "opened"


def failed(run_id: str, *, minutes: int = 0, **how) -> FailedRun:
    given_values = {
        "run_id": run_id,
        "root_id": run_id,
        "asked": "shop__day",
        "assets": ("daily_sales", "raw_sales"),
        "first": date(2026, 1, 18),
        "last": date(2026, 1, 19),
        "failed_at": NOW + timedelta(minutes=minutes),
        "will_retry": False,
        "reason": "no source",
    }
    return FailedRun(**given_values | how)


def incident_of(finding: Finding) -> Incident:
    (change,) = judge([finding], [], evaluations={}, now=NOW, rules=RULES)
    return change.incident


def test_a_failed_run_survives_being_kept():
    for failure in (failed("1"), failed("1", first=None, last=None, assets=())):
        assert FailedRun.from_json(failure.to_json()) == failure


def test_the_newest_of_equal_failures_stands_for_all():
    subjects = failures_by_subject([failed("2", minutes=5), failed("1")], [])
    assert {subject: [each.run_id for each in runs] for subject, runs in subjects.items()} == {"shop__day": ["2"]}


def test_a_retry_belongs_to_the_incident_of_the_run_it_retries():
    held = incident_of(run_finding("shop__day", [failed("1")]))
    retry = failed("2", minutes=5, root_id="1", asked="raw_sales", assets=("raw_sales",))
    assert [each.run_id for each in failures_by_subject([retry], [held])["shop__day"]] == ["1", "2"]


def test_a_run_whose_failed_check_is_told_is_no_incident_of_its_own():
    stopped = failed("1", by_check=True)
    assert failures_by_subject([stopped], [], told_by_checks=["1"]) == {}
    assert list(failures_by_subject([stopped], [], told_by_checks=["2"])) == ["shop__day"]


def test_failures_of_several_ranges_say_all_days():
    finding = run_finding("shop__day", [failed("1"), failed("2", first=date(2026, 1, 10), last=date(2026, 1, 10))])
    assert finding.affects == "daily_sales, raw_sales of 2026-01-10 to 2026-01-19"
    assert finding.run_id == "2"


@pytest.mark.parametrize(
    ("newest", "since"),
    [(20, None), (19, None), (18, datetime(2026, 1, 20, 6, tzinfo=UTC)), (14, datetime(2026, 1, 16, 6, tzinfo=UTC))],
)
def test_data_is_stale_since_the_first_missing_day_was_due(newest: int, since: datetime | None):
    due = datetime(2026, 1, 20, 6, tzinfo=UTC)
    finding = stale_finding("publications", date(2026, 1, newest), day=date(2026, 1, 19), due_at=due)
    assert (finding and finding.since) == since
