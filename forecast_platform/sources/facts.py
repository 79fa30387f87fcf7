"""The rows of a day: which of the landed ones count. A pure function of the landed batches.

Equal rows of overlapping files are one, the newest state of a named event wins wherever its day is, and every row
that is none of these is a reject. What a batch was read as is in ``readings``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast_platform.sources.base import Source
from forecast_platform.sources.batches import LandedBatch, Landing, landed_from
from forecast_platform.sources.library import Library
from forecast_platform.sources.rows import reading_schema
from forecast_platform.sources.shapes import SalesRows
from forecast_platform.sources.shift import remembered_weeks
from forecast_platform.sources.typed import typed_frame
from forecast_platform.tables import metadata, sales_rejects

_STATE = ["updated_at", "ordinal", "row_number"]
"""A later state of the same thing: changed later, else arrived later, else further down."""


def facts_of(
    source: Source, days: Iterable[date], batches: pd.DataFrame, landing: Landing
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the facts and the rejects of some days.

    Args:
        source: how its rows look; it is not asked for arrivals.
        days: business days; partitions of the source's asset.
        batches: rows of ``landed_batches``, at least those of this asset.

    Returns:
        Rows typed as the table of ``source.rows.asset``, sorted by its key, and rejects typed as ``sales_rejects``.

    Raises:
        LandingError: landed bytes are gone that have to be read again.
    """
    wanted = sorted(set(days))
    landed = landed_from(batches, source.rows.asset, source.name)
    library = Library(source, landing, landed, weeks=remembered_weeks(source, landing))
    chosen = [batch for batch in library.facts if not set(wanted).isdisjoint(library.days(batch))]
    rows = _rows(library, source, chosen, wanted)
    good = rows.filter(pc.is_null(rows["reason"]))
    if isinstance(source.rows, SalesRows) and not source.rows.named():
        # Equal ids are equal rows with equal ordinals within their files: the multiplicity is the maximum.
        kept = good.filter(pa.array(~good["event_id"].to_pandas().duplicated().to_numpy()))
        superseded = good.slice(0, 0)
    else:
        kept, superseded = _newest(library, source, chosen, good)
    labels = {batch.ordinal: batch.label for batch in library.facts}
    return _typed(kept, source), _rejects(rows, superseded, labels, library, wanted)


def held_days(source: Source, batches: pd.DataFrame, landing: Landing) -> dict[str, tuple[date, ...]]:
    """The days each batch touches under the settings of now, by its digest.

    Equal to those on record unless the source's settings have changed; then each batch is read again.
    """
    landed = landed_from(batches, source.rows.asset, source.name)
    library = Library(source, landing, landed, weeks=remembered_weeks(source, landing))
    return {batch.batch_digest: library.days(batch) for batch in library.facts}


def _rows(library: Library, source: Source, batches: list[LandedBatch], days: list[date]) -> pa.Table:
    """All rows of the days, with the ordinal of their batch."""
    schema = reading_schema(source.rows.asset)
    schema = schema.remove(schema.get_field_index("content")).append(pa.field("ordinal", pa.int64()))
    tables = [_with_ordinal(library.table(batch, days=days), batch) for batch in batches]
    return pa.concat_tables([schema.empty_table(), *tables])


def _with_ordinal(table: pa.Table, batch: LandedBatch) -> pa.Table:
    return table.append_column("ordinal", pa.array(np.full(table.num_rows, batch.ordinal, np.int64)))


def _newest(library: Library, source: Source, chosen: list[LandedBatch], good: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Split rows into those that are the newest state of what they name, and those that a row of their file replaces.

    A row that a later *batch* replaces is in neither: it was a fact until then, and no reject.
    """
    if isinstance(source.rows, SalesRows) and not source.rows.stays():
        key = ["event_id"]
        states = _states(library, chosen, good["event_id"])
    else:
        # What cannot move to another day is told apart among the rows of its own day.
        key = ["day", *(c for c in metadata.tables[source.rows.asset].info["key"] if c in good.column_names)]
        states = good.select([*key, *_STATE]).to_pandas()
    states = states.sort_values(_STATE, na_position="first", kind="stable")
    last = states.drop_duplicates(key, keep="last")[["ordinal", "row_number"]]
    last_of_file = states.drop_duplicates([*key, "ordinal"], keep="last")[["ordinal", "row_number"]]
    places = pd.MultiIndex.from_frame(good.select(["ordinal", "row_number"]).to_pandas())
    kept = places.isin(pd.MultiIndex.from_frame(last))
    replaced = ~places.isin(pd.MultiIndex.from_frame(last_of_file))
    return good.filter(pa.array(kept)), good.filter(pa.array(replaced))


def _states(library: Library, chosen: list[LandedBatch], events: pa.ChunkedArray) -> pd.DataFrame:
    """All states of some events, on whatever day.

    An event has a state of another day in a batch that has both days on record (the one that landed later), or in
    one that shares a day with such a batch.
    """
    near = {day for batch in chosen for day in library.days(batch)}
    batches = [b for b in library.facts if library.stale or not near.isdisjoint(library.days(b))]
    names = pc.unique(events)
    tables = []
    for batch in batches:
        table = library.table(batch, columns=["event_id", "updated_at", "row_number"])
        tables.append(_with_ordinal(table.filter(pc.is_in(table["event_id"], value_set=names)), batch))
    empty = pd.DataFrame(columns=["event_id", *_STATE])
    return pa.concat_tables(tables).to_pandas() if tables else empty


def _typed(rows: pa.Table, source: Source) -> pd.DataFrame:
    table = metadata.tables[source.rows.asset]
    partition = table.info["partition"]
    rows = rows.rename_columns([partition if name == "day" else name for name in rows.column_names])
    rows = rows.take(pc.sort_indices(rows, [(name, "ascending") for name in table.info["key"]]))
    columns = {column.name: rows[column.name] for column in table.columns if column.name in rows.column_names}
    if "source" in table.c:
        columns["source"] = [source.name] * rows.num_rows
    return typed_frame(columns, table)


def _rejects(
    rows: pa.Table, superseded: pa.Table, labels: dict[int, str], library: Library, days: list[date]
) -> pd.DataFrame:
    found = rows.filter(pc.is_valid(rows["reason"])).select(["day", "ordinal", "row_number", "reason", "payload"])
    parts = [found.to_pandas(date_as_object=True), _superseded(superseded)]
    frame = pd.concat(parts, ignore_index=True) if len(parts[1]) else parts[0]
    frame["source"] = frame["ordinal"].map(labels)
    sides = [(library.arrival_day(batch), batch) for batch in library.refused_sides]
    refused = pd.DataFrame(
        [
            (day, batch.label, 0, batch.refused, json.dumps({"refused": batch.refused}, ensure_ascii=False))
            for day, batch in sides
            if day in days
        ],
        columns=["day", "source", "row_number", "reason", "payload"],
    )
    if len(refused):
        frame = pd.concat([frame, refused], ignore_index=True)
    frame = frame.rename(columns={"day": "sale_date"})
    table = pa.Table.from_pydict({c.name: frame[c.name].tolist() for c in sales_rejects.columns}, _REJECTS)
    table = table.take(pc.sort_indices(table, [(name, "ascending") for name in sales_rejects.info["key"]]))
    return typed_frame({name: table[name] for name in table.column_names}, sales_rejects)


_REJECTS = pa.schema(
    [
        ("sale_date", pa.date32()),
        ("source", pa.string()),
        ("row_number", pa.int64()),
        ("reason", pa.string()),
        ("payload", pa.string()),
    ]
)


def _superseded(rows: pa.Table) -> pd.DataFrame:
    """Rows that a later row of the same file replaces, as rejects that do not count as bad."""
    named = [c for c in rows.column_names if c not in ("day", "ordinal", "row_number", "reason", "payload")]
    found = rows.select(["day", "ordinal", "row_number"]).to_pandas(date_as_object=True)
    found["reason"] = "ignored: a later row of the same file holds a newer state"
    shown = rows.select(named).to_pylist()
    found["payload"] = [
        json.dumps({k: str(v) for k, v in row.items() if v is not None}, ensure_ascii=False) for row in shown
    ]
    return found
