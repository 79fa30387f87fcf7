"""Dagster's event log in SQLite, with the events of a range of partitions stored in one transaction.

Dagster's own storage opens a connection for every event, on an engine that is new each time, and commits it twice:
30 ms a partition of each asset, a third of the whole demo (1,600 events, 41 of 123 s). What is stored, and where, is
the same; a log that one of the two wrote, the other reads.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import NullPool

from forecast_platform import settings

BATCH_SIZE = "1000"
"""Events stored at once, unless ``DAGSTER_EVENT_BATCH_SIZE`` says otherwise: two and a half years of one asset."""

TEMPORARY = "DAGSTER_TEMPORARY_EVENT_LOG"
"""Variable with the folder of a temporary instance's log."""

BUSY_SECONDS = 60
"""How long to wait for another process that writes the log."""


_indexes: set[str] = set()
"""Indexes, by URL, that this process has seen whole: Dagster empties one and never deletes it, and a storage that finds
none makes it."""


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """``SqliteEventLogStorage`` under ``DAGSTER_HOME``, for many partitions a run."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        settings.use_unless_set("DAGSTER_EVENT_BATCH_SIZE", BATCH_SIZE)
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> BatchedSqliteEventLogStorage:
        return cls(str(_folder()), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            url = self.conn_string_for_shard(shard)
            engine = _engine(url)
            # Each tick of a sensor has a storage of its own: to look at the index's revision took 20 ms CPU of it.
            whole = _indexes if shard == INDEX_SHARD_NAME else self._initialized_dbs
            if url not in whole:
                self._initdb(engine)
                whole.add(url)
            with engine.begin() as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        """As Dagster's, which is asked for every event; a table that is there stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events that Dagster hands over together, as ``store_event`` would store each."""
        for (run_id, of_asset), group in groupby(events, key=lambda event: (event.run_id, _is_asset_event(event))):
            if of_asset:
                self._store_asset_events(run_id, list(group))
            else:
                for event in group:
                    self.store_event(event)

    def _store_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        statements = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(run_id) as connection:
            for statement in statements:
                connection.execute(statement)
        with self.index_transaction() as connection:
            ids = [connection.execute(statement).inserted_primary_key[0] for statement in statements]
            self._store_asset_event_tags(connection, events, ids)
            # An asset's own row says what happened to it last.
            last = {event.get_dagster_event().asset_key: (event, id) for event, id in zip(events, ids, strict=True)}
            for event, id in last.values():
                self._store_asset_event(connection, event, id)


# A webserver sees the files of years of runs; one open elsewhere goes on without its place here.
@functools.lru_cache(maxsize=8)
def _engine(url: str) -> sa.Engine:
    """One engine a file, so that a statement is compiled once; it keeps no connection open.

    Nobody waits until an event is on the disk, which is up to an eighth of a small run: with the write-ahead log that
    Dagster asks for, a power cut may take the last events, whose steps are run again, and breaks no file.
    """
    engine = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("pragma synchronous = normal"))
    return engine


def _folder() -> Path:
    """Where Dagster puts the log when it is not told: one that exists goes on.

    Without ``DAGSTER_HOME`` Dagster's instance is temporary; its processes are children of the one that made it.
    """
    home = settings.variables().get("DAGSTER_HOME")
    if home:
        return Path(home) / "history" / "runs"
    if TEMPORARY not in settings.variables():
        made = tempfile.mkdtemp(prefix="dagster-events-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        settings.use_unless_set(TEMPORARY, made)
    return Path(settings.variables()[TEMPORARY])


def _is_asset_event(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS
