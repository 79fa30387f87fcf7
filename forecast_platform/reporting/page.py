"""A day's report as one HTML page that needs nothing else: no script, no font, no network.

Whatever comes from data is escaped by the template engine; the policy in the page's head lets no script run at all.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from forecast_platform.reporting import svg
from forecast_platform.reporting.figures import (
    CHAMPIONS,
    FLOOR,
    PAST_DAYS,
    PUBLISHED,
    SOURCES,
    DayReport,
    first_days,
    value_added,
)

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = "page.html.j2"
UNKNOWN = "–"

NAMES = {PUBLISHED: "published", CHAMPIONS: "today's champions", FLOOR: "last week repeated"}


def report_path(tenant: str, day: date) -> str:
    """Where a day's page is under the folder of all reports."""
    return f"{tenant}/{day}.html"


def page(report: DayReport) -> str:
    """The HTML of a report."""
    plots = {
        "total": svg.total_plot(report, size=(1064, 300), past_days=PAST_DAYS, name="total"),
        "total_narrow": svg.total_plot(report, size=(344, 240), past_days=PAST_DAYS // 2, name="total-narrow"),
        "buckets": svg.bucket_plot(report.buckets),
        "accuracy": svg.accuracy_plot(report),
        "reliability": svg.reliability_plot(report.coverage.get(28)),
    }
    return template(TEMPLATE).render(
        report=report,
        plots=plots,
        summary=summary(report),
        sources=SOURCES,
        names=NAMES,
        published=PUBLISHED,
        floor=FLOOR,
        week_ago=report.day - timedelta(days=7),
        value_added=value_added,
    )


def summary(report: DayReport) -> list[str]:
    """The day in a few sentences, what matters first; what is not known yet is said."""
    said = []
    if report.sold is None:
        said.append("There are no sales on record for this day.")
    elif report.sold == 0:
        said.append("Nothing was sold.")
    else:
        said.append(f"{units(report.sold)} units were sold.")
    if report.expected is None:
        said.append("Nothing had been published for this day on the day before.")
    elif report.sold:
        said.append(f"The day before, {units(report.expected)} had been forecast: {_off(report)}.")
    else:
        said.append(f"The day before, {units(report.expected)} had been forecast.")
    month = report.accuracy.get((28, PUBLISHED))
    if month is None or month.wape is None:
        said.append("No published forecast has met its sales yet, so nothing can be said of accuracy.")
    else:
        added = value_added(report.accuracy, 28, PUBLISHED, "wape")
        than = ""
        if added is not None:
            than = f", {points(abs(added))} {'better' if added >= 0 else 'worse'} than repeating the week before"
        said.append(f"Over the last 28 days forecasts missed by {percent(month.wape)} of what was sold{than}.")
    coming, past = report.expected_next_week(), report.units_of_week()
    if coming is not None:
        change = f", {signed_percent(coming / past - 1)} on the last seven days" if past else ""
        said.append(f"For the coming week {units(coming)} units are expected{change}.")
    return said


def _off(report: DayReport) -> str:
    error = report.expected - report.sold
    if abs(error) < 0.0005 * report.sold:
        return "what was sold"
    return f"{percent(abs(error) / report.sold)} too {'much' if error > 0 else 'little'}"


def units(value: float | None) -> str:
    """Units of sale: whole ones from ten on."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:,.1f}"


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value * 100:,.1f} %"


def signed_percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{_signed(value)} %"


def points(value: float | None) -> str:
    """A difference of two shares."""
    return UNKNOWN if value is None else f"{value * 100:.1f} points"


def signed_points(value: float | None) -> str:
    return UNKNOWN if value is None else _signed(value)


def _signed(value: float) -> str:
    """In hundredths, with a sign; what rounds to nothing is +0.0."""
    return f"{round(value * 100, 1) + 0.0:+,.1f}".replace("-", "−")


def ratio(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


@cache
def template(name: str) -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (units, percent, signed_percent, signed_points, ratio, first_days)
    environment.filters |= {function.__name__: function for function in shown}
    return environment.get_template(name)
