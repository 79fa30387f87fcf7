"""The shift of old data into the present: by how many whole weeks a source's days are moved.

It is fixed when the source's first rows land and then remembered beside them, so that a later file moves no past.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from forecast_platform.sources.base import Source
from forecast_platform.sources.batches import LandedBatch, Landing
from forecast_platform.sources.library import Library


def remembered_weeks(source: Source, landing: Landing) -> int:
    """The shift of a source, in weeks; 0 if none is wanted or nothing has landed that could fix it."""
    if source.rows.shift_to is None:
        return 0
    try:
        with landing.store(source.rows.asset).open(_path(source)) as stream:
            return int(json.load(stream)["weeks"])
    except FileNotFoundError:
        return 0


def fixed_weeks(source: Source, landing: Landing, batches: Sequence[LandedBatch], now: datetime) -> int:
    """The shift of a source; fixed now, from the newest day of ``batches``, if it is not yet."""
    store = landing.store(source.rows.asset)
    if source.rows.shift_to is None or store.exists(_path(source)):
        return remembered_weeks(source, landing)
    unmoved = Library(source, landing, batches, weeks=0)
    newest = max((day for batch in unmoved.facts if (day := unmoved.describe(batch).newest)), default=None)
    if newest is None:
        return 0
    today = now.astimezone(ZoneInfo(landing.timezone)).date()
    target = today - timedelta(days=1) if source.rows.shift_to == "yesterday" else source.rows.shift_to
    weeks = weeks_to(newest, target)
    note = {"weeks": weeks, "newest": newest.isoformat(), "target": target.isoformat()}
    return int(json.loads(store.put_once(json.dumps(note).encode(), _path(source)))["weeks"])


def weeks_to(newest: date, target: date) -> int:
    """Whole weeks that move ``newest`` on or just before ``target``; negative if it is after."""
    return (target - newest).days // 7


def _path(source: Source) -> str:
    """Another wish is another shift, fixed anew."""
    wish = hashlib.blake2b(str(source.rows.shift_to).encode(), digest_size=4).hexdigest()
    return f"shifts/{source.name}-{wish}.json"
