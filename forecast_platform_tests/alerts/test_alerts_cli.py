"""The command ``alerts``: what people see of incidents, and whether messages arrive."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from forecast_platform.alerts.incidents import Finding
from forecast_platform.alerts.record import AlertRecord
from forecast_platform.cli import main
from forecast_platform.state import State
from forecast_platform_tests.alerts.servers import Mailbox, Webhook
from forecast_platform_tests.alerts.test_delivery import tell

NOW = datetime.now(UTC)


@pytest.fixture
def record(tmp_path: Path) -> AlertRecord:
    return AlertRecord(State(f"sqlite:///{tmp_path / 'state.db'}"), "shop")


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, webhook: Webhook, mailbox: Mailbox
) -> Callable[..., Result]:
    """Run ``alerts`` over a folder with the tenant ``shop``, whose channels are the webhook and the mailbox."""
    for name in [name for name in os.environ if name.startswith("FORECAST_")]:
        monkeypatch.delenv(name)
    mail = {"kind": "email", "host": "127.0.0.1", "port": mailbox.port, "security": "none", "sender": "a@example.com"}
    channels = [{"kind": "webhook", "url": "${HOOK}"}, mail | {"recipients": ["b@example.com"]}]
    source = {"kind": "demo", "opens": "2026-01-01"}
    attributes = {"start": "2026-01-01", "source": source, "alerts": {"channels": channels}}
    (tmp_path / "tenants" / "shop").mkdir(parents=True)
    (tmp_path / "tenants" / "shop" / "defs.yaml").write_text(
        yaml.safe_dump({"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": attributes})
    )
    monkeypatch.setenv("HOOK", webhook.url)
    monkeypatch.setenv("FORECAST_TENANTS", str(tmp_path / "tenants"))
    monkeypatch.setenv("FORECAST_STATE", f"sqlite:///{tmp_path / 'state.db'}")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(main, ["alerts", *arguments])


def finding(subject: str) -> Finding:
    return Finding(kind="run", subject=subject, title=f"Run failed: {subject}", what="w", affects="a", since=NOW)


def test_a_test_message_goes_to_every_channel(command, webhook: Webhook, mailbox: Mailbox):
    result = command("--test")
    assert result.exit_code == 0, result.output
    assert webhook.titles == ["🔵 [shop] Test message"]
    assert [mail["Subject"] for mail in mailbox.mails] == ["[shop] Test message"]
    webhook.status = 403
    result = command("--test", "--tenant", "shop")
    assert result.exit_code == 1
    assert "shop: webhook: not sent: HTTP 403" in result.output
    assert "shop: email: sent" in result.output


def test_incidents_are_shown_open_ended_and_with_what_waits(command, record: AlertRecord):
    assert "nothing is wrong" in command("--tenant", "shop").output
    tell(record, finding("shop__day"), finding("shop__update"), now=NOW - timedelta(hours=2))
    tell(record, finding("shop__day"), now=NOW - timedelta(hours=1))
    output = command("--tenant", "shop").output
    assert "Run failed: shop__day" in output
    assert "open" in output
    assert f"{NOW - timedelta(hours=1):%Y-%m-%d %H:%M}" in output
    assert "waits: opened 1 by webhook, tried 0 times" in output


def test_an_incident_is_ended_by_hand_and_told(command, record: AlertRecord, webhook: Webhook):
    tell(record, finding("shop__day"))
    (incident,) = record.open_incidents()
    result = command("--tenant", "shop", "--end", "99")
    assert (result.exit_code, "no open incident of that number" in result.output) == (2, True)
    assert command("--tenant", "shop", "--end", str(incident.id)).exit_code == 0
    assert record.open_incidents() == []
    # The beginning that waited, then the end.
    assert webhook.titles == ["🔴 [shop] Run failed: shop__day", "🟢 [shop] Ended: Run failed: shop__day"]
