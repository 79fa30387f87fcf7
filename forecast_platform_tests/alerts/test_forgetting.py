"""What is long over is forgotten: not what is wrong, nor what somebody is still to be told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from forecast_platform.alerts import record as alert_record
from forecast_platform.alerts.record import AlertRecord
from forecast_platform.state import State, alert_messages, incidents
from forecast_platform_tests.alerts.servers import Webhook
from forecast_platform_tests.alerts.test_delivery import NOW, finding, tell
from forecast_platform_tests.alerts.test_sensor import till  # noqa: F401

DAY = timedelta(days=1)


@pytest.fixture
def state(state_url: str) -> Iterator[State]:
    return State(state_url)


def subjects(state: State) -> list[str]:
    with state.transaction() as connection:
        return list(connection.scalars(sa.select(incidents.c.subject).order_by(incidents.c.id)))


def messages(state: State) -> int:
    with state.transaction() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(alert_messages))


def send_all(record: AlertRecord) -> None:
    for channel in ("webhook", "email"):
        while pending := record.claim(channel, NOW + 900 * DAY):
            record.sent(pending, NOW)


def test_what_ended_before_a_moment_goes_with_what_was_told_of_it(state: State):
    record, other = AlertRecord(state, "shop"), AlertRecord(state, "other")
    for of in (record, other):
        tell(of, finding("old"), finding("open"))
        tell(of, finding("open"), now=NOW + DAY)
        tell(of, finding("open"), finding("late"), now=NOW + 10 * DAY)
        tell(of, finding("open"), now=NOW + 11 * DAY)
        send_all(of)
    before = messages(state)
    assert record.forget(NOW + 5 * DAY) == 1
    assert subjects(state) == ["open", "late", "old", "open", "late"]
    assert messages(state) == before - 4
    assert record.forget(NOW + 5 * DAY) == 0


def test_what_somebody_is_still_to_be_told_is_kept(state: State):
    record = AlertRecord(state, "shop")
    tell(record, finding("unheard"), finding("open"))
    tell(record, finding("open"), now=NOW + DAY)
    while pending := record.claim("webhook", NOW + 900 * DAY):
        record.sent(pending, NOW)
    assert record.forget(NOW + 5 * DAY) == 0
    send_all(record)
    assert record.forget(NOW + 5 * DAY) == 1
    assert subjects(state) == ["open"]


def test_no_later_incident_gets_the_number_of_one_that_is_forgotten(state: State):
    record = AlertRecord(state, "shop")
    numbers: list[int] = []
    for days in range(0, 1000, 100):
        (change,) = tell(record, finding(), now=NOW + days * DAY)
        with state.transaction() as connection:
            numbers.append(connection.scalar(sa.select(sa.func.max(incidents.c.id))))
        assert change.incident.ended_at is None
        tell(record, now=NOW + (days + 1) * DAY)
        send_all(record)
        record.forget(NOW + (days + 2) * DAY)
        assert len(subjects(state)) == 1
    assert numbers == sorted(set(numbers))


def test_a_backlog_goes_in_parts(state: State, monkeypatch):
    monkeypatch.setattr(alert_record, "MOST_FORGOTTEN", 2)
    record = AlertRecord(state, "shop")
    tell(record, *(finding(str(number)) for number in range(5)))
    tell(record, finding("new"), now=NOW + DAY)
    send_all(record)
    assert [record.forget(NOW + 2 * DAY) for _ in range(4)] == [2, 2, 1, 0]
    assert subjects(state) == ["new"]


def test_ticks_forget_after_the_days_that_a_tenant_keeps(till, webhook: Webhook):  # noqa: F811
    shop = till(alerts={"hold_minutes": 0, "keep_days": 60})
    for _ in range(2):
        with shop.source_away():
            shop.sell(0, 3)
        shop.tick()
        shop.sell(0, 3)
        shop.tick()
    shop.tick(minutes=59 * 24 * 60)
    assert len(subjects(shop.scope.state)) == 2
    shop.tick(minutes=2 * 24 * 60)
    assert len(subjects(shop.scope.state)) == 1, "the newest one stays"
    assert len(webhook.posted) == 4
