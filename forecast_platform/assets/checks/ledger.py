"""The check that append-only tables hold what they held: each batch's content against the seal kept of it.

A seal is the number of rows and the digest of the content of one batch (a version of forecasts, a batch of anything
made from them), kept in the platform's state, apart from the warehouse, the first time that a check sees the batch. The
check seals what is new and looks again at the batches of those origins whose turn it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.checks.suite import Check, Finding, Look, examples, failed
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import stretches
from forecast_platform.digest import EMPTY, in_order, table_digest
from forecast_platform.io_managers.batches import batch_column
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.state import ledger_seals
from forecast_platform.tenant import Tenant

ROWS_AT_ONCE = 10_000_000
"""Rows of batches that are looked at in one read: 600 MB of intervals, of one model and 300,000 series."""

SEALED = ("forecasts", "forecast_intervals", "publications", "weekly_forecasts", "hierarchy_forecasts")
"""Append-only tables that hold numbers people act on."""


@dataclass(frozen=True)
class Seal:
    """What a batch held: how many rows, and the digest of their content."""

    rows: int
    digest: str


def checks(tenant: Tenant) -> list[Check]:
    return [
        Check(
            asset,
            "untouched",
            f"What was appended is what is there: of {tenant.monitoring.verified_origins} past origins in turn.",
            lambda look, asset=asset: untouched(look, asset),
            alert="quality",
        )
        for asset in SEALED
    ]


def untouched(look: Look, asset: str) -> Finding:
    """Seal the new batches of the days looked at and verify some past origins, longest unverified first."""
    with look.scope.state.transaction() as state:
        turn = _longest_unverified(state, look.scope.name, asset, look.scope.tenant.monitoring.verified_origins)
        origins = {day for (day,) in look.rows(ORIGINS.format(asset=asset))} | set(turn)
        problems = _verify(state, look.session, look.scope.name, asset, origins)
    return failed(problems, origins=len(origins))


def verify_ledger(scope: TenantScope) -> list[str]:
    """Look at every origin of every sealed table, and seal what was not; what is not as it was, in words."""
    problems = []
    with scope.warehouse.reading() as session, scope.state.transaction() as state:
        for asset in SEALED:
            seals = sa.select(ledger_seals.c.origin_date).where(
                ledger_seals.c.tenant == scope.name, ledger_seals.c.asset == asset
            )
            logged = session.execute("select day from partition_log where asset = :asset", {"asset": asset})
            origins = {day for (day,) in logged} | set(state.execute(seals).scalars())
            problems += [f"{asset}: {each}" for each in _verify(state, session, scope.name, asset, origins)]
    return problems


ORIGINS = "select day from partition_log where asset = '{asset}' and day between :first and :last"


def _longest_unverified(state: sa.Connection, tenant: str, asset: str, count: int) -> Sequence[date]:
    seals = ledger_seals.c
    query = (
        sa.select(seals.origin_date)
        .where(seals.tenant == tenant, seals.asset == asset)
        .group_by(seals.origin_date)
        .order_by(sa.func.min(seals.verified), seals.origin_date)
        .limit(count)
    )
    return state.execute(query).scalars().all()


def _verify(state: sa.Connection, session: Session, tenant: str, asset: str, origins: Collection[date]) -> list[str]:
    """Compare the batches of some origins with their seals, and seal those that have none."""
    if not origins:
        return []
    seals = ledger_seals.c
    of_origins = sa.and_(seals.tenant == tenant, seals.asset == asset, seals.origin_date.in_(sorted(origins)))
    known = {
        (origin, batch): Seal(rows, digest)
        for origin, batch, rows, digest in state.execute(
            sa.select(seals.origin_date, seals.batch, seals.rows, seals.digest).where(of_origins)
        )
    }
    if asset in {table.name for table in tables.BY_MONTH}:
        session.recall(origins, asset)
    declared = _declared(session, asset, origins)
    found = {key: seal for origin in sorted(origins) for key, seal in _contents(session, asset, origin).items()}
    problems = [
        f"{origin}: batch {batch} {_difference(known.get((origin, batch)), declared.get((origin, batch)), seal)}"
        for origin, batch in sorted(known.keys() | declared.keys() | found.keys())
        if not _holds(
            known.get((origin, batch)),
            declared.get((origin, batch)),
            seal := found.get((origin, batch), Seal(0, EMPTY)),
        )
    ]
    new = [
        {"tenant": tenant, "asset": asset, "origin_date": origin, "batch": batch, "verified": 0}
        | {"rows": seal.rows, "digest": seal.digest}
        for (origin, batch), seal in found.items()
        if (origin, batch) not in known and declared.get((origin, batch)) == seal.rows
    ]
    turn = state.execute(sa.select(sa.func.coalesce(sa.func.max(seals.verified), 0))).scalar_one() + 1
    if new:
        state.execute(sa.insert(ledger_seals), new)
    state.execute(sa.update(ledger_seals).where(of_origins).values(verified=turn))
    return [*problems[:5], examples([f"{len(problems) - 5} more"])] if len(problems) > 5 else problems


def _holds(known: Seal | None, declared: int | None, found: Seal) -> bool:
    return (known is None or known == found) and declared == found.rows


def _difference(known: Seal | None, declared: int | None, found: Seal) -> str:
    if declared is None:
        return f"has {found.rows} rows and is not in the ledger's list of batches"
    if declared != found.rows:
        return f"has {found.rows} rows, appended were {declared}"
    assert known is not None
    return f"has {found.rows} rows of other content than were appended"


def _declared(session: Session, asset: str, origins: Collection[date]) -> dict[tuple[date, int], int]:
    """Rows that the ledger says each batch appended; batches that appended none are left out."""
    if asset == tables.forecasts.name:
        v = tables.forecast_versions.c
        query = sa.select(v.origin_date, v.version_id, v.series * sa.func.coalesce(v.horizons, v.horizon)).where(
            v.origin_date.in_(sorted(origins)), v.series > 0
        )
    else:
        b = tables.ledger_batches.c
        query = sa.select(b.origin_date, b.batch_id, b.rows).where(
            b.asset == asset, b.origin_date.in_(sorted(origins)), b.rows > 0
        )
    return {(origin, batch): rows for origin, batch, rows in session.execute(query)}


def _contents(session: Session, asset: str, origin: date) -> dict[tuple[date, int], Seal]:
    """What the batches of an origin hold now, as many in one read as have ``ROWS_AT_ONCE``."""
    table = tables.metadata.tables[asset]
    column = table.c["version_id" if asset == tables.forecasts.name else batch_column(table)]
    here = table.c[table.info["partition"]] == origin
    held = dict(session.execute(sa.select(column, sa.func.count()).where(here).group_by(column)))
    found: dict[tuple[date, int], Seal] = {}
    for first, last in stretches(held, at_once=ROWS_AT_ONCE):
        rows = session.arrow(sa.select(*table.columns).where(here, column.between(first, last)))
        found |= {(origin, batch): seal for batch, seal in _seals(rows, table, column.name)}
        del rows
    return found


def _seals(rows: pa.Table, table: sa.Table, column: str) -> Iterator[tuple[int, Seal]]:
    """Each batch in ``rows`` and what it holds."""
    key = [name for name in table.info["key"] if name not in (column, table.info["partition"])]
    batches = rows[column].to_numpy()
    if not in_order(rows, [column]):
        order = np.argsort(batches, kind="stable")
        rows, batches = rows.take(pa.array(order)), batches[order]
    first = np.flatnonzero(np.diff(batches, prepend=batches[:1] - 1)).tolist()
    for begin, end in pairwise([*first, len(batches)]):
        part = rows.slice(begin, end - begin)
        yield int(part[column][0].as_py()), Seal(part.num_rows, table_digest(part, key=key))
