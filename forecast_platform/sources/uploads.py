"""Files that are sent instead of dropped: kept durably in the landing until they are landed as the source's files are.

Under ``<landing>/<tenant>/<asset>/uploads/``, named by when they came and by their digest; the name that their sender
gave is kept encoded, and never becomes part of a path. What they would be read as is in ``checking``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from forecast_platform.sources.base import Arrival
from forecast_platform.sources.batches import Landing

NAME_BYTES = 80
"""Of the sender's name; file systems allow 255 bytes, and two digits encode one."""

_NAME = re.compile(r"([0-9a-f]{14})-([0-9a-f]{64})-([0-9a-f]{0,160})")


@dataclass(frozen=True)
class Upload:
    """A file that waits.

    Attributes:
        file: its name in the folder.
        digest: of its bytes.
        name: as the sender calls it.
    """

    file: str
    digest: str
    name: str
    received_at: datetime


def keep(landing: Landing, asset: str, content: bytes, name: str, received_at: datetime) -> str:
    """Keep a file durably; its digest. Equal bytes are landed once, however often they come.

    Raises:
        OSError: it could not be kept; nothing is promised then.
    """
    store, digest = landing.store(asset), hashlib.sha256(content).hexdigest()
    encoded = name.encode("utf-8", "replace")[:NAME_BYTES].decode("utf-8", "ignore").encode().hex()
    with store.scratch() as file:
        file.write_bytes(content)
        store.put(file, f"uploads/{int(received_at.timestamp() * 1e6):014x}-{digest}-{encoded}")
    return digest


def uploaded(landing: Landing, asset: str) -> list[Upload]:
    """The files that wait, in the order in which they came."""
    found = filter(None, map(_NAME.fullmatch, sorted(landing.store(asset).names("uploads"))))
    return [
        Upload(each[0], each[2], bytes.fromhex(each[3]).decode(), datetime.fromtimestamp(int(each[1], 16) / 1e6, UTC))
        for each in found
    ]


def arrivals_of(landing: Landing, asset: str) -> Iterator[Arrival]:
    """The files that wait, as arrivals among those of the source's folder."""
    store = landing.store(asset)
    for upload in uploaded(landing, asset):
        yield Arrival(
            name=f"uploads/{upload.name}",
            open=partial(store.open, f"uploads/{upload.file}"),
            format="csv",
            order=upload.received_at.isoformat(),
            identity=upload.digest,
        )


def clear(landing: Landing, asset: str, uploads: Collection[Upload], recorded: Collection[str]) -> None:
    """Remove files whose batches are on record.

    Args:
        uploads: those that waited before the source was landed: one that came meanwhile waits for the next time.
        recorded: ``batch_digest`` of ``landed_batches``, committed.
    """
    store = landing.store(asset)
    for each in uploads:
        if each.digest in recorded:
            store.remove(f"uploads/{each.file}")
