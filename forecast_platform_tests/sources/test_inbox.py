"""The inbox: what was posted is there, once, whoever posts, lands and clears at the same time."""

from __future__ import annotations

import csv
import io
import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast_platform.sources.bundles import EventSource, clear
from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.inbox import Receipt, closed_by_mark, post, waiting
from forecast_platform.sources.landing import LandedBatch, Landing, land, landed_frame
from forecast_platform.sources.shapes import EventsSales

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Inbox:
    """A tenant that takes posted events."""

    def __init__(self, folder: Path, **options) -> None:
        self.rows = EventsSales(kind="events", **options)
        self.landing = Landing((folder / "landing").as_uri(), "tenant", "Europe/Berlin")
        self.known = landed_frame([])
        self.folder = folder / "landing" / "tenant" / "raw_sales"

    @property
    def source(self) -> EventSource:
        return EventSource(name="raw_sales", rows=self.rows, landing=self.landing)

    def post(self, *events: object, at: datetime = NOW) -> Receipt:
        return post(self.landing, self.rows, events, at)

    def land(self) -> list[LandedBatch]:
        """Land and record what waits, and clear it."""
        batches = land(self.source, self.known, self.landing, NOW + timedelta(hours=1))
        if batches:
            self.known = pd.concat([self.known, landed_frame(batches)], ignore_index=True)
        clear(self.landing, set(self.known["batch_digest"]))
        return batches

    def facts(self, *days: date) -> tuple[pd.DataFrame, pd.DataFrame]:
        return facts_of(self.source, days, self.known, self.landing)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path)


def sale(name: str, sold_at: str = "2026-05-30T12:00:00Z", **more: object) -> dict[str, object]:
    return {"event_id": name, "sold_at": sold_at, "sku": "tea", "quantity": 1, **more}


def test_what_waits_is_known_by_the_names_of_the_files_alone(inbox: Inbox):
    inbox.post(sale("a"), sale("b", "2026-05-01T23:30:00Z"), at=NOW - timedelta(minutes=5))
    inbox.post(sale("c"))
    for path in (inbox.folder / "inbox").iterdir():
        path.write_bytes(b"nobody reads this")
    found = waiting(inbox.landing)
    assert (found.files, found.events) == (2, 3)
    assert found.days == (date(2026, 5, 2), date(2026, 5, 30))  # 23:30 UTC is the next day in Berlin
    assert found.oldest == NOW - timedelta(minutes=5)


def test_days_too_far_apart_for_a_name_are_told_by_the_file(inbox: Inbox):
    inbox.post(sale("a"), sale("b", "2021-03-04T12:00:00Z"))
    assert waiting(inbox.landing).days == (date(2021, 3, 4), date(2026, 5, 30))


def test_nothing_waits_in_a_landing_that_is_not_there(inbox: Inbox):
    assert (waiting(inbox.landing).files, closed_by_mark(inbox.landing)) == (0, None)
    assert inbox.land() == []


def test_the_newest_name_changes_when_something_comes_and_only_then(inbox: Inbox):
    inbox.post(sale("a"))
    before = waiting(inbox.landing)
    assert waiting(inbox.landing) == before
    inbox.post(sale("a"))
    assert waiting(inbox.landing).newest != before.newest


def test_a_post_of_many_is_several_files_and_a_batch_has_about_as_many_events_as_it_may(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("forecast_platform.sources.inbox.EVENTS_PER_FILE", 40)
    inbox = Inbox(tmp_path, events_per_batch=100)
    receipt = inbox.post(*(sale(f"e{number}") for number in range(250)))
    assert (receipt.accepted, len(receipt.files)) == (250, 7)
    assert [batch.rows for batch in inbox.land()] == [80, 80, 90]


def test_rejects_are_told_by_their_number_in_the_whole_post(inbox: Inbox, monkeypatch):
    monkeypatch.setattr("forecast_platform.sources.inbox.EVENTS_PER_FILE", 2)
    receipt = inbox.post(sale("a"), sale("b"), b"{", sale("c", sku=""), sale("d"))
    assert [(each.number, each.event_id) for each in receipt.rejected] == [(3, None), (4, "c")]
    assert receipt.rejected[1].reason == "sku is empty"


def test_an_event_refused_when_it_came_stays_refused(inbox: Inbox):
    tomorrow = (NOW + timedelta(hours=24, minutes=30)).isoformat()
    (rejected,) = inbox.post(sale("early", tomorrow)).rejected
    assert "in the future" in rejected.reason
    inbox.land()  # an hour later, when it would have passed
    facts, rejects = inbox.facts(date(2026, 6, 2))
    assert (len(facts), list(rejects["reason"])) == (0, [rejected.reason])


def test_the_same_content_again_is_the_newest_state_where_nothing_else_tells(inbox: Inbox):
    for quantity in (1, 2, 1):
        inbox.post(sale("a", quantity=quantity))
        inbox.land()
    facts, _ = inbox.facts(date(2026, 5, 30))
    assert [float(q) for q in facts["quantity"]] == [1.0]


def test_files_of_other_fields_are_batches_of_their_own(tmp_path: Path):
    inbox = Inbox(tmp_path)
    inbox.post(sale("a"))
    narrow = Inbox(
        tmp_path, columns={"event_id": "event_id", "sold_at": "sold_at", "sku": "sku", "quantity": "quantity"}
    )
    narrow.post(sale("b"))
    assert [batch.rows for batch in narrow.land()] == [1, 1]


def test_a_day_that_has_not_begun_cannot_be_over(inbox: Inbox):
    receipt = inbox.post({"type": "end_of_day", "day": "2026-06-02"}, {"type": "end_of_day", "day": "2026-06-01"})
    assert receipt.rejected[0].reason == "day 2026-06-02 cannot be over: today is 2026-06-01"
    assert closed_by_mark(inbox.landing) == date(2026, 6, 1)


def test_a_mark_is_there_only_after_the_sales_that_were_sent_before_it(inbox: Inbox, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("forecast_platform.sources.store.Store.put", full)
    with pytest.raises(OSError, match="No space"):
        inbox.post(sale("a"), {"type": "end_of_day", "day": "2026-05-30"})
    assert closed_by_mark(inbox.landing) is None


def test_a_batch_whose_inbox_files_are_gone_before_they_landed_is_waited_for(inbox: Inbox):
    (name,) = inbox.post(sale("a")).files
    list(inbox.source.discover(now=NOW))
    path = inbox.folder / "inbox" / name
    kept = path.rename(inbox.folder / "aside")
    assert inbox.land() == []
    kept.rename(path)
    assert [batch.rows for batch in inbox.land()] == [1]


def test_any_number_may_post_land_and_clear_at_once_and_each_event_is_in_one_batch(inbox: Inbox):
    recorded: dict[str, bytes] = {}
    turn, done = threading.Lock(), threading.Event()
    failed: list[BaseException] = []

    def posting(who: int) -> None:
        for number in range(30):
            inbox.post(sale(f"{who}-{number}"))

    def landing() -> None:
        while True:
            last = done.is_set()
            for arrival in inbox.source.discover(now=NOW):
                if arrival.identity not in recorded:
                    try:
                        content = arrival.open().read()
                    except FileNotFoundError:  # recorded and cleared by another meanwhile
                        assert arrival.identity in recorded
                        continue
                    with turn:
                        recorded.setdefault(arrival.identity, content)
            clear(inbox.landing, set(recorded))
            if last:
                return

    def watched(work, *arguments) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            failed.append(error)

    landers = [threading.Thread(target=watched, args=(landing,)) for _ in range(3)]
    posters = [threading.Thread(target=watched, args=(posting, who)) for who in range(2)]
    for thread in (*landers, *posters):
        thread.start()
    for thread in posters:
        thread.join()
    done.set()
    for thread in landers:
        thread.join()
    assert failed == []
    rows = [row for content in recorded.values() for row in csv.DictReader(io.StringIO(content.decode()))]
    assert Counter(row["event_id"] for row in rows) == {f"{w}-{n}": 1 for w in range(2) for n in range(30)}
    assert waiting(inbox.landing).files == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(), max_size=12), min_size=1, max_size=6))
def test_any_text_comes_out_as_it_went_in_or_is_refused(tmp_path_factory, names: list[str]):
    inbox = Inbox(tmp_path_factory.mktemp("inbox"))
    receipt = inbox.post(*(sale(f"e{i}", sku=name) for i, name in enumerate(names)))
    inbox.land()
    facts, rejects = inbox.facts(date(2026, 5, 30), NOW.date())
    rejected = {each.number - 1 for each in receipt.rejected}
    expected = {f"e{i}": name.strip() for i, name in enumerate(names) if i not in rejected}
    assert dict(zip(facts["event_id"], facts["sku"], strict=True)) == expected
    assert len(rejects) == len(rejected)
