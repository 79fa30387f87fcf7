"""What all commands share: kinds of arguments, the tenant they name, errors on one line. No command is defined here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from forecast_platform.assets.scope import TenantScope

DAY = click.DateTime(formats=["%Y-%m-%d"])


class CommandLineError(click.ClickException):
    """One clear line, exit code 2: the caller asked for something that cannot be."""

    exit_code = 2


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors a caller can mend into one line; everything else keeps its traceback."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from forecast_platform.io_managers.warehouse import WarehouseError
        from forecast_platform.settings import SettingsError

        try:
            return command(*args, **kwargs)
        except SettingsError as error:
            raise CommandLineError(str(error)) from error
        except WarehouseError as error:
            raise click.ClickException(str(error)) from error

    return wrapper


def loaded_tenant(name: str) -> TenantScope:
    """The tenant that a command names.

    Raises:
        SettingsError: there is none, or its settings are wrong.
    """
    from forecast_platform import settings as platform_settings
    from forecast_platform.pipeline import load_tenant

    return load_tenant(name, platform_settings.load())
