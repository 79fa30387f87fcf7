"""Cutting text into records: where a row of a CSV file ends, which rows are whole, and what is wrong with the others.

Done before any CSV parser sees the text, so that a bad row costs only itself: a line of 100 MB is dropped without
being held, an unclosed quote swallows one line and not the rest of the file, and row numbers stay right. The common
case is a few numpy passes over a block; a block with stray quotes is cut record by record. What the fields mean is
in ``parsing``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from forecast_platform.sources.base import Refused
from forecast_platform.sources.layouts import Csv
from forecast_platform.sources.rules import Limits

SHOWN_BYTES = 2_000
"""How much of a broken line is kept for people to look at."""


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no row: its number, what is wrong, and the start of its text."""

    number: int
    reason: str
    text: bytes


@dataclass(frozen=True)
class Records:
    """Whole records of one block.

    Attributes:
        text: the good records, valid UTF-8, each with the right number of fields and a line end.
        numbers: 1-based number of each good record among the rows of the file (header and blank lines apart).
        broken: the others.
    """

    text: bytes
    numbers: np.ndarray
    broken: list[BrokenLine] = field(default_factory=list)


class RecordReader:
    """Cuts blocks of text into records; feed it all blocks, then :meth:`finish`."""

    def __init__(self, *, csv: Csv, limits: Limits) -> None:
        self._delimiter = csv.delimiter.encode()
        self._quote = csv.quote.encode() if csv.quote else None
        self._limit = limits.max_line_bytes
        self._carry = b""
        self._dropping: bytes | None = None
        self._dropped = 0
        self._rows = 0
        self._empty = True
        self._record, self._field, self._quoted = _patterns(self._delimiter, self._quote)
        self.columns: tuple[str, ...] = csv.column_names
        self._max_columns = limits.max_columns

    def feed(self, block: bytes, *, final: bool = False) -> Iterator[Records]:
        """Take a block and give the records that are whole by now.

        Raises:
            Refused: the header cannot be read.
        """
        broken: list[BrokenLine] = []
        self._empty = self._empty and not block.strip()
        text = self._resume(block, broken, final=final)
        if text is not None:
            if final and text and not text.endswith((b"\n", b"\r")):
                text += b"\n"
            if not self.columns:
                text = self._take_header(text, final=final)
            if self.columns:
                yield from self._cut(text, broken, final=final)
                return
            self._carry = text
        if broken:
            yield Records(b"", np.empty(0, np.int64), broken)

    def finish(self) -> Iterator[Records]:
        """Give what is left at the end of the file.

        Raises:
            Refused: the file is empty.
        """
        yield from self.feed(b"", final=True)
        if self._empty:
            raise Refused("it is empty: not even a header line")

    def _resume(self, block: bytes, broken: list[BrokenLine], *, final: bool) -> bytes | None:
        """Put the block behind what is left of the last one; inside an endless line, look only for its end."""
        if self._dropping is None:
            text, self._carry = self._carry + block, b""
            return text
        ends = [at for at in (block.find(b"\n"), block.find(b"\r")) if at >= 0]
        if not ends and not final:
            self._dropped += len(block)
            return None
        end = min(ends) if ends else len(block)
        broken.append(self._broken(f"the line is {self._dropped + end} bytes long; {self._allowed}", self._dropping))
        self._dropping = None
        return block[end:]

    @property
    def _allowed(self) -> str:
        return f"limits.max_line_bytes is {self._limit}"

    def _broken(self, reason: str, text: bytes) -> BrokenLine:
        self._rows += 1
        return BrokenLine(self._rows, reason, text[:SHOWN_BYTES])

    def _take_header(self, text: bytes, *, final: bool) -> bytes:
        text = text.lstrip(b"\r\n")
        match = self._record.match(text, 0, self._limit + 1)
        if match is None or (match.end() == len(text) and not final):
            if len(text) > self._limit:
                raise Refused(f"its header line has no end within {self._limit} bytes: is it text, one row a line?")
            return text
        try:
            names = tuple(self._plain(name).decode("utf-8").strip() for name in self._fields(match[0].rstrip(b"\r\n")))
        except UnicodeDecodeError as error:
            raise Refused(f"its header line is not UTF-8 ({error}): set csv.encoding, as cp1252") from error
        if len(names) > self._max_columns:
            raise Refused(f"it has {len(names)} columns; limits.max_columns is {self._max_columns}")
        self.columns = names
        return text[match.end() :]

    def _cut(self, text: bytes, broken: list[BrokenLine], *, final: bool) -> Iterator[Records]:
        cut = self._cut_regular(text)
        if cut is None:
            yield self._cut_by_record(text, broken, final=final)
            return
        starts, ends, fields, rest = cut
        self._carry = text[rest:]
        yield self._checked(text, starts, ends, fields, broken)
        if len(self._carry) > self._limit or (final and self._carry):
            carry, self._carry = self._carry, b""
            yield self._cut_by_record(carry, [], final=final)

    def _cut_regular(self, text: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, int] | None:
        """Starts, ends (line end excluded), field counts and the start of the rest; None if quotes are irregular.

        Quotes are regular if each opens at the start of a field, closes at its end, or is doubled: then a line end
        with an even number of quotes before it ends a record.
        """
        data = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(data == 10)
        if b"\r" in text:
            returns = np.flatnonzero(data == 13)
            returns = returns[returns < len(data) - 1]
            ends = np.union1d(ends, returns[data[returns + 1] != 10])
        delimiters = np.flatnonzero(data == self._delimiter[0])
        if self._quote is not None and self._quote in text:
            quotes = np.flatnonzero(data == self._quote[0])
            if not self._regular(data, quotes):
                return None
            ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
            delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
        rest = int(ends[-1]) + 1 if len(ends) else 0
        starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
        counts = np.bincount(np.searchsorted(ends, delimiters[delimiters < rest]), minlength=len(ends)) + 1
        stops = ends - ((data[np.maximum(ends - 1, 0)] == 13) & (ends > starts))
        wrong = (counts != len(self.columns)) & (stops > starts)
        if wrong.any() and any(_spans_lines(text, starts[i], stops[i]) for i in np.flatnonzero(wrong)):
            return None
        return starts, stops, counts, rest

    def _regular(self, data: np.ndarray, quotes: np.ndarray) -> bool:
        opening, closing = quotes[0::2], quotes[1::2]
        marks = np.frombuffer(self._delimiter + b"\r\n" + self._quote, np.uint8)
        before = data[np.maximum(opening - 1, 0)]
        doubled = np.zeros(len(opening), bool)
        doubled[1:] = opening[1:] - 1 == closing[: len(opening) - 1]
        opens = np.isin(before, marks[:-1]) | doubled | (opening == 0)
        after = data[np.minimum(closing + 1, len(data) - 1)]
        closes = np.isin(after, marks) | (closing == len(data) - 1)
        return bool(opens.all() and closes.all())

    def _cut_by_record(self, text: bytes, broken: list[BrokenLine], *, final: bool) -> Records:
        """Cut one record after the other; one over several lines that cannot be right loses only its first."""
        good: list[bytes] = []
        numbers: list[int] = []
        at = 0
        while at < len(text):
            match = self._record.match(text, at, at + self._limit + 2)
            if match is None:
                if len(text) - at <= self._limit and not final:
                    break
                at, reason = self._first_line(text, at, final=final)
                if reason is None:
                    return self._gathered(good, numbers, broken)
                broken.append(reason)
                continue
            record = match[0].rstrip(b"\r\n")
            if match[0].endswith(b"\r") and match.end() == len(text) and not final:
                break
            fields = len(self._fields(record))
            if _spans_lines(record, 0, len(record)) and (fields != len(self.columns) or self._torn(record)):
                at, reason = self._first_line(text, at, final=True)
                broken.append(reason)
                continue
            at = match.end()
            if record:
                wrong = self._wrong(record, fields)
                if wrong:
                    broken.append(self._broken(wrong, record))
                else:
                    self._rows += 1
                    good.append(record)
                    numbers.append(self._rows)
        self._carry = text[at:]
        return self._gathered(good, numbers, broken)

    def _first_line(self, text: bytes, at: int, *, final: bool) -> tuple[int, BrokenLine | None]:
        """Give up the physical line at ``at``: where the next begins, or None while an endless line goes on."""
        match = re.compile(rb"[\r\n]").search(text, at)
        if match is None and not final:
            self._dropping, self._dropped = text[at : at + SHOWN_BYTES], len(text) - at
            return len(text), None
        end = match.start() if match else len(text)
        size = end - at
        reason = f"the line is {size} bytes long; {self._allowed}" if size > self._limit else "a quote is not closed"
        line = self._broken(reason, text[at : min(end, at + SHOWN_BYTES)])
        return (end + 2 if text[end : end + 2] == b"\r\n" else end + 1), line

    def _fields(self, record: bytes) -> list[bytes]:
        return self._field.findall(record)

    def _torn(self, record: bytes) -> bool:
        """Whether text follows a closing quote: over several lines, a quote that was opened by mistake."""
        return any(f[:1] == self._quote and not self._quoted.fullmatch(f) for f in self._fields(record))

    def _plain(self, field: bytes) -> bytes:
        """A field without its quotes."""
        if self._quote is None or not field.startswith(self._quote):
            return field
        inside, _, tail = field[1:].rpartition(self._quote)
        return inside.replace(self._quote * 2, self._quote) + tail

    def _wrong(self, record: bytes, fields: int) -> str | None:
        if len(record) > self._limit:
            return f"the line is {len(record)} bytes long; {self._allowed}"
        if fields != len(self.columns):
            return f"the row has {fields} fields, the header {len(self.columns)}"
        if b"\0" in record:
            return "the row holds a NUL character"
        try:
            record.decode("utf-8")
        except UnicodeDecodeError as error:
            return (
                f"the row has bytes that are no text in the file's encoding: {error.object[error.start : error.end]!r}"
            )
        return None

    def _gathered(self, good: list[bytes], numbers: list[int], broken: list[BrokenLine]) -> Records:
        text = b"\n".join([*good, b""]) if good else b""
        return Records(text, np.array(numbers, np.int64), broken)

    def _checked(
        self, text: bytes, starts: np.ndarray, ends: np.ndarray, fields: np.ndarray, broken: list[BrokenLine]
    ) -> Records:
        """Number the records, and take out those that are blank, too long, of other fields or not UTF-8."""
        some = ends > starts
        suspect = some & ((fields != len(self.columns)) | (ends - starts > self._limit))
        if b"\0" in text or not _is_utf8(text):
            suspect = some.copy()
        numbers = self._rows + np.cumsum(some)
        bad = np.zeros(len(starts), bool)
        first = self._rows
        for i in np.flatnonzero(suspect):
            record = text[starts[i] : ends[i]]
            wrong = self._wrong(record, int(fields[i]))
            if wrong is not None:
                bad[i] = True
                broken.append(BrokenLine(int(numbers[i]), wrong, record[:SHOWN_BYTES]))
        self._rows = first + int(some.sum())
        good = some & ~bad
        if good.all():
            body = text[: int(ends[-1])] + b"\n" if len(ends) else b""
        else:
            body = b"".join(text[a:b] + b"\n" for a, b in zip(starts[good], ends[good], strict=True))
        return Records(body, numbers[good], broken)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _spans_lines(text: bytes, start: int, end: int) -> bool:
    return text.find(b"\n", start, end) >= 0 or text.find(b"\r", start, end) >= 0


def _patterns(delimiter: bytes, quote: bytes | None) -> tuple[re.Pattern[bytes], ...]:
    """One record with its line end; one field with the delimiter before it; a quoted field that ends with its quote.

    Possessive quantifiers: no backtracking, so no text makes them slow.
    """
    mark = re.escape(delimiter)
    plain = rb"[^" + mark + rb"\r\n]*+"
    field, quoted = plain, rb"(?!)"
    if quote is not None:
        sign = re.escape(quote)
        quoted = sign + rb"(?:[^" + sign + rb"]++|" + sign * 2 + rb")*+" + sign
        field = rb"(?:" + quoted + plain + rb"|(?!" + sign + rb")" + plain + rb")"
    record = field + rb"(?:" + mark + field + rb")*+(?:\r\n|\n|\r)"
    return re.compile(record), re.compile(rb"(?:\A|" + mark + rb")(" + field + rb")"), re.compile(quoted)
