"""The log of asking: rows from the start, with an end whatever happens, in both warehouses."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from dagster import RetryRequested

from forecast_platform.io_managers.asking import LONGEST, Asking, begin, end_origin, failing, on_record
from forecast_platform.io_managers.warehouse import Warehouse

ORIGINS = (date(2026, 1, 5), date(2026, 1, 6))
NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)


def asking(minute: int = 0) -> Asking:
    return Asking(ORIGINS, ("naive", "linear"), "user ann", "trial", NOON + timedelta(minutes=minute))


def going_on(run_id: str) -> None:
    return None


def rows(warehouse: Warehouse) -> list[tuple]:
    found = warehouse.read("select run_id, origin_date, model, outcome, ended_at from forecast_runs")
    found = found.sort_values(["run_id", "origin_date", "model"])
    return [(*row[:1], *row[2:4], pd.notna(row[4])) for row in found.itertuples(index=False)]


def each(run_id: str, outcome: str, ended: bool) -> list[tuple]:
    return [(run_id, model, outcome, ended) for _ in ORIGINS for model in ("linear", "naive")]


def test_what_is_asked_for_is_on_record_while_it_is_being_made(warehouse: Warehouse):
    with on_record(warehouse, asking(), run_id="one", status_of=going_on):
        assert rows(warehouse) == each("one", "started", False)
        with warehouse.transaction() as session:
            end_origin(session, ORIGINS[0], run_id="one")
        assert len(rows(warehouse)) == 2
    who = warehouse.read("select distinct requested_by, reason from forecast_runs")
    assert who.to_dict("records") == [{"requested_by": "user ann", "reason": "trial"}]


def test_a_failure_is_logged_with_its_reason_without_secrets_on_one_line(warehouse: Warehouse):
    with pytest.raises(ValueError), on_record(warehouse, asking(), run_id="one", status_of=going_on):
        raise ValueError("cannot reach\npostgresql://ann:hunter2@host" + "!" * 1000)
    (outcome,) = {row[2] for row in rows(warehouse)}
    assert outcome.startswith("failed: ValueError: cannot reach postgresql://ann:***@host!")
    assert len(outcome) == LONGEST and all(row[3] for row in rows(warehouse))


def test_what_will_be_tried_again_says_so_and_why(warehouse: Warehouse):
    with pytest.raises(RetryRequested), on_record(warehouse, asking(), run_id="one", status_of=going_on):
        raise RetryRequested() from ConnectionError("the server is away")
    assert rows(warehouse) == each("one", "failed, to be tried again: ConnectionError: the server is away", True)


def test_a_run_that_was_killed_says_started_until_the_next_one_learns_its_end(warehouse: Warehouse):
    killed = on_record(warehouse, asking(), run_id="killed", status_of=going_on)
    killed.__enter__()  # and nothing after it: as `kill -9` leaves it
    with on_record(warehouse, asking(1), run_id="next", status_of=going_on):
        pass
    assert rows(warehouse)[:4] == each("killed", "started", False)  # it may still be going on
    with on_record(warehouse, asking(2), run_id="third", status_of={"killed": "FAILURE"}.get):
        pass
    told = rows(warehouse)
    assert told[:4] == each("killed", "failed: the run ended without a word (FAILURE)", True)
    assert told[4:8] == each("next", "started", False) and told[8:] == each("third", "started", False)


def test_a_step_that_is_tried_again_in_its_run_closes_its_first_try(warehouse: Warehouse):
    died = on_record(warehouse, asking(), run_id="one", status_of=going_on)
    died.__enter__()
    with on_record(warehouse, asking(1), run_id="one", status_of=going_on):
        outcomes = sorted(row[2] for row in rows(warehouse))
    assert outcomes == ["failed: the run ended without a word (tried again in the same run)"] * 4 + ["started"] * 4


def test_a_later_step_of_the_run_goes_on_with_what_an_earlier_one_has_begun(warehouse: Warehouse):
    later = dataclasses.replace(asking(5), begun=True)
    begin(warehouse, asking(), run_id="one", status_of=going_on)
    with on_record(warehouse, later, run_id="one", status_of=going_on):
        assert rows(warehouse) == each("one", "started", False)
    # Where the earlier step's were ended by a failure, or were another run's, they begin anew.
    with pytest.raises(ValueError), failing(warehouse, run_id="one"):
        raise ValueError("no")
    with on_record(warehouse, later, run_id="one", status_of=going_on):
        assert sorted(rows(warehouse)) == sorted(
            [*each("one", "started", False), *each("one", "failed: ValueError: no", True)]
        )
    with on_record(warehouse, later, run_id="two", status_of=going_on):
        assert [row for row in rows(warehouse) if row[0] == "two"] == each("two", "started", False)
