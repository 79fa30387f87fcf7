"""Posted events as a source: many small files of the inbox become few batches, each file in exactly one.

``bundles/`` beside the inbox holds numbered lists that say for good which of its files make which batch. A list is
written only if its number is free, by whoever has read all lists before it: two processes never put one file into two
batches, and a batch that was copied and not recorded is the same batch the next time. An inbox file is removed once
its batch is on record in ``landed_batches``, never before.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from functools import partial

from forecast_platform.sources.base import Arrival
from forecast_platform.sources.batches import Landing
from forecast_platform.sources.inbox import ASSET, InboxFile, csv_lines, listed, received_at, waiting
from forecast_platform.sources.shapes import Events
from forecast_platform.sources.store import Store

KEPT_LISTS = 64
"""Lists of what has landed that stay, so that nobody who read them a moment ago takes their numbers again."""


class EventSource:
    """Posted events as a source; see ``base.Source``."""

    def __init__(self, *, name: str, rows: Events, landing: Landing | None) -> None:
        self.name = name
        self.rows = rows
        self._landing = landing

    def discover(
        self, *, now: datetime, first: date | None = None, last: date | None = None, since: str | None = None
    ) -> Iterator[Arrival]:
        """What waits in the inbox, as few arrivals in the order of receipt; the days asked for make no difference."""
        if self._landing is None:
            raise ValueError("posted events are looked for in a landing, and none was given")
        store = self._landing.store(self.rows.asset)
        for number, names in _bundled(store, self.rows.events_per_batch).items():
            yield Arrival(
                name=f"events-{number:08d}-{received_at(names[0]):%Y-%m-%dT%H:%M:%SZ}",
                open=partial(_opened, store, names),
                format="csv",
                order=f"{number:08d}",
                identity=_identity(names),
            )

    def high_water(self, *, now: datetime) -> str:
        """Name of the newest file that waits in the inbox; nothing where none does."""
        if self._landing is None:
            raise ValueError("posted events are looked for in a landing, and none was given")
        return waiting(self._landing, self.rows.asset).newest or ""


def clear(landing: Landing, recorded: Collection[str], asset: str = ASSET) -> int:
    """Remove the inbox files of batches that are on record; how many.

    Args:
        recorded: ``batch_digest`` of ``landed_batches``, committed.
    """
    store = landing.store(asset)
    bundles = _bundles(store)
    here = store.names("inbox") if bundles else set()
    removed = 0
    for number, names in bundles.items():
        if _identity(names) in recorded:
            for name in here.intersection(names):
                store.remove(f"inbox/{name}")
                removed += 1
            if number <= max(bundles) - KEPT_LISTS:
                store.remove(_bundle(number))
    return removed


def _opened(store: Store, names: Sequence[str]) -> io.BytesIO:
    """The files of a bundle as one CSV file.

    Raises:
        FileNotFoundError: one of them is gone before it was landed.
    """
    text = io.BytesIO()
    for name in names:
        with store.open(f"inbox/{name}") as stream:
            head = stream.readline()
            if not text.tell():
                text.write(csv_lines([json.loads(head)["columns"]]))
            text.write(stream.read())
    text.seek(0)
    return text


def _bundle(number: int) -> str:
    return f"bundles/{number:08d}.json"


def _identity(names: Sequence[str]) -> str:
    """Digest of a bundle: its files' names hold when they came and the digests of their contents."""
    return hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()


def _bundles(store: Store) -> dict[int, list[str]]:
    """The bundles there are, in order."""
    found = {}
    for name in sorted(store.names("bundles")):
        if re.fullmatch(r"\d{8}\.json", name):
            try:
                with store.open(f"bundles/{name}") as stream:
                    found[int(name[:8])] = json.load(stream)
            except FileNotFoundError:  # its batch is on record, and another process has cleared it
                continue
    return found


def _bundled(store: Store, most: int) -> dict[int, list[str]]:
    """The bundles with files in the inbox, after every file there was put into one."""
    while True:
        # The lists first: a file that is seen after them is in none of them, or in one with a higher number.
        bundles = _bundles(store)
        taken = {name for names in bundles.values() for name in names}
        files = listed(store)
        free = [file for file in files if file.name not in taken]
        if not free:
            here = {file.name for file in files}
            return {number: names for number, names in bundles.items() if not here.isdisjoint(names)}
        number = max(bundles, default=0) + 1
        for names in _groups(free, most):
            content = json.dumps(names).encode()
            try:
                if store.put_once(content, _bundle(number)) != content:
                    break  # another process was faster: what it took is not ours to give
            except FileNotFoundError:  # much faster: its list is cleared already
                break
            number += 1


def _groups(files: Sequence[InboxFile], most: int) -> Iterator[list[str]]:
    """Files in the order of receipt, cut before they hold more than ``most`` events or change their columns."""
    group: list[str] = []
    held, layout = 0, ""
    for file in files:
        if group and (held + file.events > most or file.layout != layout):
            yield group
            group, held = [], 0
        group.append(file.name)
        held, layout = held + file.events, file.layout
    if group:
        yield group
