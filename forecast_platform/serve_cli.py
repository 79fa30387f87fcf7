"""The command ``serve``, and ``demo --serve``: the API over HTTP until told to stop. Arguments in, a server out."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from forecast_platform import settings as platform_settings
from forecast_platform.arguments import one_line_errors, require_api

if TYPE_CHECKING:
    from forecast_platform.api.scopes import Role
    from forecast_platform.settings import Settings

STOPPING_SECONDS = 30
"""How long requests under way may take once the server is told to stop."""

WAITING_CONNECTIONS = 2048
LOOPBACK = "127.0.0.1"
PROJECT = Path(__file__).resolve().parents[1]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
@one_line_errors
def serve(host: str, port: int, workers: int) -> None:
    """Answer over HTTP: forecasts, facts, accuracy, stock, jobs. SIGTERM lets requests under way end, then it stops."""
    require_api()
    import uvicorn

    from forecast_platform.api.starting import require_safe

    # Jobs are asked for where the command line and the UI look for runs.
    platform_settings.ensure_dagster_home(PROJECT)
    settings = platform_settings.load()
    require_safe(settings, host=host)
    shared = _share_metrics() if workers > 1 else None
    try:
        uvicorn.run(
            "forecast_platform.api.app:from_environment", host=host, port=port, workers=workers, **_how_to_serve()
        )
    finally:
        if shared is not None:
            shutil.rmtree(shared, ignore_errors=True)


def _how_to_serve() -> dict[str, Any]:
    return {
        "factory": True,
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "date_header": True,
        "backlog": WAITING_CONNECTIONS,
        "timeout_graceful_shutdown": STOPPING_SECONDS,
    }


@contextmanager
def reserved(port: int) -> Iterator[socket.socket]:
    """A port of this machine for a server that starts later; 0: any that is free.

    Raises:
        ClickException: somebody has it.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, port))
        except OSError as error:
            raise click.ClickException(f"--port {port} cannot be used: {error.strerror}; --port 0 is any") from error
        yield listening


def serve_demo(tenant: str, listening: socket.socket) -> None:
    """Answer on a reserved port until Ctrl-C, with a user of each role whose password is shown once."""
    import uvicorn

    from forecast_platform.api.scopes import Scope
    from forecast_platform.api.starting import require_safe

    platform_settings.ensure_dagster_home(PROJECT)
    platform_settings.use_unless_set("FORECAST_API_ENVIRONMENT", "development")
    settings = platform_settings.load()
    require_safe(settings, host=LOOPBACK)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                click.echo(f"\nOpen http://{LOOPBACK}:{listening.getsockname()[1]} and sign in; Ctrl-C stops it.")

    click.echo("\nUsers of the demo, with passwords that are shown this once:")
    for name, role, password in _demo_users(tenant, settings):
        click.echo(
            f"  {name:<{len(tenant) + 9}}  {password}  may {', '.join(each for each in Scope if each in role.scopes)}"
        )
    with suppress(KeyboardInterrupt):
        Server(uvicorn.Config("forecast_platform.api.app:from_environment", **_how_to_serve())).run([listening])


def _demo_users(tenant: str, settings: Settings) -> Iterator[tuple[str, Role, str]]:
    """A user of each role, with a new password; those that an earlier demo made are taken again."""
    from forecast_platform.api.passwords import generated
    from forecast_platform.api.scopes import Role
    from forecast_platform.api.users import Users
    from forecast_platform.state import State

    users = Users(State(settings.state_url))
    tenants = {each.name: each.tenant for each in users.list()}
    for role in Role:
        name, password = f"{role}@{tenant}", generated()
        if tenants.get(name, tenant) != tenant:
            raise click.ClickException(
                f"{name} is a user of {tenants[name]} already: demo --tenant NAME is another shop"
            )
        if name in tenants:
            users.set_role(name, role)
            users.set_password(name, password)
            users.enable(name)
        else:
            users.create(tenant, name, role=role, password=password)
        yield name, role, password


def _share_metrics() -> str:
    """A folder through which the workers add up their figures; they and the library find it by the environment."""
    folder = tempfile.mkdtemp(prefix="forecast-metrics-")
    platform_settings.use_unless_set("PROMETHEUS_MULTIPROC_DIR", folder)
    return folder
