"""What a step read is looked at again under the writer's lock."""

from __future__ import annotations

import pytest

from forecast_platform.io_managers.reads import InputsChanged, Reads
from forecast_platform.io_managers.warehouse import PartitionState, Warehouse
from forecast_platform_tests.sales_frames import days

COUNT = "select count(*) from series where location = :location"
WHERE = {"location": "all"}


def log(warehouse: Warehouse, digest: str, *on) -> None:
    with warehouse.transaction() as session:
        session.log_days("features", {day: PartitionState(1, digest, "run") for day in on})


def remembered(warehouse: Warehouse) -> Reads:
    """Reads of three days, the last of which is not on record, and of a count."""
    reads = Reads()
    with warehouse.reading() as session:
        reads.saw_partitions("features", days(3), session.logged("features", days(3)[0], days(3)[-1]))
        assert reads.saw_rows(session, "series counted", COUNT, WHERE) == [(0,)]
    return reads


def verify(warehouse: Warehouse, reads: Reads) -> None:
    with warehouse.transaction() as session:
        reads.verify(session)


def test_inputs_that_stayed_as_they_were_pass(warehouse: Warehouse):
    log(warehouse, "a", *days(2))
    reads = remembered(warehouse)
    log(warehouse, "a", *days(2))
    verify(warehouse, reads)
    verify(warehouse, Reads())


def test_a_partition_that_was_replaced_meanwhile_is_named(warehouse: Warehouse):
    log(warehouse, "a", *days(2))
    reads = remembered(warehouse)
    log(warehouse, "b", days(2)[1])
    with pytest.raises(InputsChanged, match="features of 2026-01-06"):
        verify(warehouse, reads)


def test_a_partition_that_came_meanwhile_is_named(warehouse: Warehouse):
    log(warehouse, "a", *days(2))
    reads = remembered(warehouse)
    log(warehouse, "a", days(3)[2])
    with pytest.raises(InputsChanged, match="features of 2026-01-07"):
        verify(warehouse, reads)


def test_a_query_that_now_answers_otherwise_is_named(warehouse: Warehouse):
    reads = remembered(warehouse)
    with warehouse.transaction() as session:
        session.execute("insert into series values (1, 'a', 'all', :day)", {"day": days(1)[0]})
    with pytest.raises(InputsChanged, match="series counted"):
        verify(warehouse, reads)


def test_reading_again_forgets_what_was_read_before(warehouse: Warehouse):
    log(warehouse, "a", *days(2))
    reads = remembered(warehouse)
    log(warehouse, "b", *days(2))
    with warehouse.reading() as session:
        reads.saw_partitions("features", days(3), session.logged("features", days(3)[0], days(3)[-1]))
    verify(warehouse, reads)
