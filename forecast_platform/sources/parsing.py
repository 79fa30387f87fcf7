"""From texts to values: numbers, yes and no, names. Exact, never through a float. Times are in ``clock``.

Each distinct text is read once, because columns repeat themselves: a year of invoices has 700 quantities and 1,600
prices. A text that cannot be read gives a null and a problem that names the column and the value. No row and no
file is known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Texts:
    """A column as distinct texts.

    Attributes:
        indices: int32, one per row: which text; null where the source has none.
        distinct: the texts, white space around them apart; None for one that means null.
        typed: the source's own type was not text, so dates in it are ISO.
        inexact: the source's own type was binary floating point.
    """

    indices: pa.Array
    distinct: list[str | None]
    typed: bool
    inexact: bool


@dataclass(frozen=True)
class Parsed:
    """Values of one column, a null where there is none or it cannot be read, and what is wrong with each (or null)."""

    values: pa.Array
    problems: pa.Array


class Problem(str):
    """Why a text cannot be read."""

    __slots__ = ()


def texts_of(column: pa.ChunkedArray, null_values: Sequence[str]) -> Texts:
    """Split a column into its distinct texts."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.cast(kind.value_type)
        kind = kind.value_type
    textual = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        array = pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.string())
    encoded = array.dictionary_encode()
    values = encoded.dictionary
    distinct = values.to_pylist() if textual else values.cast(pa.string()).to_pylist()
    nulls = set(null_values)
    texts: list[str | None] = []
    for value in distinct:
        text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
        text = text.strip() if text is not None else None
        texts.append(None if text is None or (textual and text in nulls) else text)
    return Texts(encoded.indices, texts, not textual, pa.types.is_floating(kind))


def parsed(texts: Texts, read: Callable[[str], Any], kind: pa.DataType) -> Parsed:
    """Apply ``read`` to each distinct text; a :class:`Problem` it returns is a problem of every row that has it."""
    results = [None if text is None else read(text) for text in texts.distinct]
    return scattered(texts, results, kind)


def scattered(texts: Texts, results: Sequence[Any], kind: pa.DataType) -> Parsed:
    """Give every row the result of its text: a value, a :class:`Problem` or None."""
    values = pa.array([None if isinstance(r, Problem) else r for r in results], kind)
    problems = pa.array([str(r) if isinstance(r, Problem) else None for r in results], pa.string())
    return Parsed(values.take(texts.indices), problems.take(texts.indices))


def shown(text: str) -> str:
    """A value inside a message: quoted, control characters escaped, cut."""
    return repr(text[:60] + ("…" if len(text) > 60 else ""))


_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_EXACT = Context(prec=200)


@dataclass(frozen=True, kw_only=True)
class NumberReader:
    """Reads decimal numbers.

    Attributes:
        column: our name of the column, for messages.
        scale: decimals that are kept. A number with more is refused, never rounded; a binary float is taken for the
            decimal it stands for if that is within 1e-9 of it (2.5500000000000003 is 2.55).
        limit: greatest absolute value, and the setting that says so.
        least: smallest value.
    """

    column: str
    scale: int
    limit: Decimal
    limit_name: str
    least: Decimal | None = None
    decimal: str = "."
    thousands: str | None = None
    inexact: bool = False

    def __call__(self, text: str) -> Decimal | Problem:
        plain = self._plain(text)
        if plain is None or not _NUMBER.fullmatch(plain):
            return Problem(f"{self.column} {shown(text)} is not a finite number")
        try:
            number = _EXACT.create_decimal(plain)
            if abs(number) > self.limit:
                return Problem(f"{self.column} {shown(text)} is beyond {self.limit_name}, {self.limit:f}")
            if self.least is not None and number < self.least:
                return Problem(f"{self.column} {shown(text)} is below {self.least:f}")
            kept = number.quantize(Decimal(1).scaleb(-self.scale), context=_EXACT)
        except InvalidOperation:
            return Problem(f"{self.column} {shown(text)} is not a finite number")
        if kept != number and not (self.inexact and abs(kept - number) <= abs(number) * Decimal("1e-9")):
            return Problem(f"{self.column} {shown(text)} has more than {self.scale} decimals")
        return kept if kept else abs(kept)

    def _plain(self, text: str) -> str | None:
        """The number with a point and without thousands marks; None if they are not in their places."""
        whole, point, part = text.partition(self.decimal)
        if self.thousands is not None and self.thousands in whole:
            groups = whole.lstrip("+-").split(self.thousands)
            if not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:]):
                return None
            whole = whole.replace(self.thousands, "")
        if self.decimal != "." and "." in whole + part:
            return None
        return whole + ("." if point else "") + part


def read_text(column: str, longest: int, *, taken: Collection[str] = ()) -> Callable[[str], str | Problem]:
    """Reader of names: no NUL, which PostgreSQL cannot keep, not endless, and none of those ``taken``."""

    def read(text: str) -> str | Problem:
        if "\0" in text:
            return Problem(f"{column} {shown(text)} holds a NUL character")
        if len(text) > longest:
            return Problem(f"{column} {shown(text)} has {len(text)} characters; limits.max_text is {longest}")
        if text in taken:
            return Problem(f"{column} {shown(text)} is a name of the platform's own; give it another")
        return text

    return read


def read_choice(column: str, choices: Sequence[str]) -> Callable[[str], str | Problem]:
    """Reader of a text that is one of a few, any case."""

    def read(text: str) -> str | Problem:
        if text.lower() in choices:
            return text.lower()
        return Problem(f"{column} {shown(text)} is none of {', '.join(choices)}")

    return read


def read_boolean(column: str, true: Sequence[str], false: Sequence[str]) -> Callable[[str], bool | Problem]:
    """Reader of yes and no."""
    meanings = {text.lower(): True for text in true} | {text.lower(): False for text in false}

    def read(text: str) -> bool | Problem:
        meaning = meanings.get(text.lower())
        if meaning is None:
            return Problem(f"{column} {shown(text)} is neither of true_values nor of false_values")
        return meaning

    return read
