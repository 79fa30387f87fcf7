"""Rules about rows, as settings: which are left out, which are returns, what is too large. Rows are in ``shapes``."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from forecast_platform.sources.columns import Settings


class Matching(Settings):
    """A test of one source column, as text and before it is converted: one of some values, or a pattern."""

    column: str = Field(description="the source's column, by the source's name")
    values: tuple[str, ...] = Field((), description="texts of which the column holds one, white space around it apart")
    pattern: str | None = Field(None, description="regular expression found in the text; anchor it with ^ and $")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if bool(self.values) == (self.pattern is not None):
            raise ValueError(f"column {self.column!r} needs either values or a pattern")
        return self


class Ignore(Matching):
    """Rows that are left out on purpose; they are kept as rejects that do not count as bad."""

    because: str = Field("", description="what such rows are, for people; written after 'ignored: '")


class Returns(Matching):
    """What marks a return or cancellation. Without it, a negative quantity is a return and nothing else is."""

    quantity: Literal["already_negative", "negated"] = Field(
        description="how marked rows write their quantity: 'already_negative', or positive and to be 'negated'"
    )


class Limits(Settings):
    """Beyond these a value or a file is refused, so that one absurd number or file stops nothing else."""

    max_quantity: Decimal = Field(Decimal(10**6), gt=0, lt=10**14, description="greatest quantity, either sign")
    max_price: Decimal = Field(Decimal(10**8), gt=0, lt=10**12, description="greatest price or cost of a unit")
    max_text: int = Field(1_000, ge=1, description="most characters of a sku, location or other text")
    max_line_bytes: int = Field(1 << 20, ge=64, description="longest record of a text file; longer ones are rejects")
    max_columns: int = Field(4_096, ge=1, description="most columns of a file")
    max_bytes: int = Field(1 << 36, ge=1, description="most bytes of a file once decompressed")
    max_ratio: int = Field(200, ge=1, description="greatest ratio of decompressed to compressed bytes")
    earliest: date = Field(date(1990, 1, 1), description="rows dated before are rejects")
