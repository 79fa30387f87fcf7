"""The plot of a simulation: stock and missed demand by day, of each rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from markupsafe import Markup

from forecast_platform.reporting.svg import AHEAD, FLOOR_COLOUR, SOLD, Plot, nice_ticks

COLOURS = {"plan": AHEAD, "simple": FLOOR_COLOUR, "actual": SOLD}
OTHERS = ("#c2410c", "#0f766e", "#7c3aed")
SIZE = (520, 250)


def by_day_plot(
    days: Sequence[date], lines: Mapping[str, Sequence[float]], *, title: str, name: str, share: bool
) -> Markup:
    """One figure of each rule by day.

    Args:
        lines: by rule, a number a day.
        share: numbers are shares of 1, shown as per cent.
    """
    first, last = days[0].toordinal(), days[-1].toordinal()
    ticks = nice_ticks(max(max(values) for values in lines.values()))
    told = "; ".join(
        f"{rule} {sum(values) / len(values):{'.1%' if share else ',.0f'}}" for rule, values in lines.items()
    )
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
    for rule, values in lines.items():
        plot.line(
            [(day.toordinal(), value) for day, value in zip(days, values, strict=True)], stroke=colours[rule], width=2
        )
    plot.key([(colours[rule], rule) for rule in lines])
    return plot.svg()
