"""How a file is laid out, as settings: delimiters, wide columns, side files. What its columns mean is in ``shapes``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from forecast_platform.sources.base import Format
from forecast_platform.sources.columns import Settings


class Csv(Settings):
    """How a delimited text file is written."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="character between two fields")
    quote: str | None = Field('"', min_length=1, max_length=1, description="quote character; null: nothing is quoted")
    encoding: str = Field("utf-8", description="character set, by Python's name; a byte order mark is dropped")
    column_names: tuple[str, ...] = Field((), description="names of the columns of a file that has no header line")

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError as error:
            raise ValueError(f"unknown encoding {encoding!r}; try utf-8, cp1252 or utf-16") from error
        return encoding

    @field_validator("delimiter", "quote")
    @classmethod
    def _one_byte(cls, mark: str | None) -> str | None:
        if mark is not None and (not mark.isascii() or mark in "\r\n\0"):
            raise ValueError(f"{mark!r} cannot separate or quote fields: use one ASCII character")
        return mark

    @model_validator(mode="after")
    def _different(self) -> Self:
        if self.delimiter == self.quote:
            raise ValueError(f"delimiter and quote are both {self.quote!r}")
        return self


class Melt(Settings):
    """Wide columns, one a day, made into rows: each cell becomes a row of its own."""

    pattern: str = Field(description="regular expression that the names of the wide columns match whole, as d_[0-9]+")
    variable: str = Field("variable", description="name of the new column that holds the wide column's name")
    value: str = Field("value", description="name of the new column that holds the cell")
    drop: tuple[str, ...] = Field(("0", ""), description="cells that make no row: days on which nothing was sold")


class Join(Settings):
    """A side file whose columns are looked up for each row. The newest one landed holds for all rows."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="what the side file is called in logs and tables")
    pattern: str = Field(description="glob of the side file in the source's folder")
    on: dict[str, str] = Field(min_length=1, description="columns of the rows: the side file's columns they equal")
    columns: tuple[str, ...] = Field(min_length=1, description="columns taken from the side file")
    format: Format = Field("csv", description="csv or parquet")
    csv: Csv = Field(Csv(), description="how the side file is written, if it is csv")
