"""A tenant's settings of alerts: where messages go, and when an incident begins and ends."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

OneLine = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Text that may stand in a header of an e-mail: a line break would begin another header."""

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


class _Channel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="what tells two channels of one kind apart; default: the kind")


class LogChannel(_Channel):
    """The log of the process that evaluates the sensor."""

    kind: Literal["log"] = "log"


class WebhookChannel(_Channel):
    """An incoming webhook that takes Slack's JSON; Mattermost, Rocket.Chat and Discord's `/slack` take it too."""

    kind: Literal["webhook"]
    url: OneLine = Field(description="https://…; ${NAME} is filled from the environment, so that a secret stays out")
    timeout_seconds: float = Field(10.0, gt=0, le=60)


class EmailChannel(_Channel):
    """E-mail by SMTP."""

    kind: Literal["email"]
    host: OneLine
    port: int = Field(587, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = Field(
        "starttls", description="starttls (usually port 587), tls (465), or none, for a relay on the same machine"
    )
    username: str | None = None
    password_variable: str | None = Field(
        None, pattern=VARIABLE, description="environment variable that holds the password"
    )
    sender: OneLine
    recipients: Annotated[tuple[OneLine, ...], Field(min_length=1)]
    timeout_seconds: float = Field(10.0, gt=0, le=60)

    @model_validator(mode="after")
    def _login(self) -> Self:
        if (self.username is None) != (self.password_variable is None):
            raise ValueError("username and password_variable go together")
        if self.username is not None and self.security == "none" and self.host not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError(f"a password would go to {self.host} in the clear: use security: starttls or tls")
        return self


Channel = Annotated[LogChannel | WebhookChannel | EmailChannel, Field(discriminator="kind")]


class Alerts(BaseModel):
    """When somebody is told, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[Channel, ...] = Field((LogChannel(name="log"),), description="each gets every message")
    hold_minutes: int = Field(
        30, ge=0, le=10080, description="an incident ends when all was well for so long; until then it is the same one"
    )
    good_evaluations: int = Field(
        2, ge=1, le=30, description="evaluations in a row that a check must pass before its incident ends"
    )
    stale_after_minutes: int = Field(
        360, ge=1, le=20160, description="after a day's close; if it is not published by then, data is stale"
    )

    keep_days: int = Field(
        400, ge=30, le=36500, description="for how long what is over, and what was told of it, is kept"
    )

    @field_validator("channels")
    @classmethod
    def _named(cls, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        named = tuple(each if each.name else each.model_copy(update={"name": each.kind}) for each in channels)
        names = [each.name for each in named]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two channels are called {', '.join(twice)}: give each a name of its own")
        return named
