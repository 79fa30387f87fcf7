"""A webhook's server and a mail server on loopback, as real as those that alerts meet, and what arrived at them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Webhook:
    """A webhook whose server can be started and stopped.

    Attributes:
        status: what it answers.
        posted: bodies of what was posted, refused ones too.
    """

    port: int = field(default_factory=free_port)
    status: int = 200
    posted: list[dict[str, Any]] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/T000/B000/s3cret"

    def start(self) -> None:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.posted.append(json.loads(body))
                self.send_response(webhook.status)
                if webhook.status in (301, 302):
                    self.send_header("Location", f"http://127.0.0.1:{webhook.port}/elsewhere")
                self.end_headers()
                self.wfile.write(b"ok" if webhook.status == 200 else b"no_service")

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def titles(self) -> list[str]:
        return [each["text"] for each in self.posted]


@dataclass
class Mailbox:
    """A mail server and what it took; ``users`` must log in, after STARTTLS, where there are any."""

    port: int = field(default_factory=free_port)
    users: dict[str, str] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_RCPT(self, _server, _session, envelope, address, _options) -> str:
        if address in self.refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope) -> str:
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def _authenticated(self, _server, _session, _envelope, _mechanism, data) -> AuthResult:
        user, password = data.login.decode(), data.password.decode()
        return AuthResult(success=self.users.get(user) == password, handled=False)

    @contextmanager
    def running(self, certificate: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
        secured = {"tls_context": certificate, "require_starttls": True} if certificate else {}
        login = {"authenticator": self._authenticated, "auth_required": True} if self.users else {}
        controller = Controller(self, hostname="127.0.0.1", port=self.port, **secured, **login)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()
