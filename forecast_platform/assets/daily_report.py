"""``daily_report[D]``: a page for people without Dagster about day D: sold, forecast, missed, changed, expected.

What is read is in ``report_reading``, what the page says in ``reporting``; here it is written and put on record. A page
is a file and no table: ``partition_log`` holds its digest, so that late sales make the newest one again.
"""

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import dagster as dg
import xxhash

from forecast_platform.assets.catalog import add_figures, markdown_cell
from forecast_platform.assets.report_accuracy import SPAN, read_accuracy
from forecast_platform.assets.report_reading import read_report
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.io_managers.fence import run_fence
from forecast_platform.io_managers.reads import Reads, reads_of
from forecast_platform.io_managers.retries import retrying
from forecast_platform.io_managers.warehouse import PartitionState, Session
from forecast_platform.io_managers.windows import materialized
from forecast_platform.partitions import DayWindow
from forecast_platform.reporting import svg
from forecast_platform.reporting.figures import PAST_DAYS, PUBLISHED, WINDOWS, DayReport, Series, value_added
from forecast_platform.reporting.page import page, percent, report_path, signed_percent, units
from forecast_platform.sources.store import Store

NAME = "daily_report"
CODE_VERSION = "3"
"""Raise it with every change to what the page says."""

SCORED_DAYS = max(WINDOWS)
INPUTS: Mapping[str, int] = {
    "daily_sales": PAST_DAYS - 1,
    "sales_rejects": 0,
    "error_sums": SCORED_DAYS - 1,
    "published_sums": SCORED_DAYS - 1,
    "interval_scores": SCORED_DAYS - 1,
    "champions": 1,
    "publications": 0,
    "hierarchy_forecasts": PAST_DAYS,
    "forecast_explanations": 0,
}
"""What is read and how many days before the report's. Its own day must be there; of those before, what there is."""

MOST_BYTES = 60_000
"""Largest picture that is shown; the event log keeps every one. They take 3 to 15 kB."""


def build_daily_report_asset(scope: TenantScope) -> dg.AssetsDefinition:
    read = inputs_of(scope).items()
    deps = [dg.AssetDep(scope.key(name), partition_mapping=DayWindow(-back, 0)) for name, back in read]

    @dg.asset(
        key=scope.key(NAME),
        deps=deps,
        metadata={"reports": f"{scope.settings.reports_url}/{scope.name}"},
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"python", "html"},
        owners=scope.tenant.owners,
        automation_condition=newest_follows(),
        **scope.partitioned(),
    )
    def daily_report(context: dg.AssetExecutionContext) -> None:
        """A page about the day for planners and managers: self-contained HTML, opened by `forecast-platform report`.

        Headline figures, what changed, accuracy of what was published against repeating the week before, the series
        that missed the most, the movers of the coming week. The newest partition of a run holds its plots.
        """
        first, last = day_range(context)
        scope.require_closed(NAME, last)
        with retrying():
            _make(context, scope, first, last)

    return daily_report


def inputs_of(scope: TenantScope) -> dict[str, int]:
    """``INPUTS``, and where stock is planned the plan of the day and of a week before."""
    return {**INPUTS, **({"inventory_plan": 7} if scope.plans_stock else {})}


def newest_follows() -> dg.AutomationCondition:
    """When Dagster makes a report again by itself: its day is the newest closed one, and what it says has changed.

    The close of a day and an update after late sales make it in their own turn; this is for what a person makes again
    in the UI. Reports of earlier days stay as they were read.
    """
    # The newest window is the open day, which has no report.
    newest = dg.AutomationCondition.in_latest_time_window(timedelta(days=2))
    changed = dg.AutomationCondition.any_deps_updated().since_last_handled()
    quiet = ~dg.AutomationCondition.any_deps_in_progress() & ~dg.AutomationCondition.in_progress()
    known = ~dg.AutomationCondition.missing()
    return (newest & known & changed & quiet).with_label("the newest report follows what it says")


def _make(context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date) -> None:
    """Write the page of each day, then put them on record together, if what they were made from still holds."""
    store, reads = Store(scope.settings.reports_url), reads_of(context)
    states = {}
    for day, report, begun in _reports(scope, reads, first, last):
        html = page(report).encode()
        with store.scratch() as file:
            file.write_bytes(html)
            store.put(file, report_path(scope.name, day))
        states[day] = PartitionState(report.series, _digest(report), context.run_id)
        figures = report_figures(report) | {"bytes": len(html)}
        figures["report"] = dg.MetadataValue.url(f"{scope.settings.reports_url}/{report_path(scope.name, day)}")
        if day == last:
            figures |= {"plots": dg.MetadataValue.md(plots(report)), "worst_series": dg.MetadataValue.md(worst(report))}
        add_figures(context, scope.key(NAME), {day: figures | {"seconds": round(time.monotonic() - begun, 3)}})

    def record(session: Session) -> None:
        session.lock(NAME)
        reads.verify(session)
        session.log_days(NAME, states)

    scope.warehouse.repeat(record, fence=run_fence(context.instance, context.run_id))


def _digest(report: DayReport) -> str:
    """Of what the page says, whoever's it is: as the other partitions', it does not depend on the tenant's name."""
    return xxhash.xxh3_128_hexdigest(page(replace(report, tenant="")).encode())


def _reports(scope: TenantScope, reads: Reads, first: date, last: date) -> Iterator[tuple[date, DayReport, float]]:
    """Each day's figures, with the moment at which reading them began; the first of a span reads for all of it."""
    days = days_between(first, last)
    with scope.warehouse.reading() as session:
        for name, back in inputs_of(scope).items():
            materialized(session, name, days, start=scope.tenant.start, wanted_by=NAME)
            seen = days_between(first - timedelta(days=back), last)
            reads.saw_partitions(name, seen, session.logged(name, seen[0], last))
    for begin in range(0, len(days), SPAN):
        span, begun = days[begin : begin + SPAN], time.monotonic()
        with scope.warehouse.reading() as session:
            scored = read_accuracy(session, span[0], span[-1])
        for day in span:
            with scope.warehouse.reading() as session:
                session.recall([day])
                report = read_report(session, scope, day, scored)
            yield day, report, begun
            begun = time.monotonic()


def report_figures(report: DayReport) -> dict[str, Any]:
    """The numbers of a day that the UI plots over its partitions; what is not known is left out."""
    changes = report.changes
    figures = {
        "series": report.series,
        "units": report.sold,
        "units_expected": report.expected,
        "units_next_7_days": report.expected_next_week(),
        "champions_changed": changes.champions.total,
        "new_series": changes.new.total,
        "ended_series": changes.ended.total,
        "bad_rows": sum(count for _, count in changes.rejects),
        "late_batches": changes.late.total,
    }
    for window in WINDOWS:
        scores, coverage = report.accuracy.get((window, PUBLISHED)), report.coverage.get(window)
        if scores is not None:
            figures |= {f"{name}_{window}": getattr(scores, name) for name in ("wape", "rmsse", "bias")}
            figures[f"fva_wape_{window}"] = value_added(report.accuracy, window, PUBLISHED, "wape")
        if coverage is not None:
            figures |= {f"inside_80_{window}": coverage.inside_80, f"inside_95_{window}": coverage.inside_95}
    return {name: round(value, 4) for name, value in figures.items() if value is not None}


def plots(report: DayReport) -> str:
    """Markdown: the plots of a report as pictures. An SVG in an image runs no script and reads no file."""
    drawn = (
        ("units sold and forecast", svg.total_plot(report, size=(900, 280), past_days=PAST_DAYS, name="total")),
        ("error by days ahead", svg.bucket_plot(report.buckets)),
        ("error over time", svg.accuracy_plot(report)),
        ("reliability of the intervals", svg.reliability_plot(report.coverage.get(28))),
    )
    lines = []
    for words, picture in drawn:
        if picture is not None and len(encoded := base64.b64encode(picture.encode()).decode()) <= MOST_BYTES:
            lines += [f"![{words}](data:image/svg+xml;base64,{encoded})", ""]
    return "\n".join(lines) or "Nothing to plot yet."


def worst(report: DayReport) -> str:
    """Markdown: the series that missed the most units in the last 7 and 28 days."""
    lines = []
    for window, rows in sorted(report.worst.items()):
        lines += [f"**Last {window} days**", "", "| series | sold | WAPE | bias | forecast |", "|---|--:|--:|--:|---|"]
        lines += ["| " + " | ".join(_cells(each)) + " |" for each in rows]
        lines.append("")
    return "\n".join(lines) if any(report.worst.values()) else "No published forecast has met its sales yet."


def _cells(series: Series) -> list[str]:
    """A row of a Markdown table."""
    cells = [series.name, units(series.units), percent(series.wape), signed_percent(series.bias), series.sentence or ""]
    return list(map(markdown_cell, cells))
