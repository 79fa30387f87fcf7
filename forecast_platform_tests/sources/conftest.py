"""A folder into which files are dropped, and what becomes of them: the fixture most tests of the sources stand on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.landing import LandedBatch, Landing, land, landed_frame
from forecast_platform.sources.opening import open_source
from forecast_platform.sources.shapes import FactSources, SalesSource

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HEADER = "day,sku,location,quantity,price"
COLUMNS = {"sale_date": "day", "sku": "sku", "location": "location", "quantity": "quantity", "unit_price": "price"}


class Dropped:
    """A tenant with one source, a folder of files."""

    def __init__(self, folder: Path, asset: str, settings: dict, zone: str) -> None:
        self.folder = folder / "drop"
        self.folder.mkdir(exist_ok=True)
        self.landing = Landing((folder / "landing").as_uri(), "tenant", zone)
        self.asset = asset
        self.now = NOW
        self.known = landed_frame([])
        self.use(**({"kind": "files", "url": str(self.folder), "pattern": "*"} | settings))

    def use(self, **settings: object) -> None:
        """Change the source's settings."""
        self.settings = getattr(self, "settings", {}) | settings
        if self.asset == "raw_sales":
            parsed = TypeAdapter(SalesSource).validate_python(self.settings)
        else:
            parsed = getattr(FactSources(**{self.asset: self.settings}), self.asset)
        self.source = open_source(self.asset, parsed, timezone=self.landing.timezone)

    def write(self, name: str, content: str | bytes, *, age: float = 3600) -> Path:
        """Drop a file, last written ``age`` seconds ago."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        stamp = self.now.timestamp() - age
        os.utime(path, (stamp, stamp))
        return path

    def land(self, *, forget: bool = False) -> list[LandedBatch]:
        """Land what is there, an hour after the last time; ``forget``: as if the process died before it was noted."""
        self.now += timedelta(hours=1)
        batches = land(self.source, self.known, self.landing, self.now)
        if not forget and batches:
            self.known = pd.concat([self.known, landed_frame(batches)], ignore_index=True)
        return batches

    def days(self) -> list[date]:
        """All days on record."""
        return sorted({date.fromisoformat(day) for text in self.known["days"] for day in json.loads(text)})

    def facts(self, days: Iterable[date] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Facts and rejects of some days, or all."""
        return facts_of(self.source, self.days() if days is None else days, self.known, self.landing)


@pytest.fixture
def drop(tmp_path: Path) -> Callable[..., Dropped]:
    """Make a tenant: ``drop(asset=…, zone=…, **settings)``; by default sales with the columns of ``HEADER``."""

    def make(*, asset: str = "raw_sales", zone: str = "UTC", name: str = "", **settings: object) -> Dropped:
        folder = tmp_path / (name or "tenant")
        folder.mkdir(exist_ok=True)
        return Dropped(folder, asset, {"columns": COLUMNS} | settings, zone)

    return make
