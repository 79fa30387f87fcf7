"""What people read: what, since when, what it affects, where to look; and nothing a check's text could smuggle in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.alerts.channels import email_of
from forecast_platform.alerts.incidents import Incident
from forecast_platform.alerts.messages import Message, as_slack, as_text, cleaned, incident_message
from forecast_platform.alerts.settings import EmailChannel

NOON = datetime(2026, 7, 20, 12, tzinfo=UTC)
INCIDENT = Incident(
    id=7,
    kind="check",
    subject="daily_sales/calendar_complete",
    title="Blocking check failed: daily_sales/calendar_complete",
    what="3 days are missing",
    affects="daily_sales, and what is made from it: features, forecasts",
    since=NOON,
    run_id="4f0c",
    details={},
    opened_at=NOON,
    last_seen_at=NOON,
)
MAIL = EmailChannel(kind="email", host="mail", sender="forecast@example.com", recipients=("ops@example.com",))


def told(incident: Incident, event="opened") -> Message:
    return incident_message("shop", incident, event, timezone="Europe/London", ui_url="http://ui:3000/")


def test_the_text_says_what_since_when_what_it_affects_and_where_to_look():
    assert as_text(told(INCIDENT)) == (
        "[shop] Blocking check failed: daily_sales/calendar_complete\n"
        "Since: 2026-07-20 13:00 BST\n"
        "What: 3 days are missing\n"
        "Affects: daily_sales, and what is made from it: features, forecasts\n"
        "Look: http://ui:3000/runs/4f0c"
    )


def test_the_end_says_how_long_it_took():
    ended = replace(INCIDENT, ended_at=NOON + timedelta(hours=26, minutes=5))
    assert as_text(told(ended, "ended")) == (
        "[shop] Ended: Blocking check failed: daily_sales/calendar_complete\n"
        "Since: 2026-07-20 13:00 BST, until 2026-07-21 15:05 BST (1 d 2 h)\n"
        "It was: 3 days are missing\n"
        "Look: http://ui:3000/runs/4f0c"
    )


def test_a_check_cannot_ring_a_channel_or_make_a_link():
    hostile = replace(INCIDENT, what="<!channel> & <https://evil.example|click> `x`", title="<!here> sku <b>")
    body = as_slack(told(hostile))
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in body["blocks"][2]["text"]["text"]
    assert body["text"] == "🔴 [shop] &lt;!here&gt; sku &lt;b&gt;"
    assert "<!" not in str([each for each in body["blocks"] if each["type"] != "header"])
    # A header is plain text: nothing in it has a meaning.
    assert body["blocks"][0]["text"]["type"] == "plain_text"


def test_passwords_and_tokens_are_not_told():
    said = "could not read postgresql://erp:hun:ter2@db:5432/sales?x=1, password=hunter2; api_key: abc"
    assert cleaned(said, 500) == "could not read postgresql://***@db:5432/sales?x=1, password=***; api_key: ***"


@given(st.text(max_size=800), st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_whatever_a_check_says_the_message_fits_slack_and_one_header(what: str, title: str):
    message = told(replace(INCIDENT, what=what, title=title))
    body = as_slack(message)
    assert len(body["blocks"][0]["text"]["text"]) <= 150
    for block in body["blocks"]:
        if block["type"] == "section":
            assert 1 <= len(block["text"]["text"]) <= 3000
    mail = email_of(MAIL, message, now=NOON).as_bytes()
    head = mail.partition(b"\n\n")[0]
    names = [line.partition(b":")[0] for line in head.splitlines() if not line.startswith(b" ")]
    assert sorted(names) == sorted(set(names))
    assert set(names) <= {
        *(b"Subject", b"From", b"To", b"Date", b"Message-ID", b"Auto-Submitted"),
        *(b"Content-Type", b"Content-Transfer-Encoding", b"MIME-Version"),
    }


def test_a_subject_cannot_begin_another_header():
    injected = replace(INCIDENT, title="sku\r\nBcc: all@example.com\r\n\r\nhello\u2028\u202egnp.exe")
    mail = email_of(MAIL, told(injected), now=NOON)
    assert mail["Subject"] == "[shop] sku Bcc: all@example.com hello gnp.exe"
    assert mail["Bcc"] is None


def test_a_message_survives_being_kept():
    assert Message.from_json(told(INCIDENT).to_json()) == told(INCIDENT)
