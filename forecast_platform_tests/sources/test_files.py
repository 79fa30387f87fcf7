"""A folder that cannot be had: what may pass by itself, and what somebody has to put right."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from pydantic import TypeAdapter

from forecast_platform.sources.base import SourceError, SourceUnavailable
from forecast_platform.sources.files import matches_glob
from forecast_platform.sources.opening import open_source
from forecast_platform.sources.shapes import FilesSales


def discover(url: str, pattern: str = "*.csv") -> list:
    given = {
        "kind": "files",
        "url": url,
        "pattern": pattern,
        "columns": {"sale_date": "day", "sku": "sku", "quantity": "quantity"},
    }
    source = open_source("raw_sales", TypeAdapter(FilesSales).validate_python(given), timezone="UTC", variables={})
    return list(source.discover(now=datetime(2026, 6, 1, tzinfo=UTC)))


def test_a_server_that_is_down_may_come_back():
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceUnavailable, match=rf"'ftp://127.0.0.1:{port}/drop' .* cannot be reached just now"):
        discover(f"ftp://127.0.0.1:{port}/drop")


def test_a_local_folder_that_cannot_be_looked_at_is_not_taken_as_missing(tmp_path: Path):
    # As a stale network mount answers: an error that says neither yes nor no.
    with pytest.raises(SourceUnavailable, match="File name too long"):
        discover(str(tmp_path / ("x" * 300)))


@pytest.mark.parametrize("name", ["nothing", "file", "file/below"])
def test_a_folder_that_is_not_there_is_named_at_once(tmp_path: Path, name: str):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="is not there: create it, mount it, or correct its url") as lasting:
        discover(str(tmp_path / name))
    assert not isinstance(lasting.value, SourceUnavailable)


@pytest.mark.parametrize("pattern", ["*.csv", "*/*.csv", "**/*.csv", "**"])
def test_a_local_folder_gives_what_fsspec_finds_in_it(tmp_path: Path, pattern: str):
    drop = tmp_path / "drop"
    (drop / "a" / "b" / "c").mkdir(parents=True)
    for name in ("x.csv", "y.txt", "a/y.csv", "a/b/z.csv", "a/b/c/w.csv"):
        (drop / name).write_text(name)
    (tmp_path / "secret.csv").touch()
    links = {"near.csv": drop / "x.csv", "out.csv": tmp_path / "secret.csv", "gone.csv": drop / "no", "ab": drop / "a"}
    for name, target in links.items():
        (drop / name).symlink_to(target)
    os.mkfifo(drop / "pipe.csv")
    found = fsspec.filesystem("file").find(str(drop), detail=True)
    names = {path[len(str(drop)) + 1 :]: info for path, info in found.items()}
    expected = {name for name in names if matches_glob(name, pattern) and Path(drop, name).is_file()} - {"out.csv"}
    arrivals = discover(str(drop), pattern)
    assert {each.name for each in arrivals} == expected
    assert all(each.unchanged() for each in arrivals), "a file looks the same alone as in its folder"
    assert all(each.fingerprint.startswith(f"{names[each.name]['size']}|") for each in arrivals)


def test_paths_are_resolved_a_folder_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(200):
        (tmp_path / f"{number}.csv").touch()
    asked = []
    resolve = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path, **how: asked.append(path) or resolve(path, **how))
    assert len(discover(str(tmp_path))) == 200
    assert len(asked) < 10
