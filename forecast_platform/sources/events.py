"""Posted events as text: what a JSON object must be to become a row, and what is wrong with one that cannot.

Here an event becomes the cells of a row, or a refusal with a reason; a mark says that a day is over. What the cells
mean is read by ``rows``, as for any other source; keeping them is in ``inbox``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import chain
from types import NoneType
from typing import Any, NoReturn

from forecast_platform.sources.parsing import shown
from forecast_platform.sources.shapes import EVERYWHERE, Events, SalesRows

SALE, END_OF_DAY = "sale", "end_of_day"
"""Types of events; one without a type is a sale."""
SHOWN_CHARACTERS = 1_000
"""How much of a refused event is kept for people to look at."""
PLAIN = frozenset({str, int, float, bool, Decimal, NoneType})
"""Types of values that may be read a field at a time."""
UTF8_BYTES = 4
"""Most of a character."""
WHOLE_NUMBER = 1 << 63
"""A whole number from here on is a typing error, or not meant as a number."""


class Unfit(ValueError):
    """An event that is no sale and no mark. The message says why."""


@dataclass(frozen=True)
class Mark:
    """The sender's word that a business day is over: no more sales of it are expected."""

    day: date


class EventReader:
    """Reads events into cells.

    Args:
        rows: names of the fields, and how large an event may be.
    """

    def __init__(self, rows: Events) -> None:
        self._rows = rows
        self.fields = tuple(dict.fromkeys(name for names in rows.mapped().values() for name in names))
        """The events' own fields that are read, in the order of the cells."""
        self._known = frozenset((*self.fields, "type"))
        location = rows.columns.location
        self._with_default = tuple((name, EVERYWHERE if name == location else "") for name in self.fields)
        self._ends_days = isinstance(rows, SalesRows)
        self._words = {True: rows.true_values[0], False: rows.false_values[0]}

    def read(self, event: object) -> list[str] | Mark:
        """The texts of an event's fields, in the order of ``fields``, or the mark that it is.

        Args:
            event: a mapping, or the JSON text of one.

        Raises:
            Unfit: it is neither a sale nor a mark; whether its values make sense is not known here.
        """
        if isinstance(event, str | bytes | bytearray | memoryview):
            event = self._parsed(event)
        if not isinstance(event, Mapping):
            raise Unfit(f"the event is {_kind(event)}, not a JSON object")
        kind = event.get("type", SALE)
        if kind == END_OF_DAY and self._ends_days:
            return _mark(event)
        if kind != SALE:
            known = f"it is {SALE!r} (or left out) or {END_OF_DAY!r}" if self._ends_days else "leave it out"
            raise Unfit(f"type {_quoted(kind)} is unknown; {known}")
        if self._rows.unknown_fields == "refuse" and not event.keys() <= self._known:
            raise Unfit(self._unknown(event))
        return self._cells(event)

    def read_together(self, events: Sequence[object]) -> list[list[str]] | None:
        """The cells of many events, a list a field, which ``read`` gives of each; it takes a fifth of the time.

        None where not all are plain sales: a mark among them, or anything that looks as if it were unfit.
        """
        try:
            read = [self._parsed(event) if isinstance(event, str | bytes) else event for event in events]
            if set(map(type, read)) != {dict} or any(event.get("type", SALE) != SALE for event in read):
                return None
            if self._rows.unknown_fields == "refuse" and not self._known.issuperset(chain.from_iterable(read)):
                return None
            cells = [self._column(read, name, default) for name, default in self._with_default]
            # A bound of what an event's texts are long together.
            longest = len(cells) + sum(map(_longest, cells))
        except Unfit:
            return None
        return cells if longest <= self._rows.max_event_bytes else None

    def _column(self, events: Sequence[dict], name: str, default: str) -> list[str]:
        values = [event.get(name) for event in events]
        kinds = set(map(type, values))
        if kinds == {str}:
            return values
        if not kinds <= PLAIN:
            raise Unfit(f"{name} is no text, number, true or false somewhere")
        return [
            value if type(value) is str else default if value is None else self._text(name, value) for value in values
        ]

    def _parsed(self, text: str | bytes | bytearray | memoryview) -> Any:
        size, most = len(text), self._rows.max_event_bytes
        if size > most:
            raise Unfit(f"the event is {size} bytes long; max_event_bytes is {most}")
        try:
            # Numbers stay as they were written: a price never goes through a binary float.
            return _ONE_EVENT.decode(text if isinstance(text, str) else bytes(text).decode())
        except UnicodeDecodeError as error:
            raise Unfit(f"the event is not UTF-8: {error.object[error.start : error.end]!r}") from error
        except json.JSONDecodeError as error:
            raise Unfit(f"the event is not JSON: {error}") from error
        except RecursionError as error:
            raise Unfit("the event is nested too deeply") from error

    def _unknown(self, event: Mapping) -> str:
        names = sorted({str(name) for name in event} - self._known)
        said = ", ".join(shown(name) for name in names[:5])
        return f"unknown fields: {said}; known are {', '.join(self.fields)} (unknown_fields: keep lets them pass)"

    def _cells(self, event: Mapping) -> list[str]:
        cells = []
        for name, default in self._with_default:
            value = event.get(name)
            if value is None:
                value = default
            cells.append(value if isinstance(value, str) else self._text(name, value))
        whole = "\x1f".join(cells)
        if "\0" in whole:
            raise Unfit(f"{self._holder(cells, chr(0))} holds a NUL character")
        try:
            size = len(whole if whole.isascii() else whole.encode())
        except UnicodeEncodeError as error:
            raise Unfit(
                f"{self._holder(cells, whole[error.start])} holds a lone surrogate, which is no text"
            ) from error
        if size > self._rows.max_event_bytes:
            raise Unfit(f"the event's fields are {size} bytes long; max_event_bytes is {self._rows.max_event_bytes}")
        return cells

    def _holder(self, cells: list[str], character: str) -> str:
        return next(name for name, cell in zip(self.fields, cells, strict=True) if character in cell)

    def _text(self, name: str, value: object) -> str:
        if isinstance(value, bool):
            return self._words[value]
        if isinstance(value, int):
            return _within(value, name)
        if isinstance(value, float | Decimal):
            if not math.isfinite(value):
                raise Unfit(f"{name} is {value}, not a finite number")
            return str(value)
        raise Unfit(f"{name} is {_kind(value)}; give a text, a number, true or false")


def _longest(column: Sequence[str]) -> int:
    """At least the bytes of a column's longest text, none of which holds what cannot be kept."""
    whole = "".join(column)
    if "\0" in whole:
        raise Unfit("a text holds a NUL character")
    characters = max(map(len, column))
    if whole.isascii():
        return characters
    try:
        whole.encode()
    except UnicodeEncodeError as error:
        raise Unfit("a text holds a lone surrogate") from error
    return characters * UTF8_BYTES


def events_of(array: bytes) -> list[Any]:
    """The events of a JSON array, numbers as they were written; what is wrong with one is left to be said of it.

    Raises:
        Unfit: it is no JSON array.
    """
    try:
        events = _MANY_EVENTS.decode(array.decode())
    except UnicodeDecodeError as error:
        raise Unfit("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise Unfit(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise Unfit("it is nested too deeply") from error
    if not isinstance(events, list):
        raise Unfit(f"it is {_kind(events)}, not a list of events")
    return events


def as_it_came(event: object) -> str:
    """The start of a refused event as text that any database keeps."""
    if isinstance(event, bytes | bytearray | memoryview):
        text = bytes(event[: 4 * SHOWN_CHARACTERS]).decode("utf-8", "backslashreplace")
    elif isinstance(event, str):
        text = event
    else:
        try:
            text = json.dumps(event, default=str)
        except (ValueError, RecursionError, TypeError):
            text = f"{_kind(event)} that JSON has no word for"
    text = text[:SHOWN_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    return text.replace("\0", "\\x00").replace("\r", "\\r").replace("\n", "\\n")


def _mark(event: Mapping) -> Mark:
    if extra := sorted(str(name) for name in event if name not in ("type", "day")):
        raise Unfit(f"an {END_OF_DAY} event has a day and nothing else, not {', '.join(map(shown, extra[:5]))}")
    day = event.get("day")
    try:
        if isinstance(day, str) and len(day) == 10:
            return Mark(date.fromisoformat(day))
    except ValueError:
        pass
    raise Unfit(f"day {_quoted(day)} is no day; write it as 2026-11-20")


def _whole(text: str) -> str:
    if len(text) > 20 or abs(int(text)) >= WHOLE_NUMBER:
        raise Unfit(f"the number {text[:24]}{'…' if len(text) > 24 else ''} is beyond 64 bits")
    return text


def _within(value: int, name: str) -> str:
    if abs(value) >= WHOLE_NUMBER:
        raise Unfit(f"{name} is a number beyond 64 bits")
    return str(value)


def _whole_if_any(text: str) -> str | int:
    """As ``_whole``, but one that is none stays a number, of which the event is refused that holds it."""
    return text if len(text) < 20 and abs(int(text)) < WHOLE_NUMBER else int(text[:24])


def _refuse_constant(name: str) -> NoReturn:
    raise Unfit(f"the event holds {name}, which is not a finite number")


# Made once: a decoder of one's own costs as much as decoding an event with it.
_ONE_EVENT = json.JSONDecoder(parse_float=str, parse_int=_whole, parse_constant=_refuse_constant)
_MANY_EVENTS = json.JSONDecoder(parse_float=str, parse_int=_whole_if_any, parse_constant=float)


def _quoted(value: object) -> str:
    return shown(value) if isinstance(value, str) else _kind(value)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool | int | float | Decimal):
        return "a number" if not isinstance(value, bool) else "true or false"
    return "a text" if isinstance(value, str) else f"a {type(value).__name__}"
