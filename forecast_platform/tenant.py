"""A tenant's settings, as its ``defs.yaml`` gives them. What the settings do is in the modules that use them."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from forecast_platform.accuracy.champions import FLOOR
from forecast_platform.alerts.settings import Alerts
from forecast_platform.forecasting import model_specs
from forecast_platform.inventory.settings import Inventory
from forecast_platform.retention import Prunable, too_short
from forecast_platform.sources.shapes import EventsSales, FactSources, SalesSource
from forecast_platform.sources.shopify import Shopify

FactName = Literal[
    "items", "locations", "suppliers", "plan", "covariates", "inventory_levels", "open_orders", "actual_overrides"
]
FACTS: tuple[FactName, ...] = (
    *("items", "locations", "suppliers", "plan", "covariates", "inventory_levels", "open_orders"),
    "actual_overrides",
)
"""The facts beside sales, in the order in which they are made."""

DemandClass = Literal["smooth", "erratic", "intermittent", "lumpy", "new", "inactive"]
MODEL_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


class Publication(BaseModel):
    """How the model that is published for a series is chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default_model: str | None = Field(
        None, description="published until the ledger says better; default: ensemble, or the last of the models"
    )
    routing: dict[DemandClass, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        {}, description="models that may be published for series of a demand class, the default first"
    )
    rolling_days: int = Field(28, ge=7, le=365, description="target days over which models are compared")
    margin: float = Field(0.002, ge=0, lt=1, description="share of its RMSSE by which the incumbent must be beaten")
    for_days: int = Field(5, ge=1, le=60, description="days in a row on which it must be beaten")
    max_bias: float = Field(0.25, gt=0, description="|Σ error| / Σ actual above which a model is not published")
    min_errors: int = Field(56, ge=1, description="errors below which a series is judged with its segment")


class Monitoring(BaseModel):
    """When a check of the data or of the accuracy fails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blocking_reject_share: float = Field(
        0.5, gt=0, le=1, description="share of bad rows of a day above which nothing is made from its sales"
    )
    volume_weeks: int = Field(8, ge=4, le=52, description="weeks whose same weekday a day's volume is compared with")
    volume_deviations: float = Field(
        6.0, gt=0, description="robust standard deviations from their median at which a day's volume is unusual"
    )
    volume_change: float = Field(0.5, gt=0, description="share of their median by which it must differ as well")
    volume_blocks: bool = Field(False, description="whether nothing is made from a day of unusual volume")
    stale_after_hours: int = Field(
        12, ge=0, le=240, description="hours after a day closed at which its partitions must be there"
    )
    verified_origins: int = Field(
        3, ge=0, le=365, description="past origins whose ledger rows are compared with their seals in each run"
    )
    reference_days: int = Field(84, ge=28, le=730, description="days of history that recent days are compared with")
    least_days: int = Field(56, ge=14, le=730, description="days of history below which drift is not judged")
    tracking_limit: float = Field(
        20.0, gt=0, description="tracking signal over 28 days, in mean absolute errors, at which errors are one-sided"
    )
    tracking_share: float = Field(
        0.25, gt=0, le=1, description="share of the series with one-sided errors above which the check fails"
    )
    max_bias: float = Field(
        0.15,
        gt=0,
        description="|Σ error| / Σ actual of 28 days that one-sided errors of all series must reach to fail",
    )
    error_rise: float = Field(
        0.5, gt=0, description="share by which the WAPE of 7 days may exceed the median of its own history"
    )
    shift: float = Field(0.5, gt=0, lt=1, description="sudden change of a series' level that is looked for")
    shifted_share: float = Field(0.1, gt=0, lt=0.4, description="share of the series in which it is looked for")
    shift_evidence: float = Field(
        2.0, ge=0, description="log-likelihood ratio, such a shift to none, above which it is told; more: fewer alarms"
    )
    feature_psi: float = Field(
        0.25, gt=0, description="population stability index of a feature's last 28 days at which it has drifted"
    )
    coverage_deviation: float = Field(
        0.08, gt=0, lt=1, description="distance of the 80 and 95 % intervals' coverage over 28 days from nominal"
    )


class TextGenerator(BaseModel):
    """A text generator behind an OpenAI-compatible URL that may phrase an explanation; it never changes a number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="base URL, as http://localhost:11434/v1")
    model: str = Field(description="the generator's name for its model")
    api_key_variable: str | None = Field(None, description="environment variable that holds the key")
    timeout_seconds: float = Field(20.0, gt=0, le=600, description="after which the sentence of our own is kept")
    series: int = Field(20, ge=0, description="series phrased for each origin, those with the largest forecasts")


class Automation(BaseModel):
    """When a tenant's runs start by themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    running: bool = Field(True, description="whether schedules and sensors run as soon as Dagster's daemon does")
    close_at: str = Field(
        "00:15",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="local time at which the day before is made and forecast; later where its sales arrive later",
    )
    debounce_seconds: float = Field(
        60, ge=0, le=86_400, description="how long the first of what arrives waits for more: all of it is one run"
    )
    rerun_cron: str = Field(
        "0 4 * * 0", description="when facts and errors of the last days are made again, local time"
    )
    prune_cron: str = Field("0 5 * * 0", description="when what `retention` no longer keeps is taken away, local time")
    rerun_days: int = Field(14, ge=1, le=365, description="how many closed days that are")

    @field_validator("rerun_cron", "prune_cron")
    @classmethod
    def _cron(cls, text: str) -> str:
        from dagster._utils.schedules import is_valid_cron_string

        if not is_valid_cron_string(text):
            raise ValueError(f"{text!r} is no cron expression of five fields; an example is 0 4 * * 0")
        return text


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
    shopify: Shopify | None = Field(None, description="the Shopify shop whose webhooks bring sales")
    covariate_defaults: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        {}, description="value of a covariate on a day without a row; default: 0, or its recent mean if measured daily"
    )
    horizon: int = Field(28, ge=1, le=365, description="days forecast ahead")
    training_window: int = Field(120, ge=28, le=1500, description="days of history a model is fitted on")
    inactive_after_days: int = Field(365, ge=1, le=3660, description="days without a sale after which a series is out")
    models: Annotated[dict[str, str], Field(min_length=1)] | None = Field(
        None, description="models by name, each a sktime spec; naive and seasonal_naive_7 always run. Default: ours"
    )
    forecast_blocks: int = Field(
        1,
        ge=1,
        le=512,
        description="blocks of series that steps of their own forecast, side by side where the executor has workers"
        " for them; the numbers do not depend on it",
    )
    kept_in_full: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="models kept and scored at every horizon; only they are published. Default: all"
    )
    scored_horizons: Annotated[tuple[int, ...], Field(min_length=1)] | None = Field(
        None, description="horizons at which the other models are kept and scored; goes with kept_in_full"
    )
    calibration_window: int = Field(56, ge=7, le=730, description="days of stored errors that intervals rest on")
    champion_window: int = Field(84, ge=14, le=730, description="days of stored errors that champions rest on")
    retention: dict[Prunable, Annotated[int, Field(ge=1)]] = Field(
        {}, description="days for which partitions of a table are kept, by table; default: for ever"
    )
    publication: Publication = Field(Publication(), description="how the published model is chosen")
    reconciliation: Literal["bottom_up", "ols", "mint_shrink"] = Field(
        "bottom_up", description="how forecasts of locations, categories and the total are made to add up"
    )
    text_generator: TextGenerator | None = Field(None, description="phrases explanations; off where it is not given")
    inventory: Inventory = Field(Inventory(), description="how stock is planned, where its levels are known")
    max_reject_share: float = Field(
        0.02, ge=0, le=1, description="share of bad rows of a day above which a check fails"
    )
    automation: Automation = Field(Automation(), description="when its runs start by themselves")
    monitoring: Monitoring = Field(Monitoring(), description="when a check of data or accuracy fails")
    alerts: Alerts = Field(Alerts(), description="who is told when something is wrong, and when it is over")
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
        needed = self.publication.rolling_days + self.publication.for_days - 1
        if self.champion_window < needed:
            raise ValueError(
                f"champion_window ({self.champion_window}) is shorter than publication.rolling_days and for_days need"
                f" ({needed}): no model could ever follow the default"
            )
        return self

    @model_validator(mode="after")
    def _shop(self) -> Self:
        if self.shopify is None:
            return self
        if not isinstance(self.source, EventsSales):
            raise ValueError(f"shopify goes with a source of kind events; this one is of kind {self.source.kind}")
        columns = self.source.columns
        if not isinstance(columns.event_id, str) or columns.sold_at is None or columns.updated_at is None:
            raise ValueError(
                "shopify needs source.columns with one event_id, sold_at and updated_at: an order's newest state counts"
            )
        return self

    @model_validator(mode="after")
    def _published(self) -> Self:
        known = {model.name for model in model_specs(self.models)}
        named = {name for names in self.publication.routing.values() for name in names}
        named |= {self.publication.default_model} - {None}
        if named - known:
            raise ValueError(
                f"publication names {', '.join(sorted(named - known))}; the models are {', '.join(sorted(known))}"
            )
        return self

    @model_validator(mode="after")
    def _kept(self) -> Self:
        if (self.kept_in_full is None) != (self.scored_horizons is None):
            raise ValueError(
                "kept_in_full and scored_horizons go together: which models are kept at every horizon, and at which"
                " horizons the others are"
            )
        if self.kept_in_full is None or self.scored_horizons is None:
            return self
        outside = [each for each in self.scored_horizons if not 1 <= each <= self.horizon]
        if outside or list(self.scored_horizons) != sorted(set(self.scored_horizons)):
            raise ValueError(
                f"scored_horizons {list(self.scored_horizons)} must be days 1 to {self.horizon} (horizon), each once,"
                " in order"
            )
        known = [model.name for model in model_specs(self.models)]
        if set(self.kept_in_full) - set(known):
            unknown = ", ".join(sorted(set(self.kept_in_full) - set(known)))
            raise ValueError(f"kept_in_full names {unknown}; the models are {', '.join(known)}")
        needed = {FLOOR, *(name for names in self.publication.routing.values() for name in names)}
        needed |= {self.publication.default_model} - {None}
        if needed - set(self.kept_in_full):
            raise ValueError(
                f"kept_in_full lacks {', '.join(sorted(needed - set(self.kept_in_full)))}: what may be published, and"
                f" {FLOOR} that it is measured against, are kept at every horizon"
            )
        return self

    @model_validator(mode="after")
    def _retention(self) -> Self:
        problems = too_short(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def publishable_models(self) -> tuple[str, ...]:
        """The models that are kept in full, in the order of the models: of a part nothing is published."""
        names = tuple(model.name for model in model_specs(self.models))
        return names if self.kept_in_full is None else tuple(name for name in names if name in self.kept_in_full)

    def kept_horizons(self, model: str) -> tuple[int, ...] | None:
        """The horizons at which a model's forecasts are kept; ``None``: all."""
        return None if self.kept_in_full is None or model in self.kept_in_full else self.scored_horizons

    def fact_source(self, name: FactName):
        """The source of a fact table, or ``None``. The generator brings its own unless another is named."""
        given = getattr(self.facts, name)
        own = self.source.kind == "demo" and name not in ("covariates", "actual_overrides")
        return self.source if given is None and own else given
