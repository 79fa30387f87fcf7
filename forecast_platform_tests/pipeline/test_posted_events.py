"""Posted events become facts of their days: in any order, twice, corrected, moved, and beside rejects."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from forecast_platform.runs import RunFailed
from forecast_platform.sources.bundles import clear
from forecast_platform.sources.inbox import Receipt, closed_by_mark, post, waiting
from forecast_platform_tests.pipeline.shop import Shop, Till, day

TODAY = 12
EVENTS = {"source": {"kind": "events"}}
Facts = dict[str, tuple[date, str, Decimal]]


@pytest.fixture
def events_till(new_shop: Callable[..., Shop]) -> Shop:
    return new_shop("duckdb", Till, **EVENTS)


def event(name: str, offset: int, quantity: float = 1, *, version: int = 0, sku: str = "tea") -> dict[str, object]:
    """A sale in the afternoon of a day of the shop; a higher version is a newer state."""
    sold = datetime.combine(day(offset), datetime.min.time(), UTC) + timedelta(hours=15)
    return {
        "event_id": name,
        "sold_at": sold.isoformat(),
        "sku": sku,
        "quantity": quantity,
        "unit_price": 2.5,
        "updated_at": f"2026-02-01T12:{version:02d}:00Z",
    }


def posted(shop: Shop, events: Iterable[object], at: datetime | None = None) -> Receipt:
    return post(shop.scope.landing, shop.tenant.source, events, at or noon(TODAY))


def noon(offset: int) -> datetime:
    return datetime.combine(day(offset), datetime.min.time(), UTC) + timedelta(hours=12)


def make_sales(shop: Shop, first: int = 0, last: int = TODAY) -> None:
    assert shop.run(["raw_sales", "sales_rejects"], day(first), day(last)).success


def facts(shop: Shop) -> Facts:
    sales = shop.warehouse.read("select sale_date, event_id, sku, quantity from raw_sales order by event_id")
    days = pd.to_datetime(sales["sale_date"]).dt.date
    quantities = [Decimal(str(quantity)).normalize() for quantity in sales["quantity"]]
    rows = zip(sales["event_id"], days, sales["sku"], quantities, strict=True)
    return {name: (when, sku, quantity) for name, when, sku, quantity in rows}


def batches(shop: Shop) -> pd.DataFrame:
    return shop.warehouse.read("select * from landed_batches order by ordinal")


def oracle(events: Iterable[Mapping]) -> Facts:
    """The newest state of every event, by the time it was changed."""
    newest: dict[str, Mapping] = {}
    for each in events:
        before = newest.get(each["event_id"])
        if before is None or each["updated_at"] >= before["updated_at"]:
            newest[each["event_id"]] = each
    return {
        name: (date.fromisoformat(each["sold_at"][:10]), each["sku"], Decimal(each["quantity"]).normalize())
        for name, each in newest.items()
    }


def shuffled(events: int, days: int, *, seed: int = 1) -> list[dict[str, object]]:
    """Sales of some days in random order; 5 % come twice, 1 % are corrected, some of those onto another day."""
    draw = random.Random(seed)
    first = [event(f"e{i}", draw.randrange(days), draw.randint(1, 9), sku=f"sku {i % 50}") for i in range(events)]
    again = draw.sample(first, events // 20)
    corrected = [
        event(each["event_id"], draw.randrange(days), draw.randint(1, 9), version=1, sku=each["sku"])
        for each in draw.sample(first, events // 100)
    ]
    mixed = [*first, *again, *corrected]
    draw.shuffle(mixed)
    return mixed


def test_many_posts_become_few_batches_and_the_inbox_is_empty_afterwards(events_till: Shop, at):
    with at(day(TODAY)):
        for number in range(20):
            posted(events_till, [event(f"a{number}", number // 2)])
        seen = waiting(events_till.scope.landing)
        assert (seen.files, seen.events, seen.days) == (20, 20, tuple(map(day, range(10))))
        make_sales(events_till)
        assert len(facts(events_till)) == 20
        assert len(batches(events_till)) == 1
        assert waiting(events_till.scope.landing).files == 0
        make_sales(events_till)
        assert len(batches(events_till)) == 1


def test_each_days_facts_are_right_for_events_in_shuffled_order_with_duplicates(
    new_shop: Callable[..., Shop], backend: str, at
):
    events_till = new_shop(backend, Till, **EVENTS)
    month = shuffled(2_000, 10)
    with at(day(TODAY)):
        for start in range(0, len(month), 700):
            posted(events_till, month[start : start + 700])
            make_sales(events_till)
    assert facts(events_till) == oracle(month)
    assert len(batches(events_till)) == 4


def test_a_refused_event_is_kept_with_its_reason_and_stops_no_other(events_till: Shop, at):
    with at(day(TODAY)):
        receipt = posted(
            events_till, [event("good", 3), b'{"event_id": ', event("bad", 4) | {"quantity": "ten"}, event("fine", 5)]
        )
        assert (receipt.accepted, [each.number for each in receipt.rejected]) == (2, [2, 3])
        make_sales(events_till)
    assert set(facts(events_till)) == {"good", "fine"}
    rejects = events_till.warehouse.read("select sale_date, reason, payload from sales_rejects order by sale_date")
    assert list(pd.to_datetime(rejects["sale_date"]).dt.date) == [day(4), day(TODAY)]
    assert list(rejects["reason"]) == [each.reason for each in reversed(receipt.rejected)]
    assert '{\\"event_id\\": ' in rejects["payload"][1]


def test_what_was_landed_and_not_cleared_is_neither_landed_again_nor_lost(events_till: Shop, at, monkeypatch):
    with at(day(TODAY)):
        posted(events_till, [event("a", 3), b"no event"])
        with monkeypatch.context() as patched:
            patched.setattr("forecast_platform.assets.arrivals.clear", lambda *_: 0)
            make_sales(events_till)
        assert waiting(events_till.scope.landing).files == 1
        posted(events_till, [event("b", 3)])
        make_sales(events_till)
        assert waiting(events_till.scope.landing).files == 0
    assert set(facts(events_till)) == {"a", "b"}
    assert list(batches(events_till)["rows"]) == [2, 1]
    assert len(events_till.warehouse.read("select * from sales_rejects")) == 1


def test_what_was_bundled_and_copied_but_not_recorded_is_the_same_batch_next_time(events_till: Shop, at, monkeypatch):
    def died(*_):
        raise RuntimeError("the run died here")

    with at(day(TODAY)):
        posted(events_till, [event("a", 3), b"no event"])
        with monkeypatch.context() as patched:
            patched.setattr("forecast_platform.assets.arrivals._record", died)
            with pytest.raises(RunFailed):
                make_sales(events_till)
        assert clear(events_till.scope.landing, []) == 0
        posted(events_till, [event("b", 3)])
        make_sales(events_till)
    assert set(facts(events_till)) == {"a", "b"}
    assert list(batches(events_till)["rows"]) == [2, 1]


def test_an_older_state_that_comes_later_changes_nothing(events_till: Shop, at):
    with at(day(TODAY)):
        posted(events_till, [event("a", 3, 7, version=2)])
        make_sales(events_till)
        posted(events_till, [event("a", 5, 1, version=1)])
        make_sales(events_till)
    assert facts(events_till) == {"a": (day(3), "tea", Decimal(7))}


def test_an_event_may_move_to_another_day(events_till: Shop, at):
    with at(day(TODAY)):
        posted(events_till, [event("a", 3)])
        make_sales(events_till)
        posted(events_till, [event("a", 9, version=1)])
        make_sales(events_till)
    assert facts(events_till) == {"a": (day(9), "tea", Decimal(1))}


def test_an_end_of_day_mark_is_kept_and_is_no_sale(events_till: Shop, at):
    with at(day(TODAY)):
        mark = {"type": "end_of_day", "day": day(TODAY - 1).isoformat()}
        receipt = posted(events_till, [mark, event("a", 3), mark | {"day": "2026-01-05"}])
        assert (receipt.accepted, receipt.marks) == (1, (date(2026, 1, 5), day(TODAY - 1)))
        assert closed_by_mark(events_till.scope.landing) == day(TODAY - 1)
        make_sales(events_till)
    assert set(facts(events_till)) == {"a"}


@pytest.mark.slow
def test_a_hundred_thousand_shuffled_events_are_posted_watched_and_landed_in_time(
    new_shop: Callable[..., Shop], at, capsys
):
    shop = new_shop("duckdb", Till, **EVENTS)
    month = shuffled(100_000, 30)
    landing = shop.scope.landing
    with at(day(30)):
        begun = time.monotonic()
        for start in range(0, len(month), 100):
            posted(shop, month[start : start + 100], noon(30))
        post_seconds = time.monotonic() - begun
        begun = time.monotonic()
        seen = waiting(landing)
        tick_seconds = time.monotonic() - begun
        begun = time.monotonic()
        make_sales(shop, last=30)
        land_seconds = time.monotonic() - begun
    with capsys.disabled():
        rate = len(month) / post_seconds
        print(f"\n{rate:,.0f} events/s posted, tick {tick_seconds:.3f} s, landed in {land_seconds:.1f} s")
    assert (seen.events, len(seen.days)) == (len(month), 30)
    assert tick_seconds < 5
    assert facts(shop) == oracle(month)
    assert len(batches(shop)) <= 3
    assert waiting(landing).files == 0
