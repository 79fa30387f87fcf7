"""Posting from the command line, and the ERP that plays the demo."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from forecast_platform.cli import main
from forecast_platform.pipeline import PROJECT, load_tenant
from forecast_platform.settings import load
from forecast_platform.sources.inbox import closed_by_mark, waiting

YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date()
SALE = {"event_id": "a", "sold_at": f"{YESTERDAY}T12:00:00Z", "sku": "tea", "quantity": 1}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    for name, source in (("till", {"kind": "events"}), ("corner", {"kind": "demo"})):
        (tmp_path / "tenants" / name).mkdir(parents=True)
        settings = {
            "type": "forecast_platform.pipeline.ForecastPipeline",
            "attributes": {"start": "2026-01-01", "source": source},
        }
        (tmp_path / "tenants" / name / "defs.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("FORECAST_TENANTS", str(tmp_path / "tenants"))
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    return lambda *arguments, **options: CliRunner().invoke(main, arguments, **options)


def test_lines_are_posted_and_what_is_no_sale_is_told(command, tmp_path: Path):
    lines = [json.dumps(SALE), "", "{", "x" * 2_000_000, json.dumps(SALE | {"event_id": "b"})]
    lines.append(json.dumps({"type": "end_of_day", "day": YESTERDAY.isoformat()}))
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    result = command("post", "--tenant", "till", str(tmp_path / "events.jsonl"))
    assert result.exit_code == 1
    assert f"till: 2 events accepted, 2 rejected; over: {YESTERDAY}" in result.output
    assert "event 2: the event is not JSON" in result.output
    assert "event 3: the event is 16386 bytes long; max_event_bytes is 16384" in result.output
    landing = load_tenant("till", load()).landing
    assert (waiting(landing).events, closed_by_mark(landing)) == (4, YESTERDAY)


def test_events_may_come_through_a_pipe(command):
    result = command("post", "--tenant", "till", "-", input=json.dumps(SALE))
    assert (result.exit_code, result.output) == (0, "till: 1 events accepted, 0 rejected\n")


@pytest.mark.parametrize("arguments", [("post", "-"), ("consume", "nats://127.0.0.1:1")])
def test_a_tenant_that_takes_no_events_says_what_would(command, arguments: tuple[str, ...]):
    result = command(*arguments, "--tenant", "corner", input="")
    assert result.exit_code == 2
    assert "takes no posted events: its source is of kind 'demo'" in result.output


def test_only_a_generated_tenant_can_be_played(command):
    result = command("demo", "--stream", "--tenant", "till")
    assert result.exit_code == 2
    assert "has a source of kind 'events', not demo" in result.output


@pytest.mark.slow
def test_the_played_erp_gets_its_forecasts_back_and_its_facts_are_those_of_the_generator(tmp_path: Path):
    (tmp_path / "tenants" / "corner").mkdir(parents=True)
    start = datetime.now(UTC).date() - timedelta(days=40)
    shop = {"kind": "demo", "n_skus": 8, "opens": start.isoformat()}
    windows = {"horizon": 7, "training_window": 28, "inactive_after_days": 40}
    settings = {"start": start.isoformat(), "source": shop, **windows}
    text = yaml.safe_dump({"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": settings})
    (tmp_path / "tenants" / "corner" / "defs.yaml").write_text(text)
    (tmp_path / "dagster").mkdir()
    shutil.copy(PROJECT / "dagster.yaml", tmp_path / "dagster")
    environment = os.environ | {
        "FORECAST_HOME": str(tmp_path / "home"),
        "FORECAST_TENANTS": str(tmp_path / "tenants"),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
    }
    command = [sys.executable, "-m", "forecast_platform.cli", "demo", "--tenant", "corner"]
    stream = [*command, "--stream", "--days", "1", "--rate", "20", "--show", "3"]
    done = subprocess.run(stream, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"{YESTERDAY} is closed: \d+ events.*new forecasts", done.stdout), done.stdout
    again = subprocess.run(stream, env=environment, capture_output=True, text=True, timeout=900)
    assert (again.returncode, "has played every day before today" in again.stderr) == (2, True), again.stderr
    asked = [*command[:-3], "run", "--tenant", "corner", "--select", "raw_sales"]
    days = ["--from", start.isoformat(), "--to", YESTERDAY.isoformat()]
    subprocess.run([*asked, *days], env=environment, check=True, timeout=900)
    tenants = str(tmp_path / "home" / "stream")
    facts = "select sale_date, event_id, sku, location, quantity, unit_price from raw_sales order by 1, 2"
    settings = load({name: value for name, value in environment.items() if name.startswith("FORECAST_")})
    played = load_tenant("corner_stream", load({"FORECAST_HOME": settings.home, "FORECAST_TENANTS": tenants}))
    assert played.warehouse.read(facts).equals(load_tenant("corner", settings).warehouse.read(facts))
