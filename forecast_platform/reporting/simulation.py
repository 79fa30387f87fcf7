"""A simulation for people: its plots, and the page that holds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from markupsafe import Markup

from forecast_platform.reporting.page import template
from forecast_platform.reporting.svg import AHEAD, FLOOR_COLOUR, SOLD, Plot, nice_ticks

COLOURS = {"plan": AHEAD, "simple": FLOOR_COLOUR, "actual": SOLD}
OTHERS = ("#c2410c", "#0f766e", "#7c3aed")
SIZE = (560, 260)


def by_day_plot(
    days: Sequence[date], lines: Mapping[str, Sequence[float]], *, title: str, name: str, share: bool
) -> Markup:
    """One figure of each rule by day.

    Args:
        lines: by rule, a number a day; NaN on days that do not count.
        share: numbers are shares of 1, shown as per cent.
    """
    first, last = days[0].toordinal(), days[-1].toordinal()
    known = {
        rule: [(day, value) for day, value in zip(days, values, strict=True) if not math.isnan(value)]
        for rule, values in lines.items()
    }
    ticks = nice_ticks(max((value for points in known.values() for _, value in points), default=0.0))
    means = {rule: sum(value for _, value in points) / max(len(points), 1) for rule, points in known.items()}
    told = "; ".join(f"{rule} {mean:.1%}" if share else f"{rule} {mean:,.0f}" for rule, mean in means.items())
    plot = Plot(
        name,
        SIZE,
        x=(first - 0.5, last + 0.5),
        y=(0.0, ticks[-1]),
        title=title,
        text=f"{title}, mean by day: {told}.",
        margins=(28, 12, 24, 58),
    )
    plot.grid(ticks, lambda value: f"{value:.1%}" if share else f"{value:,.0f}" if ticks[1] >= 1 else f"{value:,.1f}")
    for each in sorted({days[0], days[len(days) // 2], days[-1]}):
        plot.below(each.toordinal(), f"{each:%-d %b}")
    others = iter(OTHERS)
    colours = {rule: COLOURS.get(rule) or next(others) for rule in lines}
    for rule, points in known.items():
        plot.line([(day.toordinal(), value) for day, value in points], stroke=colours[rule], width=2)
    plot.key([(colours[rule], rule.replace("_", " ")) for rule in lines])
    return plot.svg()


def simulation_page(
    tenant: str,
    days: Sequence[date],
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[tuple[str, str, Callable]],
    plots: Mapping[str, str],
    *,
    censored: int,
) -> str:
    """The HTML of a simulation.

    Args:
        rows: what each rule came to.
        columns: heading, name in ``rows`` and how a value is shown.
        plots: SVG by title.
        censored: days of series on which demand is only what was expected.
    """
    return template("simulation.html.j2").render(
        tenant=tenant, days=days, rows=rows, columns=columns, plots=plots, censored=censored
    )
