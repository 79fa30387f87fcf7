"""From texts to instants and business days: time zones, hours that come twice, the shift by whole weeks.

A business day is a date in the tenant's time zone. Which rows have which texts is in ``parsing``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.sources.parsing import Parsed, Texts, shown

LATEST = date(2199, 12, 31)
"""Days after this are typing errors, or mean 'for ever' where a day is wanted."""
GRACE = timedelta(hours=24)
"""Nothing has been sold or counted later than this after it arrived: clocks are wrong, but not by days."""

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?))?)?",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How the times of one batch are read.

    Attributes:
        zone: IANA zone of the tenant.
        source_zone: zone of times that name none.
        ambiguous, nonexistent: the settings' rules for local times that come twice or not at all.
        weeks: by how many weeks all days are moved; the time of day stays.
        earliest: days before, as the source writes them, are refused.
        received_at: when the batch arrived, aware.
    """

    zone: str
    source_zone: str
    ambiguous: Literal["first", "second", "reject"]
    nonexistent: Literal["shift_forward", "reject"]
    weeks: int
    earliest: date
    received_at: datetime

    @property
    def arrival_day(self) -> date:
        """The business day on which the batch arrived."""
        return self.received_at.astimezone(ZoneInfo(self.zone)).date()

    def instants(self, texts: Texts, form: str, column: str) -> tuple[Parsed, Parsed]:
        """Read texts as instants of the past: ``timestamp[us, UTC]`` and the business day as ``date32``.

        A problem: no date and time, a local time that the rules reject, before ``earliest``, or more than
        :data:`GRACE` after the batch arrived.
        """
        found = _moments(texts, form)
        problems = _unreadable(texts, found, f"{column} {{}} is not a date and time ({form})")
        utc = self._utc(found)
        _name(
            problems,
            texts,
            found,
            utc,
            f"{column} {{}} comes twice or not at all when clocks change ({self.source_zone})",
        )
        days = _days(utc, self.zone)
        self._bound(problems, texts, days, column)
        utc = self._moved(utc)
        late = np.asarray(utc > pd.Timestamp(self.received_at + GRACE).tz_convert("UTC"))
        self._future(problems, texts, late, column)
        return _scatter(texts, utc.asi8, pa.timestamp("us", "UTC"), problems), _scatter_days(
            texts, _days(utc, self.zone), problems
        )

    def days(self, texts: Texts, form: str, column: str, *, past: bool) -> Parsed:
        """Read texts as days; a time in them is left out. ``past``: days to come are a problem."""
        found = _moments(texts, form)
        problems = _unreadable(texts, found, f"{column} {{}} is not a date ({form})")
        zone = ZoneInfo(self.zone)
        local = [None if m is None else m.astimezone(zone).replace(tzinfo=None) if m.tzinfo else m for m in found]
        days = np.array(local, "datetime64[us]").astype("datetime64[D]")
        self._bound(problems, texts, days, column)
        days = days + np.timedelta64(7 * self.weeks, "D")
        if past:
            last = np.datetime64((self.received_at + GRACE).astimezone(zone).date())
            self._future(problems, texts, days > last, column)
        return _scatter_days(texts, days, problems)

    def updates(self, texts: Texts, form: str, column: str) -> Parsed:
        """Read texts as instants that only tell newer from older: ``timestamp[us, UTC]``, not moved."""
        found = _moments(texts, form)
        problems = _unreadable(texts, found, f"{column} {{}} is not a date and time ({form})")
        utc = self._utc(found)
        _name(
            problems,
            texts,
            found,
            utc,
            f"{column} {{}} comes twice or not at all when clocks change ({self.source_zone})",
        )
        return _scatter(texts, utc.asi8, pa.timestamp("us", "UTC"), problems)

    def _utc(self, found: Sequence[datetime | None]) -> pd.DatetimeIndex:
        """Instants of what was found; NaT where the rules reject a local time."""
        naive = np.array([None if m is None or m.tzinfo else m for m in found], "datetime64[us]")
        aware = np.array(
            [m.astimezone(UTC).replace(tzinfo=None) if m and m.tzinfo else None for m in found], "datetime64[us]"
        )
        local = pd.DatetimeIndex(naive).tz_localize(
            self.source_zone,
            ambiguous="NaT" if self.ambiguous == "reject" else np.full(len(naive), self.ambiguous == "first"),
            nonexistent="NaT" if self.nonexistent == "reject" else "shift_forward",
        )
        utc = local.tz_convert("UTC").tz_localize(None).to_numpy()
        return pd.DatetimeIndex(np.where(np.isnat(aware), utc, aware)).as_unit("us").tz_localize("UTC")

    def _moved(self, utc: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Moved by whole weeks of local time; an hour that is skipped or comes twice then: the next, the first."""
        if not self.weeks:
            return utc
        local = utc.tz_convert(self.zone).tz_localize(None) + timedelta(weeks=self.weeks)
        moved = local.tz_localize(self.zone, ambiguous=np.ones(len(local), bool), nonexistent="shift_forward")
        return moved.tz_convert("UTC")

    def _bound(self, problems: list[str | None], texts: Texts, days: np.ndarray, column: str) -> None:
        for at in np.flatnonzero(days < np.datetime64(self.earliest)):
            problems[at] = f"{column} {shown(texts.distinct[at])} is before limits.earliest, {self.earliest}"
        for at in np.flatnonzero(days > np.datetime64(LATEST)):
            problems[at] = f"{column} {shown(texts.distinct[at])} is after {LATEST}"

    def _future(self, problems: list[str | None], texts: Texts, late: np.ndarray, column: str) -> None:
        for at in np.flatnonzero(late):
            text = shown(texts.distinct[at])
            problems[at] = problems[at] or f"{column} {text} is in the future: more than 24 hours after it arrived"


def _moments(texts: Texts, form: str) -> list[datetime | None]:
    """The date and time that each distinct text is, naive or aware; None where it is none."""
    if form == "iso" or texts.typed:
        return [None if text is None else _iso(text) for text in texts.distinct]
    return [None if text is None else _strptime(text, form) for text in texts.distinct]


def _iso(text: str) -> datetime | None:
    if not _ISO.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" UTC", "Z").replace(" +", "+").replace(" -", "-"))
    except ValueError:
        return None
    return moment if 1 < moment.year < 9999 or moment.tzinfo is None else None


def _strptime(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _unreadable(texts: Texts, found: Sequence[datetime | None], message: str) -> list[str | None]:
    return [
        message.format(shown(text)) if text is not None and moment is None else None
        for text, moment in zip(texts.distinct, found, strict=True)
    ]


def _name(problems: list, texts: Texts, found: Sequence, utc: pd.DatetimeIndex, message: str) -> None:
    """Say what is wrong with a time that was found and yet is no instant."""
    for at in np.flatnonzero(np.asarray(utc.isna())):
        if found[at] is not None:
            problems[at] = message.format(shown(texts.distinct[at]))


def _days(utc: pd.DatetimeIndex, zone: str) -> np.ndarray:
    return utc.tz_convert(zone).tz_localize(None).to_numpy().astype("datetime64[D]")


def _scatter(texts: Texts, values: np.ndarray, kind: pa.DataType, problems: list[str | None]) -> Parsed:
    wrong = np.array([problem is not None for problem in problems], bool) | (values == np.iinfo(np.int64).min)
    array = pa.array(values, pa.int64(), mask=wrong).cast(kind)
    return Parsed(array.take(texts.indices), pa.array(problems, pa.string()).take(texts.indices))


def _scatter_days(texts: Texts, days: np.ndarray, problems: list[str | None]) -> Parsed:
    wrong = np.array([problem is not None for problem in problems], bool) | np.isnat(days)
    array = pa.array(np.where(wrong, 0, days.astype(np.int64)).astype(np.int32), pa.int32(), mask=wrong)
    return Parsed(array.cast(pa.date32()).take(texts.indices), pa.array(problems, pa.string()).take(texts.indices))
