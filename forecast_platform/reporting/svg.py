"""The report's plots as SVG, drawn here so that a page needs no script and no network, and stays sharp and small.

Each stands by itself: it has its own background, names and colours, so that the same drawing serves as a picture in the
UI. Every text passes through ``escape``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from markupsafe import Markup, escape

from forecast_platform.reporting.figures import (
    BUCKETS,
    FLOOR,
    PUBLISHED,
    Coverage,
    DayReport,
    Scores,
    rolling_wape,
    total_ahead,
    total_day_ahead,
)

INK, MUTED, GRID = "#1f2933", "#5f6b7a", "#e3e8ee"
SOLD, AHEAD, FLOOR_COLOUR = "#1f2933", "#1d5fd1", "#b3bcc8"
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
SMALL = (344, 236)
"""Width and height of a plot that stands beside two others, or alone on a phone."""


class Plot:
    """A frame with a linear scale on both axes; drawing adds to it, ``svg`` closes it."""

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        *,
        x: tuple[float, float],
        y: tuple[float, float],
        title: str,
        text: str,
        margins: tuple[int, int, int, int] = (26, 10, 24, 42),
    ) -> None:
        self.width, self.height = size
        self._top, self._right, self._bottom, self._left = margins
        self._x, self._y = x, y
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {self.width} {self.height}"'
            f' width="{self.width}" height="{self.height}" role="img" aria-labelledby="{name}-t {name}-d"'
            f' font-family="{FONT}" font-size="11">',
            f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(text)}</desc>',
            f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>',
        ]

    def x(self, value: float) -> float:
        low, high = self._x
        return self._left + (value - low) / (high - low) * (self.width - self._left - self._right)

    def y(self, value: float) -> float:
        low, high = self._y
        return self.height - self._bottom - (value - low) / (high - low) * (self.height - self._top - self._bottom)

    def text(self, x: float, y: float, words: str, *, anchor: str = "middle", fill: str = MUTED, bold=False) -> None:
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}"{weight}>{escape(words)}</text>'
        )

    def rule(self, x1: float, y1: float, x2: float, y2: float, *, stroke: str = GRID, dash: str = "") -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{dashed}/>')

    def grid(self, ticks: Sequence[float], label) -> None:
        """Horizontal lines with their values at the left."""
        for value in ticks:
            self.rule(self._left, self.y(value), self.width - self._right, self.y(value))
            self.text(self._left - 6, self.y(value) + 4, label(value), anchor="end")

    def below(self, at: float, words: str) -> None:
        """A label under the horizontal axis, moved in where it would leave the frame."""
        half = 3.3 * len(words)
        self.text(min(max(self.x(at), half), self.width - half - 2), self.height - 7, words)

    def line(self, points: Sequence[tuple[float, float]], *, stroke: str, width: float = 1.8, dash: str = "") -> None:
        """A line through points; where a day is missing it is broken."""
        runs: list[list[tuple[float, float]]] = []
        for point in points:
            if runs and point[0] - runs[-1][-1][0] <= 1.001:
                runs[-1].append(point)
            else:
                runs.append([point])
        path = "".join(
            "M" + "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in (run if len(run) > 1 else run * 2))
            for run in runs
        )
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        if path:
            self._parts.append(
                f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="{width}" stroke-linejoin="round"'
                f' stroke-linecap="round"{dashed}/>'
            )

    def band(self, points: Sequence[tuple[float, float, float]]) -> None:
        """The area between a lower and an upper value."""
        if len(points) < 2:
            return
        there = "L".join(f"{self.x(x):.1f} {self.y(high):.1f}" for x, _, high in points)
        back = "L".join(f"{self.x(x):.1f} {self.y(low):.1f}" for x, low, _ in reversed(points))
        self._parts.append(f'<path d="M{there}L{back}Z" fill="{AHEAD}" fill-opacity="0.2"/>')

    def bar(self, left: float, width: float, value: float, fill: str) -> None:
        top = self.y(value)
        height = max(self.y(self._y[0]) - top, 0)
        self._parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{fill}"/>'
        )

    def dot(self, x: float, y: float, *, fill: str, radius: float = 3) -> None:
        self._parts.append(f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{radius}" fill="{fill}"/>')

    def key(self, entries: Sequence[tuple[str, str]]) -> None:
        """What each colour stands for, in a row at the top."""
        left = float(self._left)
        for colour, words in entries:
            self._parts.append(f'<rect x="{left:.1f}" y="7" width="14" height="4" rx="2" fill="{colour}"/>')
            self.text(left + 19, 13, words, anchor="start", fill=INK)
            left += 19 + 6.0 * len(words) + 16

    def svg(self) -> Markup:
        return Markup("".join([*self._parts, "</svg>"]))


def nice_ticks(highest: float, count: int = 4) -> list[float]:
    """Round values from 0 to at least ``highest``, about ``count`` of them."""
    if not highest > 0:
        return [0.0, 1.0]
    raw = highest / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def total_plot(report: DayReport, *, size: tuple[int, int], past_days: int, name: str) -> Markup | None:
    """Units sold and the forecast made the day before, then the days ahead, each with an 80 % interval."""
    since = report.day - timedelta(days=past_days - 1)
    sold = [(each, units) for each, units in sorted(report.units.items()) if each >= since]
    before = [each for each in total_day_ahead(report) if since <= each.day]
    ahead = total_ahead(report)
    if not sold and not ahead:
        return None
    end = max([report.day, *(each.day for each in ahead)])
    highest = max([units for _, units in sold] + [max(each.mean, each.high or 0.0) for each in (*before, *ahead)])
    ticks = nice_ticks(highest)
    plot = Plot(
        name,
        size,
        x=(float(since.toordinal()) - 0.5, end.toordinal() + 0.5),
        y=(0.0, ticks[-1]),
        title=f"Units sold and forecast, {since:%-d %b} to {end:%-d %b %Y}",
        text=_total_in_words(report),
        margins=(28, 10, 26, 46),
    )
    plot.grid(ticks, lambda value: f"{value:,.0f}" if ticks[1] >= 1 else f"{value:,.1f}")
    for each in _mondays(since, end, every=max(1, round((end - since).days / 7 / (size[0] / 85)))):
        plot.rule(plot.x(each.toordinal()), plot.y(0), plot.x(each.toordinal()), plot.y(0) + 4, stroke=MUTED)
        plot.below(each.toordinal(), f"{each:%-d %b}")
    edge = plot.x(report.day.toordinal() + 0.5)
    plot.rule(edge, plot.y(ticks[-1]), edge, plot.y(0), stroke=MUTED, dash="2 3")
    for forecasts in (before, ahead):
        plot.band([(each.day.toordinal(), each.low, each.high) for each in forecasts if each.low is not None])
    plot.line([(each.day.toordinal(), each.mean) for each in before], stroke=AHEAD, width=1.4, dash="3 3")
    plot.line([(each.day.toordinal(), each.mean) for each in ahead], stroke=AHEAD, width=2.2)
    plot.line([(each.toordinal(), units) for each, units in sold], stroke=SOLD)
    banded = any(each.low is not None for each in (*before, *ahead))
    plot.key([(SOLD, "sold"), (AHEAD, "forecast"), *([("#d2dff6", "80 % interval")] if banded else [])])
    return plot.svg()


def _total_in_words(report: DayReport) -> str:
    parts = [f"{report.sold:,.0f} units sold on {report.day:%-d %B}" if report.sold is not None else "No sales known"]
    coming = report.expected_next_week()
    if coming is not None:
        parts.append(f"{coming:,.0f} forecast for the seven days after")
    return "; ".join(parts) + "."


def _mondays(first: date, last: date, *, every: int) -> list[date]:
    monday = first + timedelta(days=-first.weekday() % 7)
    return [each for weeks in range(0, 60, every) if (each := monday + timedelta(weeks=weeks)) <= last]


def bucket_plot(buckets: Mapping[tuple[str, str], Scores], *, name: str = "buckets") -> Markup | None:
    """WAPE of what was published by how far ahead it was forecast, beside the floor."""
    there = [
        bucket for bucket in BUCKETS if (held := buckets.get((bucket, PUBLISHED))) is not None and held.wape is not None
    ]
    if not there:
        return None
    values = {
        (bucket, source): scores.wape
        for (bucket, source), scores in buckets.items()
        if bucket in there and source in (PUBLISHED, FLOOR) and scores.wape is not None
    }
    ticks = nice_ticks(max(values.values()))
    told = "; ".join(f"{bucket} days: {values[bucket, PUBLISHED]:.0%}" for bucket in there)
    plot = Plot(
        name,
        SMALL,
        x=(0.0, float(len(there))),
        y=(0.0, ticks[-1]),
        title="Error by days ahead",
        text=f"WAPE by days ahead: {told}.",
    )
    plot.grid(ticks, _percent)
    width = (plot.x(1) - plot.x(0)) * 0.34
    for place, bucket in enumerate(there):
        middle = plot.x(place + 0.5)
        for source, left, colour in ((PUBLISHED, middle - width, AHEAD), (FLOOR, middle, FLOOR_COLOUR)):
            value = values.get((bucket, source))
            if value is not None:
                plot.bar(left + 1, width - 2, value, colour)
                plot.text(left + width / 2, plot.y(value) - 3, f"{value * 100:.0f}", fill=INK)
        plot.below(place + 0.5, f"{bucket} days" if bucket != "1" else "1 day")
    plot.key([(AHEAD, "published"), (FLOOR_COLOUR, "last week repeated")])
    return plot.svg()


def accuracy_plot(report: DayReport, *, name: str = "accuracy") -> Markup | None:
    """WAPE over seven target days, day by day, of what was published and of the floor."""
    lines = {source: rolling_wape(report.daily, source) for source in (PUBLISHED, FLOOR)}
    if not lines[PUBLISHED]:
        return None
    first = min(points[0][0] for points in lines.values() if points)
    # One scored day alone has no extent.
    first = min(first, report.day - timedelta(days=1))
    ticks = nice_ticks(max(value for points in lines.values() for _, value in points))
    newest = lines[PUBLISHED][-1][1]
    plot = Plot(
        name,
        SMALL,
        x=(float(first.toordinal()), float(report.day.toordinal())),
        y=(0.0, ticks[-1]),
        title="Error over time",
        text=f"WAPE over seven days, {first:%-d %b} to {report.day:%-d %b}; now {newest:.0%}.",
        margins=(26, 18, 24, 42),
    )
    plot.grid(ticks, _percent)
    span = (report.day - first).days
    for each in sorted({first, first + timedelta(days=span // 2), report.day}) if span > 4 else [first, report.day]:
        plot.below(each.toordinal(), f"{each:%-d %b}")
    for source, colour in ((FLOOR, FLOOR_COLOUR), (PUBLISHED, AHEAD)):
        plot.line([(each.toordinal(), value) for each, value in lines[source]], stroke=colour, width=2)
    plot.dot(lines[PUBLISHED][-1][0].toordinal(), newest, fill=AHEAD)
    plot.key([(AHEAD, "published"), (FLOOR_COLOUR, "last week repeated")])
    return plot.svg()


def reliability_plot(coverage: Coverage | None, *, name: str = "reliability") -> Markup | None:
    """Nominal against observed: a quantile holds where its line from "below" to "at or below" crosses the diagonal.

    Sales are counts, of which many equal a quantile: neither share alone would be the nominal one.
    """
    if coverage is None:
        return None
    told = "; ".join(f"{level:.1%}: {below:.1%} to {upto:.1%}" for level, below, upto in coverage.levels)
    plot = Plot(
        name,
        SMALL,
        x=(0.0, 1.0),
        y=(0.0, 1.0),
        title="Intervals: asked for and observed",
        text=f"Share of sales below, and at or below, each quantile: {told}.",
        margins=(26, 14, 24, 42),
    )
    plot.grid([0.0, 0.25, 0.5, 0.75, 1.0], _percent)
    for at in (0.1, 0.5, 0.9):
        plot.below(at, f"{at:.0%}")
    plot.line([(0.0, 0.0), (1.0, 1.0)], stroke=FLOOR_COLOUR, width=1.4, dash="4 4")
    for level, below, upto in coverage.levels:
        holds = below <= level <= upto
        colour = AHEAD if holds else "#c2410c"
        plot.line([(level, below), (level, upto)], stroke=colour, width=6)
    plot.key([(AHEAD, "holds"), ("#c2410c", "does not"), (FLOOR_COLOUR, "asked for")])
    return plot.svg()


def _percent(value: float) -> str:
    return f"{value:.0%}"
