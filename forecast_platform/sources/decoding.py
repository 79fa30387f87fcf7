"""From the bytes of a text file to UTF-8 text in blocks: decompression, byte order marks, character sets.

Caps on size and ratio are counted while streaming, because sizes in headers can be forged. What the text means is in
``records``.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from forecast_platform.sources.base import Refused
from forecast_platform.sources.layouts import Csv
from forecast_platform.sources.rules import Limits

BLOCK_BYTES = 4 << 20
"""Text is read and parsed in blocks of this size. 1 to 16 MB parse equally fast; memory grows with the size."""

_RATIO_FROM = 1 << 20
"""Below this many bytes out, a high ratio harms nobody: a small file of zeros is no bomb."""

_UNDECODABLE = "\udcff"
"""Stands for undecodable bytes: a lone surrogate is no valid UTF-8, so the row becomes a reject further on."""


def _mark_undecodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _UNDECODABLE, error.end


codecs.register_error("forecast_platform_mark", _mark_undecodable)


def text_blocks(stream: BinaryIO, *, csv: Csv, limits: Limits) -> Iterator[bytes]:
    """Give the text of ``stream`` as UTF-8, in blocks of about :data:`BLOCK_BYTES`, without a byte order mark.

    Text of another encoding is converted; bytes that it does not have come out as invalid UTF-8.

    Raises:
        Refused: the bytes are an archive, Parquet or another encoding, are cut off, or exceed a cap.
    """
    head = stream.read(4)
    _refuse_known_formats(head, csv)
    raw = _chunks(stream, head)
    plain = _gunzip(raw, limits) if head.startswith(b"\x1f\x8b") else _counted(raw, limits)
    return _decoded(plain, csv)


def _refuse_known_formats(head: bytes, csv: Csv) -> None:
    if head.startswith(b"PK\x03\x04"):
        raise Refused("it is a zip archive or a spreadsheet, not text: unpack it, or save it as CSV")
    if head.startswith(b"PAR1"):
        raise Refused("it is a Parquet file, and the source's format is csv: set format: parquet")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and not csv.encoding.lower().startswith(
        ("utf-16", "utf_16", "utf16")
    ):
        raise Refused(f"it is UTF-16, and the source's encoding is {csv.encoding}: set csv.encoding: utf-16")


def _chunks(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    yield head
    while chunk := stream.read(BLOCK_BYTES):
        yield chunk


def _counted(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limits.max_bytes:
            raise Refused(f"it is longer than limits.max_bytes, {limits.max_bytes} bytes")
        yield chunk


def _gunzip(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """Decompress gzip, also of several members, at most a block at a time."""
    taken = given = 0
    member = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        taken += len(chunk)
        while chunk:
            if member.eof:
                if not chunk.startswith(b"\x1f") and not chunk.strip(b"\0"):
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                plain = member.decompress(chunk, BLOCK_BYTES)
            except zlib.error as error:
                raise Refused(
                    f"its gzip data is damaged after {given} bytes of text ({error}): send it again"
                ) from error
            given += len(plain)
            used = taken - len(member.unconsumed_tail) - len(member.unused_data)
            if given > limits.max_bytes:
                raise Refused(f"it decompresses to more than limits.max_bytes, {limits.max_bytes} bytes")
            if given > _RATIO_FROM and given > used * limits.max_ratio:
                raise Refused(
                    f"it decompresses to more than {limits.max_ratio} times its size, limits.max_ratio: a gzip bomb?"
                )
            yield plain
            chunk = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise Refused(f"its gzip data ends early, after {given} bytes of text: send it again")


def _decoded(chunks: Iterator[bytes], csv: Csv) -> Iterator[bytes]:
    if codecs.lookup(csv.encoding).name in ("utf-8", "utf-8-sig", "ascii"):
        yield from _without_mark(chunks)
        return
    decoder = codecs.getincrementaldecoder(csv.encoding)("forecast_platform_mark")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")


def _without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Drop a UTF-8 byte order mark; it may be cut by a chunk's end."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= len(codecs.BOM_UTF8):
            break
    yield start.removeprefix(codecs.BOM_UTF8)
    yield from chunks
