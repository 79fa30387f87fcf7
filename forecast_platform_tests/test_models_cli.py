"""The command ``models``: choices are appended with who, when and why; what cannot be is refused in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from forecast_platform.cli import main
from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform.tables import forecast_versions, model_artifacts, published_latest, series

TENANT = {
    "type": "forecast_platform.pipeline.ForecastPipeline",
    "attributes": {"start": "2026-01-01", "source": {"kind": "demo", "opens": "2026-01-01"}},
}


@pytest.fixture(params=["duckdb", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A tenant's warehouse with a series, a version that is published, and two artefacts."""
    for name in [name for name in os.environ if name.startswith("FORECAST_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "tenants" / tenant
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump(TENANT))
    duckdb = f"duckdb:///{tmp_path / 'home'}"
    url = duckdb if request.param == "duckdb" else request.getfixturevalue("postgres_url")
    monkeypatch.setenv("FORECAST_TENANTS", str(tmp_path / "tenants"))
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FORECAST_WAREHOUSE", url)
    opened = open_warehouse(url, tenant)
    opened.migrate()
    day = pd.Timestamp("2026-03-01")
    version = {"version_id": 1, "digest": "a1b2c3d4e5f6a7b8", "origin_date": day, "model": "linear", "series": 1}
    made = {
        "model_spec": "LagRegression()",
        "code_version": "2",
        "horizon": 28,
        "inputs": "{}",
        "live": True,
        "horizons": None,
    }
    published = {"origin_date": day, "version_id": 1, "calibration_id": 1, "confidence": 0.5}
    artifact = {"model": "lightgbm", "spec": "GlobalBoosting()", "code_version": "1", "trained_to": day}
    kept = {"input_digest": "i", "libraries": "{}", "location": "there", "bytes": 1}
    now = pd.Timestamp(datetime.now(UTC)).as_unit("us")
    with opened.transaction() as session:
        row = {"series_id": 1, "sku": "tea 1", "location": "north", "first_seen": day}
        session.append(series, pd.DataFrame([row]))
        session.append(forecast_versions, pd.DataFrame([version | made]))
        session.append(published_latest, pd.DataFrame([published | {"series_id": 1, "published_at": now}]))
        session.append(model_artifacts, pd.DataFrame([artifact | kept | {"digest": each} for each in ("ab12", "ab34")]))
    return opened


@pytest.fixture
def command(shop: Warehouse) -> Callable[..., Result]:
    """Run ``models`` of the tenant in this process."""
    return lambda verb, *rest: CliRunner().invoke(main, ["models", verb, "--tenant", shop.tenant, *rest])


def test_a_pin_is_appended_and_let_go_by_another(shop: Warehouse, command: Callable[..., Result]):
    arguments = ("--model", "linear", "--sku", "tea 1", "--from", "2026-03-02", "--reason", "a campaign")
    assert command("pin", *arguments).exit_code == 0
    assert command("pin", "--model", "naive").exit_code == 0
    listed = command("list").output
    assert "linear is pinned by " in listed and "for sku tea 1 at all from 2026-03-02: a campaign" in listed
    assert "naive is pinned by " in listed and " for every series from " in listed
    assert command("pin", "--release", "--sku", "tea 1").exit_code == 0
    rows = shop.read("select pin_id, sku, location, model, reason from model_pins order by pin_id")
    rows = rows.astype(object).where(rows.notna(), None)
    assert rows.values.tolist() == [
        [1, "tea 1", "all", "linear", "a campaign"],
        [2, "all", "all", "naive", None],
        [3, "tea 1", "all", None, None],
    ]
    assert "linear is pinned by " not in command("list").output


def test_a_model_is_kept_at_an_artefact_named_by_its_first_digits(shop: Warehouse, command: Callable[..., Result]):
    result = command("rollback", "--model", "lightgbm", "--to", "ab3", "--from", "2026-03-05")
    assert result.exit_code == 0 and "lightgbm is kept at ab34 from 2026-03-05" in result.output
    assert command("rollback", "--model", "lightgbm", "--release").exit_code == 0
    rows = shop.read("select choice_id, model, digest from artifact_choices order by choice_id")
    assert rows.astype(object).where(rows.notna(), None).values.tolist() == [
        [1, "lightgbm", "ab34"],
        [2, "lightgbm", None],
    ]


def test_the_list_shows_each_model_with_its_version_and_the_series_it_is_published_for(command: Callable[..., Result]):
    lines = {line.split("│")[1].strip(): line.split("│") for line in command("list").output.splitlines() if "│" in line}
    assert {"naive", "seasonal_naive_7", "linear", "weekday_profile", "ensemble"} <= set(lines)
    assert "a1b2c3d4e5f6 of 2026-03-01" in lines["linear"][4] and lines["linear"][6].strip() == "1"
    assert lines["naive"][4].strip() == "-" and lines["naive"][6].strip() == "0"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("pin", "--model", "liner"), "--model liner: no such model; "),
        (("pin",), "say which --model to publish, or --release"),
        (("pin", "--model", "linear", "--release"), "and not both"),
        (("pin", "--model", "linear", "--sku", "tee"), "--sku tee: "),
        (("pin", "--model", "linear", "--from", "2025-12-31"), "--from 2025-12-31 is before "),
        (("rollback", "--model", "lightgbm"), "say --to which artefact, or --release"),
        (("rollback", "--model", "lightgbm", "--to", "ff"), "--to ff: no artefact of lightgbm on record"),
        (("rollback", "--model", "lightgbm", "--to", "ab"), "--to ab: 2 artefacts of lightgbm on record"),
        (("compare",), "has met its actual yet"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_written(
    shop: Warehouse, command: Callable[..., Result], arguments: tuple[str, ...], line: str
):
    result = command(*arguments)
    assert result.exit_code == 2
    (said,) = [each for each in result.output.splitlines() if each.startswith("Error: ")]
    assert line in said
    assert shop.read("select * from model_pins").empty and shop.read("select * from artifact_choices").empty
