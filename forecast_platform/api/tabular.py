"""Answers as tables: CSV or Parquet where ``Accept`` asks for it, streamed, with as much in memory as one block.

A table is whole, without pages. It is read in one session, so it is of one state of the data; where that breaks off,
so does the answer, without the chunk that would end it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import xxhash
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from forecast_platform.api.answers import LATEST, matches
from forecast_platform.api.problems import Problem
from forecast_platform.spreadsheets import FORMULA

Form = Literal["json", "csv", "parquet"]

MEDIA_TYPES: dict[str, Form] = {
    "application/json": "json",
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
}
TABLES: dict[str, Any] = {
    "text/csv": {"schema": {"type": "string"}, "example": "sku,location,mean\nsku 1,north,10.4\n"},
    "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}, "example": "PAR1"},
}
"""``content`` of a list's answers that are tables, for the OpenAPI."""

NOT_ACCEPTABLE: dict[int | str, dict[str, Any]] = {406: {"description": "None of the forms in `Accept` is to be had."}}


def wanted_form(request: Request, *, forms: Iterable[Form] = ("json", "csv", "parquet")) -> Form:
    """The form that ``Accept`` prefers; JSON where it does not care.

    Raises:
        Problem: 406, it takes none of ``forms``.
    """
    offered = {media_type: form for media_type, form in MEDIA_TYPES.items() if form in forms}
    best, chosen = 0.0, None
    for media_type, form in offered.items():
        quality = _quality(request.headers.get("accept", "*/*"), media_type)
        if quality > best:
            best, chosen = quality, form
    if chosen is None:
        raise Problem(406, "not-acceptable", f"this is to be had as {', '.join(offered)}; say so in Accept")
    return chosen


def _quality(accept: str, media_type: str) -> float:
    """What ``Accept`` says of a media type; the most particular range counts."""
    kind, found = media_type.split("/")[0], (-1, 0.0)
    for each in accept.split(","):
        given, *parameters = (part.strip().lower() for part in each.split(";"))
        particular = {media_type: 2, f"{kind}/*": 1, "*/*": 0}.get(given)
        if particular is not None:
            found = max(found, (particular, _weight(parameters)))
    return found[1]


def _weight(parameters: Iterable[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def table_answer(
    request: Request,
    blocks: AbstractContextManager[Iterator[pa.Table]],
    *,
    form: Form,
    schema: pa.Schema,
    name: str,
    version: str,
) -> Response:
    """A table as an answer; 304 where the caller has it.

    Args:
        blocks: entered when the first byte is wanted, and left after the last one, or when the caller is gone.
        name: of the file.
        version: of all data that the table is made from.
    """
    asked = "\0".join((version, request.url.query, request.url.path, form))
    digest = xxhash.xxh3_128_hexdigest(asked.encode())
    headers = {
        # Weak: two answers say the same, and need not have the same bytes.
        "ETag": f'W/"{digest}"',
        "Cache-Control": LATEST,
        "Vary": "Authorization, X-API-Key, Accept",
        "Content-Disposition": f'attachment; filename="{name}.{form}"',
    }
    if matches(request.headers.get("if-none-match"), f'"{digest}"'):
        return Response(None, 304, headers)
    media_type = next(each for each, of in MEDIA_TYPES.items() if of == form)
    written = csv_bytes(blocks, schema) if form == "csv" else parquet_bytes(blocks, schema)
    return StreamingResponse(written, 200, headers, f"{media_type}; charset=utf-8" if form == "csv" else media_type)


def csv_bytes(blocks: AbstractContextManager[Iterator[pa.Table]], schema: pa.Schema) -> Iterator[bytes]:
    """CSV with a header; a text that a spreadsheet would run as a formula has an apostrophe before it."""
    yield _written(schema.empty_table(), header=True)
    with blocks as tables:
        for table in tables:
            yield _written(without_formulas(table.cast(schema)), header=False)


def _written(table: pa.Table, *, header: bool) -> bytes:
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink, pa.csv.WriteOptions(include_header=header))
    return sink.getvalue()


def without_formulas(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before each text that begins like a formula."""
    for place, column in enumerate(table.columns):
        if pa.types.is_string(column.type):
            safe = pc.if_else(
                pc.match_substring_regex(column, FORMULA), pc.binary_join_element_wise("'", column, ""), column
            )
            table = table.set_column(place, table.field(place), safe)
    return table


def parquet_bytes(blocks: AbstractContextManager[Iterator[pa.Table]], schema: pa.Schema) -> Iterator[bytes]:
    """Parquet, a row group a block."""
    sink = _Drained()
    with (
        pa.parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer,
        blocks as tables,
    ):
        for table in tables:
            if table.num_rows:
                writer.write_table(table.cast(schema), row_group_size=table.num_rows)
            yield sink.drain()
    yield sink.drain()


class _Drained(io.RawIOBase):
    """A file that is taken away as it is written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._place = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._place += len(part)
        return len(part)

    def drain(self) -> bytes:
        """What was written since it was last asked."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
