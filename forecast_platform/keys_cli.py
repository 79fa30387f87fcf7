"""The commands ``keys create|list|rotate|disable``: credentials of the API. Arguments in, text out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from forecast_platform import settings as platform_settings
from forecast_platform.api.scopes import Scope
from forecast_platform.arguments import CommandLineError, loaded_tenant, one_line_errors

if TYPE_CHECKING:
    from forecast_platform.api.keys import ApiKey, Keys


def refusals(command: Callable[..., Any]) -> Callable[..., Any]:
    """Tell in one line why a key cannot be made or changed."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from forecast_platform.api.keys import KeyRefused

        try:
            return command(*args, **kwargs)
        except KeyRefused as error:
            raise CommandLineError(str(error)) from error

    return wrapper


@click.group()
def keys() -> None:
    """Keys of the API: each of one tenant, shown once."""


@keys.command()
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@click.option("--name", required=True, help="Who uses it, for lists and logs.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([each.value for each in Scope]),
    help="What it allows; repeat it for several.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires; without, it does not.")
@one_line_errors
@refusals
def create(tenant: str, name: str, scopes: Sequence[str], days: int | None) -> None:
    """Make a key and show it: it is kept nowhere and cannot be shown again."""
    loaded_tenant(tenant)
    now = datetime.now(UTC)
    expires = now + timedelta(days=days) if days else None
    made, text = _keys().create(tenant, name=name, scopes=set(map(Scope, scopes)), expires_at=expires, now=now)
    _show(made, text)


@keys.command("list")
@click.option("--tenant", help="Only this tenant's.")
@one_line_errors
def list_keys(tenant: str | None) -> None:
    """Show the keys there are, without their secrets."""
    now = datetime.now(UTC)
    found = _keys().list(tenant)
    if not found:
        click.echo("there are no keys; make one with: forecast-platform keys create")
    for each in found:
        scopes = " ".join(sorted(each.scopes))
        expires = f"{each.expires_at:%Y-%m-%d %H:%M} UTC" if each.expires_at else "never"
        click.echo(
            f"{each.key_id}  {each.status(now):<8}  {each.tenant}  {each.name}  [{scopes}]"
            f"  made {each.created_at:%Y-%m-%d}  expires {expires}"
        )


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap-hours", default=24.0, show_default=True, type=click.FloatRange(0, 24 * 90), help="How long both hold."
)
@one_line_errors
@refusals
def rotate(key_id: str, overlap_hours: float) -> None:
    """Make the key that follows KEY_ID, which goes on for a while, so that nobody is locked out."""
    made, text = _keys().rotate(key_id, overlap=timedelta(hours=overlap_hours))
    _show(made, text)
    click.echo(f"{key_id} holds for another {overlap_hours:g} hours")


@keys.command()
@click.argument("key_id")
@one_line_errors
@refusals
def disable(key_id: str) -> None:
    """End a key at once: servers forget it within seconds."""
    ended = _keys().disable(key_id)
    click.echo(f"{ended.key_id} of {ended.tenant} ({ended.name}) is disabled")


def _keys() -> Keys:
    from forecast_platform.api.keys import Keys
    from forecast_platform.state import State

    return Keys(State(platform_settings.load().state_url))


def _show(made: ApiKey, text: str) -> None:
    expires = f", until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else ""
    click.echo(f"{made.key_id}: {', '.join(sorted(made.scopes))} of {made.tenant} for {made.name}{expires}")
    click.echo("the key, shown this once:", err=True)
    click.echo(text)
