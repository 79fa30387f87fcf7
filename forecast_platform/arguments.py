"""What all commands share: kinds of arguments, the tenant they name, errors on one line. No command is defined here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
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


API_PACKAGES = ("argon2", "fastapi", "httptools", "jwt", "prometheus_client", "standardwebhooks", "uvicorn")


def require_api() -> None:
    """Refuse what the API's packages are needed for, before anything is done.

    Raises:
        ClickException: one of them is not installed.
    """
    missing = next((name for name in API_PACKAGES if find_spec(name) is None), None)
    if missing is not None:
        raise click.ClickException(f"{missing} is not installed: pip install 'forecast-platform[api]'")


def loaded_tenant(name: str) -> TenantScope:
    """The tenant that a command names.

    Raises:
        SettingsError: there is none, or its settings are wrong.
    """
    from forecast_platform import settings as platform_settings
    from forecast_platform.pipeline import load_tenant

    return load_tenant(name, platform_settings.load())
