"""Reports made by hand, with figures that can be worked out by hand too."""

from __future__ import annotations

from datetime import date, timedelta

from forecast_platform.reporting.figures import (
    CHAMPIONS,
    FLOOR,
    PUBLISHED,
    Arrival,
    ChampionChange,
    Changes,
    Coverage,
    DayReport,
    Listed,
    Scores,
    Series,
    Stock,
    StockException,
)

DAY = date(2026, 3, 20)
HOSTILE = "<script>alert(1)</script>"
AWKWARD = "=cmd|' /C calc'!A0 \"quoted\" {{ 7 * 7 }} & <i>"


def empty(day: date = DAY) -> DayReport:
    """A day of which nothing is known: the first of a tenant, before anything was sold or published."""
    return DayReport(tenant="shop", day=day, horizon=28, units={}, forecasts={}, series=0)


def full(*, sku: str = "sku 1") -> DayReport:
    """A shop that sells 100 a day and 200 on the report's own; forecasts are 110, so that 10 of 100 are too much.

    On the report's own day the forecast was 90 too little.
    """
    past = [DAY - timedelta(days=back) for back in range(60)]
    units = dict.fromkeys(past[:56], 100.0) | {DAY: 200.0}
    forecasts = {(origin, ahead): 110.0 for origin in past for ahead in range(1, 29)}
    scores = {PUBLISHED: Scores(400, 30.0, 60.0, 200.0, 0.75), FLOOR: Scores(400, -10.0, 90.0, 200.0, 1.25)}
    scores |= {CHAMPIONS: Scores(400, 20.0, 50.0, 200.0, 0.7)}
    by_day = {
        PUBLISHED: {day: Scores(28, 1.0, 3.0, 10.0) for day in past},
        FLOOR: {day: Scores(28, 1.0, 5.0, 10.0) for day in past},
    }
    levels = ((0.025, 0.0, 0.03), (0.1, 0.05, 0.15), (0.5, 0.4, 0.6), (0.9, 0.91, 0.95), (0.975, 0.97, 0.98))
    coverage = Coverage(n=100, levels=levels, inside_80=0.9, inside_95=0.98)
    changed = ChampionChange(Series(sku, "all"), "linear", HOSTILE, f"because {AWKWARD}")
    return DayReport(
        tenant="shop",
        day=DAY,
        horizon=28,
        units=units,
        forecasts=forecasts,
        series=3,
        models={"linear": 1, "ensemble": 2},
        accuracy={(window, source): each for window in (7, 28, 90) for source, each in scores.items()},
        buckets={(bucket, source): each for bucket in ("1", "2-7", "8-14", "15-28") for source, each in scores.items()},
        daily={(day, source): each for source, days in by_day.items() for day, each in days.items()},
        coverage=dict.fromkeys((7, 28, 90), coverage),
        changes=Changes(
            champions=Listed((changed,), 3),
            new=Listed((Series(sku, AWKWARD),), 1),
            ended=Listed((Series("gone", "all"),), 1),
            rejects=((f"no number: {HOSTILE}", 2),),
            late=Listed((Arrival(f"{HOSTILE}.csv", 5, (DAY - timedelta(days=3),)), Arrival("bad", 0, (), AWKWARD)), 2),
        ),
        worst=dict.fromkeys(
            (7, 28), (Series(sku, "north", units=12.0, wape=0.5, bias=-0.25, sentence=f"About {HOSTILE}."),)
        ),
        movers=(Series(sku, "all", units=70.0, expected=84.0, sentence=AWKWARD),),
        stock={
            DAY: Stock(1234.0, 56.0, 7.5, 0.98, 3, 2, 321.0),
            DAY - timedelta(days=7): Stock(None, None, None, None, 0, 0, None),
        },
        exceptions=Listed(
            (
                StockException(Series(sku, "all", sentence=HOSTILE), "order", 4.0, 24.0, DAY + timedelta(days=9)),
                StockException(Series(AWKWARD, "all", sentence="Count it."), "count", None, 0.0, DAY),
            ),
            5,
        ),
    )
