"""A table or query of a database as a source: cut into pages that stay the same while their rows do.

A page holds the rows of one day, or of one range of whole numbers, of the column that the settings name. So a row
that is added or changed makes one other page, and a table that is pruned makes smaller pages, whose rows are landed
already. What becomes of the pages is in ``landing``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from forecast_platform.database_errors import can_pass
from forecast_platform.sources.base import Arrival, SourceError, SourceUnavailable, resolve_url
from forecast_platform.sources.places import Query
from forecast_platform.sources.shapes import Rows


@dataclass(frozen=True)
class _Page:
    """A range of the paging column, from ``low`` up to but not ``high``; both None: the rows that have no value."""

    name: str
    low: Any
    high: Any

    def holds(self, value: Any) -> bool:
        return value is None if self.low is None else value is not None and self.low <= value < self.high


_RISING: dict[type, Callable[[str], Any]] = {
    int: int,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    Decimal: Decimal,
    float: float,
}
"""Types of a column that new rows raise, and how their text is read; others are compared as text."""


class SqlSource:
    """Rows of a database.

    Args:
        name: of the source.
        query: where the rows are.
        rows: how they look.
        variables: fill ``${NAME}`` in the URL.
    """

    def __init__(self, *, name: str, query: Query, rows: Rows, variables: Mapping[str, str]) -> None:
        self.name = name
        self.rows = rows
        self._query = query
        self._variables = variables

    def discover(
        self, *, now: datetime, first: date | None = None, last: date | None = None, since: str | None = None
    ) -> Iterator[Arrival]:
        """Give the pages, one after the other, each a Parquet file.

        Paged by day, only pages of the days asked for are read, and one before and after, because the database's
        day may begin at another hour than the tenant's. With ``since`` only pages with a row that is as new or newer.
        All pages are read in one transaction.

        Raises:
            SourceUnavailable: the database is away or locked.
            SourceError: the database, the table or a column is not there, or refuses the user.
        """
        with self._connected() as connection:
            origin = self._origin(connection)
            page_by = self._column(origin, "page_by")
            held = None if since is None else self._values_since(connection, origin, page_by, since)
            for page in self._pages(connection, origin, page_by, first, last):
                if held is not None and not any(page.holds(value) for value in held):
                    continue
                rows, names = _fetched(connection, origin, page_by, page)
                if rows:
                    yield _arrival(f"{self._query.table or 'query'}/{page.name}", rows, names)

    def high_water(self, *, now: datetime) -> str:
        """The greatest value of the column that new rows raise, and how many rows there are, as JSON.

        Raises:
            SourceError: the database, the table or a column is not there.
        """
        with self._connected() as connection:
            origin = self._origin(connection)
            newest, rows = connection.execute(
                sa.select(sa.func.max(self._rising(origin)), sa.func.count()).select_from(origin)
            ).one()
        newest = int(newest) if isinstance(newest, Decimal) and newest == int(newest) else newest
        kind = next((kind for kind in _RISING if isinstance(newest, kind)), str)
        return json.dumps({"newest": None if newest is None else str(newest), "kind": kind.__name__, "rows": rows})

    def _rising(self, origin: sa.FromClause) -> sa.ColumnElement:
        return self._column(origin, "high_water" if self._query.high_water else "page_by")

    def _values_since(
        self, connection: sa.Connection, origin: sa.FromClause, page_by: sa.ColumnElement, since: str
    ) -> list[Any] | None:
        """Values of the paging column in the rows that are as new as ``since`` or newer; None: in any."""
        told = json.loads(since)
        if told["newest"] is None:
            return None
        read = {kind.__name__: parse for kind, parse in _RISING.items()}.get(told["kind"], str)
        query = sa.select(page_by).distinct().where(self._rising(origin) >= read(told["newest"]))
        return list(connection.execute(query).scalars())

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        engine = None
        try:
            engine = sa.create_engine(resolve_url(self._query.url, self._variables), poolclass=sa.NullPool)
            with engine.connect() as connection:
                if engine.dialect.name == "postgresql":
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                yield connection
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            # Messages of drivers may hold the password of the URL; the first line of what they say does not.
            said = str(getattr(error, "orig", None) or error).splitlines()[0][:300]
            kind = SourceUnavailable if can_pass(error) else SourceError
            raise kind(f"the database of the source {self.name!r} cannot be read: {said}") from None
        finally:
            if engine is not None:
                engine.dispose()

    def _origin(self, connection: sa.Connection) -> sa.FromClause:
        """The table, or the query as a table."""
        if self._query.table is not None:
            schema, _, table = self._query.table.rpartition(".")
            return sa.Table(table, sa.MetaData(), schema=schema or None, autoload_with=connection)
        text = (self._query.query or "").strip().rstrip(";")
        found = connection.execute(sa.text(f"select * from ({text}) as asked where 1 = 0"))
        return sa.text(text).columns(*(sa.column(name) for name in list(found.keys()))).subquery("asked")

    def _column(self, origin: sa.FromClause, setting: str) -> sa.ColumnElement:
        name = getattr(self._query, setting)
        if name not in origin.c:
            known = ", ".join(origin.c.keys())
            raise SourceError(
                f"{setting} of the source {self.name!r} is {name!r}, which is no column; there are {known}"
            )
        return origin.c[name]

    def _pages(
        self,
        connection: sa.Connection,
        origin: sa.FromClause,
        page_by: sa.ColumnElement,
        first: date | None,
        last: date | None,
    ) -> Iterator[_Page]:
        low, high, count, some = connection.execute(
            sa.select(sa.func.min(page_by), sa.func.max(page_by), sa.func.count(), sa.func.count(page_by)).select_from(
                origin
            )
        ).one()
        if some < count:
            yield _Page("none", None, None)
        if low is None:
            return
        if isinstance(low, Decimal) and low == int(low) and high == int(high):
            low, high = int(low), int(high)
        if isinstance(low, bool) or not isinstance(low, int | date | str):
            raise SourceError(
                f"page_by {self._query.page_by!r} holds {low!r}: it must be a whole number, a date or a time"
            )
        if isinstance(low, int):
            yield from _number_pages(low, int(high), self._query.page_size)
        else:
            yield from self._day_pages(low, high, first, last)

    def _day_pages(self, low: date | str, high: date | str, first: date | None, last: date | None) -> Iterator[_Page]:
        start, end = _day(low, self._query.page_by), _day(high, self._query.page_by)
        slack = timedelta(days=1)
        start = max(start, first - slack) if first is not None else start
        end = min(end, last + slack) if last is not None else end
        for offset in range((end - start).days + 1):
            day = start + timedelta(days=offset)
            yield _Page(day.isoformat(), _like(day, low), _like(day + slack, low))


def _number_pages(low: int, high: int, size: int) -> Iterator[_Page]:
    """Pages whose bounds are multiples of ``size``: they stay when rows come and go."""
    for start in range(low // size * size, high + 1, size):
        yield _Page(f"{start}-{start + size - 1}", start, start + size)


def _day(value: date | str, column: str) -> date:
    if isinstance(value, datetime):
        return value.astimezone(UTC).date() if value.tzinfo else value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise SourceError(
            f"page_by {column!r} holds the text {value!r}: it must be a whole number, a date or a time"
        ) from None


def _like(day: date, value: date | str) -> date | str:
    """The start of ``day``, in the type of ``value``."""
    if isinstance(value, datetime):
        return datetime.combine(day, time(), UTC if value.tzinfo else None)
    return day if isinstance(value, date) else day.isoformat()


def _fetched(
    connection: sa.Connection, origin: sa.FromClause, page_by: sa.ColumnElement, page: _Page
) -> tuple[list[tuple], list[str]]:
    """The rows of a page, in an order that depends on their content only."""
    inside = page_by.is_(None) if page.low is None else sa.and_(page_by >= page.low, page_by < page.high)
    result = connection.execute(sa.select(origin).where(inside))
    names = list(result.keys())
    return sorted((tuple(row) for row in result), key=_canonical), names


def _canonical(row: Sequence[Any]) -> str:
    return json.dumps([None if v is None else [type(v).__name__, str(v)] for v in row], ensure_ascii=False)


def _arrival(name: str, rows: list[tuple], names: list[str]) -> Arrival:
    digest = hashlib.sha256(json.dumps(names).encode())
    for row in rows:
        digest.update(_canonical(row).encode("utf-8", "surrogatepass"))
    columns = [_column([row[at] for row in rows]) for at in range(len(names))]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, names), buffer, compression="zstd")
    content = buffer.getvalue()
    return Arrival(
        name=name, open=lambda: io.BytesIO(content), format="parquet", order=name, identity=digest.hexdigest()
    )


_TYPES: tuple[tuple[type, pa.DataType], ...] = (
    (bool, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
    (date, pa.date32()),
)


def _column(values: list[Any]) -> pa.Array:
    """A column with the one type its values have, else as text; exact either way."""
    kinds = {type(value) for value in values if value is not None}
    for python, arrow in _TYPES:
        if kinds == {python} and (python is not int or all(v is None or abs(v) < 2**63 for v in values)):
            return pa.array(values, arrow)
    if kinds == {datetime}:
        aware = {value.tzinfo is not None for value in values if value is not None}
        if len(aware) == 1:
            return pa.array(values, pa.timestamp("us", "UTC" if aware == {True} else None))
    return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value).encode("utf-8", "backslashreplace").decode()
