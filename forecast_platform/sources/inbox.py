"""The inbox of posted events: they are kept durably when they come, and wait there until they are landed.

Under ``<landing>/<tenant>/<asset>/``, most often ``raw_sales``: ``inbox/`` one file a post, written whole and synced
before the sender is told; ``closed/`` the days that the sender said are over. What is in the names of the files is
enough to know what waits. How they become batches is in ``bundles``.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from forecast_platform.sources.batches import Landing
from forecast_platform.sources.events import EventReader, Mark, Unfit, as_it_came
from forecast_platform.sources.shapes import KEPT_WITH_EVENTS, Events
from forecast_platform.sources.store import Store
from forecast_platform.tables import metadata

ASSET = "raw_sales"
EVENTS_PER_FILE = 10_000
"""Posts of more are kept as several files, each whole."""
SPAN_DAYS = 512
"""Days that a name has room for (file systems allow 255 bytes); of more the file itself tells."""


@dataclass(frozen=True)
class Rejected:
    """A posted event that is no sale; it is kept, and shown among ``sales_rejects``."""

    number: int
    event_id: str | None
    reason: str


@dataclass(frozen=True)
class Receipt:
    """What became of a post: all of it is durable.

    Attributes:
        accepted: events that will be sales.
        duplicates: how many of them name an event that stands in the post before them: of two states one will count.
        rejected: the others, with their 1-based number in the post.
        marks: days that were said to be over.
        days: business days that it touches.
        files: names in the inbox.
    """

    accepted: int
    duplicates: int
    rejected: tuple[Rejected, ...]
    marks: tuple[date, ...]
    days: tuple[date, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Waiting:
    """What waits in an inbox.

    Attributes:
        files, events: how many; rejects among the events.
        days: business days that they touch.
        oldest: when the first of them was received.
        newest: name of the last file: changes when something comes, equal while nothing does.
    """

    files: int
    events: int
    days: tuple[date, ...]
    oldest: datetime | None
    newest: str | None


class InboxFile(NamedTuple):
    """What the name of an inbox file says; names are in the order of receipt.

    Attributes:
        layout: digest of the names of its columns.
        events: lines in it, rejects among them.
        days: business days that it touches; None: too far apart for a name.
    """

    name: str
    layout: str
    events: int
    days: tuple[date, ...] | None


_NAME = re.compile(r"[0-9a-f]{14}-[0-9a-f]{16}-([0-9a-f]{8})-([0-9]{1,7})-(x|[0-9]{8}\.[0-9a-f]{1,128})-[0-9a-f]{16}")


def post(landing: Landing, rows: Events, events: Iterable[Any], received_at: datetime) -> Receipt:
    """Keep events durably; on return they are on disk and will land.

    Args:
        rows: the tenant's source of kind ``events``.
        events: mappings or JSON texts, sales and marks in any order. One that is neither is kept as a reject and stops
            no other.
        received_at: aware.

    Raises:
        OSError: they could not be kept; nothing is promised then, and they may be posted again.
    """
    if received_at.tzinfo is None:
        raise ValueError(f"received_at must have a time zone, not {received_at!r}")
    store, desk = landing.store(rows.asset), _Desk(landing, rows, received_at)
    numbered = enumerate(events, start=1)
    receipts = []
    while some := list(islice(numbered, EVENTS_PER_FILE)):
        receipts.append(_keep(store, desk, some))
    return Receipt(
        accepted=sum(each.accepted for each in receipts),
        duplicates=sum(each.duplicates for each in receipts),
        rejected=tuple(rejected for each in receipts for rejected in each.rejected),
        marks=tuple(sorted({mark for each in receipts for mark in each.marks})),
        days=tuple(sorted({day for each in receipts for day in each.days})),
        files=tuple(name for each in receipts for name in each.files),
    )


def waiting(landing: Landing, asset: str = ASSET) -> Waiting:
    """What waits to be landed, by the names of the files: 100,000 of them take a fraction of a second."""
    store = landing.store(asset)
    found = listed(store)
    days = {day for name in found for day in (name.days if name.days is not None else _told_days(store, name))}
    return Waiting(
        files=len(found),
        events=sum(name.events for name in found),
        days=tuple(sorted(days)),
        oldest=received_at(found[0].name) if found else None,
        newest=found[-1].name if found else None,
    )


def closed_by_mark(landing: Landing) -> date | None:
    """The newest day that the sender said is over, or None."""
    names = landing.store(ASSET).names("closed")
    return max((date.fromisoformat(name) for name in names if re.fullmatch(r"\d{4}-\d\d-\d\d", name)), default=None)


class _Taken(NamedTuple):
    """Events as they are kept.

    Attributes:
        cells: a list a column, of equal length.
        given: the events of the cells with their numbers, as they came.
        marks: days that were said to be over.
    """

    cells: list[list[str]]
    given: Sequence[tuple[int, Any]]
    marks: set[date]


class _Desk:
    """Where the events of a post are read: once, as they will be when they have landed."""

    def __init__(self, landing: Landing, rows: Events, received_at: datetime) -> None:
        from forecast_platform.sources.clock import Clock
        from forecast_platform.sources.rows import RowReader

        self.events = EventReader(rows)
        self.columns = (*self.events.fields, *KEPT_WITH_EVENTS)
        self.received_at = received_at
        self.received = received_at.astimezone(UTC).isoformat()
        mapped = rows.mapped()
        self._id_at = [self.columns.index(name) for name in mapped.get("event_id", ())]
        named_by = ["event_id"] if self._id_at else metadata.tables[rows.asset].info["key"]
        self._name_at = [self.columns.index(name) for ours in named_by for name in mapped.get(ours, ())]
        self._met: set[tuple[str, ...]] = set()
        self._keeps_all = rows.unknown_fields == "keep"
        self._nothing = [""] * len(self.events.fields)
        self._earliest = rows.limits.earliest
        self._today = received_at.astimezone(ZoneInfo(landing.timezone)).date()
        clock = Clock(
            zone=landing.timezone,
            source_zone=rows.timezone or landing.timezone,
            ambiguous=rows.ambiguous,
            nonexistent=rows.nonexistent,
            weeks=0,
            earliest=rows.limits.earliest,
            received_at=received_at,
        )
        self._reader = RowReader(rows, clock)

    def taken(self, events: Sequence[tuple[int, Any]]) -> _Taken:
        """Numbered events as cells by column, and the marks among them."""
        together = self.events.read_together([event for _, event in events])
        if together is None:
            return self._one_by_one(events)
        kept = [as_it_came(event) if self._keeps_all else "" for _, event in events]
        return _Taken([*together, [self.received] * len(events), [""] * len(events), kept], events, set())

    def _one_by_one(self, events: Sequence[tuple[int, Any]]) -> _Taken:
        lines: list[list[str]] = []
        given: list[tuple[int, Any]] = []
        marks: set[date] = set()
        for number, event in events:
            found = self._read(event)
            if isinstance(found, Mark):
                marks.add(found.day)
            else:
                lines.append(found)
                given.append((number, event))
        return _Taken(list(map(list, zip(*lines, strict=True))), given, marks)

    def _read(self, event: object) -> list[str] | Mark:
        """The mark that an event is, or its line, with the reason in it if it can be neither."""
        try:
            found = self.events.read(event)
            if not isinstance(found, Mark):
                return [*found, self.received, "", as_it_came(event) if self._keeps_all else ""]
            if not self._earliest <= found.day <= self._today:
                raise Unfit(f"day {found.day} cannot be over: today is {self._today}")
            return found
        except Unfit as error:
            return [*self._nothing, self.received, str(error), as_it_came(event)]

    def event_id(self, cells: Sequence[Sequence[str]], at: int) -> str | None:
        """An event's id as its sender wrote it, None if there is none."""
        return "/".join(cells[column][at] for column in self._id_at).strip("/") or None

    def met_before(self, cells: Sequence[Sequence[str]], rejected: Collection[int]) -> int:
        """How many of the events that are not rejected have a name that the post had already."""
        names = list(zip(*(cells[column] for column in self._name_at), strict=True))
        if rejected:
            names = [name for at, name in enumerate(names) if at not in rejected]
        new = set(names) - self._met
        self._met |= new
        return len(names) - len(new)

    def judged(self, cells: Sequence[Sequence[str]]) -> tuple[list[str | None], list[date]]:
        """For each line why it is no sale, or None; and the business days (of its arrival for one that has none)."""
        import numpy as np
        import pyarrow as pa

        from forecast_platform.sources.blocks import Block

        texts = [pa.array(column, pa.string()) for column in cells]
        read = self._reader.read(Block(pa.table(texts, self.columns), np.arange(1, len(texts[0]) + 1)))
        return read["reason"].to_pylist(), sorted(read["day"].unique().to_pylist())


def _keep(store: Store, desk: _Desk, events: Sequence[tuple[int, Any]]) -> Receipt:
    """Keep some numbered events as one file of the inbox, then their marks."""
    cells, given, marks = desk.taken(events)
    rejected: dict[int, Rejected] = {}
    files: list[str] = []
    days: list[date] = []
    duplicates = 0
    if given:
        reasons, days = desk.judged(cells)
        for at, reason in enumerate(reasons):
            if reason is not None and not reason.startswith("ignored"):
                number, event = given[at]
                rejected[at] = Rejected(number, desk.event_id(cells, at), reason)
                cells[-2][at], cells[-1][at] = reason, as_it_came(event)
        duplicates = desk.met_before(cells, rejected)
        files.append(_write(store, desk, cells, days))
    for day in sorted(marks):  # after the sales that were sent before it
        note = {"day": day.isoformat(), "received_at": desk.received}
        store.put_once(json.dumps(note).encode(), f"closed/{day.isoformat()}")
    accepted = len(given) - len(rejected)
    return Receipt(accepted, duplicates, tuple(rejected.values()), tuple(sorted(marks)), tuple(days), tuple(files))


def _write(store: Store, desk: _Desk, cells: Sequence[Sequence[str]], days: Sequence[date]) -> str:
    head = {"columns": desk.columns, "days": [day.isoformat() for day in days]}
    body = json.dumps(head).encode() + b"\n" + csv_lines(zip(*cells, strict=True))
    received = int(desk.received_at.timestamp() * 1e6)
    layout = hashlib.sha256("\0".join(desk.columns).encode()).hexdigest()[:8]
    digest = hashlib.sha256(body).hexdigest()[:16]
    name = f"{received:014x}-{time.time_ns():016x}-{layout}-{len(cells[0])}-{_days_text(days)}-{digest}"
    with store.scratch() as file:
        file.write_bytes(body)
        store.put(file, f"inbox/{name}")
    return name


def csv_lines(lines: Iterable[Sequence[str]]) -> bytes:
    """Lines of cells as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)  # either of them inside a cell is then quoted
    return text.getvalue().encode()


def _days_text(days: Sequence[date]) -> str:
    """Days as the first of them and a bit for each day from it on, or ``x`` if they are too far apart."""
    first = days[0]
    if (days[-1] - first).days >= SPAN_DAYS:
        return "x"
    return f"{first:%Y%m%d}.{sum(1 << (day - first).days for day in days):x}"


def _days_of(text: str) -> tuple[date, ...] | None:
    if text == "x":
        return None
    first, bits = date.fromisoformat(text[:8]), int(text[9:], 16)
    return tuple(first + timedelta(days=at) for at in range(bits.bit_length()) if bits >> at & 1)


def listed(store: Store) -> list[InboxFile]:
    """The files of the inbox, in the order of receipt."""
    found = filter(None, map(_NAME.fullmatch, sorted(store.names("inbox"))))
    days: dict[str, tuple[date, ...] | None] = {}
    files = []
    for match in found:
        text = match[3]
        if text not in days:  # names repeat the few days there are: each text is read once
            days[text] = _days_of(text)
        files.append(InboxFile(match[0], match[1], int(match[2]), days[text]))
    return files


def received_at(name: str) -> datetime:
    """When the file of a name was received."""
    return datetime.fromtimestamp(int(name.partition("-")[0], 16) / 1e6, UTC)


def _told_days(store: Store, name: InboxFile) -> tuple[date, ...]:
    try:
        with store.open(f"inbox/{name.name}") as stream:
            return tuple(map(date.fromisoformat, json.loads(stream.readline())["days"]))
    except FileNotFoundError:  # landed meanwhile
        return ()
