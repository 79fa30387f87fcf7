"""Landed batches as values: the rows of ``landed_batches``, to and from frames, and where their files are.

Nothing is landed or read here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from forecast_platform.sources.store import Store
from forecast_platform.sources.typed import typed_frame
from forecast_platform.tables import landed_batches

_REACHED = "high_water.json"


@dataclass(frozen=True)
class Landing:
    """Where a tenant's arrivals are kept.

    Attributes:
        url: folder of all landings, any fsspec URL.
        tenant: the tenant, part of the path.
        timezone: IANA zone of the tenant, which says what a day is.
    """

    url: str
    tenant: str
    timezone: str

    def reached(self, asset: str) -> str | None:
        """What the source of ``asset`` last said of its newest row before all of it was landed; None: nothing yet."""
        try:
            with self.store(asset).open(_REACHED) as stream:
                return stream.read().decode()
        except FileNotFoundError:
            return None

    def reach(self, asset: str, newest: str) -> None:
        """Remember what the source of ``asset`` said of its newest row: all of it has been landed and recorded."""
        store = self.store(asset)
        with store.scratch() as file:
            file.write_text(newest)
            store.put(file, _REACHED)

    def store(self, asset: str) -> Store:
        """The files of one asset."""
        return Store(f"{self.url.rstrip('/')}/{self.tenant}/{asset}")


@dataclass(frozen=True, kw_only=True)
class LandedBatch:
    """A row of ``landed_batches``; ``days`` are the days to materialize because of it."""

    batch_digest: str
    asset: str
    source: str
    name: str
    reading: str
    rows: int
    days: tuple[date, ...]
    refused: str | None
    received_at: datetime
    ordinal: int

    @property
    def label(self) -> str:
        """How rejects name the batch."""
        return f"{self.name}@{self.batch_digest[:12]}"


def side_source(source: str, join: str) -> str:
    """What ``landed_batches.source`` is for the side files of a join."""
    return f"{source}/{join}"


def landed_frame(batches: Sequence[LandedBatch]) -> pd.DataFrame:
    """Batches as rows of the table ``landed_batches``, with its types."""
    columns: dict[str, list] = {
        column.name: [getattr(batch, column.name) for batch in batches] for column in landed_batches.columns
    }
    columns["days"] = [json.dumps([day.isoformat() for day in batch.days]) for batch in batches]
    return typed_frame(columns, landed_batches)


def landed_from(frame: pd.DataFrame, asset: str, source: str) -> list[LandedBatch]:
    """The batches of one asset and source, side files among them, in the order of their arrival."""
    names = [column.name for column in landed_batches.columns]
    if frame.empty:
        return []
    rows = frame.loc[frame["asset"] == asset, names].sort_values("ordinal")
    batches = [
        LandedBatch(
            batch_digest=str(row["batch_digest"]),
            asset=asset,
            source=str(row["source"]),
            name=str(row["name"]),
            reading=str(row["reading"]),
            rows=int(row["rows"]),
            days=tuple(date.fromisoformat(day) for day in json.loads(row["days"])),
            refused=None if pd.isna(row["refused"]) else str(row["refused"]),
            received_at=pd.Timestamp(row["received_at"]).to_pydatetime(),
            ordinal=int(row["ordinal"]),
        )
        for row in rows.to_dict("records")
    ]
    return [batch for batch in batches if batch.source.partition("/")[0] == source]
