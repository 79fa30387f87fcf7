"""The server as a process: it starts only where it is safe, answers, and ends when it is told to."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from forecast_platform.api.readiness import look_at
from forecast_platform.cli import main
from forecast_platform.settings import child_environment
from forecast_platform_tests.api.conftest import SECRET, Served


@contextmanager
def server(served: Served, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``forecast-platform serve`` in a process of its own; its address, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = child_environment(
        served.shop.environment
        | {
            "FORECAST_TENANTS": str(served.folder / "tenants"),
            "FORECAST_STATE": f"sqlite:///{served.folder / 'state.db'}",
            "FORECAST_API_SECRET": SECRET,
            "FORECAST_LOG": "json",
        }
    )
    command = [sys.executable, "-m", "forecast_platform.cli", "serve", "--port", str(port), *arguments]
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 90
        while time.monotonic() < end and child.poll() is None:
            try:
                httpx.get(f"{address}/health", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield address, child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_it_answers_and_ends_when_it_is_told_to(shop: Served, workers: int):
    with server(shop, "--workers", str(workers)) as (address, child):
        key = shop.key()
        for _ in range(4):
            answer = httpx.get(f"{address}/api/v1/forecasts/sku 1", headers={"X-API-Key": key}, timeout=30)
            assert answer.status_code == 200 and answer.json()["sku"] == "sku 1"
        assert httpx.get(f"{address}/ready", timeout=30).json()["tenants"] == 1
        assert "server" not in answer.headers
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=60)[0]
        assert child.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in said and key not in said and SECRET not in said


def test_it_does_not_start_without_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    refused = CliRunner().invoke(main, ["serve"])
    assert refused.exit_code == 2 and "FORECAST_API_SECRET is not set" in refused.stderr
    monkeypatch.setenv("FORECAST_API_ENVIRONMENT", "development")
    refused = CliRunner().invoke(main, ["serve", "--host", "0.0.0.0"])
    assert refused.exit_code == 2 and "--host 127.0.0.1" in refused.stderr


def test_ready_says_so_and_how_old_what_is_published_is(client: TestClient, served: Served):
    told = client.get("/ready")
    assert told.status_code == 200 and told.json()["status"] == "ready" and told.json()["tenants"] == 1
    assert told.json()["oldest_publication_hours"] > 0 and served.tenant not in told.text


def test_a_tenant_that_cannot_be_read_is_not_ready_and_not_named(
    shop: Served, open_app: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    app, client = open_app(shop.settings, warehouse=f"duckdb:///{tmp_path / 'empty'}")
    told = client().get("/ready")
    assert told.status_code == 503 and told.headers["retry-after"] and shop.tenant not in told.text
    assert shop.tenant in caplog.text
    assert client().get("/health").status_code == 200
    answer = client(shop.key()).get("/api/v1/forecasts/sku 1")
    assert answer.status_code == 503 and answer.headers["retry-after"] and answer.json()["type"].endswith("unavailable")
    assert look_at(app.state.platform).problems


def test_a_database_that_is_away_is_503_and_comes_back(loaded_postgresql: Served, open_app: Callable):
    key, settings = loaded_postgresql.key(), loaded_postgresql.settings
    away = open_app(settings, warehouse="postgresql://nobody@127.0.0.1:1/none")[1](key)
    for path in ("/api/v1/forecasts/sku 1", "/api/v1/forecasts/sku 1?origin=2026-02-01", "/ready"):
        answer = away.get(path)
        assert answer.status_code == 503 and answer.headers["retry-after"], path
    assert open_app(settings)[1](key).get("/api/v1/forecasts/sku 1").status_code == 200
