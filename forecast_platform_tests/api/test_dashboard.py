"""The dashboard's files: each is served as what it is, without a credential, and asks for nothing that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from forecast_platform.api.app import create_app
from forecast_platform.api.dashboard import FOLDER, PREFIX, TYPES, files
from forecast_platform.settings import load

HTTP_METHODS = ("GET", "POST", "PUT", "DELETE")
MODULES = sorted(FOLDER.glob("*.js"))
ENDPOINTS = re.findall(r"^\s*(\w+): \"(\w+) (/\S+)\",$", (FOLDER / "endpoints.js").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("dashboard")
    environment = {"FORECAST_HOME": str(home), "FORECAST_WAREHOUSE": f"duckdb:///{home}", "FORECAST_LANDING": str(home)}
    return create_app(load(environment | {"FORECAST_API_ENVIRONMENT": "development"}))


@pytest.fixture
def anybody(app) -> TestClient:
    return TestClient(app)


@pytest.mark.parametrize("path", files())
def test_a_file_is_served_to_anybody_as_what_it_is(anybody: TestClient, path: str):
    answer = anybody.get(path)
    assert answer.status_code == 200 and answer.content == files()[path].content != b""
    assert (
        answer.headers["content-type"] == TYPES[{"": ".html", ".ico": ".svg"}.get(Path(path).suffix, Path(path).suffix)]
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY" and answer.headers["referrer-policy"] == "no-referrer"
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "connect", "img")} == {"'self'"}
    again = anybody.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and not again.content and again.headers["etag"] == answer.headers["etag"]
    asked = anybody.head(path)
    assert asked.status_code == 200 and not asked.content
    assert asked.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    "path",
    [*(f"{PREFIX}{name}" for name in ("", "__init__.py", "index.html", "../__init__.py", "%2e%2e/app.py")), "/app.js"],
)
def test_nothing_else_is_served(anybody: TestClient, path: str):
    assert anybody.get(path).status_code in (401, 404)


def test_the_files_are_read_only(anybody: TestClient):
    assert {anybody.request(method, "/").status_code for method in ("POST", "PUT", "DELETE")} == {401}


def test_the_start_names_only_files_that_there_are():
    named = re.findall(r"(?:href|src)=\"(/[^\"]*)\"", (FOLDER / "index.html").read_text())
    assert named and set(named) <= set(files())
    for module in MODULES:
        for other in re.findall(r"from \"\./([^\"]+)\"", module.read_text()):
            assert PREFIX + other in files(), f"{module.name} imports {other}"


def test_nothing_inline_and_nothing_from_elsewhere():
    for path in FOLDER.iterdir():
        if path.suffix not in TYPES:
            continue
        text = path.read_text()
        assert not re.search(r"\bstyle=|<style|\bon\w+=\"|innerHTML|outerHTML|insertAdjacentHTML|\beval\(", text), path
        foreign = [url for url in re.findall(r"https?://[^\"'\s)]+", text) if url != "http://www.w3.org/2000/svg"]
        assert not foreign, f"{path} names {foreign}"


def test_pages_call_only_endpoints_that_the_api_describes(app):
    described = {
        (operation["operationId"], method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }
    assert ENDPOINTS and set(ENDPOINTS) <= described, set(ENDPOINTS) - described


def test_only_one_file_names_paths_of_the_api_and_each_is_called():
    texts = {path.name: path.read_text() for path in MODULES if path.name != "endpoints.js"}
    assert not [name for name, text in texts.items() if "/api/" in text]
    called = set(re.findall(r"(?:(?:ask|download)\(\s*|endpoint: )\"(\w+)\"", "".join(texts.values())))
    assert called == {name for name, *_ in ENDPOINTS}
