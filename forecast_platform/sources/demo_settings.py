"""Settings of the demo generator, apart from it so that reading a tenant's YAML imports no numerics.

What the shop looks like is stated in ``demo``; what of it can be chosen is here.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DemoSource(BaseModel):
    """A generated shop, the same for the same settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["demo"] = Field("demo", description="the demo generator")
    seed: int = Field(7, description="equal seeds give equal shops, to the byte")
    n_skus: int = Field(60, ge=1, le=20_000, description="articles on the shelf; two locations sell most of them")
    history_days: int = Field(
        200, ge=1, le=3660, description="days before today that arrive where nobody asks for a first day"
    )
    opens: date | None = Field(
        None,
        description="day the shop opens: nothing happens before, and the whole catalogue is published on it. Without"
        " it the shop has always been open, and the catalogue comes on Mondays",
    )
    open_day_events: int = Field(
        0,
        ge=0,
        description="how many of today's sales have arrived while the day is open; the rest comes once it closed",
    )
