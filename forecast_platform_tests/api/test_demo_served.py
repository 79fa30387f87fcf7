"""``demo --serve`` as somebody who has just installed it: a shop is made, and one of the users it prints signs in."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import httpx
import pytest
import yaml
from click.testing import CliRunner

from forecast_platform import arguments
from forecast_platform.api.scopes import Role
from forecast_platform.api.users import Users
from forecast_platform.cli import main
from forecast_platform.serve_cli import _demo_users
from forecast_platform.settings import child_environment, load
from forecast_platform.state import State


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A platform of its own with a shop of a few weeks."""
    start = (datetime.now(UTC).date() - timedelta(days=35)).isoformat()
    source = {"kind": "demo", "opens": start, "n_skus": 3}
    attributes = {"start": start, "source": source, "training_window": 28, "inactive_after_days": 40, "horizon": 7}
    folder = tmp_path / "tenants" / "corner"
    folder.mkdir(parents=True)
    kind = {"type": "forecast_platform.pipeline.ForecastPipeline", "attributes": attributes}
    (folder / "defs.yaml").write_text(yaml.safe_dump(kind))
    (tmp_path / "dagster").mkdir()
    return {
        "FORECAST_TENANTS": str(folder.parent),
        "FORECAST_HOME": str(tmp_path / "home"),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
    }


def lines_until(process: subprocess.Popen[str], word: str) -> Iterator[str]:
    for line in process.stdout:
        yield line
        if word in line:
            return
    raise AssertionError(process.wait(30))


@pytest.mark.slow
def test_who_is_shown_a_password_signs_in_with_it(environment: dict[str, str]):
    command = [sys.executable, "-m", "forecast_platform.cli", "demo", "--tenant", "corner", "--origins", "1"]
    command += ["--serve", "--port", "0"]
    with subprocess.Popen(
        command, env=child_environment(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            told = "".join(lines_until(process, "Ctrl-C stops it"))
            (url,) = re.findall(r"Open (http://127\.0\.0\.1:\d+)", told)
            given = dict(re.findall(r"^  (\S+@corner) +(\S{20})  may", told, re.MULTILINE))
            assert set(given) == {f"{role}@corner" for role in Role}
            with httpx.Client(base_url=url, timeout=60) as asked:
                assert "<title>Forecasts</title>" in asked.get("/").text
                body = {"name": "planner@corner", "password": given["planner@corner"]}
                session = asked.post("/api/v1/sessions", json=body).json()
                bearer = {"Authorization": f"Bearer {session['token']}"}
                assert asked.get("/api/v1/me", headers=bearer).json()["scopes"] == ["read", "write"]
                assert asked.get("/api/v1/skus", headers=bearer).json()["items"]
                assert asked.get("/api/v1/webhooks", headers=bearer).status_code == 403
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_what_would_keep_it_from_serving_is_told_before_the_demo_is_made(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = CliRunner().invoke(main, ["demo", "--tenant", "corner", "--serve", "--port", port])
    assert refused.exit_code == 1 and f"--port {port} cannot be used" in refused.stderr
    monkeypatch.setattr(arguments, "API_PACKAGES", ("no_such_package",))
    for command in (["demo", "--tenant", "corner", "--serve"], ["serve"]):
        refused = CliRunner().invoke(main, command)
        assert refused.exit_code == 1
        assert "no_such_package is not installed: pip install 'forecast-platform[api]'" in refused.stderr
    assert not Path(environment["FORECAST_HOME"]).exists(), "nothing was made"


def test_the_demo_takes_no_user_of_another_tenant(tmp_path: Path):
    settings = load({"FORECAST_STATE": f"sqlite:///{tmp_path / 'state.db'}"})
    users = Users(State(settings.state_url))
    ann = users.create("shop", "admin@demo", role=Role.ADMIN, password="a stapler of another colour")
    with pytest.raises(click.ClickException, match="admin@demo is a user of shop"):
        list(_demo_users("demo", settings))
    assert next(each for each in users.list() if each.name == ann.name) == ann
