"""The command ``serve``: the API over HTTP, until it is told to stop. Arguments in, a server out."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from forecast_platform import settings as platform_settings
from forecast_platform.arguments import one_line_errors

STOPPING_SECONDS = 30
"""How long requests under way may take once the server is told to stop."""

WAITING_CONNECTIONS = 2048


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer.")
@one_line_errors
def serve(host: str, port: int, workers: int) -> None:
    """Answer over HTTP: forecasts, facts, accuracy, stock, jobs. SIGTERM lets requests under way end, then it stops."""
    try:
        import uvicorn

        from forecast_platform.api.starting import require_safe
    except ModuleNotFoundError as missing:
        raise click.ClickException(
            f"{missing.name} is not installed: pip install 'forecast-platform[api]'"
        ) from missing

    # Jobs are asked for where the command line and the UI look for runs.
    platform_settings.ensure_dagster_home(Path(__file__).resolve().parents[1])
    settings = platform_settings.load()
    require_safe(settings, host=host)
    shared = _share_metrics() if workers > 1 else None
    try:
        uvicorn.run(
            "forecast_platform.api.app:from_environment",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=True,
            backlog=WAITING_CONNECTIONS,
            timeout_graceful_shutdown=STOPPING_SECONDS,
        )
    finally:
        if shared is not None:
            shutil.rmtree(shared, ignore_errors=True)


def _share_metrics() -> str:
    """A folder through which the workers add up their figures; they and the library find it by the environment."""
    folder = tempfile.mkdtemp(prefix="forecast-metrics-")
    platform_settings.use_unless_set("PROMETHEUS_MULTIPROC_DIR", folder)
    return folder
