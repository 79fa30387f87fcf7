"""Pages of a list: where one ends and the next begins, by the key of the last row.

A cursor is a text that only the list it comes from can read: the key, which state of the data it was of, and what was
asked for. A page never repeats or leaves out a row of that state; where the data have moved on in between, the list
says so (410) and is begun anew."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import orjson
import xxhash
from fastapi import Query

from forecast_platform.api.problems import RESPONSES, Problem

MOST_A_PAGE = 1_000

Limit = Annotated[int, Query(ge=1, le=MOST_A_PAGE, description="Items of a page at most.", examples=[100])]
Cursor = Annotated[
    str | None,
    Query(
        max_length=4_096,
        pattern=r"^[A-Za-z0-9_=-]+$",
        description="`next_cursor` of the page before; with the same parameters otherwise.",
        examples=["WyI5YzE0Il0="],
    ),
]

MOVED_ON = {410: {**RESPONSES[401], "description": "What is served has changed since the first page: begin anew."}}
"""For the OpenAPI: what a list of one state answers to a cursor of another."""


@dataclass(frozen=True)
class Key:
    """What a list is ordered by: an SQL expression that is never null, and the kind of its values."""

    sql: str
    kind: type[str] | type[float] | type[int] | type[date] = str
    descending: bool = False


@dataclass(frozen=True)
class Page:
    """What of a list is asked for.

    Attributes:
        state: names the state of the data; one cursor never goes on in another.
        asked: names the list and its filters.
        keys: what it is ordered by; together they are unique.
    """

    limit: int
    state: str
    asked: str
    keys: tuple[Key, ...]
    after: tuple[Any, ...] | None = None

    @property
    def condition(self) -> str:
        """SQL that holds for the rows after the cursor's; it takes ``parameters``."""
        if self.after is None:
            return "true"
        names = [f":after_{n}" for n in range(len(self.keys))]
        if not any(key.descending for key in self.keys):
            # As one comparison, an index on the keys finds where to begin.
            return f"({', '.join(key.sql for key in self.keys)}) > ({', '.join(names)})"
        ways = []
        for n, key in enumerate(self.keys):
            same = [f"{before.sql} = {name}" for before, name in zip(self.keys[:n], names, strict=False)]
            ways.append(" and ".join([*same, f"{key.sql} {'<' if key.descending else '>'} {names[n]}"]))
        return "(" + " or ".join(f"({way})" for way in ways) + ")"

    @property
    def order(self) -> str:
        """What follows ``order by``."""
        return ", ".join(f"{key.sql} desc" if key.descending else key.sql for key in self.keys)

    @property
    def parameters(self) -> dict[str, Any]:
        """Of ``condition``, and ``:limit``: one more than a page, to see whether there is another."""
        return {f"after_{n}": value for n, value in enumerate(self.after or ())} | {"limit": self.limit + 1}

    def cut(self, rows: Sequence[Any], key_of: Any) -> tuple[Sequence[Any], str | None]:
        """The page's rows, and the cursor of the next one; ``key_of`` gives the values of ``keys`` of a row."""
        if len(rows) <= self.limit:
            return rows, None
        kept = rows[: self.limit]
        return kept, self._cursor(key_of(kept[-1]))

    def _cursor(self, last: Sequence[Any]) -> str:
        return base64.urlsafe_b64encode(orjson.dumps([self.state, self.asked, *last])).decode()


def page_of(
    *,
    limit: int,
    cursor: str | None,
    keys: Sequence[Key],
    asked: Mapping[str, Any],
    state: str = "",
) -> Page:
    """The page that ``cursor`` asks for, or the first.

    Args:
        asked: the list's name and filters: a cursor goes on with the same ones only.
        state: see ``Page``; leave it out where rows are found by their key whatever has changed meanwhile.

    Raises:
        Problem: 422, the cursor is none of this list; 410, it is of another state of the data.
    """
    named = xxhash.xxh3_64_hexdigest(orjson.dumps([sorted(asked.items()), [key.sql for key in keys]], default=str))
    state = xxhash.xxh3_64_hexdigest(state.encode()) if state else ""
    after = None
    if cursor is not None:
        of_state, of_list, *values = _opened(cursor, len(keys) + 2)
        if of_list != named:
            raise _no_cursor("it is of another list, or of other parameters")
        after = tuple(_value(value, key) for value, key in zip(values, keys, strict=True))
        if of_state != state:
            raise Problem(
                410, "cursor-outdated", "what is served has changed since the first page: begin anew, without cursor"
            )
    return Page(limit, state, named, tuple(keys), after)


def _no_cursor(reason: str) -> Problem:
    return Problem(422, "invalid-request", f"this cursor cannot be gone on with: {reason}; begin anew, without cursor")


def _opened(cursor: str, parts: int) -> list[Any]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor))
    except (binascii.Error, ValueError) as error:
        raise _no_cursor("it is none that was given out") from error
    if not isinstance(found, list) or len(found) != parts:
        raise _no_cursor("it is none that was given out")
    return found


def _value(given: Any, key: Key) -> Any:
    """A key's value in its own type: a cursor may have been made up."""
    if key.kind is date and isinstance(given, str):
        try:
            return date.fromisoformat(given)
        except ValueError as error:
            raise _no_cursor("it is none that was given out") from error
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if key.kind is float and number and math.isfinite(given):
        return float(given)
    if key.kind is int and isinstance(given, int) and number and abs(given) < 2**31:
        return given
    if key.kind is str and isinstance(given, str) and "\0" not in given:
        return given
    raise _no_cursor("it is none that was given out")
