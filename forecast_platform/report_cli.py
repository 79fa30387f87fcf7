"""``forecast-platform report``: finds a day's report and opens it. The asset ``daily_report`` writes them."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from datetime import date, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click

from forecast_platform.arguments import DAY, CommandLineError, one_line_errors


@click.command()
@click.option("--tenant", required=True, help="Name of the tenant's folder.")
@click.option("--day", type=DAY, help="The day of the report, YYYY-MM-DD; default: the newest there is.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Copy the report to this file.")
@click.option("--no-open", is_flag=True, help="Say where the report is and open no browser.")
@one_line_errors
def report(tenant: str, day: datetime | None, output: Path | None, no_open: bool) -> None:
    """Open a day's report: what was sold, how good the forecasts were, what is expected.

    A browser is opened from a terminal only.
    """
    from forecast_platform import settings as platform_settings
    from forecast_platform.reporting.page import report_path
    from forecast_platform.sources.store import Store

    platform_settings.ensure_dagster_home(Path(__file__).resolve().parents[1])
    settings = platform_settings.load()
    url = settings.reports_url
    store = Store(url)
    names = store.names(tenant)
    if not names:
        from forecast_platform.pipeline import load_tenant

        load_tenant(tenant, settings)  # an unknown one is an error of its own, told by name
    path = report_path(tenant, chosen_day(tenant, day and day.date(), names))
    if output is not None:
        with store.open(path) as stream:
            output.write_bytes(stream.read())
        place = output.resolve()
    elif urlsplit(url).scheme in ("", "file"):
        place = Path(url2pathname(urlsplit(url).path)).resolve() / path
    else:
        click.echo(f"{url}/{path}")
        if no_open:
            return
        # A browser does not read every kind of store.
        with store.open(path) as stream, tempfile.NamedTemporaryFile(suffix=".html", delete=False) as copy:
            copy.write(stream.read())
        place = Path(copy.name)
    click.echo(place)
    if not no_open and sys.stdout.isatty():
        webbrowser.open(place.as_uri())


def chosen_day(tenant: str, wanted: date | None, names: set[str]) -> date:
    """The day to open: the one that is wanted, else the newest.

    Raises:
        CommandLineError: there is no report of it; the message names the days that there are.
    """
    from forecast_platform.days import in_words

    days = sorted(date.fromisoformat(name.removesuffix(".html")) for name in names if name.endswith(".html"))
    if not days:
        raise CommandLineError(
            f"{tenant} has no report yet: make one with forecast-platform run --tenant {tenant} --from YYYY-MM-DD"
            " --to YYYY-MM-DD --select daily_report, for a day whose forecasts are published"
        )
    if wanted is not None and wanted not in days:
        raise CommandLineError(f"{tenant} has no report of {wanted}; there are reports of {in_words(days)}")
    return wanted or days[-1]
