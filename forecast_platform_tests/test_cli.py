"""The command line: bad arguments get one clear line and exit code 2, and answers come at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from forecast_platform.cli import main
from forecast_platform.pipeline import load_tenant
from forecast_platform.settings import load

TENANT = {
    "type": "forecast_platform.pipeline.ForecastPipeline",
    "attributes": {"start": "2026-01-01", "source": {"kind": "demo", "opens": "2026-01-01"}},
}


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process, over a folder with one tenant."""
    for name in [name for name in os.environ if name.startswith("FORECAST_")]:
        monkeypatch.delenv(name)
    tenants = tmp_path / "tenants"
    (tenants / "corner").mkdir(parents=True)
    (tenants / "corner" / "defs.yaml").write_text(yaml.safe_dump(TENANT))
    monkeypatch.setenv("FORECAST_TENANTS", str(tenants))
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


TODAY = datetime.now(UTC).date().isoformat()
LATER = (datetime.now(UTC).date() + timedelta(days=2)).isoformat()
RANGE = ("--from", "2026-01-01", "--to", "2026-01-02")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("run", "--tenant", "croner", *RANGE), "tenant 'croner' is unknown; there are corner"),
        (("status", "--tenant", "croner"), "tenant 'croner' is unknown; there are corner"),
        (("run", "--tenant", "corner", *RANGE, "--select", "raw_sale"), "--select raw_sale: no such asset; corner has"),
        (
            ("run", "--tenant", "corner", "--from", "2026-01-02", "--to", "2026-01-01"),
            "--from 2026-01-02 is after --to",
        ),
        (("run", "--tenant", "corner", "--from", "2025-12-31", "--to", "2026-01-01"), "before corner starts on"),
        (("run", "--tenant", "corner", "--from", "2026-01-01", "--to", LATER), f"--to {LATER} has not begun"),
        (("run", "--tenant", "corner"), "say which days: --from YYYY-MM-DD --to YYYY-MM-DD"),
        (("run", "--tenant", "corner", "--from", "2026-01-01"), "say which days: --from YYYY-MM-DD --to YYYY-MM-DD"),
        (("run", "--tenant", "corner", "--from", "1.1.2026", "--to", "2026-01-02"), "'1.1.2026' does not match"),
        (("run", "--tenant", "corner", *RANGE, "--changed", "2026-01-01"), "--changed goes without --from"),
        (("run", "--tenant", "corner", "--changed", TODAY), f"--changed {TODAY} is open"),
        (("run", "--tenant", "corner", "--changed", "2025-12-31"), "before corner starts on"),
        (("run", *RANGE), "Missing option '--tenant'"),
        (("demo", "--tenant", "corner", "--origins", "400"), "400 is not in the range"),
        (("backfill",), "No such command 'backfill'"),
    ],
)
def test_a_bad_argument_gets_one_clear_line_and_exit_code_2(command: Callable[..., Result], arguments, line):
    result = command(*arguments)
    assert result.exit_code == 2
    errors = [each for each in result.output.splitlines() if each.startswith("Error: ")]
    assert len(errors) == 1 and line in errors[0]
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("setting", "value", "line"),
    [
        ("FORECAST_WAREHOSE", "duckdb:///x", "unknown setting FORECAST_WAREHOSE; known are"),
        ("FORECAST_EXECUTOR", "multiprocess", "DuckDB lets one in at a time"),
        ("FORECAST_WAREHOUSE", "mysql://x", "must be duckdb:///folder or postgresql://"),
        ("FORECAST_TENANTS", "/no such folder", "FORECAST_TENANTS is '/no such folder', which is no folder"),
        ("DAGSTER_HOME", "/no such folder", "DAGSTER_HOME is '/no such folder', which is no folder"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(
    command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, setting: str, value: str, line: str
):
    monkeypatch.setenv(setting, value)
    for arguments in (("status", "--tenant", "corner"), ("run", "--tenant", "corner", *RANGE)):
        result = command(*arguments)
        assert result.exit_code == 2 and line in result.output
        assert len(result.output.splitlines()) == 1


def test_wrong_yaml_is_one_line_that_names_the_field(command: Callable[..., Result], tmp_path: Path):
    attributes = TENANT["attributes"] | {"horizont": 7}
    (tmp_path / "tenants" / "corner" / "defs.yaml").write_text(yaml.safe_dump(TENANT | {"attributes": attributes}))
    result = command("status", "--tenant", "corner")
    assert result.exit_code == 2 and "horizont" in result.output and "Traceback" not in result.output


def test_the_demo_is_for_tenants_with_the_generator(command: Callable[..., Result], tmp_path: Path):
    source = {"kind": "files", "url": str(tmp_path), "columns": {"sale_date": "d", "sku": "s", "quantity": "q"}}
    source |= {"constants": {"location": "all"}}
    attributes = TENANT["attributes"] | {"source": source}
    (tmp_path / "tenants" / "corner" / "defs.yaml").write_text(yaml.safe_dump(TENANT | {"attributes": attributes}))
    result = command("demo", "--tenant", "corner")
    assert result.exit_code == 2 and "has a source of kind 'files', not demo" in result.output


def test_help_imports_nothing_heavy():
    """It answers in a tenth of a second; Dagster alone takes two."""
    asked = (
        "import sys; sys.argv = ['forecast-platform', '--help']\n"
        "from forecast_platform.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'dagster', 'pandas', 'numpy', 'dbt', 'sktime', 'duckdb', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    for name in ("demo", "run", "status", "migrate"):
        assert f"  {name}" in result.stdout


def test_a_tenants_definitions_can_be_loaded_from_any_folder(command, tmp_path: Path):
    scope = load_tenant("corner", load())
    assert (scope.name, scope.tenant.source.kind) == ("corner", "demo")
