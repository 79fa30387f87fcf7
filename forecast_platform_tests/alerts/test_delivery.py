"""A message that is recorded is sent: once, later where a channel is down, at most twice where a process is killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from forecast_platform.alerts.delivery import deliver
from forecast_platform.alerts.incidents import Change, Finding, Rules, judge
from forecast_platform.alerts.messages import incident_message
from forecast_platform.alerts.record import AlertRecord
from forecast_platform.alerts.settings import Channel, EmailChannel, WebhookChannel
from forecast_platform.state import State
from forecast_platform_tests.alerts.servers import Mailbox, Webhook
from forecast_platform_tests.faults import children

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)


def channels_of(webhook: Webhook, mailbox: Mailbox) -> list[Channel]:
    mail = {"host": "127.0.0.1", "port": mailbox.port, "security": "none"}
    return [
        WebhookChannel(kind="webhook", name="webhook", url=webhook.url),
        EmailChannel(kind="email", name="email", **mail, sender="a@example.com", recipients=("b@example.com",)),
    ]


def tell(record: AlertRecord, *findings: Finding, now: datetime = NOW) -> list[Change]:
    """Record what is wrong, with its messages for both channels."""
    with record.transaction() as connection:
        changes = judge(
            findings, record.open_incidents(connection), evaluations={}, now=now, rules=Rules(timedelta(0), 1)
        )
        for change in changes:
            incident = record.apply(connection, change)
            if change.event:
                message = incident_message("shop", incident, change.event, timezone="UTC", ui_url="http://ui")
                record.queue(connection, incident, change.event, message, ["webhook", "email"], now)
    return changes


def finding(subject: str = "shop__day") -> Finding:
    return Finding(kind="run", subject=subject, title=f"Run failed: {subject}", what="w", affects="a", since=NOW)


def test_each_channel_gets_each_message_once(state_url: str, webhook: Webhook, mailbox: Mailbox):
    record, channels = AlertRecord(State(state_url), "shop"), channels_of(webhook, mailbox)
    tell(record, finding())
    for minute in range(3):
        assert deliver(record, channels, {}, NOW + timedelta(minutes=minute)) == []
    tell(record, now=NOW + timedelta(minutes=5))
    deliver(record, channels, {}, NOW + timedelta(minutes=5))
    assert webhook.titles == ["🔴 [shop] Run failed: shop__day", "🟢 [shop] Ended: Run failed: shop__day"]
    assert [mail["Subject"] for mail in mailbox.mails] == [title[2:] for title in webhook.titles]
    assert record.unsent() == []


def test_what_is_kept_comes_back_as_it_was(state_url: str):
    record = AlertRecord(State(state_url), "shop")
    (change,) = tell(record, finding())
    (held,) = record.open_incidents()
    assert held.id is not None
    assert vars(held) == vars(change.incident) | {"id": held.id}
    assert AlertRecord(State(state_url), "other").open_incidents() == []


def test_a_channel_that_is_down_is_asked_less_and_less_and_holds_up_no_other(
    state_url: str, webhook: Webhook, mailbox: Mailbox
):
    record, channels = AlertRecord(State(state_url), "shop"), channels_of(webhook, mailbox)
    webhook.status = 503
    tell(record, finding(), finding("shop__update"))
    tell(record, now=NOW + timedelta(seconds=10))
    for half_minute in range(60):
        deliver(record, channels, {}, NOW + timedelta(seconds=30 * half_minute))
    assert len(mailbox.mails) == 4
    assert 3 <= len(webhook.posted) <= 12, "half an hour of ticks are 60"
    assert set(webhook.titles) == {"🔴 [shop] Run failed: shop__day", "🔴 [shop] Run failed: shop__update"}
    assert all("HTTP 503" in (error or "") for _, event, _, _, error in record.unsent() if event == "opened")
    webhook.status = 200
    webhook.posted.clear()
    for hour in range(3, 12):
        deliver(record, channels, {}, NOW + timedelta(hours=hour))
    assert sorted(webhook.titles) == sorted(
        f"{sign}Run failed: {job}"
        for job in ("shop__day", "shop__update")
        for sign in ("🔴 [shop] ", "🟢 [shop] Ended: ")
    )
    for job in ("shop__day", "shop__update"):
        of_job = [title for title in webhook.titles if title.endswith(job)]
        assert of_job[0].startswith("🔴"), "an end is not told before its beginning"


def _deliver_from_a_child(state_url: str, channels: list[Channel]) -> None:
    deliver(AlertRecord(State(state_url), "shop"), channels, {}, NOW)


def test_a_process_killed_between_sending_and_marking_sends_one_message_twice_and_loses_none(
    state_url: str, webhook: Webhook, mailbox: Mailbox
):
    record, channels = AlertRecord(State(state_url), "shop"), channels_of(webhook, mailbox)
    tell(record, finding(), finding("shop__update"))
    assert children.run(_deliver_from_a_child, state_url, channels, crash_at="alert_sent") == children.KILLED
    assert (len(webhook.posted), len(mailbox.mails)) == (1, 0)
    for minute in range(1, 5):
        deliver(record, channels, {}, NOW + timedelta(minutes=minute))
    assert sorted(webhook.titles) == ["🔴 [shop] Run failed: shop__day"] * 2 + ["🔴 [shop] Run failed: shop__update"]
    assert len(mailbox.mails) == 2


def test_two_that_deliver_at_once_send_each_message_once(state_url: str, webhook: Webhook, mailbox: Mailbox):
    import threading

    channels = channels_of(webhook, mailbox)
    tell(AlertRecord(State(state_url), "shop"), *(finding(f"shop__{number}") for number in range(6)))
    threads = [threading.Thread(target=_deliver_from_a_child, args=(state_url, channels)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(webhook.titles) == len(set(webhook.titles)) == 6


def test_what_waits_for_a_channel_that_was_taken_out_is_dropped(tmp_path: Path, webhook: Webhook, mailbox: Mailbox):
    record = AlertRecord(State(f"sqlite:///{tmp_path / 'state.db'}"), "shop")
    tell(record, finding())
    deliver(record, channels_of(webhook, mailbox)[1:], {}, NOW)
    assert record.unsent() == []
    assert webhook.posted == []
