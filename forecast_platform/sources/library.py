"""The readings of a source's batches: which settings they are read with, and each one found or made.

Here is the only place that knows when a reading still holds: when the settings, the code, the side files, the shift
and the arrival time it was made with are those of now.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecast_platform.sources.base import Format, Refused, Source
from forecast_platform.sources.batches import LandedBatch, Landing, side_source
from forecast_platform.sources.clock import Clock
from forecast_platform.sources.readings import CODE_VERSION, Description, describe, write_reading
from forecast_platform.sources.reshaping import Side, load_side
from forecast_platform.sources.shapes import Join

_log = logging.getLogger(__name__)
EXTENSIONS: dict[str, Format] = {"csv": "csv", "csv.gz": "csv", "parquet": "parquet"}


class LandingError(RuntimeError):
    """Bytes that were landed are gone, so that days cannot be read again."""


class Library:
    """The readings of one source.

    Args:
        source: how its rows look; nothing is asked of it.
        batches: what is landed of it, side files too, in the order of arrival.
        weeks: by how many weeks its days are moved.
    """

    def __init__(self, source: Source, landing: Landing, batches: Sequence[LandedBatch], *, weeks: int) -> None:
        self._source = source
        self._landing = landing
        self._batches = batches
        self._weeks = weeks
        self._store = landing.store(source.rows.asset)
        self._found: dict[str, Description] = {}

    @cached_property
    def facts(self) -> list[LandedBatch]:
        """The batches of the facts themselves."""
        return [batch for batch in self._batches if batch.source == self._source.name]

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides what a batch is read as, its bytes and arrival time apart."""
        parts = {
            "code": CODE_VERSION,
            "asset": self._source.rows.asset,
            "settings": self._source.rows.reading_settings(),
            "timezone": self._landing.timezone,
            "weeks": self._weeks,
            "sides": {name: batch.batch_digest if batch else None for name, batch in self._newest_sides.items()},
        }
        return _digest(parts)

    @cached_property
    def _newest_sides(self) -> dict[str, LandedBatch | None]:
        """For each join the newest side file that can be read."""
        newest: dict[str, LandedBatch | None] = {}
        for join in self._source.rows.joins:
            found = [b for b in self._batches if b.source == side_source(self._source.name, join.name)]
            readable = (b for b in reversed(found) if b.refused is None or b.reading != side_digest(join))
            newest[join.name] = next(readable, None)
        return newest

    @cached_property
    def _sides(self) -> list[Side]:
        sides = []
        for join in self._source.rows.joins:
            batch = self._newest_sides[join.name]
            if batch is None:
                raise Refused(
                    f"the side file {join.name!r} ({join.pattern}) has not arrived yet: it is read once it has"
                )
            sides.append(self.side(join, batch.batch_digest, batch.name))
        return sides

    def side(self, join: Join, digest: str, name: str) -> Side:
        """Load a landed side file.

        Raises:
            Refused: it cannot be read; the message names it.
        """
        path, _ = self._bytes(digest, name)
        with self._store.open(path) as stream:
            try:
                return load_side(stream, join, self._source.rows.limits)
            except Refused as error:
                raise Refused(f"the side file {name!r} ({join.name}) cannot be read: {error}") from error

    def days(self, batch: LandedBatch) -> tuple[date, ...]:
        """The days a batch touches under the settings of now: those on record, or read again if they changed."""
        if batch.reading == self.digest:
            return batch.days
        return self.describe(batch).days

    def arrival_day(self, batch: LandedBatch) -> date:
        """The tenant's business day on which a batch arrived."""
        return batch.received_at.astimezone(ZoneInfo(self._landing.timezone)).date()

    @property
    def refused_sides(self) -> list[LandedBatch]:
        """Side files that could not be read."""
        return [batch for batch in self._batches if batch.source != self._source.name and batch.refused is not None]

    @cached_property
    def stale(self) -> bool:
        """Whether any batch was landed under other settings, so that the days on record may be others."""
        return any(batch.reading != self.digest for batch in self.facts)

    def describe(self, batch: LandedBatch) -> Description:
        """What a batch was read as, read now if need be."""
        return self._ensure(batch)

    def table(
        self, batch: LandedBatch, *, days: Sequence[date] | None = None, columns: list[str] | None = None
    ) -> pa.Table:
        """Rows of a batch: of some days (only their row groups are read) or all, in the order of day and row."""
        self._ensure(batch)
        with self._store.open(self._path(batch)) as stream:
            file = pq.ParquetFile(stream)
            if days is None:
                return file.read(columns=columns).replace_schema_metadata()
            wanted = np.array(sorted(days), "datetime64[D]")
            groups = [g for g in range(file.num_row_groups) if _holds(file.metadata.row_group(g), wanted)]
            table = file.read_row_groups(groups, columns=columns).replace_schema_metadata()
            return table.filter(pc.is_in(table["day"], value_set=pa.array(wanted, pa.date32())))

    def _path(self, batch: LandedBatch) -> str:
        return f"readings/{batch.batch_digest}-{self.digest}.parquet"

    def _ensure(self, batch: LandedBatch) -> Description:
        """Make the reading if there is none that holds; it is looked for once."""
        if batch.batch_digest not in self._found:
            self._found[batch.batch_digest] = self._existing(batch) or self._make(batch)
        return self._found[batch.batch_digest]

    def _make(self, batch: LandedBatch) -> Description:
        path, form = self._bytes(batch.batch_digest, batch.name)
        rows = self._source.rows
        clock = Clock(
            zone=self._landing.timezone,
            source_zone=rows.timezone or self._landing.timezone,
            ambiguous=rows.ambiguous,
            nonexistent=rows.nonexistent,
            weeks=self._weeks,
            earliest=rows.limits.earliest,
            received_at=batch.received_at,
        )
        with self._store.open(path) as stream, self._store.scratch() as target:
            made = write_reading(
                stream,
                target,
                rows=rows,
                form=form,
                clock=clock,
                sides=lambda: self._sides,
                where=f"the source {self._source.name!r}",
            )
            self._store.put(target, self._path(batch), durable=False)
        return made

    def _existing(self, batch: LandedBatch) -> Description | None:
        """What the stored reading says; None if there is none, or not of this arrival, or it is damaged."""
        try:
            with self._store.open(self._path(batch)) as stream:
                found = describe(pq.ParquetFile(stream))
        except FileNotFoundError:
            return None
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            _log.warning("the reading of %s is damaged (%s) and is made again", batch.name, error)
            return None
        return found if found.received_at == batch.received_at else None

    def _bytes(self, digest: str, name: str) -> tuple[str, Format]:
        for extension, form in EXTENSIONS.items():
            path = f"batches/{digest}.{extension}"
            if self._store.exists(path):
                return path, form
        raise LandingError(
            f"the landed bytes of {name!r} (batches/{digest}.*) are gone from {self._landing.url}:"
            " restore the landing from its backup"
        )


def side_digest(join: Join) -> str:
    """What ``landed_batches.reading`` is for a side file: digest of the settings it is read with."""
    return _digest({"code": CODE_VERSION, "join": join.model_dump(mode="json", exclude_defaults=True)})


def _digest(parts: dict) -> str:
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()


def _holds(group: pq.RowGroupMetaData, days: np.ndarray) -> bool:
    """Whether a row group may hold any of the days; by its statistics, the day being the first column."""
    statistics = group.column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    low, high = np.datetime64(statistics.min, "D"), np.datetime64(statistics.max, "D")
    return bool(((days >= low) & (days <= high)).any())
