"""A file larger than memory is read; a line of 100 MB is dropped without being held."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
import pyarrow as pa
pa.set_cpu_count(1)
pa.set_io_thread_count(1)
import io
from datetime import UTC, date, datetime, timedelta
from forecast_platform.sources.base import Arrival
from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.landing import Landing, land, landed_frame
from forecast_platform.sources.shapes import SalesRows

DAYS, ROWS, MEGABYTES = 60, 1_500_000, int(sys.argv[2])


class Stream(io.RawIOBase):
    "1.5 million rows of 60 days in no order, and one endless line in their middle."

    def __init__(self):
        self.parts, self.rest = self.made(), b""

    def made(self):
        yield b"t,sku,q,price,note\\n"
        note = "x" * 200
        for start in range(0, ROWS, 1000):
            yield "".join(
                f"2026-{3 + i // 30 % 2:02d}-{1 + i % 30:02d}T10:00:{i % 60:02d}Z,S{i % 5000},{1 + i % 9},{i % 100}.5,"
                f"{note}\\n"
                for i in range(start, start + 1000)
            ).encode()
            if start == ROWS // 2:
                yield b"2026-03-01,"
                for _ in range(MEGABYTES):
                    yield b"y" * (1 << 20)
                yield b"\\n"

    def read(self, size=-1):
        while len(self.rest) < size and (part := next(self.parts, None)) is not None:
            self.rest += part
        given, self.rest = self.rest[:size], self.rest[size:]
        return given


class Source:
    name = "stream"
    rows = SalesRows(columns={"sold_at": "t", "sku": "sku", "quantity": "q", "unit_price": "price"})

    def discover(self, *, now, first=None, last=None, since=None):
        yield Arrival(name="huge.csv", open=Stream, format="csv")


landing = Landing("file://" + sys.argv[1], "tenant", "UTC")
(batch,) = land(Source(), landed_frame([]), landing, datetime(2026, 6, 1, tzinfo=UTC))
assert batch.refused is None, batch.refused
assert batch.rows == ROWS + 1, batch.rows
rows, rejects = facts_of(Source(), [date(2026, 3, 1), date(2026, 6, 1)], landed_frame([batch]), landing)
assert len(rows) == ROWS // 60, len(rows)
(reject,) = rejects.to_dict("records")
assert reject["row_number"] == ROWS // 2 + 1001, reject["row_number"]
assert reject["reason"].startswith(f"the line is {MEGABYTES * (1 << 20) + 11} bytes long"), reject["reason"]
assert len(reject["payload"]) < 3000
print("peak MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_a_stream_of_400_mb_with_a_line_of_100_mb_is_read_in_a_process_of_1_gb(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), "100"],
        capture_output=True,
        text=True,
        timeout=300,
        env={"PATH": "/usr/bin:/bin", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)


def test_a_line_of_100_mb_costs_only_itself(drop):
    from forecast_platform_tests.sources.conftest import HEADER

    shop = drop()
    good = "2026-05-01,A,n,1,1\n"
    shop.write("a.csv", f"{HEADER}\n{good}2026-05-01,{'x' * 100_000_000},n,1,1\n{good}")
    shop.land()
    rows, rejects = shop.facts()
    assert len(rows) == 2
    (reject,) = rejects.to_dict("records")
    assert (reject["row_number"], reject["reason"].split(";")[0]) == (2, "the line is 100000017 bytes long")
    assert len(reject["payload"]) < 3_000
