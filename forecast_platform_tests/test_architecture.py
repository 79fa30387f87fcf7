"""Imports run one way, pure packages stay pure, and one module reads the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import forecast_platform

ROOT = Path(forecast_platform.__file__).parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
PURE = ("features", "forecasting", "accuracy", "inventory", "reporting")
DATABASES = {"sqlalchemy", "duckdb", "psycopg2", "alembic", "fsspec"}


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Dotted names that a module imports, those for type checkers apart."""
    tree = ast.parse((ROOT / path).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body.clear()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def of(package: str) -> list[Path]:
    found = [path for path in MODULES if path.parts[0] == package]
    assert found, package
    return found


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_import_neither_dagster_nor_a_database(package: str):
    for path in of(package):
        for name in imports(path):
            assert name.split(".")[0] not in {"dagster", "dagster_dbt", *DATABASES}, f"{path} imports {name}"


def test_what_is_an_incident_and_what_is_said_of_it_is_pure():
    for path in (Path("alerts/incidents.py"), Path("alerts/messages.py"), Path("alerts/settings.py")):
        for name in imports(path):
            assert name.split(".")[0] not in {"dagster", *DATABASES}, f"{path} imports {name}"


@pytest.mark.parametrize(
    ("package", "above"),
    [
        *((package, ("assets", "io_managers", "sources", "pipeline", "runs", "cli")) for package in PURE),
        ("sources", ("assets", "io_managers", "forecasting", "pipeline", "runs", "cli")),
        ("io_managers", ("assets", "sources", "forecasting", "features", "pipeline", "runs", "cli")),
        ("migrations", ("assets", "sources", "forecasting", "pipeline")),
        ("assets", ("runs", "pipeline", "cli", "definitions")),
    ],
)
def test_imports_run_one_way(package: str, above: tuple[str, ...]):
    for path in of(package):
        for name in imports(path):
            parts = name.split(".")
            assert not (parts[0] == "forecast_platform" and parts[1:2] and parts[1] in above), f"{path} imports {name}"


def test_only_the_api_imports_its_framework():
    # Who installs no extra must be able to run everything else; the commands ask for uvicorn when they need it.
    for path in MODULES:
        for name in imports(path):
            assert path.parts[0] == "api" or name.split(".")[0] not in {"fastapi", "starlette"}, (
                f"{path} imports {name}"
            )


def test_only_settings_reads_the_environment():
    # dbt's processes are given nothing but their environment, and say so.
    allowed = {Path("settings.py"), Path("dbt_child.py"), Path("dbt_server.py")}
    for path in MODULES:
        text = (ROOT / path).read_text()
        assert path in allowed or ("os.environ" not in text and "getenv" not in text), path


def test_no_heavy_library_is_imported_before_it_is_needed():
    # Importing sktime takes 1.3 s, matplotlib 0.5 s. Forecasters are sktime classes and are imported when one is built.
    heavy = {"sktime", "statsforecast", "prophet", "torch", "matplotlib", "lightgbm", "dbt"}
    for path in set(MODULES) - {Path("forecasting/forecasters.py")}:
        for name in imports(path, top_level_only=True):
            assert name.split(".")[0] not in heavy, f"{path} imports {name}"


def test_every_module_says_what_belongs_in_it():
    for path in MODULES:
        assert ast.get_docstring(ast.parse((ROOT / path).read_text())), path


def test_modules_stay_readable():
    # The tables are one list, to be found in one place.
    for path in set(MODULES) - {Path("tables.py")}:
        assert len((ROOT / path).read_text().splitlines()) <= 400, path
