"""The commands ``users create|list|role|disable|enable|reset-password``: people who sign in. Arguments in, text out."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from forecast_platform import settings as platform_settings
from forecast_platform.api.scopes import Role
from forecast_platform.arguments import CommandLineError, loaded_tenant, one_line_errors, require_api

if TYPE_CHECKING:
    from forecast_platform.api.users import User, Users

ROLES = click.Choice([each.value for each in Role])
FROM_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input; without, one is made and shown."
)


def refusals(command: Callable[..., Any]) -> Callable[..., Any]:
    """Tell in one line why a user cannot be made or changed."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from forecast_platform.api.passwords import PasswordRefused
        from forecast_platform.api.users import UserRefused

        try:
            return command(*args, **kwargs)
        except (UserRefused, PasswordRefused) as error:
            raise CommandLineError(str(error)) from error

    return wrapper


@click.group()
def users() -> None:
    """People who sign in to the API and the dashboard: each of one tenant, with a role."""


@users.command()
@click.argument("name")
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@click.option(
    "--role",
    required=True,
    type=ROLES,
    help="A viewer reads, a planner writes too, an operator starts jobs too, an admin does all.",
)
@FROM_STDIN
@one_line_errors
@refusals
def create(name: str, tenant: str, role: str, password_stdin: bool) -> None:
    """Make the user NAME, which no other has in any tenant: an e-mail address does well."""
    require_api()
    loaded_tenant(tenant)
    password, made = _password(password_stdin)
    user = _users().create(tenant, name, role=Role(role), password=password)
    click.echo(f"{user.name} is {_a(user.role)} of {user.tenant}", err=True)
    _show(password, made)


@users.command("list")
@click.option("--tenant", help="Only this tenant's.")
@one_line_errors
def list_users(tenant: str | None) -> None:
    """Show the users there are."""
    found = _users().list(tenant)
    if not found:
        click.echo("there are no users; make one with: forecast-platform users create")
    for each in found:
        click.echo(
            f"{each.name}  {each.status:<8}  {each.tenant}  {each.role:<8}  made {each.created_at:%Y-%m-%d}"
            f"  password of {each.password_changed_at:%Y-%m-%d}"
        )


@users.command()
@click.argument("name")
@click.argument("role", type=ROLES)
@one_line_errors
@refusals
def role(name: str, role: str) -> None:
    """Give the user NAME another ROLE: sessions that were begun before end within seconds."""
    user = _users().set_role(name, Role(role))
    click.echo(f"{user.name} is {_a(user.role)} of {user.tenant} from now on")


@users.command()
@click.argument("name")
@one_line_errors
@refusals
def disable(name: str) -> None:
    """Let the user NAME in no more: sessions end within seconds."""
    _tell(_users().disable(name))


@users.command()
@click.argument("name")
@one_line_errors
@refusals
def enable(name: str) -> None:
    """Let the user NAME in again, by the same password."""
    _tell(_users().enable(name))


@users.command("reset-password")
@click.argument("name")
@FROM_STDIN
@one_line_errors
@refusals
def reset_password(name: str, password_stdin: bool) -> None:
    """Give the user NAME another password: sessions that were begun before end within seconds."""
    require_api()
    password, made = _password(password_stdin)
    user = _users().set_password(name, password)
    click.echo(f"{user.name} of {user.tenant} has another password", err=True)
    _show(password, made)


def _users() -> Users:
    from forecast_platform.api.users import Users
    from forecast_platform.state import State

    return Users(State(platform_settings.load().state_url))


def _password(from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was made here."""
    from forecast_platform.api.passwords import generated

    return (sys.stdin.readline().rstrip("\r\n"), False) if from_stdin else (generated(), True)


def _show(password: str, made: bool) -> None:
    if made:
        click.echo("the password, shown this once:", err=True)
        click.echo(password)


def _tell(user: User) -> None:
    click.echo(f"{user.name} of {user.tenant} is {user.status}")


def _a(role: Role) -> str:
    return f"{'an' if role[0] in 'ao' else 'a'} {role}"
