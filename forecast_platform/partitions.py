"""Days: the daily partitions, the backfill policy, the window mapping, what is closed, and what a changed day touches.

Everything about days that Dagster must know is here, and nothing that reads a table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.partitions.mapping import UpstreamPartitionsResult

from forecast_platform.days import days_between
from forecast_platform.features import LOOK_BACK_DAYS

BACKFILL_POLICY = dg.BackfillPolicy.single_run()
"""One run for a whole range. Assets share a run only if partitions, policy and range are equal; with Dagster's
default policy 14 days of five assets were 48 runs, with this one they are one."""


def daily_partitions(start: date, timezone: str) -> dg.DailyPartitionsDefinition:
    """Business days in ``timezone`` from ``start`` to today's open day."""
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), timezone=timezone, end_offset=1)


def open_day(now: datetime, timezone: str) -> date:
    """The business day that is open at ``now`` (with a zone): it may receive sales, is no origin and is not scored."""
    return now.astimezone(ZoneInfo(timezone)).date()


class DayWindow(dg.PartitionMapping, NamedTuple("_DayWindow", [("first", int), ("last", int)])):
    """Day D reads its upstream's days D + ``first`` .. D + ``last``; upstream day D belongs to downstream day D.

    Dagster's own offset mapping is symmetric: asked for 14 days of a root asset, it asked for 42 days of a
    28-day window downstream, the last ones from incomplete inputs. Here the downstream side is the same day,
    so a backfill touches exactly the days that were asked for. The daemon does not receive a mapping of our
    own and assumes the same day in both directions, which is what a launch wants.

    Days outside the upstream's partitions (before a tenant's start) are left out: the ``io_managers.windows``
    check decides whether that is an error.
    """

    @property
    def description(self) -> str:
        return f"Reads days D{self.first:+d} to D{self.last:+d} of the upstream asset."

    def validate_partition_mapping(self, upstream_partitions_def, downstream_partitions_def) -> None:
        for name, definition in (("upstream", upstream_partitions_def), ("downstream", downstream_partitions_def)):
            if not isinstance(definition, dg.DailyPartitionsDefinition):
                raise dg.DagsterInvalidDefinitionError(f"DayWindow needs daily partitions; {name} has {definition}")

    def get_upstream_mapped_partitions_result_for_partitions(
        self,
        downstream_partitions_subset,
        downstream_partitions_def,
        upstream_partitions_def,
        current_time=None,
        dynamic_partitions_store=None,
    ) -> UpstreamPartitionsResult:
        wanted = {
            (date.fromisoformat(key) + timedelta(days=offset)).isoformat()
            for key in downstream_partitions_subset.get_partition_keys()
            for offset in range(self.first, self.last + 1)
        }
        existing = wanted.intersection(upstream_partitions_def.get_partition_keys(current_time=current_time))
        return UpstreamPartitionsResult(
            partitions_subset=upstream_partitions_def.subset_with_partition_keys(sorted(existing)),
            required_but_nonexistent_subset=upstream_partitions_def.empty_subset(),
        )

    def get_downstream_partitions_for_partitions(
        self,
        upstream_partitions_subset,
        upstream_partitions_def,
        downstream_partitions_def,
        current_time=None,
        dynamic_partitions_store=None,
    ):
        existing = set(downstream_partitions_def.get_partition_keys(current_time=current_time))
        same = existing.intersection(upstream_partitions_subset.get_partition_keys())
        return downstream_partitions_def.subset_with_partition_keys(sorted(same))


@dataclass(frozen=True)
class Windows:
    """The lengths, in days, that decide what a changed day touches."""

    horizon: int = 28
    training_window: int = 120
    inactive_after_days: int = 365
    champion_window: int = 84


def membership_moved(
    day: date, previous: date | None, following: date | None, *, inactive_after_days: int
) -> list[date]:
    """Days on which a series is in ``daily_sales`` only because of a positive sale on ``day``.

    A positive sale keeps its series in for ``inactive_after_days`` days, its own included. ``previous`` and
    ``following`` are the series' nearest other days with a positive sale (``None``: there is none). Adding
    the sale moves the series in on these days; taking it away moves it out on the same ones.
    """
    reach = timedelta(days=inactive_after_days)
    first = max(day, previous + reach) if previous is not None else day
    last = day + reach - timedelta(days=1)
    if following is not None:
        last = min(last, following - timedelta(days=1))
    return days_between(first, last)


def affected(
    asset: str,
    day: date,
    *,
    closed: date,
    windows: Windows,
    moved: Collection[date] = (),
) -> list[date]:
    """The partitions of ``asset`` that a changed fact of ``day`` touches, in order.

    Args:
        asset: an asset's name, without the tenant.
        day: the business day whose sales changed.
        closed: the last closed day; nothing after it but today's open day can be touched.
        windows: the tenant's look-backs.
        moved: the other days whose membership the change moved (``membership_moved``), if any.

    Returns:
        Days up to ``closed`` (facts: up to the day after, today's open day). Past forecasts are never among
        them: what was believed then stays on record; only the newest origin is forecast again.

    Raises:
        ValueError: ``asset`` is none that sales flow into.
    """
    today = closed + timedelta(days=1)
    facts = {day, *moved}

    def reaching(days: Iterable[date], ahead: int) -> set[date]:
        return {each + timedelta(days=offset) for each in days for offset in range(ahead + 1)}

    features = reaching(facts, LOOK_BACK_DAYS)
    scales = reaching(facts, windows.training_window - 1)
    trained_on = set(days_between(closed - timedelta(days=windows.training_window - 1), closed))
    # Sums hold errors in units of the scale as of their origin, scores are by the class as of it: what moves one of
    # those moves all its targets.
    sums = facts | {origin + timedelta(days=h) for origin in scales for h in range(1, windows.horizon + 1)}
    touched: Mapping[str, set[date]] = {
        "raw_sales": {day},
        "sales_rejects": {day},
        "daily_sales": facts,
        "features": features,
        "series_scales": scales,
        "demand_classes": scales,
        # Which refit day the newest origin uses is the model's own affair; where nothing changed, this makes nothing.
        "model_artifacts": {closed},
        "forecasts": {closed} if features & trained_on else set(),
        "forecast_errors": facts,
        "error_sums": sums,
        "interval_scores": sums,
        "published_sums": sums,
        "champions": reaching(sums, windows.champion_window - 1),
        # What was ordered on a past day stays as it was decided; today's plan is made from today's sales.
        "inventory_plan": {closed, today},
        "inventory_simulation": {closed},
        # The report of a past day stays as people have read it; the newest one has the corrected figures.
        "daily_report": {closed},
        # Whatever changed, readers are shown it.
        "serving": {closed, today},
    }
    # What is made from forecasts is as immutable as they are: only that of the newest origin is made again.
    touched = {**touched, **{name: {closed} for name in FROM_FORECASTS}}
    if asset not in touched:
        raise ValueError(f"no rule says what a changed sale does to {asset!r}; known are {', '.join(sorted(touched))}")
    last = today if asset in FACTS_OF_TODAY else closed
    return sorted(each for each in touched[asset] if each <= last)


FROM_FORECASTS = (
    *("forecast_intervals", "publications", "weekly_forecasts", "hierarchy_forecasts", "forecast_explanations"),
)
"""Append-only assets beside ``forecasts``, each made for an origin."""

FACTS_OF_TODAY = ("raw_sales", "sales_rejects", "daily_sales", "features", "inventory_plan", "serving")
"""Assets whose partition of today's open day is filled while it is open, the plan where stock is planned."""
