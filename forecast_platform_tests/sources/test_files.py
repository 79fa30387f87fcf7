"""A folder that cannot be had: what may pass by itself, and what somebody has to put right."""

from __future__ import annotations

import socket
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from forecast_platform.sources.base import SourceError, SourceUnavailable
from forecast_platform.sources.opening import open_source
from forecast_platform.sources.shapes import FilesSales


def discover(url: str) -> list:
    given = {"kind": "files", "url": url, "columns": {"sale_date": "day", "sku": "sku", "quantity": "quantity"}}
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
