"""The generator as a source: what arrives when, the same for everybody."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from forecast_platform.sources.base import SourceError
from forecast_platform.sources.demo import FACTS, open_demo
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform_tests.sources.demo_reading import BERLIN, FIRST, LAST, batches, closing, rows

ASSETS = ("raw_sales", *FACTS)
SMALL = DemoSource(seed=11, n_skus=20)


@pytest.mark.parametrize("asset", ASSETS)
def test_a_day_arrives_equal_alone_and_within_any_range(asset):
    first = LAST - timedelta(days=69)
    whole = batches(asset, SMALL, first, LAST)
    for cut in (1, 27, 28, 40):
        middle = first + timedelta(days=cut)
        parts = batches(asset, SMALL, first, middle, now=closing(LAST)) | batches(asset, SMALL, middle, LAST)
        assert parts == whole
    alone = [batches(asset, SMALL, day, day, now=closing(LAST)) for day in days(first, LAST)]
    assert {name: content for each in alone for name, content in each.items()} == whole


def test_a_closed_day_arrives_equal_however_much_later_it_is_asked_for():
    day = LAST - timedelta(days=40)
    name = f"sales-{day}.csv"
    contents = {
        batches("raw_sales", SMALL, day, day, now=closing(LAST + timedelta(days=n)))[name] for n in (-40, -39, 0, 90)
    }
    assert len(contents) == 1


def test_a_day_is_the_same_in_another_process_with_another_zone_locale_and_hash_seed():
    script = (
        "import hashlib; from forecast_platform.sources.demo_settings import DemoSource\n"
        "from forecast_platform_tests.sources.demo_reading import LAST, batches\n"
        "day = batches('raw_sales', DemoSource(), LAST, LAST)\n"
        "print(hashlib.sha256(b''.join(day.values())).hexdigest())"
    )
    environment = {**os.environ, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "5"}
    elsewhere = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert elsewhere == hashlib.sha256(b"".join(batches("raw_sales", DemoSource(), LAST, LAST).values())).hexdigest()


def test_the_default_shop_is_pinned():
    """Whoever changes the shop changes this digest and GENERATOR_VERSION with it."""
    digest = hashlib.sha256()
    for asset in ASSETS:
        for name, content in batches(asset, DemoSource(), date(2026, 3, 23), date(2026, 4, 5)).items():
            digest.update(name.encode() + content)
    assert digest.hexdigest() == "de44c21688b5d0b6e8e768b5e999cb3a925102ae2935bcd1b3892c8dc42a910c"


def test_another_seed_is_another_shop():
    assert batches("raw_sales", DemoSource(seed=1), LAST, LAST) != batches("raw_sales", DemoSource(seed=2), LAST, LAST)


@pytest.mark.parametrize("asset", ASSETS)
def test_the_shop_ends_yesterday_in_its_own_time_zone(asset):
    late_evening_utc = datetime(2026, 11, 18, 23, 30, tzinfo=UTC)
    newest = {
        zone: max(a.order for a in open_demo(asset, SMALL, timezone=zone).discover(now=late_evening_utc))
        for zone in ("UTC", BERLIN)
    }
    assert newest["UTC"] <= date(2026, 11, 17)
    assert newest[BERLIN] <= date(2026, 11, 18)
    if asset in ("raw_sales", "inventory_levels"):
        assert newest == {"UTC": date(2026, 11, 17), BERLIN: date(2026, 11, 18)}


def test_without_a_first_day_the_last_200_days_arrive_in_order():
    arrivals = list(open_demo("raw_sales", DemoSource(), timezone=BERLIN).discover(now=closing(LAST)))
    assert [arrival.order for arrival in arrivals] == days(FIRST, LAST)


def test_nothing_is_asked_for_and_nothing_arrives_for_days_to_come():
    source = open_demo("raw_sales", DemoSource(), timezone=BERLIN)
    tomorrow = LAST + timedelta(days=2)
    assert list(source.discover(now=closing(LAST), first=tomorrow, last=tomorrow)) == []
    assert list(source.discover(now=closing(LAST), first=LAST + timedelta(days=1))) == []


def test_batches_that_hold_late_events_of_the_asked_days_arrive_with_them():
    """Else a day would differ between a single run and a run over its neighbours too."""
    sales = rows("raw_sales", SMALL, FIRST, LAST)
    late = sales[sales["sold_at"].str[:10] < sales["arrived"]]
    assert len(late) > 10
    for day in days(FIRST, LAST - timedelta(days=3)):
        holding = set(late.loc[late["sold_at"].str[:10] == str(day), "arrived"])
        asked = batches("raw_sales", SMALL, day, day, now=closing(LAST))
        assert set(asked) == {f"sales-{each}.csv" for each in holding | {str(day)}}


def test_late_events_have_not_arrived_before_their_batch_closes():
    sales = rows("raw_sales", SMALL, FIRST, LAST)
    late = sales[sales["sold_at"].str[:10] < sales["arrived"]].iloc[5]
    sold = date.fromisoformat(late["sold_at"][:10])
    before = batches(
        "raw_sales", SMALL, sold, sold, now=closing(date.fromisoformat(late["arrived"]) - timedelta(days=1))
    )
    assert f"sales-{late['arrived']}.csv" not in before


def test_the_open_day_has_as_many_sales_as_the_settings_say():
    today = LAST + timedelta(days=1)
    now = closing(LAST) + timedelta(hours=11)
    none = batches("raw_sales", SMALL, LAST, today, now=now)
    some = batches("raw_sales", SMALL.model_copy(update={"open_day_events": 5}), LAST, today, now=now)
    extra = {name: content for name, content in some.items() if name not in none}
    assert list(none) == [f"sales-{LAST}.csv"]
    assert list(extra) == [f"sales-{today}-first-5.csv"]
    header, *lines = extra[f"sales-{today}-first-5.csv"].splitlines()
    closed = batches("raw_sales", SMALL, today, today)[f"sales-{today}.csv"].splitlines()
    assert header == closed[0]
    assert len(lines) == 5
    assert set(lines) <= set(closed)
    assert all(line.split(b",")[2].startswith(str(today).encode()) for line in lines)


def test_the_open_day_arrives_only_where_it_is_asked_for():
    settings = SMALL.model_copy(update={"open_day_events": 5})
    assert list(batches("raw_sales", settings, LAST, LAST)) == [f"sales-{LAST}.csv"]


@pytest.mark.parametrize("asset", ASSETS)
def test_nothing_happens_before_the_shop_opens(asset):
    opens = date(2026, 9, 16)
    settings = DemoSource(n_skus=20, opens=opens)
    arrived = batches(asset, settings, opens - timedelta(days=30), opens + timedelta(days=30))
    assert min(name[-14:-4] for name in arrived) == str(opens)
    assert str(opens - timedelta(days=1)).encode() not in b"".join(arrived.values())


def test_a_fingerprint_tells_shops_zones_and_days_apart():
    def first(settings: DemoSource, zone: str = BERLIN, day: date = LAST) -> str | None:
        source = open_demo("raw_sales", settings, timezone=zone)
        return next(iter(source.discover(now=closing(LAST, zone), first=day, last=day))).fingerprint

    told = [first(SMALL), first(SMALL, "UTC"), first(SMALL, day=FIRST), first(DemoSource(seed=12, n_skus=20))]
    assert len(set(told)) == 4
    assert first(SMALL.model_copy(update={"history_days": 3, "open_day_events": 9})) == told[0]


def test_a_table_the_generator_does_not_know_is_refused_with_those_it_knows():
    with pytest.raises(SourceError, match=r"no 'prices'; it makes raw_sales, items"):
        open_demo("prices", DemoSource(), timezone=BERLIN)


def test_more_articles_make_a_larger_shop():
    sizes = [len(rows("raw_sales", DemoSource(n_skus=n), LAST, LAST)) for n in (1, 60, 600)]
    assert sizes[0] >= 1
    assert sizes[2] > 8 * sizes[1]


def test_200_days_are_made_in_under_3_seconds_and_a_day_in_under_50_milliseconds():
    settings = DemoSource(seed=99)
    batches("raw_sales", settings, LAST, LAST)
    begun = time.process_time()
    batches("raw_sales", settings, FIRST, LAST)
    whole = time.process_time() - begun
    begun = time.process_time()
    for day in days(LAST - timedelta(days=9), LAST):
        batches("raw_sales", settings, day, day)
    assert whole < 3
    assert (time.process_time() - begun) / 10 < 0.05


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
