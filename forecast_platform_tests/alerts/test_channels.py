"""Channels against real servers on loopback: what arrives, and what is said where something does not."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import ssl
from pathlib import Path

import pytest
from pydantic import ValidationError

from forecast_platform.alerts.channels import NotSent, send
from forecast_platform.alerts.messages import Message
from forecast_platform.alerts.settings import Alerts, EmailChannel, LogChannel, WebhookChannel
from forecast_platform_tests.alerts.servers import Mailbox, Webhook, free_port

NOW = dt.datetime(2026, 1, 20, 12, tzinfo=dt.UTC)
MESSAGE = Message(
    "shop-7-opened", "shop", "opened", "Drift: ü", (("What", "+50 % in a tenth"),), "http://localhost:3000/runs/4f"
)


def hook(url: str, **how) -> WebhookChannel:
    return WebhookChannel(kind="webhook", name="webhook", url=url, **how)


def mail(port: int, **how) -> EmailChannel:
    plain = {"host": "127.0.0.1", "port": port, "security": "none", "timeout_seconds": 5}
    people = {"sender": "forecast@example.com", "recipients": ("ops@example.com", "lead@example.com")}
    return EmailChannel(**{"kind": "email", **plain, **people, **how})


def test_a_webhook_gets_slacks_json_at_a_url_from_the_environment(webhook: Webhook):
    send(hook("${HOOK}"), MESSAGE, {"HOOK": webhook.url}, now=NOW)
    (body,) = webhook.posted
    assert body["text"] == "🔴 [shop] Drift: ü"
    assert [block["type"] for block in body["blocks"]] == ["header", "section", "context"]


@pytest.mark.parametrize(("status", "said"), [(404, "HTTP 404: no_service"), (500, "HTTP 500"), (302, "HTTP 302")])
def test_a_webhook_that_refuses_or_leads_elsewhere_was_not_sent(webhook: Webhook, status: int, said: str):
    webhook.status = status
    with pytest.raises(NotSent, match=said) as error:
        send(hook(webhook.url), MESSAGE, {}, now=NOW)
    assert "s3cret" not in str(error.value)


def test_a_webhook_that_is_down_or_unknown_says_so_without_its_secret(webhook: Webhook):
    webhook.stop()
    with pytest.raises(NotSent, match="Connection refused") as error:
        send(hook(webhook.url), MESSAGE, {}, now=NOW)
    assert "s3cret" not in str(error.value)
    with pytest.raises(NotSent, match=r"\$\{HOOK\}, which is not set") as missing:
        send(hook("${HOOK}"), MESSAGE, {"OTHER_SECRET": "x"}, now=NOW)
    assert "OTHER_SECRET" not in str(missing.value)
    with pytest.raises(NotSent, match="must begin with http"):
        send(hook("${HOOK}"), MESSAGE, {"HOOK": "file:///etc/passwd"}, now=NOW)


def test_a_webhook_that_never_answers_ends_at_the_timeout():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotSent, match="timed out"):
        send(hook(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_seconds=0.2), MESSAGE, {}, now=NOW)


def test_an_e_mail_arrives_at_everybody(mailbox: Mailbox):
    send(mail(mailbox.port), MESSAGE, {}, now=NOW)
    (got,) = mailbox.mails
    assert mailbox.recipients == [["ops@example.com", "lead@example.com"]]
    assert got["Subject"] == "[shop] Drift: ü"
    assert got["Message-ID"] == "<shop-7-opened@forecast-platform>"
    assert "What: +50 % in a tenth\nLook: http://localhost:3000/runs/4f" in got.get_content().replace("\r\n", "\n")


def test_one_wrong_address_does_not_keep_it_from_the_others(mailbox: Mailbox):
    mailbox.refuses = {"lead@example.com"}
    send(mail(mailbox.port), MESSAGE, {}, now=NOW)
    assert mailbox.recipients == [["ops@example.com"]]
    mailbox.refuses = {"lead@example.com", "ops@example.com"}
    with pytest.raises(NotSent, match="SMTPRecipientsRefused"):
        send(mail(mailbox.port), MESSAGE, {}, now=NOW)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form) + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_starttls_and_login_with_a_password_from_the_environment(certificate: Path, monkeypatch: pytest.MonkeyPatch):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    login = {"security": "starttls", "username": "forecast", "password_variable": "SMTP_PASSWORD"}
    box = Mailbox(users={"forecast": "hunter2"})
    with box.running(server):
        channel = mail(box.port, **login)
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            send(channel, MESSAGE, {"SMTP_PASSWORD": "hunter2"}, now=NOW)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send(channel, MESSAGE, {"SMTP_PASSWORD": "hunter2"}, now=NOW)
        assert len(box.mails) == 1
        with pytest.raises(NotSent, match="SMTPAuthenticationError") as wrong:
            send(channel, MESSAGE, {"SMTP_PASSWORD": "hunter3"}, now=NOW)
        assert "hunter3" not in str(wrong.value)
        with pytest.raises(NotSent, match="SMTP_PASSWORD, which is to hold the password"):
            send(channel, MESSAGE, {}, now=NOW)
    assert len(box.mails) == 1


def test_a_mail_server_without_starttls_gets_nothing_in_the_clear(mailbox: Mailbox):
    with pytest.raises(NotSent, match="STARTTLS"):
        send(mail(mailbox.port, security="starttls"), MESSAGE, {}, now=NOW)
    assert mailbox.mails == []


def test_a_mail_server_that_is_down_says_so():
    with pytest.raises(NotSent, match="Connection refused"):
        send(mail(free_port()), MESSAGE, {}, now=NOW)


def test_the_log_gets_the_text(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "forecast_platform.alerts"):
        send(LogChannel(name="log"), MESSAGE, {}, now=NOW)
    assert caplog.messages[0].startswith("[shop] Drift: ü\nWhat: +50 % in a tenth")


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ([{"kind": "webhook", "url": "${A}"}, {"kind": "webhook", "url": "${B}"}], "two channels are called webhook"),
        ([{"kind": "pager"}], "pager"),
        ([mail(25).model_dump() | {"recipients": ["a@b\r\nBcc: c@d"]}], "recipients"),
        ([mail(25).model_dump() | {"recipients": []}], "recipients"),
        ([mail(25).model_dump() | {"username": "a"}], "go together"),
        ([mail(25).model_dump() | {"host": "h", "username": "a", "password_variable": "P"}], "in the clear"),
    ],
)
def test_settings_that_cannot_work_are_refused(channels: list, said: str):
    with pytest.raises(ValidationError, match=said):
        Alerts.model_validate({"channels": channels})
