"""Statuses and stages: whatever is seen in whatever order, what is final stays and nothing goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.jobs.states import (
    FINAL,
    ORDER,
    Stage,
    Status,
    StepState,
    counts,
    following,
    job_status,
    stage_after,
    stage_of,
)

STATUSES, STAGES = st.sampled_from(Status), st.sampled_from(Stage)


@given(st.lists(STATUSES))
def test_a_status_never_goes_back_and_what_is_final_stays(seen: list[Status]):
    now, rank = Status.QUEUED, {Status.QUEUED: 0, Status.PROCESSING: 1} | dict.fromkeys(FINAL, 2)
    for each in seen:
        after = following(now, each)
        assert rank[after] >= rank[now]
        assert after is now or not now.final
        now = after
    ends = [each for each in seen if each.final]
    assert now is ends[0] if ends else not now.final


@given(st.lists(STAGES))
def test_a_stage_never_goes_back(seen: list[Stage]):
    now = Stage.WAITING
    for each in seen:
        now, before = stage_after(now, each), now
        assert ORDER[now] >= ORDER[before] and ORDER[now] >= ORDER[each]


@given(st.lists(STATUSES, min_size=1))
def test_a_job_is_final_only_with_its_batches(batches: list[Status]):
    status = job_status(batches)
    if status is Status.COMPLETED:
        assert set(batches) == {Status.COMPLETED}
    if status in (Status.FAILED, Status.CANCELLED):
        assert status in batches
    if status is Status.QUEUED:
        assert set(batches) == {Status.QUEUED}
    assert (Status.FAILED in batches) is (status is Status.FAILED)


@given(st.lists(STATUSES))
def test_every_batch_is_counted_once(batches: list[Status]):
    assert sum(counts(batches).values()) == len(batches) and set(counts(batches)) == set(Status)


BLOCKS = ("t__forecasts.plan", "t__forecasts.block_01", "t__forecasts.pooled", "t__forecasts.ledger")


@pytest.mark.parametrize(
    ("steps", "stage"),
    [
        ({}, Stage.PREPARING),
        ({"t__raw_sales": StepState.RUNNING}, Stage.PREPARING),
        ({"t__forecasts": StepState.RUNNING}, Stage.FORECASTING),
        ({"t__forecasts": StepState.FAILED}, Stage.FORECASTING),
        ({"t__forecasts": StepState.DONE}, Stage.PUBLISHING),
        ({BLOCKS[0]: StepState.DONE}, Stage.PREPARING),
        ({"t__forecasts.block_00": StepState.DONE}, Stage.PREPARING),
        ({BLOCKS[1]: StepState.RUNNING}, Stage.FORECASTING),
        ({BLOCKS[1]: StepState.DONE}, Stage.FORECASTING),
        ({BLOCKS[1]: StepState.DONE, BLOCKS[2]: StepState.DONE}, Stage.FORECAST),
        (dict.fromkeys(BLOCKS, StepState.DONE) | {BLOCKS[3]: StepState.RUNNING}, Stage.RECORDING),
        (dict.fromkeys(BLOCKS, StepState.DONE), Stage.PUBLISHING),
    ],
)
def test_the_stage_of_a_block_follows_from_the_steps_of_its_run(steps: dict[str, StepState], stage: Stage):
    assert stage_of("t", 1, steps) is stage
