"""Which series there are, by name and number: what a job is cut from. And how many rows a run has appended of each
block of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import sqlalchemy as sa

from forecast_platform.api.reading.base import records
from forecast_platform.forecasting.parts import block_of
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.jobs.cutting import Name
from forecast_platform.tables import forecast_runs, forecasts, series

Numbered = tuple[int, str, str]


def known_series(session: Session, until: date) -> list[Numbered]:
    """The series first seen by the end of a day: id, SKU and location, in order of name."""
    query = (
        sa.select(series.c.series_id, series.c.sku, series.c.location)
        .where(series.c.first_seen <= until)
        .order_by(series.c.sku, series.c.location)
    )
    return [(row["series_id"], row["sku"], row["location"]) for row in records(session, query)]


def days_on_record(session: Session, first: date, last: date) -> set[date]:
    """The days of a range of which forecasts of all series are on record."""
    return set(session.logged("forecasts", first, last))


def appended_rows(
    session: Session, run_ids: Collection[str], first: date, last: date, *, blocks: int
) -> dict[int, int]:
    """By block of series, the rows that some runs have appended to the ledger for the origins ``first`` .. ``last``.

    A version's rows are all of the run that appended it: they are committed with its row in the log.
    """
    asked = forecast_runs.c
    versions = sa.select(asked.version_id).where(asked.run_id.in_(sorted(run_ids)), asked.appended > 0)
    held = forecasts.c
    counted = (
        sa.select(held.series_id, sa.func.count().label("rows"))
        .where(held.origin_date.between(first, last), held.version_id.in_(versions))
        .group_by(held.series_id)
    )
    rows: dict[int, int] = {}
    for row in records(session, counted):
        block = int(block_of(row["series_id"], blocks))
        rows[block] = rows.get(block, 0) + row["rows"]
    return rows


def of_skus(known: Sequence[Numbered], skus: Sequence[str]) -> tuple[list[Numbered], list[int]]:
    """The series of some SKUs at all their locations, and the places in ``skus`` of those that are unknown."""
    wanted = set(skus)
    there = {sku for _, sku, _ in known}
    return [each for each in known if each[1] in wanted], [at for at, sku in enumerate(skus) if sku not in there]


def of_names(known: Sequence[Numbered], names: Collection[Name]) -> list[Numbered]:
    """The series of some names, those that are unknown left out."""
    wanted = set(names)
    return [each for each in known if each[1:] in wanted]
