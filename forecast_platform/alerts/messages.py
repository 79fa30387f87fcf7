"""What people are told when an incident begins and ends, as text and as Slack's JSON. Pure.

What a check or an error says may hold anything that was in somebody's file: it is cut, cleaned of control characters
and of passwords in URLs here, and escaped where a format gives characters a meaning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from forecast_platform.alerts.incidents import Event, Incident

TITLE_LENGTH = 140
"""Slack refuses a header of more than 150 characters, and with it the message."""

LINE_LENGTH = 500
"""Slack refuses a section of more than 3,000 characters; escaping makes five of one."""

_CREDENTIALS = re.compile(r"(\w[\w+.-]*://)[^\s/@]+@")
_SECRETS = re.compile(r"(?i)\b(password|passwd|pwd|secret|token|api_?key)(\s*[=:]\s*)[^\s,;'\"]+")


@dataclass(frozen=True)
class Message:
    """What one message says.

    Attributes:
        id: the same each time the message is sent, and no other's.
        event: what happened; decides the sign before the title.
        title: a line without the tenant's name.
        lines: label and text, each of one line.
        link: where to look: the run, or the asset that is stale.
    """

    id: str
    tenant: str
    event: Event | Literal["test"]
    title: str
    lines: tuple[tuple[str, str], ...]
    link: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Message:
        return cls(**{**held, "lines": tuple((label, text) for label, text in held["lines"])})


def incident_message(tenant: str, incident: Incident, event: Event, *, timezone: str, ui_url: str) -> Message:
    """What is told of a recorded incident as it opens or ends; times are of the tenant's zone."""
    since = _moment(incident.since, timezone)
    if event == "ended":
        end = incident.ended_at or incident.last_seen_at
        lines = [
            ("Since", f"{since}, until {_moment(end, timezone)} ({_length(end - incident.since)})"),
            ("It was", incident.what),
        ]
    else:
        lines = [("Since", since), ("What", incident.what), ("Affects", incident.affects)]
    return Message(
        id=f"{tenant}-{incident.id}-{event}",
        tenant=tenant,
        event=event,
        title=cleaned(incident.title, TITLE_LENGTH - 60),
        lines=tuple((label, cleaned(text, LINE_LENGTH)) for label, text in lines if text),
        link=_link(ui_url, tenant, incident),
    )


def trial_message(tenant: str, *, now: datetime, timezone: str, ui_url: str) -> Message:
    """What somebody sends to see that messages arrive."""
    lines = (("Sent", _moment(now, timezone)), ("What", "Alerts of this tenant arrive here."))
    return Message(f"{tenant}-test-{now.timestamp():.6f}", tenant, "test", "Test message", lines, ui_url)


SIGNS = {"opened": "🔴", "ended": "🟢", "test": "🔵"}
_PREFIX = {"opened": "", "ended": "Ended: ", "test": ""}


def headline(message: Message) -> str:
    """The message in one line, as a subject."""
    return cleaned(f"[{message.tenant}] {_PREFIX[message.event]}{message.title}", TITLE_LENGTH)


def as_text(message: Message) -> str:
    """The message as lines of plain text."""
    lines = [headline(message), *(f"{label}: {text}" for label, text in message.lines)]
    return "\n".join(lines + ([f"Look: {message.link}"] if message.link else []))


def as_slack(message: Message) -> dict[str, Any]:
    """The message as the JSON of Slack's incoming webhooks; ``text`` is what a notification shows."""
    title = f"{SIGNS[message.event]} {headline(message)}"
    body = "\n".join(f"*{label}:* {escaped(text)}" for label, text in message.lines)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": True}},
        *(
            {"type": "section", "text": {"type": "mrkdwn", "text": line, "verbatim": True}}
            for line in body.split("\n")
            if line
        ),
    ]
    if message.link:
        link = {"type": "mrkdwn", "text": f"<{escaped(message.link)}|Open in Dagster>"}
        blocks.append({"type": "context", "elements": [link]})
    return {"text": escaped(title), "blocks": blocks}


def escaped(text: str) -> str:
    """``text`` as Slack's mrkdwn shows it: the three characters that could make a link or ring a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cleaned(text: str, length: int) -> str:
    """``text`` on one line of at most ``length`` characters: no controls, no direction marks, no credentials."""
    text = _SECRETS.sub(r"\1\2***", _CREDENTIALS.sub(r"\1***@", text[:20_000]))
    # Cc: line breaks and escapes; Cf: characters that nobody sees, and that turn text around; Cs: half a character.
    text = "".join(" " if unicodedata.category(each) in {"Cc", "Cf", "Cs"} else each for each in text)
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _link(ui_url: str, tenant: str, incident: Incident) -> str | None:
    """The run to look at; for data that no run has made, the asset."""
    base = ui_url.rstrip("/")
    if incident.run_id:
        return f"{base}/runs/{incident.run_id}"
    return f"{base}/assets/{tenant}/{incident.subject}" if incident.kind == "stale" else None


def _moment(moment: datetime, timezone: str) -> str:
    return moment.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M %Z")


def _length(span: timedelta) -> str:
    minutes = max(0, round(span.total_seconds() / 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "under a minute"
