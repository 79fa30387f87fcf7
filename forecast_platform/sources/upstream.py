"""The asset of another integration that writes what a source reads, as settings. Dagster is told in ``assets``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from forecast_platform.sources.columns import Settings


class Upstream(Settings):
    """The asset of another integration that writes what a source reads. It is depended on, never made here."""

    asset: str | tuple[str, ...] = Field(description="its key: parts with / between them as dlt/orders, or a list")
    partitions: Literal["same_day", "none"] = Field(
        "none", description="same_day: daily partitions, of which a day reads its own; none: it is made as a whole"
    )

    @field_validator("asset")
    @classmethod
    def _named(cls, asset: str | tuple[str, ...]) -> str | tuple[str, ...]:
        parts = asset.split("/") if isinstance(asset, str) else asset
        if not parts or not all(part.strip() for part in parts):
            raise ValueError(f"{asset!r} is no asset key: a part of it is empty; write it as dlt/orders")
        return asset

    def path(self) -> tuple[str, ...]:
        """The parts of the key."""
        return tuple(self.asset.split("/")) if isinstance(self.asset, str) else self.asset
