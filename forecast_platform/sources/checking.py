"""What a file would be read as, before it is landed: how many rows are good, what is wrong with the others, which days.

It is read by the very code that reads it once it has landed. Nothing is kept here.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from forecast_platform.sources.base import Refused
from forecast_platform.sources.batches import Landing
from forecast_platform.sources.clock import Clock
from forecast_platform.sources.readings import write_reading
from forecast_platform.sources.shapes import Rows

SHOWN_REASONS, SHOWN_ROWS = 50, 20
"""Reasons that a report names, the most frequent first, and rows of each."""

DELIMITERS = ",;\t"
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
IGNORED = "ignored"


@dataclass(frozen=True)
class Reason:
    """What is wrong with some rows.

    Attributes:
        reason: with the value of the first of them.
        rows: how many they are; numbers: of the first of them, from 1 and without the header.
        example: the first of them as it came, as JSON.
    """

    reason: str
    rows: int
    numbers: tuple[int, ...]
    example: str | None


@dataclass(frozen=True)
class FileReport:
    """What a file would be read as.

    Attributes:
        rows: all of them: good, bad, and those that the settings leave out.
        days: of the good rows.
        refused: why nothing can be read of it; None where it can.
    """

    rows: int
    good: int
    bad: int
    ignored: int
    reasons: tuple[Reason, ...]
    days: tuple[date, ...]
    refused: str | None


def check_file(content: bytes, rows: Rows, landing: Landing, received_at: datetime, *, weeks: int = 0) -> FileReport:
    """Read a CSV file as it will be read once it has landed.

    Args:
        rows: how the source's rows look; it looks nothing up in side files.
        weeks: by how many weeks the source's days are moved.
    """
    clock = Clock(
        zone=landing.timezone,
        source_zone=rows.timezone or landing.timezone,
        ambiguous=rows.ambiguous,
        nonexistent=rows.nonexistent,
        weeks=weeks,
        earliest=rows.limits.earliest,
        received_at=received_at,
    )
    with tempfile.TemporaryDirectory(prefix="forecast-upload-") as folder:
        target = Path(folder) / "reading.parquet"
        made = write_reading(
            io.BytesIO(content), target, rows=rows, form="csv", clock=clock, sides=tuple, where="this source"
        )
        table = pq.read_table(target, columns=["day", "row_number", "reason", "payload"])
    if made.refused is not None:
        return FileReport(0, 0, 0, 0, (), (), made.refused)
    said: list[str | None] = table["reason"].to_pylist()
    wrong = [at for at, reason in enumerate(said) if reason is not None]
    ignored = sum(1 for at in wrong if str(said[at]).startswith(IGNORED))
    bad = len(wrong) - ignored
    good_days = {day for day, reason in zip(table["day"].to_pylist(), said, strict=True) if reason is None}
    return FileReport(
        rows=len(said),
        good=len(said) - len(wrong),
        bad=bad,
        ignored=ignored,
        reasons=_reasons(table, wrong),
        days=tuple(sorted(good_days)),
        refused=None,
    )


def _reasons(table: pa.Table, wrong: Sequence[int]) -> tuple[Reason, ...]:
    """Rows with the same thing wrong, whatever their values, together."""
    rows = table.take(pa.array(wrong, pa.int64())).to_pylist()
    groups: dict[str, list[dict]] = {}
    for row in sorted(rows, key=lambda row: row["row_number"]):
        groups.setdefault(_QUOTED.sub("…", row["reason"]), []).append(row)
    found = [
        Reason(
            reason=group[0]["reason"],
            rows=len(group),
            numbers=tuple(row["row_number"] for row in group[:SHOWN_ROWS]),
            example=group[0]["payload"],
        )
        for group in groups.values()
    ]
    return tuple(sorted(found, key=lambda each: -each.rows)[:SHOWN_REASONS])


def as_delimited(content: bytes, rows: Rows) -> bytes:
    """A file with the source's delimiter between its fields, where its first line shows that it has another one.

    A spreadsheet writes ``;`` in one country and ``,`` in the next; everything else stays as it is written.

    Raises:
        Refused: it cannot be told apart into fields.
    """
    head = content.partition(b"\n")[0].decode(rows.csv.encoding, "replace")
    others = [mark for mark in DELIMITERS if mark != rows.csv.delimiter and mark in head]
    if rows.csv.delimiter in head or len(others) != 1 or rows.csv.column_names:
        return content
    encoding = "utf-8-sig" if rows.csv.encoding.lower() in ("utf-8", "utf8") else rows.csv.encoding
    quote = rows.csv.quote or '"'
    try:
        text = io.StringIO(content.decode(encoding), newline="")
        written = io.StringIO(newline="")
        writer = csv.writer(written, delimiter=rows.csv.delimiter, quotechar=quote, lineterminator="\r\n")
        writer.writerows(csv.reader(text, delimiter=others[0], quotechar=quote, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"its fields, apart by {others[0]!r}, cannot be told: {error}") from error
    return written.getvalue().encode(rows.csv.encoding)
