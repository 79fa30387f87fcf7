"""The landing: what arrives is kept once, as it came; nothing half written, nothing twice, nothing lost."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from forecast_platform.sources.base import Arrival, SourceError, resolve_url
from forecast_platform.sources.facts import facts_of, held_days
from forecast_platform.sources.files import matches_glob
from forecast_platform.sources.landing import Landing, land, landed_frame
from forecast_platform.sources.library import LandingError
from forecast_platform.sources.opening import open_source
from forecast_platform.sources.shapes import FilesSales
from forecast_platform_tests.sources.conftest import COLUMNS, HEADER, NOW

ROW = "2026-05-01,A,n,1,1\n"


def batches_of(shop) -> dict[str, bytes]:
    folder = Path(shop.landing.url.removeprefix("file://")) / "tenant" / shop.asset / "batches"
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def test_a_file_is_kept_as_it_came_under_its_digest(drop):
    shop = drop()
    content = f"{HEADER}\r\n2026-05-02,A,n,1,1\r\n2026-05-01,B,n,1,1".encode()
    shop.write("sub/../may sales.csv", content)
    (batch,) = shop.land()
    digest = hashlib.sha256(content).hexdigest()
    assert batches_of(shop) == {f"{digest}.csv": content}
    assert (batch.batch_digest, batch.name, batch.source, batch.asset) == (
        digest,
        "may sales.csv",
        "raw_sales",
        "raw_sales",
    )
    assert (batch.rows, batch.days, batch.refused) == (2, (date(2026, 5, 1), date(2026, 5, 2)), None)
    assert batch.received_at == shop.now


def test_landing_again_lands_nothing_new_and_reads_nothing(drop):
    shop = drop()
    path = shop.write("a.csv", f"{HEADER}\n{ROW}")
    assert len(shop.land()) == 1
    os.chmod(path, 0)
    assert shop.land() == []


def test_equal_content_is_one_batch_whatever_its_name_and_other_content_a_new_one(drop):
    shop = drop()
    shop.write("a.csv", f"{HEADER}\n{ROW}")
    shop.write("copy.csv", f"{HEADER}\n{ROW}")
    assert len(shop.land()) == 1
    shop.write("later.csv", f"{HEADER}\n{ROW}", age=60)
    assert shop.land() == []
    shop.write("a.csv", f"{HEADER}\n{ROW}2026-05-01,B,n,1,1\n", age=30)
    (again,) = shop.land()
    assert (again.name, again.ordinal) == ("a.csv", 1)
    assert sorted(shop.facts()[0]["sku"]) == ["A", "B"]


def test_a_state_that_comes_back_counts_again_and_a_copy_of_an_old_one_does_not(drop):
    """The correction of a sale is taken back; a cost rises and falls again."""
    shop = drop(columns=COLUMNS | {"event_id": "id"})
    for quantity in (10, 12, 10, 12):
        shop.write("sales.csv", f"id,{HEADER}\ne1,2026-05-01,A,n,{quantity},1\n")
        assert len(shop.land(forget=True)) == len(shop.land()) == 1
        assert shop.land() == []
        assert list(shop.facts()[0]["quantity"]) == [quantity]
    shop.write("copy of an old one.csv", f"id,{HEADER}\ne1,2026-05-01,A,n,10,1\n")
    assert shop.land() == []

    items = drop(asset="items", name="items", columns={"sku": "sku", "unit_cost": "cost"})
    for cost in (5, 7, 5):
        items.now += timedelta(days=1)
        items.write("items.csv", f"sku,cost\nA,{cost}\n")
        assert len(items.land()) == 1
    assert list(items.facts()[0].sort_values("valid_from")["unit_cost"]) == [5, 7, 5]


def test_an_export_without_ids_that_comes_back_doubles_nothing(drop):
    shop = drop()
    for rows in (2, 1, 2):
        shop.write("sales.csv", f"{HEADER}\n" + ROW * rows)
        shop.land()
    assert len(shop.facts()[0]) == 2


def test_an_arrival_that_was_not_noted_is_given_again(drop):
    shop = drop()
    shop.write("a.csv", f"{HEADER}\n{ROW}\nbroken\n")
    (lost,) = shop.land(forget=True)
    (found,) = shop.land()
    assert found.batch_digest == lost.batch_digest and found.received_at > lost.received_at
    rows, rejects = shop.facts()
    assert (len(rows), len(rejects)) == (1, 1)


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
import forecast_platform.sources.store as store
from forecast_platform.sources.landing import Landing, land, landed_frame
from forecast_platform.sources.opening import open_source
from forecast_platform.sources.shapes import FilesSales
sync, left = store._sync, int(sys.argv[3])
def dying(path):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(path)
store._sync = dying
columns = {"sale_date": "day", "sku": "sku", "location": "location", "quantity": "quantity", "unit_price": "price"}
rows = FilesSales(kind="files", url=sys.argv[1], columns=columns)
source = open_source("raw_sales", rows, timezone="UTC")
land(source, landed_frame([]), Landing(sys.argv[2], "tenant", "UTC"), datetime.now(UTC))
"""


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_a_process_killed_while_it_lands_leaves_whole_batches_or_none_and_its_scratch_is_swept(drop, survived):
    shop = drop()
    for at in range(2):
        shop.write(f"{at}.csv", f"{HEADER}\n2026-05-01,{at},n,1,1\n", age=10**7)
    done = subprocess.run([sys.executable, "-c", KILLED, str(shop.folder), shop.landing.url, str(survived)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    for name, content in batches_of(shop).items():
        assert name == f"{hashlib.sha256(content).hexdigest()}.csv"
    left = list(Path(shop.landing.url.removeprefix("file://")).glob("tenant/raw_sales/incoming/*"))
    for path in left:
        os.utime(path, (0, 0))
    assert len(shop.land()) == 2
    assert sorted(shop.facts()[0]["sku"]) == ["0", "1"]
    assert not any(path.exists() for path in left)


def test_archived_and_pruned_files_stay_facts_and_a_reading_is_made_again(drop):
    shop = drop()
    shop.write("a.csv", f"{HEADER}\n{ROW}x,y\n")
    shop.land()
    before = shop.facts()
    shutil.rmtree(shop.folder)
    shop.folder.mkdir()
    shutil.rmtree(Path(shop.landing.url.removeprefix("file://")) / "tenant" / "raw_sales" / "readings")
    assert shop.land() == []
    for old, new in zip(before, shop.facts(), strict=True):
        pd.testing.assert_frame_equal(old, new)


def test_a_damaged_reading_is_made_again_and_missing_bytes_are_named(drop):
    shop = drop()
    shop.write("a.csv", f"{HEADER}\n{ROW}")
    shop.land()
    before = shop.facts()[0]
    folder = Path(shop.landing.url.removeprefix("file://")) / "tenant" / "raw_sales"
    (reading,) = (folder / "readings").glob("*")
    reading.write_bytes(reading.read_bytes()[:100])
    pd.testing.assert_frame_equal(shop.facts()[0], before)
    shutil.rmtree(folder / "readings")
    shutil.rmtree(folder / "batches")
    with pytest.raises(LandingError, match=r"landed bytes of 'a\.csv'"):
        shop.facts()


@pytest.mark.parametrize(
    "name", [".hidden.csv", "a.csv.tmp", "a.csv.part", ".sync/a.csv", "~lock.csv", "A.CSV.PARTIAL"]
)
def test_names_of_unfinished_files_are_left_alone(drop, name):
    shop = drop(pattern="**")
    shop.write(name, f"{HEADER}\n{ROW}")
    assert shop.land() == []


def test_a_file_is_left_until_it_has_not_been_written_to_for_a_while(drop):
    shop = drop(settle_seconds=7200)
    path = shop.write("a.csv", f"{HEADER}\n2026-05-01,A,n", age=0)
    assert shop.land() == []
    path.write_text(f"{HEADER}\n{ROW}")
    os.utime(path, (shop.now.timestamp(), shop.now.timestamp()))
    assert shop.land() == []
    (batch,) = shop.land()
    assert (batch.rows, len(shop.facts()[1])) == (1, 0)


class Changing:
    """A source whose one file is written to while it is being read."""

    name = "raw_sales"

    def __init__(self, rows) -> None:
        self.rows = rows
        self.whole = False

    def discover(self, *, now, first=None, last=None, since=None):
        yield Arrival(
            name="a.csv",
            open=lambda: io.BytesIO(f"{HEADER}\n{ROW}".encode()),
            format="csv",
            unchanged=lambda: self.whole,
            fingerprint="same",
        )


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_time(drop):
    shop = drop()
    shop.source = Changing(shop.source.rows)
    assert shop.land() == []
    assert batches_of(shop) == {}
    shop.source.whole = True
    assert len(shop.land()) == 1


def test_links_out_of_the_folder_and_odd_names_lead_nowhere(drop, tmp_path):
    shop = drop(pattern="**")
    secret = tmp_path / "secret.csv"
    secret.write_text(f"{HEADER}\n2026-05-01,SECRET,n,1,1\n")
    (shop.folder / "link.csv").symlink_to(secret)
    (shop.folder / "up").symlink_to(tmp_path)
    os.mkfifo(shop.folder / "pipe.csv")
    shop.write("..csv..\\..\\x\n%2e%2e.csv", f"{HEADER}\n{ROW}")
    shop.write("CON", f"{HEADER}\n{ROW}{ROW}")
    batches = shop.land()
    assert all(name.split(".")[0].isalnum() and len(name.split(".")[0]) == 64 for name in batches_of(shop))
    rows, _ = shop.facts()
    assert set(rows["sku"]) == {"A"}
    assert {b.name for b in batches} == {"CON"}  # a name with a leading dot is hidden


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (b"", {}, "it is empty"),
        (b"day;sku;location;quantity;price\n1;2;3;4;5\n", {}, "set csv.delimiter: ';'"),
        (
            b"day,sku,location,qty,price\n",
            {},
            "no column 'quantity', which the source 'raw_sales' names; it has 'day', 'sku'",
        ),
        (b"day,sku,sku,location,quantity,price\n", {}, "more than one column 'sku'"),
        (b"not parquet", {"format": "parquet"}, "it is not a Parquet file: set format: csv"),
        (b"PAR1 and then nothing", {"format": "parquet"}, "Parquet data is damaged"),
        (b"", {"format": "parquet"}, "it is empty"),
        ("día,sku\n".encode("cp1252"), {}, "header line is not UTF-8"),
        (gzip.compress(f"{HEADER}\n{ROW}".encode(), mtime=0)[:-12], {}, "ends early"),
        (gzip.compress(bytes(1 << 24), mtime=0), {}, "gzip bomb"),
        (b"PK\x03\x04", {}, "zip archive"),
        (f"{HEADER}\n".encode(), {"melt": {"pattern": "d_.*"}}, "no column of it matches melt.pattern"),
    ],
)
def test_a_file_that_cannot_be_read_is_kept_with_the_reason_and_stops_no_other(drop, content, settings, message):
    shop = drop(**settings)
    shop.write("broken", content)
    other = shop.write("good", f"{HEADER}\n{ROW}", age=60)
    if settings:
        other.unlink()
    refused = shop.land()[0]
    assert message in refused.refused
    assert refused.days == (shop.now.date(),)
    rows, rejects = shop.facts()
    assert len(rows) == (0 if settings else 1)
    (reject,) = rejects.to_dict("records")
    assert (reject["row_number"], reject["source"]) == (0, f"broken@{refused.batch_digest[:12]}")
    assert message in reject["reason"]


def test_a_header_without_rows_is_a_batch_of_no_days(drop):
    shop = drop()
    shop.write("a.csv", f"{HEADER}\n")
    (batch,) = shop.land()
    assert (batch.rows, batch.days, batch.refused) == (0, (), None)


def test_corrected_settings_read_what_was_refused(drop):
    shop = drop()
    shop.write("a.csv", f"{HEADER}\n{ROW}".replace(",", ";"))
    (refused,) = shop.land()
    shop.use(csv={"delimiter": ";"})
    assert shop.land() == []
    assert held_days(shop.source, shop.known, shop.landing) == {refused.batch_digest: (date(2026, 5, 1),)}
    rows, rejects = shop.facts([date(2026, 5, 1), *refused.days])
    assert (len(rows), len(rejects)) == (1, 0)


def test_gzip_is_kept_packed_and_read(drop):
    shop = drop()
    shop.write("a.csv.gz", gzip.compress(f"{HEADER}\n{ROW}".encode()))
    (batch,) = shop.land()
    assert list(batches_of(shop)) == [f"{batch.batch_digest}.csv.gz"]
    assert len(shop.facts()[0]) == 1


def test_files_land_in_the_order_in_which_they_were_written(drop):
    shop = drop()
    for name, age in (("a.csv", 60), ("b.csv", 300), ("c.csv", 200)):
        shop.write(name, f"{HEADER}\n2026-05-01,{name},n,1,1\n", age=age)
    assert [b.name for b in shop.land()] == ["b.csv", "c.csv", "a.csv"]
    shop.write("d.csv", f"{HEADER}\n2026-05-01,d,n,1,1\n", age=30)
    assert [b.ordinal for b in shop.land()] == [3]


def test_the_shift_is_fixed_by_what_lands_first_and_moves_no_past_later(drop):
    shop = drop(shift_to="yesterday", zone="Europe/London")
    shop.write("a.csv", f"{HEADER}\n2011-12-09,A,n,1,1\n2010-12-01,A,n,1,1\n", age=300)
    shop.write("b.csv", f"{HEADER}\n2011-12-01,B,n,1,1\n", age=200)
    shop.land()
    rows, _ = shop.facts()
    assert rows["sale_date"].max() == pd.Timestamp(2026, 5, 29)  # a Friday as 2011-12-09 was, just before May 31st
    assert (rows["sale_date"].max() - rows["sale_date"].min()).days == 373
    shop.write("c.csv", f"{HEADER}\n2011-12-10,C,n,1,1\n", age=100)
    shop.now = datetime(2026, 8, 1, tzinfo=UTC)
    shop.land()
    later, _ = shop.facts()
    pd.testing.assert_frame_equal(later[later["sku"] != "C"].reset_index(drop=True), rows)
    assert later.loc[later["sku"] == "C", "sale_date"].iloc[0] == pd.Timestamp(2026, 5, 30)


def test_a_shift_to_a_date_lands_on_or_just_before_it(drop):
    shop = drop(shift_to="2020-02-29")
    shop.write("a.csv", f"{HEADER}\n2026-05-01,A,n,1,1\n")
    shop.land()
    assert shop.facts()[0]["sale_date"].iloc[0] == pd.Timestamp(2020, 2, 28)


def test_any_file_system_can_be_the_folder_and_the_landing():
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/drop-one/sub/a.csv", f"{HEADER}\n{ROW}".encode())
    settings = {
        "kind": "files",
        "url": "memory://drop-one",
        "pattern": "**/*.csv",
        "columns": COLUMNS,
        "settle_seconds": 0,
    }
    source = open_source("raw_sales", TypeAdapter(FilesSales).validate_python(settings), timezone="UTC")
    landing = Landing("memory://landing-one", "tenant", "UTC")
    batches = land(source, landed_frame([]), landing, NOW)
    known = landed_frame(batches)
    assert [b.name for b in batches] == ["sub/a.csv"]
    assert land(source, known, landing, NOW) == []
    assert len(facts_of(source, [date(2026, 5, 1)], known, landing)[0]) == 1
    memory.rm("/drop-one", recursive=True)
    memory.rm("/landing-one", recursive=True)


def test_a_missing_folder_and_an_unset_variable_are_named(drop, tmp_path):
    shop = drop()
    shop.use(url=str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="nowhere"):
        shop.land()
    with pytest.raises(SourceError, match=r"\$\{HOST\}, which is not set; known variables: USER"):
        resolve_url("sftp://${HOST}/x", {"USER": "me"})
    assert resolve_url("sftp://${HOST}/x", {"HOST": "h"}) == "sftp://h/x"


@pytest.mark.parametrize(
    ("name", "pattern", "matching"),
    [
        ("a.csv", "*.csv", True),
        ("sub/a.csv", "*.csv", False),
        ("sub/a.csv", "*/*.csv", True),
        ("sub/deep/a.csv", "**/*.csv", True),
        ("a.csv", "**/*.csv", True),
        ("sub/a.csv", "**", True),
        ("a.CSV", "*.csv", False),
        ("2026/a.txt", "20??/[a-c].txt", True),
    ],
)
def test_a_star_stays_in_a_folder_and_two_span_any(name, pattern, matching):
    assert matches_glob(name, pattern) is matching
