"""Sending a message: log, webhook, e-mail. When it is sent, and again, is the business of ``delivery``."""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from forecast_platform.alerts.messages import Message, as_slack, as_text, headline
from forecast_platform.alerts.settings import Channel, EmailChannel, WebhookChannel
from forecast_platform.sources.base import SourceError, resolve_url

if TYPE_CHECKING:
    from datetime import datetime

LOGGER = logging.getLogger("forecast_platform.alerts")
LOCAL = {"localhost", "127.0.0.1", "::1"}


class NotSent(RuntimeError):
    """A channel did not take a message. The message says why, and holds no secret."""


def send(channel: Channel, message: Message, variables: Mapping[str, str], *, now: datetime) -> None:
    """Send a message by one channel.

    Args:
        variables: fill ``${NAME}`` and hold passwords.

    Raises:
        NotSent: the channel is down or refuses, or a variable is missing.
    """
    if isinstance(channel, WebhookChannel):
        _post(channel, message, variables)
    elif isinstance(channel, EmailChannel):
        _mail(channel, message, variables, now)
    else:
        LOGGER.warning(as_text(message), extra={"tenant": message.tenant, "alert": message.id})


class _NoRedirect(HTTPRedirectHandler):
    """A POST that is redirected arrives as a GET without its body: nothing was told, and nobody would know."""

    def redirect_request(self, *_arguments: object) -> None:
        return None


def _post(channel: WebhookChannel, message: Message, variables: Mapping[str, str]) -> None:
    try:
        url = resolve_url(channel.url, variables)
    except SourceError as error:
        raise NotSent(str(error).partition("; known variables")[0]) from None
    # The URL is a secret: it is in no error.
    if urlsplit(url).scheme not in ("http", "https"):
        raise NotSent(f"the URL of channel {channel.name!r} must begin with http:// or https://")
    local = urlsplit(url).hostname in LOCAL
    opener = build_opener(_NoRedirect, *([ProxyHandler({})] if local else []))
    body = json.dumps(as_slack(message)).encode()
    try:
        request = Request(url, body, {"Content-Type": "application/json; charset=utf-8"})
        with opener.open(request, timeout=channel.timeout_seconds):
            pass
    except HTTPError as error:
        said = error.read(200).decode(errors="replace").strip()
        raise NotSent(f"HTTP {error.code}" + (f": {said}" if said else "").replace(url, "…")) from None
    except (OSError, ValueError, HTTPException) as error:
        raise NotSent(f"{type(error).__name__}: {error}".replace(url, "…")) from None


def email_of(channel: EmailChannel, message: Message, *, now: datetime) -> EmailMessage:
    """The message as e-mail. Its id is the same each time it is sent, so that a mailbox may see that two are one."""
    mail = EmailMessage()
    mail["Subject"] = headline(message)
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.recipients)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{message.id}@forecast-platform>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(as_text(message))
    return mail


def _mail(channel: EmailChannel, message: Message, variables: Mapping[str, str], now: datetime) -> None:
    password = None
    if channel.password_variable is not None:
        password = variables.get(channel.password_variable)
        if password is None:
            raise NotSent(f"{channel.password_variable}, which is to hold the password of {channel.host}, is not set")
    mail = email_of(channel, message, now=now)
    try:
        with _connected(channel) as smtp:
            if channel.username is not None and password is not None:
                smtp.login(channel.username, password)
            refused = smtp.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(_without(f"{type(error).__name__}: {error}", password)) from None
    # One wrong address is no reason to send all the others the same again.
    if refused:
        LOGGER.warning("%s refused %s for %s", channel.host, ", ".join(refused), message.id)


def _connected(channel: EmailChannel) -> smtplib.SMTP:
    if channel.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(channel.host, channel.port, timeout=channel.timeout_seconds, context=context)
    smtp = smtplib.SMTP(channel.host, channel.port, timeout=channel.timeout_seconds)
    if channel.security == "starttls":
        try:
            smtp.starttls(context=ssl.create_default_context())
        except BaseException:
            smtp.close()
            raise
    return smtp


def _without(text: str, secret: str | None) -> str:
    return text.replace(secret, "***") if secret else text
