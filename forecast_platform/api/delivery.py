"""Sending webhooks: signed as Standard Webhooks has it, to addresses that are not one's own network's.

A name is resolved once, its addresses are looked at, and the connection goes to the address that was looked at: a name
that answers differently the second time leads nowhere else. What is sent, and when again, is in ``jobs.webhooks``.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import time
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from standardwebhooks.webhooks import Webhook as Signature

from forecast_platform.jobs.webhooks import MOST_ATTEMPTS, Due, Webhooks

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
MOST_SECONDS = 60.0
"""After which one round ends: a server that takes its time keeps no other waiting for longer."""


class AddressRefused(ValueError):
    """A webhook's URL leads where none may go. The message says why."""


class NotTaken(RuntimeError):
    """The other server did not answer, or refused."""


def require_public(url: str, *, private: bool) -> list[str]:
    """The addresses that ``url`` leads to.

    Args:
        private: whether it may lead into one's own network, and go without encryption.

    Raises:
        AddressRefused: it may not go there, or leads nowhere.
    """
    parts = _split(url)
    if parts.scheme not in (("https", "http") if private else ("https",)):
        raise AddressRefused("the URL must begin with https://")
    if parts.hostname is None or parts.username is not None or parts.password is not None:
        raise AddressRefused("the URL must name a host, and no user or password")
    try:
        found = socket.getaddrinfo(parts.hostname, _port(parts), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused("the URL's host has no address") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not private and not all(map(is_public, addresses)):
        raise AddressRefused("the URL leads to an address that is not public")
    return addresses


def is_public(address: str) -> bool:
    """Whether an address is one of the public network's, also behind the ways in which IPv6 carries IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


def deliver(webhooks: Webhooks, *, private: bool) -> list[str]:
    """Send every message that is due. A server that does not take one is asked no more this time; the others are.

    Returns:
        What went wrong, a line a server.
    """
    begun, wrong, failed = time.monotonic(), [], set[str]()
    while time.monotonic() - begun < MOST_SECONDS and (due := webhooks.claim(datetime.now(UTC), but=failed)):
        try:
            send(due, private=private)
        except (AddressRefused, NotTaken) as error:
            failed.add(due.webhook_id)
            webhooks.failed(due, str(error))
            wrong.append(f"{due.webhook_id}: {error} (attempt {due.attempts} of {MOST_ATTEMPTS})")
            continue
        webhooks.sent(due, datetime.now(UTC))
    return wrong


def send(due: Due, *, private: bool) -> None:
    """Post a message, signed now.

    Raises:
        AddressRefused: see ``require_public``.
        NotTaken: the other server is away, or did not answer with a status of 200 to 299.
    """
    (address, *_), parts = require_public(due.url, private=private), _split(due.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts, address)
    try:
        connection.request("POST", path, due.body.encode(), headers(due, datetime.now(UTC)) | {"Host": parts.netloc})
        status = connection.getresponse().status
    except (OSError, HTTPException, ValueError) as error:
        raise NotTaken(f"{type(error).__name__}: no answer") from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotTaken(f"HTTP {status}")


def headers(due: Due, now: datetime) -> dict[str, str]:
    """The headers that say who sent a message and when: those of Standard Webhooks."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "forecast-platform",
        "webhook-id": due.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signature(due.secret).sign(due.message_id, now, due.body),
    }


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _port(parts)
    except ValueError as error:
        raise AddressRefused("the URL cannot be read") from error
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _connection(parts: SplitResult, address: str) -> HTTPConnection:
    """A connection to an address, which speaks to the host that the URL names."""
    host, port = str(parts.hostname), _port(parts)

    def connect(*_: object, **__: object) -> socket.socket:
        return socket.create_connection((address, port), TIMEOUT_SECONDS)

    made: HTTPConnection = (
        HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
        if parts.scheme == "https"
        else HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    )
    made._create_connection = connect  # type: ignore[attr-defined]
    return made
