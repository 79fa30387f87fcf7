"""What planners send: kept durably when it comes, under ``<landing>/<tenant>/planner_overrides/``.

``inbox/`` has a file a request that is not in the ledger yet, ``kept/`` those that are: whoever makes the warehouse
anew finds them all. How they get into the ledger is in ``assets.planner_overrides``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pandas as pd

from forecast_platform.sources.batches import Landing
from forecast_platform.sources.typed import typed_frame
from forecast_platform.tables import planner_overrides

ASSET = planner_overrides.name
INBOX, KEPT = "inbox", "kept"


@dataclass(frozen=True, kw_only=True)
class Override:
    """A row of ``planner_overrides``; see there.

    Attributes:
        entry: of two the greater one came later; ``entries`` gives them.
        units: what is expected of the day; None withdraws the entry ``withdraws``.
    """

    entry: str
    received_at: datetime
    received_on: date
    target_date: date
    sku: str
    location: str
    units: Decimal | None = None
    withdraws: str | None = None
    author: str
    reason: str
    expires_at: datetime | None = None
    holds_through: date | None = None


def entries(received_at: datetime, count: int) -> list[str]:
    """Names of the entries of one request, in order of receipt; nobody else has them."""
    moment, random = int(received_at.timestamp() * 1e6), secrets.token_hex(3)
    return [f"{moment:014x}{number:04x}{random}" for number in range(count)]


def holds_through(expires_at: datetime | None, timezone: str) -> date | None:
    """The last business day that begins before a moment, in the tenant's zone."""
    if expires_at is None:
        return None
    return (expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(timezone)).date()


def keep(landing: Landing, overrides: Sequence[Override]) -> None:
    """Keep the overrides of one request; on return they are on disk.

    Raises:
        OSError: they could not be kept; nothing is promised then.
    """
    content = json.dumps([asdict(each) for each in overrides], default=str, ensure_ascii=False)
    landing.store(ASSET).put_once(content.encode(), f"{INBOX}/{_file_of(overrides[0].entry)}")


def waiting(landing: Landing) -> list[str]:
    """Names of what is not in the ledger yet, in order of receipt."""
    return sorted(landing.store(ASSET).names(INBOX))


def kept(landing: Landing) -> list[str]:
    """Names of what was in the ledger of a warehouse, in order of receipt."""
    return sorted(landing.store(ASSET).names(KEPT))


def read(landing: Landing, folder: str, names: Iterable[str]) -> list[Override]:
    """The overrides of some requests; none of one that has been taken in meanwhile."""
    found = []
    for name in names:
        try:
            with landing.store(ASSET).open(f"{folder}/{name}") as stream:
                found += [_override(row) for row in json.load(stream)]
        except FileNotFoundError:
            continue
    return found


def sent(landing: Landing, entry: str) -> Override | None:
    """An override that has been sent and may not be in the ledger yet; None where there is none."""
    name = _file_of(entry)
    found = [*read(landing, INBOX, [name]), *read(landing, KEPT, [name])]
    return next((each for each in found if each.entry == entry), None)


def settle(landing: Landing, names: Iterable[str]) -> None:
    """What is in the ledger waits no longer. Harmless where it is done twice, or by two at once."""
    store = landing.store(ASSET)
    for name in names:
        try:
            with store.open(f"{INBOX}/{name}") as stream:
                content = stream.read()
        except FileNotFoundError:
            continue
        store.put_once(content, f"{KEPT}/{name}")
        store.remove(f"{INBOX}/{name}")


def override_frame(overrides: Sequence[Override]) -> pd.DataFrame:
    """Overrides as rows of the ledger, with its types."""
    columns = {each.name: [getattr(row, each.name) for row in overrides] for each in planner_overrides.columns}
    return typed_frame(columns, planner_overrides)


def _file_of(entry: str) -> str:
    return entry[:14] + entry[18:]


def _override(row: dict[str, str | None]) -> Override:
    given: dict[str, object] = dict(row)
    for name in ("received_at", "expires_at"):
        text = row[name]
        given[name] = None if text is None else datetime.fromisoformat(text).astimezone(UTC)
    for name in ("received_on", "target_date", "holds_through"):
        text = row[name]
        given[name] = None if text is None else date.fromisoformat(text)
    given["units"] = None if row["units"] is None else Decimal(row["units"])
    return Override(**given)  # type: ignore[arg-type]
