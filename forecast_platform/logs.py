"""Logs: one line an entry, as text or as JSON, with the id that leads from an event to its forecast, without secrets.

What belongs here is how an entry looks, what it carries and where it goes. Who gives an event its id is in the landing
and the sensors; the tag of a run that carries it is ``CORRELATION_TAG`` in ``assets.scope``.

A command writes its log to stderr: its answer is on stdout. A run worker writes JSON to stdout: Dagster's own text goes
to its stderr, and a log collector would have to tell one from the other.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from forecast_platform.settings import Settings

CORRELATION_TAG = "forecast_platform/correlation_id"
"""Tag of a run that says from which event it came; runs that it starts take it over."""

OURS = "forecast_platform"
MASK = "***"

URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@]*):[^\s/]*@")
NAMED_SECRET = re.compile(
    r"(?i)(\b[\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key|authorization)\b[\"']?\s*[=:]\s*)"
    r"((?:bearer|basic)\s+)?(\"[^\"]*\"|'[^']*'|[^\s,;&}\])]+)"
)
SECRET_NAME = re.compile(r"(?i)password|passwd|pwd|secret|token|api[_-]?key|authorization")

SHORTEST_SECRET = 4
"""Of a password that is masked wherever it stands; shorter ones would mask ordinary text."""

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; what else is on one was given as ``extra``."""

ENDS = ("START", "SUCCESS", "FAILURE", "CANCELED")
TOLD_EVENTS = frozenset(
    [*(f"{what}_{end}" for what in ("PIPELINE", "STEP") for end in ENDS), "STEP_UP_FOR_RETRY", "STEP_RESTARTED"]
)
"""Events of Dagster's that are told whatever their level; of the others those at INFO or above."""

_correlation: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_secrets: set[str] = set()
_own: list[logging.Handler] = []
_json = _command = False


@contextmanager
def correlation(correlation_id: str | None) -> Iterator[None]:
    """Entries written inside carry ``correlation_id``; nested ones the innermost."""
    token = _correlation.set(correlation_id)
    try:
        yield
    finally:
        _correlation.reset(token)


def current_correlation() -> str | None:
    """The id that entries carry now."""
    return _correlation.get()


def correlation_of(tags: Mapping[str, str], run_id: str) -> str:
    """The id of a run: that of the event it came from; of a run that no event led to, the first run of its kin."""
    return tags.get(CORRELATION_TAG) or tags.get("dagster/root_run_id") or run_id


def configure(settings: Settings, *, command: bool = False) -> None:
    """Send the log of this process where it belongs, as ``FORECAST_LOG`` says; harmless when it is repeated.

    Args:
        settings: ``log`` is ``text`` or ``json``. Passwords in their URLs are masked from now on, wherever they stand.
        command: the process is a command, whose stdout is its answer.
    """
    global _json, _command
    _json, _command = settings.log == "json", command or _command
    _secrets.update(secret for url in (settings.warehouse, settings.state_url) for secret in _passwords(url))
    _secrets.update(filter(None, (settings.api_secret, settings.api_metrics_token)))
    while _own:
        logging.getLogger().removeHandler(_own.pop())
    if not (_json or _command):
        return  # Dagster's processes show text by themselves
    handler = CurrentStream()
    handler.setFormatter(JsonFormatter() if _json else TextFormatter())
    handler.setLevel(logging.INFO if _json else logging.WARNING)
    handler.addFilter(lambda record: not hasattr(record, "dagster_meta"))  # told by the run's own handler
    if not _command:
        handler.addFilter(logging.Filter(OURS))  # the rest has handlers of Dagster's
    # On the root: a run's own handler, on a logger of ours, comes first and marks what it has told.
    logging.getLogger().addHandler(handler)
    _own.append(handler)
    if _json:
        logging.getLogger(OURS).setLevel(logging.INFO)


def run_handler() -> logging.Handler:
    """The handler of ``dagster.yaml`` for the log of a run: JSON where ``FORECAST_LOG`` asks for it, else nothing.

    In a command it is silent too: the command gives each of its runs ``json_handler`` itself, whatever the
    ``dagster.yaml`` of its instance says.
    """
    if not _json or _command:
        return logging.NullHandler()
    return json_handler()


def json_handler() -> logging.Handler:
    """What a run logs, as JSON: messages at INFO and above, and that its steps begin, end and are tried again."""
    handler = CurrentStream()
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_is_told)
    return handler


def _is_told(record: logging.LogRecord) -> bool:
    event = _dagster(record).get("dagster_event")
    return record.levelno >= logging.INFO or (event is not None and event.event_type_value in TOLD_EVENTS)


class CurrentStream(logging.StreamHandler):
    """Writes to stdout or stderr as they are at the moment: runs and tests put others in their place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr if _command else sys.stdout


class TextFormatter(logging.Formatter):
    """The message on one line, secrets masked."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(masked(super().format(record)))


class JsonFormatter(logging.Formatter):
    """One line of JSON in ASCII: whatever the text holds, it neither ends the line nor leaves it.

    ``time`` (UTC, ISO 8601), ``level``, ``logger``, ``message``, ``correlation_id``; of a run also ``tenant``,
    ``asset``, ``run_id``, ``event``; ``error`` with the traceback; and what was given as ``extra``.
    """

    def format(self, record: logging.LogRecord) -> str:
        told = _dagster(record)
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": told.get("orig_message") or record.getMessage(),
            "correlation_id": current_correlation(),
        }
        entry |= _of_run(told) if told else {}
        error = _error(record, told)
        entry |= {"error": error} if error else {}
        extra = {name: value for name, value in vars(record).items() if name not in STANDARD}
        entry |= {name: value for name, value in extra.items() if not name.startswith("dagster_") and name not in entry}
        return json.dumps({name: _plain(name, value) for name, value in entry.items()})


def masked(text: str) -> str:
    """``text`` without secrets: passwords in URLs, what is named as a secret, and the passwords of our settings."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    return NAMED_SECRET.sub(lambda found: f"{found[1]}{found[2] or ''}{MASK}", text)


def one_line(text: str) -> str:
    """``text`` with control characters, ends of line among them, written as escapes."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _of_run(told: Mapping[str, Any]) -> dict[str, Any]:
    """Tenant, asset, run and event of an entry that Dagster hands on."""
    event = told.get("dagster_event")
    key = getattr(event, "asset_key", None)
    # Steps are named <tenant>__<asset>; no asset has two underscores in its name, a tenant may.
    tenant, _, asset = (told.get("step_key") or "").rpartition("__")
    if key is not None and len(key.path) == 2:
        tenant, asset = key.path
    tags, run_id = told.get("job_tags") or {}, told.get("run_id")
    return {
        "tenant": tenant or (told.get("job_name") or "").strip("_").rpartition("__")[0] or None,
        "asset": asset or None,
        "run_id": run_id,
        "correlation_id": current_correlation() or (correlation_of(tags, run_id) if run_id else None),
    } | ({"event": event.event_type_value} if event is not None else {})


def _error(record: logging.LogRecord, told: Mapping[str, Any]) -> str | None:
    if record.exc_info and record.exc_info[0] is not None:
        return logging.Formatter().formatException(record.exc_info)
    failure = getattr(getattr(told.get("dagster_event"), "event_specific_data", None), "error", None)
    return failure.to_string() if failure is not None and hasattr(failure, "to_string") else None


def _dagster(record: logging.LogRecord) -> Mapping[str, Any]:
    return getattr(record, "dagster_meta", None) or {}


def _plain(name: str, value: Any) -> Any:
    """A value as JSON may hold it, secrets masked, at any depth."""
    if SECRET_NAME.search(name) and value is not None:
        return MASK
    if isinstance(value, Mapping):
        return {str(key): _plain(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain("", each) for each in value]
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    return masked(str(value))


def _passwords(url: str) -> list[str]:
    """The password in a URL, as it stands there and as it is meant, where it is long enough to be told from text."""
    try:
        given = urlsplit(url).password or ""
    except ValueError:
        return []
    return [each for each in {given, unquote(given)} if len(each) >= SHORTEST_SECRET]
