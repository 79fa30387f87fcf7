"""A tenant's settings, as its ``defs.yaml`` gives them. What the settings do is in the modules that use them."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from forecast_platform.forecasting import model_specs
from forecast_platform.sources.shapes import FactSources, SalesSource

FactName = Literal["items", "locations", "suppliers", "plan", "inventory_levels"]
FACTS: tuple[FactName, ...] = ("items", "locations", "suppliers", "plan", "inventory_levels")
"""The facts beside sales, in the order in which they are made."""

MODEL_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


class Tenant(BaseModel):
    """Settings of one tenant. Unknown fields are refused; an error names the field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: date = Field(
        description="first business day; nothing before it is kept. Fixed for the tenant's life",
        # What `dg check yaml` looks at: it knows no format of a date.
        json_schema_extra={"pattern": r"^\d{4}-\d{2}-\d{2}$"},
    )
    timezone: str = Field("UTC", description="time zone of the business day, an IANA name as Europe/London")
    country: str | None = Field(
        None, description="country of the holidays, as GB or DE-BY; locations may name their own"
    )
    source: SalesSource = Field(description="where sales come from")
    facts: FactSources = Field(FactSources(), description="where the facts beside sales come from")
    horizon: int = Field(28, ge=1, le=365, description="days forecast ahead")
    training_window: int = Field(120, ge=28, le=1500, description="days of history a model is fitted on")
    inactive_after_days: int = Field(365, ge=1, le=3660, description="days without a sale after which a series is out")
    models: Annotated[dict[str, str], Field(min_length=1)] | None = Field(
        None, description="models by name, each a sktime spec; naive and seasonal_naive_7 always run. Default: ours"
    )
    max_reject_share: float = Field(
        0.02, ge=0, le=1, description="share of bad rows of a day above which a check fails"
    )
    owners: tuple[str, ...] = Field((), description="who answers for the data: e-mail addresses or team:name")

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {name!r}; use an IANA name as Europe/London") from error
        return name

    @field_validator("models")
    @classmethod
    def _models(cls, models: dict[str, str] | None) -> dict[str, str] | None:
        for name in models or {}:
            if not MODEL_NAME.match(name):
                raise ValueError(f"model name {name!r} must match {MODEL_NAME.pattern}")
        model_specs(models)
        return models

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        if self.training_window > self.inactive_after_days:
            raise ValueError(
                f"training_window ({self.training_window}) is longer than inactive_after_days"
                f" ({self.inactive_after_days}): a series would leave before its history is used"
            )
        return self

    def fact_source(self, name: FactName):
        """The source of a fact table, or ``None``. The generator brings its own unless another is named."""
        given = getattr(self.facts, name)
        return self.source if given is None and self.source.kind == "demo" else given
