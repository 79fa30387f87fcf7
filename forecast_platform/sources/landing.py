"""The landing: whatever arrives is kept as it came, once, and read into rows by day.

Under ``<landing>/<tenant>/<asset>/``: ``batches/`` the bytes, named by their digest (a content that came back after
another one, by a digest of both); ``readings/`` what they were read as, derived and made again when missing; ``seen/``
empty files that remember which files need not be read again; ``shifts/`` by how many weeks a source's days are moved.
Which batches there are is in the table ``landed_batches``, which the caller writes: nothing counts as landed before
that. Which rows a day has is in ``facts``.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecast_platform.sources.base import Arrival, Refused, Source
from forecast_platform.sources.batches import LandedBatch, Landing, landed_frame, landed_from, side_source
from forecast_platform.sources.library import EXTENSIONS, Library, side_digest
from forecast_platform.sources.shapes import SalesRows
from forecast_platform.sources.shift import fixed_weeks
from forecast_platform.sources.store import Store

__all__ = ["LandedBatch", "Landing", "land", "landed_frame"]

_log = logging.getLogger(__name__)
_CHUNK = 1 << 20
_NAME_CHARACTERS = 200


@dataclass(frozen=True)
class _Taken:
    """An arrival whose bytes are in the landing."""

    arrival: Arrival
    digest: str


def land(
    source: Source,
    known: pd.DataFrame,
    landing: Landing,
    now: datetime,
    *,
    first: date | None = None,
    last: date | None = None,
    since: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[LandedBatch]:
    """Land what has arrived and is not landed yet, and read it.

    Equal content is one batch, whatever its name; other content under a known name is a new batch, and so is a content
    that comes back under its name after another one: the newest state counts. What is half written is left for the
    next call. If the caller does not write the batches that are returned, the next call returns them again.

    Args:
        known: rows of ``landed_batches`` so far, at least those of this asset.
        now: aware; when the batches are received.
        first, last: days asked for, for sources that make or page their arrivals by day.
        since: what the source's ``high_water`` said when all that was then new was landed.
        progress: is told what is being landed.

    Returns:
        Rows to append to ``landed_batches``, in the order of arrival. The ``days`` of a batch are those of its rows,
        those its events moved away from, and for a side file those of every row it may change.

    Raises:
        SourceError: the source is not there.
        LandingError: landed bytes are gone.
    """
    if now.tzinfo is None:
        raise ValueError(f"now must have a time zone, not {now!r}")
    asset = source.rows.asset
    batches = landed_from(known, asset, source.name)
    landing.store(asset).sweep()
    here = set(known.loc[known["asset"] == asset, "batch_digest"].astype(str)) if len(known) else set()
    arrivals = source.discover(now=now, first=first, last=last, since=since)
    taken = _take_in(source, landing.store(asset), here, batches, arrivals, progress=progress)
    if not taken:
        return []
    ordinal = 0 if known.empty else int(known["ordinal"].max()) + 1
    new = [_batch(source, each, now, ordinal + i) for i, each in enumerate(taken)]
    new = _with_sides_read(source, landing, new)
    weeks = fixed_weeks(source, landing, [*batches, *new], now)
    library = Library(source, landing, [*batches, *new], weeks=weeks)
    read = [_read(batch, library, progress) if batch.source == source.name else batch for batch in new]
    read = _with_moved_days(source, read, library)
    return _with_side_days(source, read, library)


def not_landed(source: Source, landing: Landing, now: datetime) -> list[str]:
    """Names of the arrivals whose bytes are not in the landing yet, as far as their fingerprints say.

    Nothing is read of them: an arrival that was touched counts, and turns out to be known when it is landed.

    Raises:
        SourceError: the source is not there.
    """
    seen = {name[:_SEEN] for name in landing.store(source.rows.asset).names("seen")}
    return [arrival.name for arrival in source.discover(now=now) if _mark(source, arrival) not in seen]


def _take_in(
    source: Source,
    store: Store,
    here: set[str],
    batches: Sequence[LandedBatch],
    arrivals: Iterable[Arrival],
    *,
    progress: Callable[[str], None] | None,
) -> list[_Taken]:
    """Put the bytes of new arrivals into the landing, in the order of arrival."""
    arrivals = sorted(arrivals, key=lambda a: (str(a.order), a.name))
    states: dict[tuple[str, str], list[str]] = {}
    for batch in batches:
        states.setdefault((batch.source, batch.name), []).append(batch.batch_digest)
    named = Counter(_source_and_name(source, arrival) for arrival in arrivals)
    seen = {name[:_SEEN]: name[_SEEN + 1 :] for name in store.names("seen")}
    taken: dict[str, _Taken] = {}
    for arrival in arrivals:
        mark = _mark(source, arrival)
        digest = seen.get(mark) if mark is not None else None
        if digest is None or (digest not in here and not _stored(store, digest)):
            digest = _copy(store, arrival, progress)
            if digest is None:
                continue
            if mark is not None:
                store.mark(f"seen/{mark}-{digest}")
        if digest in here:
            known_as = _source_and_name(source, arrival)
            # Of two arrivals of one name neither is the newer state.
            digest = _back_again(digest, states.get(known_as, [])) if named[known_as] == 1 else None
            if digest is None or _copy(store, arrival, progress, name=digest) is None:
                continue
        taken.setdefault(digest, _Taken(arrival, digest))
    return list(taken.values())


def _back_again(digest: str, states: Sequence[str]) -> str | None:
    """The name of a batch whose content came back; None where it is what came last under its name, or another's.

    Args:
        digest: of the content.
        states: digests of the batches of its name, in the order of arrival.
    """
    if not states or digest == states[-1] or (len(states) > 1 and _after(digest, states[-2]) == states[-1]):
        return None
    return _after(digest, states[-1])


def _after(digest: str, before: str) -> str:
    return hashlib.sha256(f"{digest} after {before}".encode()).hexdigest()


_SEEN = 32


def _mark(source: Source, arrival: Arrival) -> str | None:
    """What an arrival is remembered by, while it does not change."""
    if arrival.fingerprint is None:
        return None
    text = "\0".join([source.name, arrival.name, arrival.fingerprint])
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=_SEEN // 2).hexdigest()


def _stored(store: Store, digest: str) -> bool:
    return any(store.exists(f"batches/{digest}.{extension}") for extension in EXTENSIONS)


def _copy(
    store: Store, arrival: Arrival, progress: Callable[[str], None] | None, *, name: str | None = None
) -> str | None:
    """Copy the bytes into the landing, by default under their digest, and give the name that they have there.

    None if they changed or went away meanwhile.
    """
    name = name or arrival.identity
    if name is not None and _stored(store, name):
        return name
    digest, head = hashlib.sha256(), b""
    with store.scratch() as file:
        try:
            with arrival.open() as stream, file.open("wb") as copy:
                while chunk := stream.read(_CHUNK):
                    head = head or chunk[:2]
                    digest.update(chunk)
                    copy.write(chunk)
        except OSError as error:
            _log.warning("%s cannot be read now and is left for the next time: %s", arrival.name, error)
            return None
        if not arrival.unchanged():
            _log.info("%s changed while it was being read and is left for the next time", arrival.name)
            return None
        name = name or digest.hexdigest()
        if not _stored(store, name):
            if progress is not None:
                progress(f"{arrival.name} has arrived")
            zipped = arrival.format == "csv" and head == b"\x1f\x8b"
            store.put(file, f"batches/{name}.{arrival.format}{'.gz' if zipped else ''}")
    return name


def _batch(source: Source, taken: _Taken, now: datetime, ordinal: int) -> LandedBatch:
    """A batch of which only the bytes are known."""
    source_name, name = _source_and_name(source, taken.arrival)
    return LandedBatch(
        batch_digest=taken.digest,
        asset=source.rows.asset,
        source=source_name,
        name=name,
        reading="",
        rows=0,
        days=(),
        refused=None,
        received_at=now,
        ordinal=ordinal,
    )


def _source_and_name(source: Source, arrival: Arrival) -> tuple[str, str]:
    """``source`` and ``name`` of the batch of an arrival, as ``landed_batches`` has them."""
    name = arrival.name.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    feeds = arrival.feeds
    return source.name if feeds is None else side_source(source.name, feeds), name[:_NAME_CHARACTERS]


def _with_sides_read(source: Source, landing: Landing, new: Sequence[LandedBatch]) -> list[LandedBatch]:
    """Load the new side files, to know their rows and whether they can be read."""
    library = Library(source, landing, [], weeks=0)
    joins = {side_source(source.name, join.name): join for join in source.rows.joins}
    read = []
    for batch in new:
        join = joins.get(batch.source)
        if join is not None:
            batch = replace(batch, reading=side_digest(join))
            try:
                batch = replace(batch, rows=len(library.side(join, batch.batch_digest, batch.name).rows))
            except Refused as error:
                batch = replace(batch, refused=str(error))
        read.append(batch)
    return read


def _read(batch: LandedBatch, library: Library, progress: Callable[[str], None] | None) -> LandedBatch:
    found = library.describe(batch)
    if progress is not None:
        progress(f"{batch.name}: {found.refused or f'{found.rows:,} rows of {len(found.days)} days'}")
    return replace(batch, rows=found.rows, days=found.days, refused=found.refused, reading=library.digest)


def _with_moved_days(source: Source, new: list[LandedBatch], library: Library) -> list[LandedBatch]:
    """Add the days that events of a new batch have in an earlier one: there they may have to go, or to stay away."""
    facts = [batch for batch in new if batch.source == source.name]
    rows = source.rows
    if not isinstance(rows, SalesRows) or not rows.named() or rows.stays() or not facts or len(library.facts) == 1:
        return new
    events = pd.concat([_events(library, batch, None) for batch in facts])
    names = pa.array(events["event_id"].unique(), pa.string())
    others = pd.concat([_events(library, batch, names) for batch in library.facts])
    both = events.merge(others, on="event_id", suffixes=("", "_before"))
    moved = both[(both["day"] != both["day_before"]) & (both["ordinal_before"] < both["ordinal"])]
    days = moved.groupby("ordinal")["day_before"].agg(set).to_dict()
    return [replace(b, days=tuple(sorted({*b.days, *days.get(b.ordinal, ())}))) for b in new]


def _events(library: Library, batch: LandedBatch, among: pa.Array | None) -> pd.DataFrame:
    """Events of a batch with their days: (event_id, day, ordinal)."""
    table = library.table(batch, columns=["event_id", "day"])
    table = table.filter(pc.is_valid(table["event_id"]) if among is None else pc.is_in(table["event_id"], among))
    return table.to_pandas(date_as_object=True).assign(ordinal=batch.ordinal)


def _with_side_days(source: Source, new: list[LandedBatch], library: Library) -> list[LandedBatch]:
    """A side file touches the days of every row it may be looked up for, and its arrival day if it cannot be read."""
    if all(batch.source == source.name for batch in new):
        return new
    days = {day for batch in library.facts for day in (*batch.days, *library.describe(batch).days)}
    return [
        b
        if b.source == source.name
        else replace(b, days=tuple(sorted(days if b.refused is None else {library.arrival_day(b)})))
        for b in new
    ]
