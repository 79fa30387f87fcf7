"""From bytes to text: compression, encodings, and what is refused at once."""

from __future__ import annotations

import gzip
import io
import time
import zlib

import pytest

from forecast_platform.sources.base import Refused
from forecast_platform.sources.decoding import text_blocks
from forecast_platform.sources.layouts import Csv
from forecast_platform.sources.rules import Limits


def decode(content: bytes, *, csv: Csv | None = None, limits: Limits | None = None) -> bytes:
    return b"".join(text_blocks(io.BytesIO(content), csv=csv or Csv(), limits=limits or Limits()))


def test_gzip_is_seen_from_the_bytes_and_may_have_several_members():
    assert decode(gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n")) == b"a,b\n1,2\n"


def test_a_gzip_bomb_is_refused_in_less_than_a_second_whatever_its_header_says():
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 24)
    bomb = b"".join(packer.compress(zeros) for _ in range(16)) + packer.flush()
    forged = bomb[:-4] + (1000).to_bytes(4, "little")
    start = time.process_time()
    with pytest.raises(Refused, match=r"limits\.max_ratio"):
        decode(forged)
    assert time.process_time() - start < 1


def test_more_text_than_allowed_is_refused_packed_or_not():
    limits = Limits(max_bytes=1_000, max_ratio=10_000)
    with pytest.raises(Refused, match=r"limits\.max_bytes"):
        decode(b"a" * 1_001, limits=limits)
    with pytest.raises(Refused, match=r"limits\.max_bytes"):
        decode(gzip.compress(b"a" * 1_001), limits=limits)


def test_gzip_that_ends_early_or_is_damaged_is_refused():
    packed = gzip.compress(bytes(range(256)) * 400)
    with pytest.raises(Refused, match="ends early"):
        decode(packed[: len(packed) // 2])
    with pytest.raises(Refused, match="damaged"):
        decode(packed[:20] + b"\xff\xff\xff\xff" + packed[24:])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_text_of_an_encoding_becomes_utf8_without_a_mark(encoding):
    named = {"utf-8-sig": "utf-8"}.get(encoding, encoding)
    assert decode("sku,é€\n".encode(encoding), csv=Csv(encoding=named)).decode() == "sku,é€\n"


def test_bytes_an_encoding_does_not_have_come_out_as_invalid_text_of_their_row():
    text = decode(b"a,b\n1,\x81\n2,x\n", csv=Csv(encoding="cp1252"))
    first, second, third, _ = text.split(b"\n")
    assert (first, third) == (b"a,b", b"2,x")
    with pytest.raises(UnicodeDecodeError):
        second.decode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04....", "zip archive"),
        (b"PAR1....", "set format: parquet"),
        ("a,b\n".encode("utf-16"), "set csv.encoding: utf-16"),
    ],
)
def test_other_formats_are_refused_with_the_way_out(content, message):
    with pytest.raises(Refused, match=message):
        decode(content)
