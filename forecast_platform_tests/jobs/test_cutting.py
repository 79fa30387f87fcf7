"""Batches: every day of every series is in one of them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.days import days_between
from forecast_platform.jobs.cutting import blocks_of, cut

FIRST = date(2026, 1, 1)


@given(
    days=st.integers(1, 200), ids=st.sets(st.integers(0, 500), min_size=1, max_size=60), blocks=st.integers(1, 9),
    days_a_run=st.integers(1, 50),
)  # fmt: skip
def test_every_day_of_every_series_is_in_one_batch(days: int, ids: set[int], blocks: int, days_a_run: int):
    named = blocks_of([(each, f"sku {each}", "all") for each in sorted(ids)], blocks)
    assert sorted(name for names in named.values() for name in names) == sorted((f"sku {each}", "all") for each in ids)
    batches = cut(FIRST, FIRST + timedelta(days=days - 1), named, days_a_run=days_a_run)
    assert [(each.run, each.block) for each in batches] == sorted({(each.run, each.block) for each in batches})
    for block, names in named.items():
        of_block = [each for each in batches if each.block == block]
        assert {each.series for each in of_block} == {len(names)}
        held = [day for each in of_block for day in days_between(each.first, each.last)]
        assert held == days_between(FIRST, FIRST + timedelta(days=days - 1))
        assert all((each.last - each.first).days < days_a_run for each in of_block)


def test_no_days_or_no_series_are_no_job():
    with pytest.raises(ValueError, match="0 days"):
        cut(FIRST, FIRST - timedelta(days=1), {0: [("a", "all")]})
    with pytest.raises(ValueError, match="0 blocks"):
        cut(FIRST, FIRST, {})
