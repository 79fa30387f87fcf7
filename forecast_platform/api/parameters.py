"""Parameters that several endpoints take: what a SKU may be, days, pages. Each with its description and example."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import BeforeValidator

from forecast_platform.api.slashes import with_slashes

TEXT = r"^[^\x00-\x1f\x7f]+$"
"""No control characters: no SKU has them, and PostgreSQL takes no NUL in any text."""

LONGEST_NAME = 256
MOST_DAYS = 400

Sku = Annotated[
    str,
    BeforeValidator(with_slashes),
    Path(
        min_length=1,
        max_length=LONGEST_NAME,
        pattern=TEXT,
        description="A SKU, as the sales name it; a `/` in it as `%2F`.",
        examples=["sku 1"],
    ),
]
Location = Annotated[
    str | None,
    Query(max_length=LONGEST_NAME, pattern=TEXT, description="Only this location.", examples=["north"]),
]
Model = Annotated[
    str | None,
    Query(
        max_length=100,
        pattern=TEXT,
        description="The forecast of this model, whether it is published or not.",
        examples=["ensemble"],
    ),
]
Horizon = Annotated[
    int | None,
    Query(ge=1, le=MOST_DAYS, description="Only so many days ahead; all of them where it is left out.", examples=[7]),
]
Origin = Annotated[
    date | None,
    Query(
        description="The last day whose sales the forecast knew; the newest where it is left out.",
        examples=["2026-01-31"],
    ),
]
AsOf = Annotated[
    datetime | None,
    Query(description="What was published at this moment (ISO 8601, with a zone).", examples=["2026-02-01T06:00:00Z"]),
]
