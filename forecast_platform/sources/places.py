"""Where a source is, as settings: a folder, a query of a database, the inbox of what is posted.

How its rows look is in ``shapes``.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from forecast_platform.sources.base import Format
from forecast_platform.sources.columns import Settings
from forecast_platform.sources.upstream import Upstream

_NAME = Field("", pattern=r"^([a-z0-9][a-z0-9_-]{0,62})?$", description="name of the source; without it the asset's")


_UPSTREAM = Field(None, description="the asset of another tool that writes what is read here, as of dagster-dlt")


class Folder(Settings):
    """Where files are dropped."""

    kind: Literal["files"] = Field(description="a folder of files")
    name: str = _NAME
    url: str = Field(min_length=1, description="folder, any fsspec URL: a path, s3://…; ${NAME} from the environment")
    pattern: str = Field("*", min_length=1, description="glob of the files in the folder; ** goes into folders")
    format: Format = Field("csv", description="csv (also .gz) or parquet")
    upstream: Upstream | None = _UPSTREAM
    settle_seconds: float = Field(5, ge=0, description="a file younger than this may still be being written, and waits")


class Query(Settings):
    """Where rows are queried."""

    kind: Literal["sql"] = Field(description="a table or query of a database")
    name: str = _NAME
    url: str = Field(min_length=1, description="any SQLAlchemy URL; ${NAME} from the environment")
    table: str | None = Field(None, description="table or view, as name or schema.name; or give query")
    query: str | None = Field(None, description="a select statement, without order by; or give table")
    page_by: str = Field(
        description="column of a whole number, date or time that never changes for a row; pages are cut by it"
    )
    high_water: str | None = Field(
        None, description="column that every new or changed row raises, as updated_at or an id; default: page_by"
    )
    upstream: Upstream | None = _UPSTREAM
    page_size: int = Field(100_000, ge=1, description="width of a page of numbers; dates page by the day")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        return self


class Posted(Settings):
    """Events that are posted, one by one or many at once, and wait in the landing's inbox until they are landed."""

    kind: Literal["events"] = Field(description="posted events")
    name: str = _NAME
    unknown_fields: Literal["refuse", "keep"] = Field(
        "refuse", description="what becomes of an event with a field that is not mapped: a reject, or the field is kept"
    )
    max_event_bytes: int = Field(16_384, ge=256, le=1 << 18, description="longest JSON text of an event")
    events_per_batch: int = Field(50_000, ge=1, le=1_000_000, description="about the most events landed as one batch")
