"""How tests read a list to its end."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient


def all_items(client: TestClient, path: str, *, limit: int = 2, **asked: Any) -> list[dict]:
    """The items of all pages of ``limit`` each, none of them empty."""
    items, cursor = [], None
    while True:
        page = client.get(path, params=asked | {"limit": limit} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["items"]) == limit or page["next_cursor"] is None
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def without_cursor(client: TestClient, path: str, **asked: Any) -> list[dict]:
    """The items of a list that fits on one page."""
    page = client.get(path, params=asked).json()
    assert page["next_cursor"] is None
    return page["items"]
