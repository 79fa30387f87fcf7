"""The one checker of what must hold after any fault.

Every partition is its old or its new version, whole; the log agrees with the rows; no key is there twice; tables that
only grow have only grown; a ledger's versions hold exactly the rows they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from forecast_platform.digest import EMPTY
from forecast_platform.io_managers.columns import to_arrow
from forecast_platform.io_managers.replace import Replacement, partition_states
from forecast_platform.io_managers.warehouse import Session, Warehouse
from forecast_platform.tables import APPEND_ONLY, WRITTEN, partition_log

REPLACED = tuple(table for table in WRITTEN if table.info["write"] == "replace")
Partitions = dict[tuple[str, date], str]


@dataclass(frozen=True)
class Contents:
    """What a warehouse holds: a digest for each partition, and the rows of the tables that only grow."""

    partitions: Partitions
    logged: Partitions
    grown: Mapping[str, frozenset[tuple]]


def contents(warehouse: Warehouse) -> Contents:
    """Read everything, in one snapshot."""
    with warehouse.reading() as session:
        partitions: Partitions = {}
        for table in REPLACED:
            partitions |= _partitions(session, table)
        log = partition_log.c
        return Contents(
            partitions=partitions,
            logged={(a, d): digest for a, d, digest in session.execute(sa.select(log.asset, log.day, log.digest))},
            grown={table.name: frozenset(session.execute(sa.select(table))) for table in APPEND_ONLY},
        )


def _partitions(session: Session, table: sa.Table) -> Partitions:
    rows = to_arrow(session.frame(sa.select(table)), table)
    if not rows.num_rows:
        return {}
    days = rows[table.info["partition"]].unique().to_pylist()
    states = partition_states(session, Replacement(table, rows, min(days), max(days)), run_id="")
    return {(table.name, day): state.digest for day, state in states.items() if state.rows}


def assert_whole(warehouse: Warehouse, *, before: Contents, intended: Partitions) -> Contents:
    """Check that a write of ``intended`` that met a fault happened wholly or not at all; returns what is there now.

    Args:
        before: the contents before the write.
        intended: the digests that the partitions of the write would have; one transaction writes all of them.
    """
    now = contents(warehouse)
    old = {key: before.partitions.get(key, EMPTY) for key in intended}
    found = {key: now.partitions.get(key, EMPTY) for key in intended}
    assert found in (old, intended), f"a mixture of old and new partitions: {found}"
    untouched = {key: digest for key, digest in before.partitions.items() if key not in intended}
    assert {key: digest for key, digest in now.partitions.items() if key not in intended} == untouched
    assert_sound(warehouse, now)
    for name, rows in before.grown.items():
        assert rows <= now.grown[name], f"{name} lost rows"
    return now


def assert_sound(warehouse: Warehouse, now: Contents | None = None) -> None:
    """Check what must hold of a warehouse at any time, whatever was written before."""
    now = now or contents(warehouse)
    replaced = {table.name for table in REPLACED}
    logged = {key: digest for key, digest in now.logged.items() if key[0] in replaced}
    assert {key: digest for key, digest in logged.items() if digest != EMPTY} == now.partitions, "log and rows differ"
    with warehouse.reading() as session:
        for table in WRITTEN:
            key = ", ".join(table.info["key"])
            doubled = session.execute(f"select {key} from {table.name} group by {key} having count(*) > 1")
            assert not doubled, f"{table.name} holds {doubled[0]} twice"
        torn = session.execute(
            "select v.version_id from forecast_versions v left join (select version_id, count(*) as n,"
            " count(distinct series_id) as s from forecasts group by version_id) f on f.version_id = v.version_id"
            " where coalesce(f.s, 0) <> v.series or coalesce(f.n, 0) <> v.series * coalesce(v.horizons, v.horizon)"
        )
        assert not torn, f"version {torn[0][0]} does not hold the rows it says"
        orphans = session.scalar(
            "select count(*) from forecasts where version_id not in (select version_id from forecast_versions)"
        )
        assert orphans == 0, "rows of no version"
